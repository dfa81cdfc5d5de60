/* adapt_believe: what is believed of a way that was not tried: by priors (share/priors.yaml), by the same way on
 * another model, by ways that are near it and were measured, or by what it came to before more rows came. */
#include "cmd/adapt/adapt_parts.h"

#include <math.h>
#include <string.h>

/* Deviations that a sequence at 2·alpha is wide; and as many as that is taken for where both ways answer the same
 * rows, whose luck is the same for both. */
enum { WIDTHS = 5, SHARED_WIDTHS = 12 };

/* What guessing reaches: the most frequent class, or one of the choices. */
static double floor_of(const struct adapt *a)
{
	const json_t *choices = json_object_get(a->task.rows[0].row.json, "choices");

	if (!isnan(a->known.majority))
		return a->known.majority;
	return json_array_size(choices) ? 1 / (double)json_array_size(choices) : 0;
}

/* A measured way of that rung and model; NULL: there is none. */
static const struct climb_way *measured_way(const struct adapt *a, const char *rung, const struct given *on)
{
	for (size_t i = 0; rung && i < a->climb.n; i++)
		if (!strcmp(a->ways[i].rung->name, rung) && a->ways[i].on == on && adapt_is_measured(a, i))
			return &a->climb.ways[i];
	return NULL;
}

/* How often b's parameters double to a's. An encoder's and a decoder's sizes say nothing of each other. */
static double doublings(const struct given *a, const struct given *b)
{
	return a->encoder == b->encoder ? log2(a->count / b->count) : 0;
}

/* The same rung on another model of its kind, of the nearest size among those that were measured. */
static const struct climb_way *twin_way(const struct adapt *a, size_t i, const struct given **on)
{
	const struct climb_way *best = NULL;

	for (size_t k = 0; k < a->climb.n; k++) {
		const struct given *g = a->ways[k].on;
		if (k == i || !g || g->encoder != a->ways[i].on->encoder || a->ways[k].rung != a->ways[i].rung ||
		    !adapt_is_measured(a, k))
			continue;
		if (!best || fabs(doublings(a->ways[i].on, g)) < fabs(doublings(a->ways[i].on, *on))) {
			best = &a->climb.ways[k];
			*on = g;
		}
	}
	return best;
}

/* What beliefs of gains are in: shares and logarithms as they are, rewards by how far they are apart from row to row,
 * as the first way that was measured has them. */
static double unit_of(const struct adapt *a)
{
	for (size_t i = 0; a->first->what == MEASURE_REWARD && i < a->climb.n; i++) {
		const struct estimate *x = &a->ways[i].score[a->first_at];
		if (adapt_is_measured(a, i) && x->n > 1 && x->stderr_ > 0)
			return x->stderr_ * sqrt((double)x->n);
	}
	return 1;
}

/* Of the rows to learn from, by a way that may be cut short. */
static double rows_seen(const struct adapt *a, const struct way *w)
{
	double all = (double)a->task.side_n[SIDE_TRAIN];

	return w->on ? ladder_rows_seen(&w->on->base, w->rung->name, all) : all;
}

static void believe_by_priors(const struct adapt *a, const struct way *w, const struct rung_prior *p,
                              struct climb_way *c)
{
	const struct given *on = w->on;
	double n = rows_seen(a, w), share = n / (n + p->half), low = floor_of(a);
	double reach = a->task.n_classes ? p->reach : a->task.kind == TASK_CHOICES ? p->reach_choices : p->reach_free;
	const struct climb_way *bare = measured_way(a, "zero-shot", on);

	if (a->first->what == MEASURE_PERPLEXITY) {
		c->mean = (bare ? bare->quality : -3) + p->nats * share;
		c->sd = p->nats_sd + (bare ? 0 : 1.5);
		return;
	}
	if (a->first->what == MEASURE_REWARD) {
		c->mean = bare ? bare->quality + p->nats * share * unit_of(a) : a->has_goal ? a->climb.goal : 0;
		c->sd = (p->nats_sd + (bare ? 0 : 1.5)) * unit_of(a);
		return;
	}
	c->mean = low + reach * share * (a->known.ceiling - low);
	if (w->rung->trains && bare)
		c->mean = fmax(c->mean, bare->quality); /* which is where it begins */
	if (on && on != a->models)
		c->mean += p->size_gain * doublings(on, a->models) * (a->known.ceiling - low);
	c->sd = p->sd * fmax(a->known.ceiling - low, 0.05);
}

/* What another model came to by the same rung says as much as its spread allows, beside what was believed before. */
static void believe_by_twin(const struct adapt *a, size_t i, const struct rung_prior *p, struct climb_way *c)
{
	const struct given *other;
	const struct climb_way *twin = a->ways[i].on ? twin_way(a, i, &other) : NULL;
	double room = fmax(a->known.ceiling - floor_of(a), 0.05);

	if (!twin)
		return;
	if (!measure_is_bounded(a->first->what))
		room = unit_of(a);
	double mean = twin->quality + p->size_gain * doublings(a->ways[i].on, other) * room;
	double sd = hypot(p->twin_sd * room, fmax(twin->high - twin->low, 0) / SHARED_WIDTHS);
	double w = c->sd * c->sd, v = sd * sd;
	c->mean = (v * c->mean + w * mean) / (v + w);
	c->sd = sqrt(v * w / (v + w));
	c->learnt = true;
	a->ways[i].judged_by = twin->name;
}

/* By the priors' curve n/(n + half): what rows to learn from bring of a quality that it has with `from` of them. */
static double gain_of_rows(const struct adapt *a, size_t i, double quality, double from, double to, double halves)
{
	const struct rung_prior *p = priors_of(&a->priors, a->ways[i].rung->name);
	double half = halves * p->half, now = from / (from + half), then = to / (to + half), low = floor_of(a);

	if (a->first->what == MEASURE_PERPLEXITY)
		return p->nats * (then - now);
	return fmin(fmax(0, quality - low) * (then / now - 1), fmax(0, a->known.ceiling - quality));
}

static void believe_by_earlier(struct adapt *a, size_t i)
{
	const struct earlier *x = &a->ways[i].earlier;
	struct climb_way *c = &a->climb.ways[i];
	double gain = adapt_stays(a, i) ? 0 :
	                                  gain_of_rows(a, i, x->quality, (double)x->rows_train,
	                                               (double)a->task.side_n[SIDE_TRAIN], 1);

	c->mean = x->quality + gain;
	c->sd = hypot(0.02 + gain / 2, fmax(x->high - x->low, 0) / WIDTHS);
}

double adapt_rows_gain(const struct adapt *a, size_t i, double more, double halves)
{
	double n = (double)a->task.side_n[SIDE_TRAIN];

	return gain_of_rows(a, i, a->climb.ways[i].quality, n, n + more, halves);
}

/* The measured way that another one is judged by, how much better that is than it, and how far this is off. */
struct neighbour {
	const struct climb_way *way; /* NULL: there is none */
	size_t at;
	double gain, sd;
};

/* Is m near i? Also: is i near m; and of two trainings, which cost the most, are both near the same? Of ways that are
 * fitted on states only the first: they share them, and so hardly cost anything once one of them was made. */
static bool are_near(const struct adapt *a, size_t i, size_t m, double *gain, double *sd)
{
	const struct rung *x = a->ways[i].rung, *y = a->ways[m].rung;
	const struct rung_prior *p = priors_of(&a->priors, x->name), *q = priors_of(&a->priors, y->name);
	bool both = x->trains && y->trains, under = x->near && !strcmp(x->near, y->name),
	     over = x->trains == y->trains && !y->learns && y->near && !strcmp(y->near, x->name),
	     beside = both && x->near && y->near && !strcmp(x->near, y->near);

	*gain = (over ? 0 : p->near_gain) - (under ? 0 : q->near_gain);
	*sd = hypot(over ? 0 : p->near_sd, under ? 0 : q->near_sd);
	return !y->near_too && (under || over || beside);
}

/* A way that is near two others is judged by the better one, once both are measured; others by what tells most. */
static struct neighbour near_way(const struct adapt *a, size_t i)
{
	const struct rung *rung = a->ways[i].rung;
	const struct rung_prior *p = priors_of(&a->priors, rung->name);
	struct neighbour best = { .way = NULL };

	if (rung->near_too) {
		const struct climb_way *x = measured_way(a, rung->near, a->ways[i].on),
				       *y = measured_way(a, rung->near_too, a->ways[i].on);
		best = (struct neighbour){ .gain = p->near_gain, .sd = p->near_sd };
		best.way = !x || !y ? NULL : x->quality < y->quality ? y : x;
		best.at = best.way ? (size_t)(best.way - a->climb.ways) : 0;
		return best;
	}
	for (size_t m = 0; m < a->climb.n; m++) {
		double gain, sd;
		if (m == i || a->ways[m].on != a->ways[i].on || !adapt_is_measured(a, m) ||
		    !are_near(a, i, m, &gain, &sd))
			continue;
		if (!best.way || sd < best.sd)
			best = (struct neighbour){ &a->climb.ways[m], m, gain, sd };
	}
	return best;
}

/* Where both train, and one of them sees fewer rows than the other, as far as they are cut short, that counts too. */
static void believe_by_neighbour(const struct adapt *a, size_t i, const struct neighbour *near, struct climb_way *c)
{
	const struct way *w = &a->ways[i], *m = &a->ways[near->at];
	bool both = w->rung->trains && m->rung->trains && a->first->what != MEASURE_REWARD;
	double rows = both ? gain_of_rows(a, i, near->way->quality, rows_seen(a, m), rows_seen(a, w), 1) : 0;

	c->mean = near->way->quality + near->gain * unit_of(a) + rows;
	c->sd = hypot(near->sd * unit_of(a) + fabs(rows) / 2,
	              fmax(near->way->high - near->way->low, 0) / (m->n < a->n_choose ? WIDTHS : SHARED_WIDTHS));
}

/* What a way would come to on the rows to choose by, and how likely the test shows it then. */
struct looked_like {
	const struct adapt *a;
	double error; /* of a mean of these rows */
};

static double chance_of(const void *ctx, double quality)
{
	const struct looked_like *l = ctx;
	const struct adapt *a = l->a;
	enum measure m = a->first->what;
	double score = adapt_score_of(m, quality), error = m == MEASURE_PERPLEXITY ? score * l->error : l->error;
	struct estimate x = { .n = a->n_choose, .mean = score, .stderr_ = error };

	if (measure_is_share(m))
		x.mean = fmin(fmax(score, 0), 1);
	return task_chance(a->first, &x, a->n_test, a->test_alpha);
}

/* Of few rows even all right may be too few; then it is quality alone that counts. */
static bool can_be_shown(const struct adapt *a)
{
	return !measure_is_share(a->first->what) ||
	       bound_needed(a->n_test, a->first->value, a->test_alpha) <= a->n_test;
}

/* The error of its mean, of which shares know without, is taken for that of the training that it is judged by. */
static void expect_rise(const struct adapt *a, size_t i, const struct neighbour *near, struct climb_way *c)
{
	const struct way *m = &a->ways[near->at];
	const struct estimate *x = &m->score[a->first_at];
	struct looked_like l = { a, x->stderr_ * sqrt((double)m->n / (double)a->n_choose) };

	if (a->first->what == MEASURE_PERPLEXITY)
		l.error /= x->mean;
	c->knows_rise = a->has_goal && a->ways[i].rung->trains && m->rung->trains &&
	                a->first->what != MEASURE_REWARD && can_be_shown(a);
	c->rise = c->knows_rise ? climb_rise(c->mean, c->sd, climb_will_show(&a->climb), chance_of, &l) : 0;
}

/* Of a way that was measured before, an answer takes what it took, not what was planned; where what was chosen before
 * is of its kind and is measured again, as much as that does. */
static void use_as_before(struct adapt *a, size_t i)
{
	const struct earlier *x = &a->ways[i].earlier;
	struct climb_way *c = &a->climb.ways[i];

	if (!x->n)
		return;
	c->use_seconds = x->look_seconds / (double)x->n;
	for (size_t k = 0; k < a->climb.n; k++)
		if (a->ways[k].rung->earlier && adapt_is_measured(a, k) && a->ways[k].on == a->ways[i].on &&
		    rung_of_way(a->ways[k].earlier.way) == a->ways[i].rung)
			c->use_seconds = a->climb.ways[k].use_seconds;
}

/* The training that others are near says most of them, and so is tried first. */
static const struct climb_way *first_of(const struct adapt *a, size_t i)
{
	const struct rung *r = a->ways[i].rung;

	for (size_t k = 0; r->trains && r->near && !r->near_too && k < a->climb.n; k++)
		if (!strcmp(a->ways[k].rung->name, r->near) && a->ways[k].on == a->ways[i].on)
			return &a->climb.ways[k];
	return NULL;
}

void adapt_believe(struct adapt *a)
{
	for (size_t i = 0; i < a->climb.n; i++) {
		struct climb_way *c = &a->climb.ways[i];
		const struct rung_prior *p = priors_of(&a->priors, a->ways[i].rung->name);
		struct neighbour near = near_way(a, i);
		if (c->state != CLIMB_WAITS)
			continue;
		c->learnt = near.way != NULL || a->ways[i].earlier.n;
		c->first = first_of(a, i);
		c->knows_rise = false;
		use_as_before(a, i);
		if (a->ways[i].earlier.n) {
			believe_by_earlier(a, i);
		} else if (near.way) {
			a->ways[i].judged_by = near.way->name;
			believe_by_neighbour(a, i, &near, c);
			expect_rise(a, i, &near, c);
		} else {
			believe_by_priors(a, &a->ways[i], p, c);
			believe_by_twin(a, i, p, c);
		}
	}
}
