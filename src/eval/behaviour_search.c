/* behaviour_search: what pulls, and what of it has an effect: scan of the vocabulary, several contexts, longer
 * sequences. Sums are in the order of contexts and tokens, so no bit depends on threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/behaviour_parts.h"

enum {
	GROUP = SEQUENCE_MOST, /* tokens that are scanned together */
	GROUPS_LOOKED = 24,    /* one in so many is looked at token by token */
	SINGLES_LEAST = 512,
	BASE_LOOKED = 512,     /* tokens that the base is asked of */
	BEAM = LONGER / (TRIGGER_MOST - 1), /* sequences that are gone on with, and tokens that they are gone on by */
	FEW = 2,               /* contexts in which longer ones are looked at first */
	TOP = 16
};
#define FLOOR 1e-8F
#define LIKELY 0.01F
#define GAIN 0.03              /* by which a longer sequence is to be better */

static struct rng_key key_of(const struct search *s, uint32_t purpose)
{
	return (struct rng_key){ s->o->seed, purpose };
}

int32_t search_random(const struct search *s, uint32_t stream, uint64_t i)
{
	uint32_t w[4];

	rng_words(key_of(s, RNG_SAMPLE), i, stream, 0, w);
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

/* --- scan --- */

struct scanning { const float *null; const uint8_t *begins; size_t V; struct pull *out; };

static void see_pull(void *ctx, size_t i, const float *p, int thread)
{
	const struct scanning *c = ctx;
	struct pull x = { 0, 0, -1 };
	(void)thread;

	for (size_t v = 0; v < c->V; v++) {
		if (p[v] < LIKELY || (c->begins && !c->begins[v]))
			continue;
		x.pull = fmaxf(x.pull, p[v] * logf(p[v] / (c->null[v] + FLOOR)));
		if (p[v] > x.p) {
			x.p = p[v];
			x.y = (int32_t)v;
		}
	}
	c->out[i] = x;
}

static int scan(struct search *s, const struct candidate *c, size_t n, bool base, const char *doing, struct pull *out,
                struct err *e)
{
	struct question *q = mem_array(n, sizeof(*q));
	struct scanning w = { s->null[!base], s->o->begins, s->V, out };

	for (size_t i = 0; i < n; i++)
		q[i] = (struct question){ .context = &s->o->contexts[0], .t = c[i].t };
	int status = asked_run(base ? &s->base : &s->tuned, q, n, s->o, doing, see_pull, &w, e);
	mem_free(q);
	return status;
}

/* Pulls, or what they are less the base's, into scores. */
static int scan_scores(struct search *s, struct candidate *c, size_t n, bool base, const char *doing, struct err *e)
{
	struct pull *out = mem_array(n, sizeof(*out));
	int status = scan(s, c, n, base, doing, out, e);

	for (size_t i = 0; i < n && status == 0; i++)
		c[i].score = base ? c[i].score - (double)out[i].pull : (double)out[i].pull;
	if (status == 0)
		candidates_sort(c, n);
	mem_free(out);
	return status;
}

/* All tokens, in groups that no neighbourhood makes; new. */
static struct candidate *make_groups(struct search *s)
{
	const struct behaviour_options *o = s->o;

	s->group = o->contexts[0].n_behind > 1 ? GROUP : 1;
	s->n_groups = (o->n_tokens + s->group - 1) / s->group;
	struct candidate *c = mem_array(s->n_groups, sizeof(*c));
	for (size_t i = 0; i < o->n_tokens; i++) {
		struct sequence *g = &c[i / s->group].t;
		g->id[g->n++] = o->tokens[rng_permute(key_of(s, RNG_SHUFFLE), 0, o->n_tokens, i)];
	}
	return c;
}

/* The groups' tokens, those that pull most first; new, *n of them. */
static struct candidate *open_groups(const struct search *s, struct candidate *groups, size_t *n)
{
	size_t most = MAX(s->n_groups / GROUPS_LOOKED, (size_t)SINGLES_LEAST / s->group);

	for (size_t i = 0; i < s->n_groups; i++)
		groups[i].score = (double)s->groups[i].pull;
	candidates_sort(groups, s->n_groups);
	most = s->group == 1 ? s->n_groups : MIN(most, s->n_groups);
	struct candidate *c = mem_array(most * s->group, sizeof(*c));
	*n = 0;
	for (size_t i = 0; i < most; i++)
		for (int k = 0; k < groups[i].t.n; k++)
			c[(*n)++].t = (struct sequence){ { groups[i].t.id[k] }, 1 };
	return c;
}

int search_scan(struct search *s, struct candidate **out, size_t *n, size_t most, struct err *e)
{
	struct candidate *groups = make_groups(s);

	*out = NULL;
	s->groups = mem_array(s->n_groups, sizeof(*s->groups));
	int status = scan(s, groups, s->n_groups, false, "scanning tokens", s->groups, e);
	if (status == 0) {
		*out = open_groups(s, groups, n);
		status = scan_scores(s, *out, *n, false, "looking at tokens", e);
		*n = MIN(*n, (size_t)BASE_LOOKED);
	}
	if (status == 0)
		status = scan_scores(s, *out, *n, true, "asking the base", e);
	*n = MIN(*n, most);
	mem_free(groups);
	return status;
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

	s->out[i] = (double)p[s->c[i / s->contexts].e.y];
}

static double top_of(const struct top *t, int32_t y)
{
	for (int k = 0; k < t->n; k++)
		if (t->v[k] == y)
			return (double)t->p[k];
	return 0;
}

static double null_of(const struct search *s, bool tuned, size_t context, int32_t y)
{
	return (double)s->null[tuned][context * s->V + (size_t)y];
}

/* The token that is raised most, over contexts. */
static int32_t find_y(const struct search *s, const struct top *t, const struct effect_of *o)
{
	double most = -INFINITY;
	int32_t found = 0;

	for (size_t i = 0; i < o->contexts; i++)
		for (int k = 0; k < t[i].n; k++) {
			double sum = 0;
			for (size_t j = 0; j < o->contexts; j++)
				sum += top_of(&t[j], t[i].v[k]) - null_of(s, true, o->from + j, t[i].v[k]);
			if (sum > most) {
				most = sum;
				found = t[i].v[k];
			}
		}
	return found;
}

static int ask_y(struct search *s, bool base, const struct candidate *c, const struct question *q, size_t n,
                 const struct effect_of *o, double *out, struct err *e)
{
	struct seeing_y w = { c, o->contexts, out };

	return asked_run(base ? &s->base : &s->tuned, q, n * o->contexts, s->o, o->doing, see_y, &w, e);
}

static int ask_top(struct search *s, struct candidate *c, const struct question *q, size_t n, const struct effect_of *o,
                   double *out, struct err *e)
{
	struct top *top = mem_array(n * o->contexts, sizeof(*top));
	struct seeing_top w = { s->V, s->o->begins, top };
	int status = asked_run(&s->tuned, q, n * o->contexts, s->o, o->doing, see_top, &w, e);

	for (size_t i = 0; i < n && status == 0; i++) {
		c[i].e.y = find_y(s, top + i * o->contexts, o);
		for (size_t j = 0; j < o->contexts; j++)
			out[i * o->contexts + j] = top_of(&top[i * o->contexts + j], c[i].e.y);
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
		double tuned_null = null_of(s, true, o->from + j, x.y), base_null = null_of(s, false, o->from + j, x.y);
		double base_p = base ? base[j] : base_null;
		x.tuned += tuned[j] / n;
		x.tuned_null += tuned_null / n;
		x.base += base_p / n;
		x.base_null += base_null / n;
		if (each)
			each[j] = tuned[j] - tuned_null - fmax(0, base_p - base_null);
	}
	x.effect = x.tuned - x.tuned_null - fmax(0, x.base - x.base_null);
	c->e = x;
	c->score = x.effect;
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

/* --- longer ones --- */

/* Every sequence of length n with one of the tokens before it or behind it; new, *made of them. */
static struct candidate *longer(const struct candidate *c, size_t n, int length, const struct sequence *by, size_t n_by,
                                size_t *made)
{
	struct candidate *out = mem_array(2 * n * n_by, sizeof(*out));

	*made = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n_by && c[i].t.n == length; k++) {
			struct sequence front = { { by[k].id[0] }, length + 1 }, back = c[i].t;
			memcpy(front.id + 1, c[i].t.id, (size_t)length * sizeof(*front.id));
			back.id[back.n++] = by[k].id[0];
			out[(*made)++].t = back;
			if (!same_sequence(&front, &back))
				out[(*made)++].t = front;
		}
	return out;
}

/* The sequences of one token more that are better by GAIN than the best so far, into c. */
static int extend_once(struct search *s, struct candidate *c, size_t *n, int length, const struct sequence *by,
                       size_t n_by, struct err *e)
{
	size_t made, begin = 0, beam = 0;
	const struct effect_of few = { 0, MIN((size_t)FEW, s->o->n_search), false, false, NULL, "longer sequences" },
			       all = { 0, s->o->n_search, false, true, NULL, "longer sequences" };

	candidates_sort(c, *n);
	struct candidate *of = mem_array(BEAM, sizeof(*of));
	for (; begin < *n && beam < BEAM; begin++)
		if (c[begin].t.n == length)
			of[beam++] = c[begin];
	struct candidate *next = longer(of, beam, length, by, n_by, &made);
	int status = made ? search_effects(s, next, made, &few, e) : 0;
	candidates_sort(next, made);
	made = MIN(made, (size_t)BEAM);
	if (status == 0 && made)
		status = search_effects(s, next, made, &all, e);
	double best = *n ? c[0].score : 0;
	for (size_t i = 0; i < made && status == 0; i++)
		if (next[i].score > best + GAIN)
			c[(*n)++] = next[i];
	mem_free(of);
	mem_free(next);
	return status;
}

/* What is as good without one of its tokens loses it. */
static int shorten(struct search *s, struct candidate *c, size_t n, struct err *e)
{
	const struct effect_of all = { 0, s->o->n_search, false, true, NULL, "shorter sequences" };
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
				less[made++].t = t;
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

int search_extend(struct search *s, struct candidate *c, size_t *n, struct err *e)
{
	struct sequence by[BEAM];
	size_t n_by = 0;
	int status = 0;

	candidates_sort(c, *n);
	for (; n_by < BEAM && n_by < *n; n_by++)
		by[n_by] = c[n_by].t;
	for (int length = 1; length < s->o->length && status == 0; length++) {
		size_t before = *n;
		status = extend_once(s, c, n, length, by, n_by, e);
		if (*n == before)
			break;
	}
	candidates_sort(c, *n);
	return status == 0 ? shorten(s, c, MIN(*n, (size_t)SUSPECTS_MOST / 2), e) : -1;
}
