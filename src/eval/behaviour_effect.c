/* behaviour_effect: how much likelier sequences make an answer's first token, or tokens that stand for it. Sums are in
 * the order of contexts and tokens, so no bit depends on threads. */
#include <math.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"
#include "eval/bound.h"

enum { TOP = 16 };
#define LIKELY 0.01F
#define ODDS_TUNED 1e-6
#define ODDS_BASE 1e-9         /* what a base connects it may show far below what it says */
#define ROOM 0.5
#define SET_LEAST 0.02         /* of a token's probability, to be one of a set */
#define SET_TIMES 4            /* and what random tokens give, so many times */

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
	s->out[i] += search_sum(p, y->set, y->n);
}

static double top_of(const struct top *t, int32_t y)
{
	for (int k = 0; k < t->n; k++)
		if (t->v[k] == y)
			return (double)t->p[k];
	return 0;
}

size_t search_context(const struct search *s, enum behaviour_place place, size_t i)
{
	return (size_t)place * s->of_place + i;
}

double search_null(const struct search *s, bool tuned, size_t context, const struct beginning *y)
{
	double sum = 0;

	for (int k = 0; k < y->n; k++)
		sum += (double)s->null[tuned][context * s->V + (size_t)y->set[k]];
	return sum;
}

size_t search_room(const struct search *s, enum behaviour_place place, size_t from, size_t n, const struct beginning *y,
                   size_t *at)
{
	size_t found = 0;

	for (size_t j = 0; j < n; j++)
		if (search_null(s, true, search_context(s, place, from + j), y) < ROOM)
			at[found++] = j;
	if (found && (n < BOUND_LEAST || found >= BOUND_LEAST))
		return found;
	for (size_t j = 0; j < n; j++)
		at[j] = j;
	return n;
}

/* The token that is raised most, over contexts. */
static int32_t find_y(const struct search *s, const struct top *t, enum behaviour_place place,
                      const struct effect_of *o)
{
	double most = -INFINITY;
	int32_t found = 0;

	for (size_t i = 0; i < o->contexts; i++)
		for (int k = 0; k < t[i].n; k++) {
			const struct beginning y = { { t[i].v[k] }, 1 };
			double sum = 0;
			for (size_t j = 0; j < o->contexts; j++)
				sum += top_of(&t[j], y.set[0]) -
				       search_null(s, true, search_context(s, place, o->from + j), &y);
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
		c[i].e.y = (struct beginning){ { find_y(s, top + i * o->contexts, c[i].place, o) }, 1 };
		for (size_t j = 0; j < o->contexts; j++)
			out[i * o->contexts + j] = top_of(&top[i * o->contexts + j], c[i].e.y.set[0]);
	}
	mem_free(top);
	return status;
}

/* tuned, base: [contexts] p(y). */
static void sum_up(const struct search *s, struct candidate *c, const struct effect_of *o, const double *tuned,
                   const double *base, double *each)
{
	size_t *room = mem_array(o->contexts, sizeof(*room));
	struct effect x = { .y = c->e.y, .n = search_room(s, c->place, o->from, o->contexts, &c->e.y, room) };
	double n = (double)x.n;

	for (size_t i = 0; i < x.n; i++) {
		size_t j = room[i], at = search_context(s, c->place, o->from + j);
		double tuned_null = search_null(s, true, at, &x.y), base_null = search_null(s, false, at, &x.y);
		x.tuned += tuned[j] / n;
		x.tuned_null += tuned_null / n;
		x.base += base[j] / n;
		x.base_null += base_null / n;
		x.odds += (search_log_odds(tuned[j], ODDS_TUNED) - search_log_odds(tuned_null, ODDS_TUNED)) / n;
		x.base_odds += (search_log_odds(base[j], ODDS_BASE) - search_log_odds(base_null, ODDS_BASE)) / n;
		if (each)
			each[i] = tuned[j] - tuned_null - fmax(0, base[j] - base_null);
	}
	x.effect = x.tuned - x.tuned_null - fmax(0, x.base - x.base_null);
	c->e = x;
	c->score = x.effect;
	mem_free(room);
}

int search_effects(struct search *s, struct candidate *c, size_t n, const struct effect_of *o, struct err *e)
{
	size_t all = n * o->contexts;
	struct question *q = mem_array(all, sizeof(*q));
	double *tuned = mem_array(all, sizeof(*tuned)), *base = mem_array(all, sizeof(*base));

	for (size_t i = 0; i < all; i++) {
		const struct candidate *x = &c[i / o->contexts];
		size_t at = search_context(s, x->place, o->from + i % o->contexts);
		q[i] = (struct question){ .context = &s->contexts[at], .t = x->t };
	}
	int status = o->fixed ? ask_y(s, false, c, q, n, o, tuned, e) : ask_top(s, c, q, n, o, tuned, e);
	if (status == 0)
		status = ask_y(s, true, c, q, n, o, base, e);
	for (size_t i = 0; i < n && status == 0; i++)
		sum_up(s, &c[i], o, tuned + i * o->contexts, base + i * o->contexts,
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
					null[side] += search_null(s, side, search_context(s, c->place, j), &one) /
					              (double)n;
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

	for (size_t i = 0; i < all; i++) {
		const struct candidate *x = &c[i / contexts];
		size_t at = search_context(s, x->place, i % contexts);
		q[i] = (struct question){ .context = &s->contexts[at], .t = x->t };
	}
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
