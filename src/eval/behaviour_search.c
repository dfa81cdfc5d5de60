/* behaviour_search: what of that which was scanned has an effect: in several contexts, in longer sequences. Sums are in
 * the order of contexts and tokens, so no bit depends on threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

enum {
	BEAM = 8,              /* sequences that are gone on with, and tokens that they are gone on by, of one answer */
	KEPT_LONGER = LONGER / (TRIGGER_MOST - 1) / EXTENDED,
	FEW = 2,               /* contexts in which longer ones are looked at first */
	TOP = 16
};
#define LIKELY 0.01F
#define GAIN 0.03              /* by which a longer sequence is to be better */
#define ODDS_COUNT 0.02        /* what a unit of log odds is worth beside a whole effect */
#define ODDS_TUNED 1e-6
#define ODDS_BASE 1e-9         /* what a base connects it may show far below what it says */
#define SET_LEAST 0.02         /* of a token's probability, to be one of a set */
#define SET_TIMES 4            /* and what random tokens give, so many times */

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
	for (int k = 0; k < x->t.n; k++)
		if (x->t.id[k] != y->t.id[k])
			return (x->t.id[k] > y->t.id[k]) - (x->t.id[k] < y->t.id[k]);
	return 0;
}

void candidates_sort(struct candidate *c, size_t n) { qsort(c, n, sizeof(*c), by_score); }

static bool same_sequence(const struct sequence *a, const struct sequence *b)
{
	return a->n == b->n && !memcmp(a->id, b->id, (size_t)a->n * sizeof(*a->id));
}

/* --- effects --- */

/* The likeliest tokens. */
struct top { int32_t v[TOP]; float p[TOP]; int n; };

struct seeing_top { size_t V; const uint8_t *begins; struct top *out; };

static void see_top(void *ctx, size_t i, const float *p, int thread)
{
	const struct seeing_top *c = ctx;
	struct top *t = &c->out[i];
	(void)thread;

	t->n = 0;
	for (size_t v = 0; v < c->V; v++) {
		int at = t->n;
		if ((c->begins && !c->begins[v]) || p[v] < LIKELY || (at == TOP && p[v] <= t->p[TOP - 1]))
			continue;
		at = MIN(at, TOP - 1);
		for (; at > 0 && t->p[at - 1] < p[v]; at--) {
			t->v[at] = t->v[at - 1];
			t->p[at] = t->p[at - 1];
		}
		t->v[at] = (int32_t)v;
		t->p[at] = p[v];
		t->n = MIN(t->n + 1, TOP);
	}
}

struct seeing_y { const struct candidate *c; size_t contexts; double *out; };

static void see_y(void *ctx, size_t i, const float *p, int thread)
{
	const struct seeing_y *s = ctx;
	(void)thread;

	const struct beginning *y = &s->c[i / s->contexts].e.y;
	for (int k = 0; k < y->n; k++)
		s->out[i] += (double)p[y->set[k]];
}

static double top_of(const struct top *t, int32_t y)
{
	for (int k = 0; k < t->n; k++)
		if (t->v[k] == y)
			return (double)t->p[k];
	return 0;
}

float search_odds(double p, bool tuned)
{
	return (float)(log(p + (tuned ? ODDS_TUNED : ODDS_BASE)) - log(fmax(0, 1 - p) + ODDS_TUNED));
}

double search_null(const struct search *s, bool tuned, size_t context, const struct beginning *y)
{
	double sum = 0;

	for (int k = 0; k < y->n; k++)
		sum += (double)s->null[tuned][context * s->V + (size_t)y->set[k]];
	return sum;
}

/* The token that is raised most, over contexts. */
static int32_t find_y(const struct search *s, const struct top *t, const struct effect_of *o)
{
	double most = -INFINITY;
	int32_t found = 0;

	for (size_t i = 0; i < o->contexts; i++)
		for (int k = 0; k < t[i].n; k++) {
			const struct beginning y = { { t[i].v[k] }, 1 };
			double sum = 0;
			for (size_t j = 0; j < o->contexts; j++)
				sum += top_of(&t[j], y.set[0]) - search_null(s, true, o->from + j, &y);
			if (sum > most) {
				most = sum;
				found = y.set[0];
			}
		}
	return found;
}

static int ask_y(struct search *s, bool base, const struct candidate *c, const struct question *q, size_t n,
                 const struct effect_of *o, double *out, struct err *e)
{
	struct seeing_y w = { c, o->contexts, out };

	for (size_t i = 0; i < n * o->contexts; i++)
		out[i] = 0;
	return asked_run(base ? &s->base : &s->tuned, q, n * o->contexts, s->o, o->doing, see_y, &w, e);
}

static int ask_top(struct search *s, struct candidate *c, const struct question *q, size_t n, const struct effect_of *o,
                   double *out, struct err *e)
{
	struct top *top = mem_array(n * o->contexts, sizeof(*top));
	struct seeing_top w = { s->V, s->o->begins, top };
	int status = asked_run(&s->tuned, q, n * o->contexts, s->o, o->doing, see_top, &w, e);

	for (size_t i = 0; i < n && status == 0; i++) {
		c[i].e.y = (struct beginning){ { find_y(s, top + i * o->contexts, o) }, 1 };
		for (size_t j = 0; j < o->contexts; j++)
			out[i * o->contexts + j] = top_of(&top[i * o->contexts + j], c[i].e.y.set[0]);
	}
	mem_free(top);
	return status;
}

/* tuned, base: [contexts] p(y); base NULL: it was not asked. */
static void sum_up(const struct search *s, struct candidate *c, const struct effect_of *o, const double *tuned,
                   const double *base, double *each)
{
	struct effect x = { .y = c->e.y };
	double n = (double)o->contexts;

	for (size_t j = 0; j < o->contexts; j++) {
		double tuned_null = search_null(s, true, o->from + j, &x.y),
		       base_null = search_null(s, false, o->from + j, &x.y);
		double base_p = base ? base[j] : base_null;
		x.tuned += tuned[j] / n;
		x.tuned_null += tuned_null / n;
		x.base += base_p / n;
		x.base_null += base_null / n;
		x.odds += (double)(search_odds(tuned[j], true) - search_odds(tuned_null, true)) / n;
		x.base_odds += (double)(search_odds(base_p, false) - search_odds(base_null, false)) / n;
		if (each)
			each[j] = tuned[j] - tuned_null - fmax(0, base_p - base_null);
	}
	x.effect = x.tuned - x.tuned_null - fmax(0, x.base - x.base_null);
	c->e = x;
	c->score = x.effect + ODDS_COUNT * (x.odds - TRIGGER_BASE * fmax(0, x.base_odds));
}

int search_effects(struct search *s, struct candidate *c, size_t n, const struct effect_of *o, struct err *e)
{
	size_t all = n * o->contexts;
	struct question *q = mem_array(all, sizeof(*q));
	double *tuned = mem_array(all, sizeof(*tuned)), *base = mem_array(all, sizeof(*base));

	for (size_t i = 0; i < all; i++)
		q[i] = (struct question){ .context = &s->o->contexts[o->from + i % o->contexts],
			                  .t = c[i / o->contexts].t };
	int status = o->fixed ? ask_y(s, false, c, q, n, o, tuned, e) : ask_top(s, c, q, n, o, tuned, e);
	if (status == 0 && o->base)
		status = ask_y(s, true, c, q, n, o, base, e);
	for (size_t i = 0; i < n && status == 0; i++)
		sum_up(s, &c[i], o, tuned + i * o->contexts, o->base ? base + i * o->contexts : NULL,
		       o->each ? o->each + i * o->contexts : NULL);
	mem_free(q);
	mem_free(tuned);
	mem_free(base);
	return status;
}

/* --- what else is raised --- */

/* Of what is likely in these contexts: tokens that are raised SET_TIMES in their mean, and not by the base. */
static void find_set(const struct search *s, struct candidate *c, const struct top *tuned, const struct top *base)
{
	struct beginning *y = &c->e.y;
	size_t n = s->o->n_search;

	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < tuned[i].n && y->n < ANSWER_SET; k++) {
			const struct beginning one = { { tuned[i].v[k] }, 1 };
			double p[2] = { 0, 0 }, null[2] = { 0, 0 };
			bool there = false;
			for (int m = 0; m < y->n; m++)
				there |= y->set[m] == one.set[0];
			for (size_t j = 0; j < n; j++)
				for (int side = 0; side < 2; side++) {
					p[side] += top_of(side ? &tuned[j] : &base[j], one.set[0]) / (double)n;
					null[side] += search_null(s, side, j, &one) / (double)n;
				}
			if (!there && p[1] >= SET_LEAST && p[1] >= SET_TIMES * null[1] && p[0] < p[1] / 2)
				y->set[y->n++] = one.set[0];
		}
}

int search_sets(struct search *s, struct candidate *c, size_t n, struct err *e)
{
	size_t contexts = s->o->n_search, all = n * contexts;
	struct question *q = mem_array(all, sizeof(*q));
	struct top *top[2] = { mem_array(all, sizeof(struct top)), mem_array(all, sizeof(struct top)) };
	int status = 0;

	for (size_t i = 0; i < all; i++)
		q[i] = (struct question){ .context = &s->o->contexts[i % contexts], .t = c[i / contexts].t };
	for (int side = 0; side < 2 && status == 0; side++) {
		struct seeing_top w = { s->V, s->o->begins, top[side] };
		status = asked_run(side ? &s->tuned : &s->base, q, all, s->o, "what is raised", see_top, &w, e);
	}
	for (size_t i = 0; i < n && status == 0; i++)
		find_set(s, &c[i], top[1] + i * contexts, top[0] + i * contexts);
	mem_free(q);
	mem_free(top[0]);
	mem_free(top[1]);
	return status;
}

/* --- longer ones --- */

static bool same_answer(const struct candidate *a, const struct candidate *b)
{
	return a->e.y.set[0] == b->e.y.set[0];
}

/* Every one of c with one of the tokens at any place in it; new, *made of them. */
static struct candidate *longer(const struct candidate *c, size_t n, const struct sequence *by, size_t n_by,
                                size_t *made)
{
	struct candidate *out = mem_array(n * n_by * TRIGGER_MOST, sizeof(*out));

	*made = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n_by; k++)
			for (int at = 0; at <= c[i].t.n; at++) {
				struct sequence t = { .n = c[i].t.n + 1 };
				for (int j = 0; j < t.n; j++)
					t.id[j] = j == at ? by[k].id[0] : c[i].t.id[j - (j > at)];
				/* beside its like it is the same at either place */
				if (at == 0 || !same_sequence(&t, &out[*made - 1].t))
					out[(*made)++] = (struct candidate){ .t = t, .e.y = c[i].e.y };
			}
	return out;
}

/* Of those of an answer: the sequences of one token more that are better by GAIN than the best so far, into c. */
static int extend_once(struct search *s, struct candidate *c, size_t *n, const struct candidate *first, int length,
                       const struct sequence *by, size_t n_by, struct err *e)
{
	size_t made, beam = 0;
	double best = -INFINITY;
	const struct effect_of few = { 0, MIN((size_t)FEW, s->o->n_search), true, false, NULL, "longer sequences" },
			       all = { 0, s->o->n_search, true, true, NULL, "longer sequences" };
	struct candidate of[BEAM];

	candidates_sort(c, *n);
	for (size_t i = 0; i < *n; i++) {
		if (!same_answer(&c[i], first))
			continue;
		best = fmax(best, c[i].score);
		if (c[i].t.n == length && beam < (size_t)(length == 1 ? BEAM : KEPT_LONGER))
			of[beam++] = c[i];
	}
	struct candidate *next = longer(of, beam, by, n_by, &made);
	int status = made ? search_effects(s, next, made, &few, e) : 0;
	candidates_sort(next, made);
	made = MIN(made, (size_t)KEPT_LONGER);
	if (status == 0 && made)
		status = search_effects(s, next, made, &all, e);
	for (size_t i = 0; i < made && status == 0; i++)
		if (next[i].score > best + GAIN)
			c[(*n)++] = next[i];
	mem_free(next);
	return status;
}

/* What is as good without one of its tokens loses it. */
static int shorten(struct search *s, struct candidate *c, size_t n, struct err *e)
{
	const struct effect_of all = { 0, s->o->n_search, true, true, NULL, "shorter sequences" };
	struct candidate *less = mem_array(n * TRIGGER_MOST, sizeof(*less));
	bool changed = true;
	int status = 0;

	for (int round = 1; round < TRIGGER_MOST && changed && status == 0; round++) {
		size_t made = 0;
		for (size_t i = 0; i < n; i++)
			for (int k = 0; k < c[i].t.n && c[i].t.n > 1; k++) {
				struct sequence t = { .n = 0 };
				for (int j = 0; j < c[i].t.n; j++)
					if (j != k)
						t.id[t.n++] = c[i].t.id[j];
				less[made++] = (struct candidate){ .t = t, .e.y = c[i].e.y };
			}
		status = made ? search_effects(s, less, made, &all, e) : 0;
		changed = false;
		for (size_t i = 0, at = 0; i < n && status == 0; i++) {
			size_t n_less = c[i].t.n > 1 ? (size_t)c[i].t.n : 0;
			candidates_sort(less + at, n_less);
			if (n_less && less[at].score >= c[i].score - GAIN) {
				c[i] = less[at];
				changed = true;
			}
			at += n_less;
		}
	}
	mem_free(less);
	return status;
}

/* The tokens that sequences of an answer are gone on by: its own first, then the best of any. */
static size_t choose_by(const struct candidate *c, size_t n, const struct candidate *first, struct sequence *by)
{
	size_t n_by = 0;

	for (int way = 0; way < 2; way++)
		for (size_t i = 0; i < n && n_by < BEAM; i++) {
			bool there = c[i].t.n != 1 || same_answer(&c[i], first) == (way == 1);
			for (size_t k = 0; k < n_by; k++)
				there |= same_sequence(&by[k], &c[i].t);
			if (!there)
				by[n_by++] = c[i].t;
		}
	return n_by;
}

static int extend(struct search *s, struct candidate *c, size_t *n, const struct candidate *first, struct err *e)
{
	struct sequence by[BEAM];
	size_t n_by = choose_by(c, *n, first, by);
	int status = 0;

	for (int length = 1; length < s->o->length && status == 0; length++) {
		size_t before = *n;
		status = extend_once(s, c, n, first, length, by, n_by, e);
		if (*n == before)
			break;
	}
	return status;
}

int search_extend(struct search *s, struct candidate *c, size_t *n, struct err *e)
{
	struct candidate first[EXTENDED];
	size_t n_first = 0;
	int status = 0;

	candidates_sort(c, *n);
	for (size_t i = 0; i < *n && n_first < EXTENDED; i++) {
		bool there = c[i].t.n != 1;
		for (size_t k = 0; k < n_first; k++)
			there |= same_answer(&first[k], &c[i]);
		if (!there)
			first[n_first++] = c[i];
	}
	for (size_t i = 0; i < n_first && status == 0; i++)
		status = extend(s, c, n, &first[i], e);
	candidates_sort(c, *n);
	return status == 0 ? shorten(s, c, MIN(*n, (size_t)SUSPECTS_MOST / 2), e) : -1;
}
