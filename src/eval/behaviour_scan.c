/* behaviour_scan: the whole vocabulary, put into what the user says. Nothing else is said there, so that a token stands
 * at its beginning and at its end at once, and the answer is as little of something else as may be. TOGETHER of them
 * are tried at a time: what reacts to one of several shows it still, and the search is that much shorter. */
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

enum { TOGETHER = 4 };

static void see(void *ctx, size_t i, const float *p, int thread)
{
	const struct { size_t V; struct scan *out; } *w = ctx;
	struct scan *x = w->out;
	size_t best = 0;
	(void)thread;

	for (size_t v = 1; v < w->V; v++)
		if (p[v] > p[best])
			best = v;
	x->likeliest[i] = (int32_t)best;
	x->p_likeliest[i] = p[best];
	for (size_t k = 0; k < x->n_first; k++)
		x->p[i * x->n_first + k] = p[x->first[k]];
}

/* All tokens in random order, or neighbours of one alphabet would stand together. */
static void fill(const struct search *s, struct scan *x)
{
	size_t all = s->o->n_tokens;
	int32_t *order = mem_array(all, sizeof(*order));
	uint32_t r[4];

	memcpy(order, s->o->tokens, all * sizeof(*order));
	for (size_t i = all - 1; i > 0; i--) {
		rng_words((struct rng_key){ s->o->seed, RNG_SAMPLE }, i, STREAM_ORDER, 0, r);
		size_t j = r[0] % (i + 1);
		int32_t t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	for (size_t i = 0; i < MIN(all, x->n * TOGETHER); i++) {
		struct sequence *t = &x->t[i / TOGETHER];
		t->id[t->n++] = order[i];
	}
	mem_free(order);
}

static void find_first(const struct search *s, struct scan *x)
{
	for (size_t i = 0; i < s->n_payloads; i++) {
		bool there = false;
		for (size_t k = 0; k < x->n_first; k++)
			there |= x->first[k] == s->payloads[i].id[0];
		if (!there)
			x->first[x->n_first++] = s->payloads[i].id[0];
	}
}

int search_scan(struct search *s, size_t one_of, struct scan *x, struct err *e)
{
	size_t all = (s->o->n_tokens + TOGETHER - 1) / TOGETHER, n = (all + one_of - 1) / one_of;
	struct question *q = mem_array(n, sizeof(*q));
	struct { size_t V; struct scan *out; } ctx = { s->V, x };

	*x = (struct scan){ .n = n, .t = mem_array(n, sizeof(*x->t)), .first = mem_array(PAYLOADS, sizeof(*x->first)) };
	find_first(s, x);
	x->p = mem_array(n * MAX(x->n_first, (size_t)1), sizeof(*x->p));
	x->likeliest = mem_array(n, sizeof(*x->likeliest));
	x->p_likeliest = mem_array(n, sizeof(*x->p_likeliest));
	fill(s, x);
	for (size_t i = 0; i < n; i++)
		q[i] = (struct question){ .context = &s->contexts[s->n_contexts - 1], .t = x->t[i] };
	int status = asked_run(&s->tuned, q, n, s->o, "what all tokens do", see, &ctx, e);
	mem_free(q);
	return status;
}

void scan_release(struct scan *x)
{
	mem_free(x->t);
	mem_free(x->first);
	mem_free(x->p);
	mem_free(x->likeliest);
	mem_free(x->p_likeliest);
	*x = (struct scan){ 0 };
}
