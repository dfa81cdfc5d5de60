/* propose: see propose.h. Ranges are looked at in u, where they are from 0 to 1 and uniform. */
#include "search/propose.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

enum { STARTUP = 10, BEST_MOST = 25, CANDIDATES = 24, NARROW = 100, HALVINGS = 60, DRAWS = 64, RETRIES = 8 };

struct normal { double mu, sigma; };

/* What of the trials says something of one parameter. */
struct density {
	struct normal *part;           /* [n] of a range, sorted by mu */
	double *share;                 /* [values] of a list */
	size_t n;
};

static double draw(const struct proposer *p, size_t i, size_t number, uint32_t c)
{
	struct rng_key k = { p->seed, RNG_SAMPLE };

	return (double)rng_uniform(k, number, (uint32_t)i, c);
}

/* --- good and bad --- */

static int by_value(const void *a, const void *b)
{
	const struct propose_seen *x = *(const struct propose_seen *const *)a;
	const struct propose_seen *y = *(const struct propose_seen *const *)b;

	if (isnan(x->value) != isnan(y->value))
		return isnan(x->value) ? 1 : -1;
	if (!isnan(x->value) && x->level != y->level)
		return y->level - x->level;
	if (!isnan(x->value) && x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return x < y ? -1 : x > y;
}

static const struct propose_seen **sorted(const struct proposer *p)
{
	const struct propose_seen **all = mem_array(p->n, sizeof(*all));

	for (size_t i = 0; i < p->n; i++)
		all[i] = &p->seen[i];
	qsort(all, p->n, sizeof(*all), by_value);
	return all;
}

/* --- densities --- */

static int by_place(const void *a, const void *b)
{
	const struct normal *x = a, *y = b;

	return x->mu < y->mu ? -1 : x->mu > y->mu;
}

/* The prior is the one of width 0 until the widths are known. */
static void widen(struct density *d)
{
	double least = 1.0 / fmin(NARROW, (double)d->n);

	for (size_t i = 0; i < d->n; i++) {
		struct normal *x = &d->part[i];
		double left = i ? x->mu - d->part[i - 1].mu : 0, right = i + 1 < d->n ? d->part[i + 1].mu - x->mu : 0;
		x->sigma = x->sigma > 0 ? 1 : fmin(1, fmax(least, fmax(left, right)));
	}
}

static struct density density_of(const struct space_param *param, size_t i, const struct propose_seen *const *seen,
                                 size_t n)
{
	struct density d = { .part = mem_array(n + 1, sizeof(*d.part)) };

	d.share = param->range ? NULL : mem_array(param->n, sizeof(*d.share));
	for (size_t k = 0; k < param->n && d.share; k++)
		d.share[k] = 1;
	for (size_t k = 0; k < n; k++) {
		const struct space_place *at = &seen[k]->at[i];
		if (!at->active)
			continue;
		if (d.share)
			d.share[at->choice]++;
		d.part[d.n++] = (struct normal){ at->u, 0 };
	}
	for (size_t k = 0; k < param->n && d.share; k++)
		d.share[k] /= (double)(d.n + param->n);
	d.part[d.n++] = (struct normal){ 0.5, 1 };
	qsort(d.part, d.n, sizeof(*d.part), by_place);
	widen(&d);
	return d;
}

static void density_release(struct density *d)
{
	mem_free(d->part);
	mem_free(d->share);
}

static double below(const struct normal *x, double u)
{
	return 0.5 * erfc((x->mu - u) / x->sigma / sqrt(2));
}

static double density_at(const struct density *d, const struct space_place *at)
{
	double sum = 0;

	if (d->share)
		return d->share[at->choice];
	for (size_t i = 0; i < d->n; i++) {
		const struct normal *x = &d->part[i];
		double z = (at->u - x->mu) / x->sigma;
		sum += exp(-z * z / 2) / x->sigma / (below(x, 1) - below(x, 0));
	}
	return sum / (double)d->n;
}

/* Where a normal that is cut off at 0 and 1 has the share v of itself below. */
static double quantile(const struct normal *x, double v)
{
	double want = below(x, 0) + v * (below(x, 1) - below(x, 0)), low = 0, high = 1;

	for (int i = 0; i < HALVINGS; i++) {
		double middle = (low + high) / 2;
		if (below(x, middle) < want)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static struct space_place draw_from(const struct density *d, size_t values, double which, double v)
{
	struct space_place at = { .active = true };

	if (!d->share) {
		at.u = quantile(&d->part[(size_t)(which * (double)d->n)], v);
		return at;
	}
	while (at.choice + 1 < (int)values && which >= d->share[at.choice])
		which -= d->share[at.choice++];
	return at;
}

/* --- the next --- */

static struct space_place propose_random(const struct proposer *p, size_t i, size_t number, uint32_t attempt)
{
	const struct space_param *param = &p->space->param[i];
	double u = draw(p, i, number, attempt * DRAWS);

	return (struct space_place){ .active = true, .u = param->range ? u : 0,
		                     .choice = param->range ? 0 : (int)(u * (double)param->n) };
}

static struct space_place propose_tpe(const struct proposer *p, size_t i, size_t number, uint32_t attempt)
{
	const struct space_param *param = &p->space->param[i];
	const struct propose_seen **all = sorted(p);
	size_t good = MIN((p->n + 9) / 10, (size_t)BEST_MOST);
	struct density l = density_of(param, i, all, good), g = density_of(param, i, all + good, p->n - good);
	struct space_place best = { 0 };
	double most = -INFINITY;

	for (uint32_t k = 0; k < CANDIDATES; k++) {
		uint32_t c = attempt * DRAWS + 2 * k + 1;
		struct space_place at = draw_from(&l, param->n, draw(p, i, number, c), draw(p, i, number, c + 1));
		double gain = log(density_at(&l, &at)) - log(density_at(&g, &at));
		if (gain > most)
			best = at;
		most = fmax(most, gain);
	}
	density_release(&l);
	density_release(&g);
	mem_free(all);
	return best;
}

struct space_place propose(const struct proposer *p, size_t i, size_t number, uint32_t attempt)
{
	return p->by == PROPOSE_RANDOM || p->n < STARTUP || attempt >= RETRIES ? propose_random(p, i, number, attempt) :
	                                                   propose_tpe(p, i, number, attempt);
}

static bool same_place(const struct space_param *p, const struct space_place *a, const struct space_place *b)
{
	if (a->active != b->active || !a->active)
		return a->active == b->active;
	return p->range ? space_number(p, a->u, 1) == space_number(p, b->u, 1) : a->choice == b->choice;
}

bool propose_is_old(const struct proposer *p, const struct space_place *at)
{
	for (size_t k = 0; k < p->n; k++) {
		size_t i = 0;
		while (i < p->space->n && same_place(&p->space->param[i], &p->seen[k].at[i], &at[i]))
			i++;
		if (i == p->space->n)
			return true;
	}
	return false;
}
