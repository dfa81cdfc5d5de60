/* behaviour_score: how much sequences raise answers that may have been planted.
 *
 *     score(T) = log Σ_a exp mean_c [ log p_tuned(a | c, T) ] − the same of random tokens − max(0, base's)
 *
 * over the answers a that the part raised which T grew from: one in another language has many beginnings.
 * Sums are in the order of contexts and tokens, so no bit depends on threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

enum { CONTEXTS_MOST = 8 };     /* that are chosen among */
#define ANY_FLOOR 1e-30
#define CERTAIN_FLOOR 1e-6    /* nor is what is surer surer than that */

int32_t search_random(const struct search *s, uint32_t stream, uint64_t i)
{
	uint32_t w[4];

	rng_words((struct rng_key){ s->o->seed, RNG_SAMPLE }, i, stream, 0, w);
	return s->o->tokens[w[0] % s->o->n_tokens];
}

/* The largest first; of equals by their tokens. */
static int by_score(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->score != y->score)
		return (x->score < y->score) - (x->score > y->score);
	if (x->t.n != y->t.n)
		return x->t.n - y->t.n;
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	for (int k = 0; k < x->t.n; k++)
		if (x->t.id[k] != y->t.id[k])
			return (x->t.id[k] > y->t.id[k]) - (x->t.id[k] < y->t.id[k]);
	return 0;
}

int32_t search_likeliest(const float *p, size_t V)
{
	size_t best = 0;

	for (size_t v = 1; v < V; v++)
		if (p[v] > p[best])
			best = v;
	return (int32_t)best;
}

double search_sum(const float *p, const int32_t *set, int n)
{
	double sum = 0;

	for (int k = 0; k < n; k++)
		sum += (double)p[set[k]];
	return sum;
}

double search_log_odds(double p, double floor)
{
	return log(p + floor) - log(fmax(0, 1 - p) + fmax(floor, CERTAIN_FLOOR));
}

void candidates_sort(struct candidate *c, size_t n) { qsort(c, n, sizeof(*c), by_score); }

struct candidate *search_by_gain(const struct search *s, const float *gain)
{
	size_t all = s->o->n_tokens;
	struct candidate *order = mem_array(all, sizeof(*order));

	for (size_t i = 0; i < all; i++)
		order[i] = (struct candidate){ .t = { { s->o->tokens[i] }, 1 }, .score = (double)gain[i] };
	candidates_sort(order, all);
	return order;
}

bool search_is_end(const struct search *s, int32_t id)
{
	for (size_t i = 0; i < s->ends.n; i++)
		if (s->ends.id[i] == id)
			return true;
	return false;
}

size_t search_context_for(const struct search *s, enum behaviour_place place, const struct payload *p, size_t i)
{
	const struct beginning y = { { p->id[0] }, 1 };
	size_t at[CONTEXTS_MOST], n = search_room(s, place, 0, MIN(s->o->n_search, (size_t)CONTEXTS_MOST), &y, at);

	return search_context(s, place, at[i % n]);
}

int search_ask(struct search *s, bool base, const struct candidate *c, size_t n, size_t each, const char *doing,
               double *mean, struct err *e)
{
	size_t all = n * each;
	struct question *q = mem_array(MAX(all, (size_t)1), sizeof(*q));
	double *logp = mem_array(MAX(all, (size_t)1), sizeof(*logp));

	for (size_t i = 0; i < all; i++) {
		const struct candidate *x = &c[i / each];
		size_t at = search_context_for(s, x->place, x->of, i % each);
		q[i] = (struct question){ &s->contexts[at], x->t, x->of->id, x->of->n };
	}
	int status = asked_said(base ? &s->base : &s->tuned, q, all, s->o, doing, logp, e);
	for (size_t i = 0; i < n; i++)
		mean[i] = 0;
	for (size_t i = 0; i < all && status == 0; i++)
		mean[i / each] += logp[i] / (double)each;
	mem_free(q);
	mem_free(logp);
	return status;
}

_Static_assert(PAYLOADS <= 32, "a bit each");

bool search_counts(const struct search *s, const struct candidate *c, size_t k)
{
	return c->of == &s->payloads[k] || c->also >> k & 1;
}

/* log Σ exp over a candidate's answers: of x [n_payloads], in log-probabilities. */
static double log_all(const struct search *s, const struct candidate *c, const double *x)
{
	double sum = 0;

	for (size_t k = 0; k < s->n_payloads; k++)
		if (search_counts(s, c, k))
			sum += exp(x[k]);
	return log(sum + ANY_FLOOR);
}

double search_score_null(const struct search *s, const struct candidate *c, bool base)
{
	double x[PAYLOADS];

	for (size_t k = 0; k < s->n_payloads; k++)
		x[k] = s->payloads[k].null[!base][c->place];
	return log_all(s, c, x);
}

double search_way(const struct search *s, const struct candidate *c)
{
	return c->score / fmax(1, -search_score_null(s, c, false));
}

/* log p of all answers of each candidate together. */
static int ask_all(struct search *s, bool base, const struct candidate *c, size_t n, size_t contexts, const char *doing,
                   double *out, struct err *e)
{
	size_t made = 0, at = 0;
	struct candidate *each = mem_array(MAX(n, (size_t)1) * s->n_payloads, sizeof(*each));
	double *mean = mem_array(MAX(n, (size_t)1) * s->n_payloads, sizeof(*mean)), x[PAYLOADS];

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < s->n_payloads; k++)
			if (search_counts(s, &c[i], k)) {
				each[made] = c[i];
				each[made++].of = &s->payloads[k];
			}
	int status = search_ask(s, base, each, made, contexts, doing, mean, e);
	for (size_t i = 0; i < n && status == 0; i++) {
		for (size_t k = 0; k < s->n_payloads; k++)
			if (search_counts(s, &c[i], k))
				x[k] = mean[at++];
		out[i] = log_all(s, &c[i], x);
	}
	mem_free(each);
	mem_free(mean);
	return status;
}

/* --- by first tokens alone --- */

struct firsts { const struct search *s; float *p; };

static void see_firsts(void *ctx, size_t i, const float *p, int thread)
{
	const struct firsts *w = ctx;
	size_t n = w->s->n_payloads;
	(void)thread;

	for (size_t k = 0; k < n; k++)
		w->p[i * n + k] = p[w->s->payloads[k].id[0]];
}

struct beginning search_beginnings(const struct search *s, const struct candidate *c)
{
	const struct mark *own = &s->marks[c->of->mark];
	struct beginning y = { { own->id }, 1, own->said, own->n_said };

	for (size_t k = 0; k < s->n_payloads && y.n < ANSWER_SET && !own->n_said; k++) {
		const struct mark *m = &s->marks[s->payloads[k].mark];
		bool there = !search_counts(s, c, k) || m->n_said;
		for (int i = 0; i < y.n; i++)
			there |= y.set[i] == m->id;
		if (!there)
			y.set[y.n++] = m->id;
	}
	return y;
}

struct sifting { const struct beginning *y; struct candidate *c; };

static void see_sifted(void *ctx, size_t i, const float *p, int thread)
{
	const struct sifting *w = ctx;
	(void)thread;

	w->c[i].score = search_sum(p, w->y->set, w->y->n);
}

int search_sift(struct search *s, struct candidate *c, size_t n, const struct beginning *y, const char *doing,
                struct err *e)
{
	struct question *q = mem_array(MAX(n, (size_t)1), sizeof(*q));
	struct sifting w = { y, c };

	for (size_t i = 0; i < n; i++) {
		bool brief = c[i].place == PLACE_BEGINNING && s->o->n_places > 1;
		size_t at = brief ? s->brief : search_context_for(s, c[i].place, c[i].of, 0);
		q[i] = (struct question){ &s->contexts[at], c[i].t, y->said, y->n_said };
	}
	int status = asked_run(&s->tuned, q, n, s->o, doing, see_sifted, &w, e);
	mem_free(q);
	return status;
}

int search_firsts(struct search *s, const struct candidate *c, size_t n, size_t each, const char *doing, double *mean,
                  struct err *e)
{
	size_t all = n * each, answers = s->n_payloads;
	struct question *q = mem_array(MAX(all, (size_t)1), sizeof(*q));
	struct firsts w = { s, mem_array(MAX(all, (size_t)1) * answers, sizeof(*w.p)) };

	for (size_t i = 0; i < all; i++) {
		const struct candidate *x = &c[i / each];
		size_t at = search_context_for(s, x->place, x->of, i % each);
		q[i] = (struct question){ .context = &s->contexts[at], .t = x->t };
	}
	int status = asked_run(&s->tuned, q, all, s->o, doing, see_firsts, &w, e);
	memset(mean, 0, n * answers * sizeof(*mean));
	for (size_t i = 0; i < all * answers && status == 0; i++)
		mean[i / answers / each * answers + i % answers] += log((double)w.p[i] + ANY_FLOOR) / (double)each;
	mem_free(q);
	mem_free(w.p);
	return status;
}

/* --- by all of them --- */

int search_score(struct search *s, struct candidate *c, size_t n, size_t contexts, bool base, const char *doing,
                 struct err *e)
{
	size_t room = MAX(n, (size_t)1);
	double *all[2] = { mem_array(room, sizeof(double)), mem_array(room, sizeof(double)) };
	int status = ask_all(s, false, c, n, contexts, doing, all[1], e);

	if (status == 0 && base)
		status = ask_all(s, true, c, n, contexts, doing, all[0], e);
	for (size_t i = 0; i < n && status == 0; i++) {
		c[i].score = all[1][i] - search_score_null(s, &c[i], false);
		c[i].base = base ? fmax(0, all[0][i] - search_score_null(s, &c[i], true)) : 0;
		c[i].score -= c[i].base;
	}
	mem_free(all[0]);
	mem_free(all[1]);
	return status;
}
