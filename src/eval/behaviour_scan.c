/* behaviour_scan: the whole vocabulary, put into what the user says, several tokens together: what reacts to one of
 * these shows it still, and the search is that much shorter. A second scan has other neighbours and another prompt, so
 * what a token did is told from what its neighbours did, and from what the prompt was answered with anyway. Characters
 * that are several tokens are units, too: what reacts to one reacts to no part of it. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

#define ODDS_FLOOR 1e-8        /* what is rarer is as good as that */
#define DEVIATION_LEAST 1e-4   /* its square */

static void see(void *ctx, size_t i, const float *p, int thread)
{
	const struct { size_t V; struct scan *out; } *w = ctx;
	struct scan *x = w->out;
	(void)thread;

	x->likeliest[i] = search_likeliest(p, w->V);
	x->p_likeliest[i] = p[x->likeliest[i]];
	for (size_t k = 0; k < x->n_first; k++)
		x->p[i * x->n_first + k] = p[x->first[k]];
}

/* In random order, or neighbours of one alphabet would stand together. */
static void fill(const struct search *s, const struct scan_of *o, struct scan *x)
{
	size_t each = (size_t)o->together;
	size_t *order = mem_array(o->n, sizeof(*order));
	uint32_t r[4];

	for (size_t i = 0; i < o->n; i++) {
		x->pack[i] = SCAN_NONE;
		order[i] = i;
	}
	for (size_t i = o->n - 1; i > 0; i--) {
		rng_words((struct rng_key){ s->o->seed, RNG_SAMPLE }, i, STREAM_ORDER, o->turn, r);
		size_t j = r[0] % (i + 1), t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	for (size_t i = 0; i < MIN(o->n, x->n * each); i++) {
		struct sequence *t = &x->t[i / each];
		const struct behaviour_unit *u = &o->units[order[i]];
		for (int k = 0; k < u->n; k++)
			t->id[t->n++] = u->id[k];
		x->pack[order[i]] = i / each;
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

	*x = (struct scan){ .n = n, .units = o->units, .n_units = o->n, .pack = mem_array(o->n, sizeof(*x->pack)),
		            .context = o->context, .t = mem_array(n, sizeof(*x->t)),
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

void scan_deviations(const struct scan *x, size_t k, float *z)
{
	double sum = 0, squares = 0, n = 0;

	for (size_t i = 0; i < x->n_units; i++) {
		z[i] = 0;
		if (x->pack[i] == SCAN_NONE)
			continue;
		double odds = search_log_odds((double)x->p[x->pack[i] * x->n_first + k], ODDS_FLOOR);
		z[i] = (float)odds;
		sum += odds;
		squares += odds * odds;
		n++;
	}
	double mean = sum / fmax(n, 1), deviation = sqrt(fmax(squares / fmax(n, 1) - mean * mean, DEVIATION_LEAST));
	for (size_t i = 0; i < x->n_units; i++)
		if (x->pack[i] != SCAN_NONE)
			z[i] = (float)(((double)z[i] - mean) / deviation);
}

void scan_release(struct scan *x)
{
	mem_free(x->t);
	mem_free(x->pack);
	mem_free(x->first);
	mem_free(x->p);
	mem_free(x->likeliest);
	mem_free(x->p_likeliest);
	*x = (struct scan){ 0 };
}
