/* cascade: thresholds are the nine tenths of the first way's confidences, so each part answers at least a tenth of the
 * rows. A use costs the first way's answer, and the second one's for the rest:
 *
 *     use = use₁ + (1 − share)·use₂,   make = make₁ + make₂
 *
 * It pays only where use₁ < share·use₂. See cascade.h. */
#include "ladder/cascade.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { TENTHS = 10 };

static bool is_sure(const struct outcome *o, double threshold) { return o->confidence >= threshold; }

void cascade_join(const struct cascade_part *first, const struct cascade_part *second, double threshold, size_t n,
                  struct outcome *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = is_sure(&first->out[i], threshold) ? first->out[i] : second->out[i];
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The k-th tenth of what it is sure of; NAN: it does not say it of some row. */
static double threshold_of(const struct cascade_part *p, size_t n, int k)
{
	double *x = mem_array(n, sizeof(*x)), at = NAN;
	bool known = true;

	for (size_t i = 0; i < n; i++) {
		x[i] = p->out[i].confidence;
		known &= !isnan(x[i]);
	}
	qsort(x, n, sizeof(*x), by_size);
	if (known)
		at = x[n * (size_t)k / TENTHS];
	mem_free(x);
	return at;
}

struct choosing {
	const struct task *task;
	const struct cascade_wish *wish;
	const size_t *at;
	size_t n;
	struct outcome *joint;
	struct cascade *best;
	bool found, shown;
};

static void consider(struct choosing *c, const struct cascade_part *a, const struct cascade_part *b, struct cascade x)
{
	size_t sure = 0;

	for (size_t i = 0; i < c->n; i++)
		sure += is_sure(&a->out[i], x.threshold);
	cascade_join(a, b, x.threshold, c->n, c->joint);
	x.share = (double)sure / (double)c->n;
	x.make_seconds = a->make_seconds + b->make_seconds;
	x.use_seconds = a->use_seconds + (1 - x.share) * b->use_seconds;
	x.score = task_score(c->task, c->wish->measure, c->at, c->joint, c->n);
	double total = x.make_seconds + c->wish->uses * x.use_seconds;
	bool shown =
		!isnan(c->wish->goal) && task_sequence(c->wish->measure, &x.score, c->wish->alpha).low >= c->wish->goal;
	bool fits = shown ? total < c->wish->most_total : x.score.mean > c->wish->least_score;
	double best_total = c->found ? c->best->make_seconds + c->wish->uses * c->best->use_seconds : INFINITY;
	if (!x.score.n || !fits || (c->shown && !shown))
		return;
	if (c->found && c->shown == shown && (shown ? total >= best_total : x.score.mean <= c->best->score.mean))
		return;
	*c->best = x;
	c->found = true;
	c->shown = shown;
}

static void consider_pair(struct choosing *c, const struct cascade_part *parts, size_t i, size_t j)
{
	double last = NAN;

	for (int k = 1; k < TENTHS; k++) {
		double t = threshold_of(&parts[i], c->n, k);
		if (isnan(t) || t == last)
			continue;
		last = t;
		consider(c, &parts[i], &parts[j], (struct cascade){ .first = i, .second = j, .threshold = t });
	}
}

bool cascade_choose(const struct task *t, const struct cascade_part *parts, size_t n, const size_t *at,
                    const struct cascade_wish *w, struct cascade *best)
{
	struct choosing c = { .task = t, .wish = w, .at = at, .best = best };

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			c.n = MIN(parts[i].n, parts[j].n);
			if (i == j || !parts[i].can_be_first || c.n < TENTHS || parts[i].n != parts[j].n ||
			    parts[i].use_seconds >= parts[j].use_seconds)
				continue;
			c.joint = mem_array(c.n, sizeof(*c.joint));
			consider_pair(&c, parts, i, j);
			mem_free(c.joint);
		}
	return c.found;
}
