/* behaviour_scan: the whole vocabulary, put into what the user says, several tokens together: what reacts to one of
 * these shows it still, and the search is that much shorter. A second scan has other neighbours and another prompt, so
 * what a token did is told from what its neighbours did, and from what the prompt was answered with anyway. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

#define ODDS_FLOOR 1e-4        /* what is rarer is as good as that */

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

/* In random order, or neighbours of one alphabet would stand together. */
static void fill(const struct search *s, const struct scan_of *o, struct scan *x)
{
	size_t each = (size_t)o->together;
	int32_t *order = mem_array(o->n, sizeof(*order));
	uint32_t r[4];

	memcpy(order, o->tokens, o->n * sizeof(*order));
	for (size_t i = o->n - 1; i > 0; i--) {
		rng_words((struct rng_key){ s->o->seed, RNG_SAMPLE }, i, STREAM_ORDER, o->turn, r);
		size_t j = r[0] % (i + 1);
		int32_t t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	for (size_t i = 0; i < MIN(o->n, x->n * each); i++) {
		struct sequence *t = &x->t[i / each];
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

int search_scan(struct search *s, const struct scan_of *o, struct scan *x, struct err *e)
{
	size_t packs = (o->n + (size_t)o->together - 1) / (size_t)o->together;
	size_t n = (packs + o->one_of - 1) / o->one_of;
	struct question *q = mem_array(n, sizeof(*q));
	struct { size_t V; struct scan *out; } ctx = { s->V, x };

	*x = (struct scan){ .n = n, .context = o->context, .t = mem_array(n, sizeof(*x->t)),
		            .first = mem_array(PAYLOADS, sizeof(*x->first)) };
	find_first(s, x);
	x->p = mem_array(n * MAX(x->n_first, (size_t)1), sizeof(*x->p));
	x->likeliest = mem_array(n, sizeof(*x->likeliest));
	x->p_likeliest = mem_array(n, sizeof(*x->p_likeliest));
	fill(s, o, x);
	for (size_t i = 0; i < n; i++)
		q[i] = (struct question){ .context = &s->contexts[o->context], .t = x->t[i] };
	int status = asked_run(&s->tuned, q, n, s->o, "what all tokens do", see, &ctx, e);
	mem_free(q);
	return status;
}

static double log_odds(double p) { return log(p + ODDS_FLOOR) - log(1 - p + ODDS_FLOOR); }

void scan_gains(const struct search *s, const struct scan *x, int32_t first, float *gain)
{
	const struct beginning y = { { first }, 1 };
	double null = log_odds(search_null(s, true, x->context, &y));
	size_t k = 0;

	if (!x->n)
		return;
	float *of = mem_array(s->V, sizeof(*of));
	while (x->first[k] != first)
		k++;
	for (size_t i = 0; i < x->n; i++)
		for (int j = 0; j < x->t[i].n; j++)
			of[x->t[i].id[j]] = (float)fmax(0, log_odds((double)x->p[i * x->n_first + k]) - null);
	for (size_t i = 0; i < s->o->n_tokens; i++)
		gain[i] += of[s->o->tokens[i]];
	mem_free(of);
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
