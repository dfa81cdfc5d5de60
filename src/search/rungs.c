/* rungs: see rungs.h. Members of a bracket are neighbours by number, so a bracket is a range of trials. */
#include "search/rungs.h"

#include <math.h>

struct range { size_t from, to; };

/* The member with the rank-th lowest value on a rung; −1: there are not so many. Ties go to the lower number. */
static long ranked(const struct standing *t, struct range in, int rung, size_t rank)
{
	long best = -1, before = -1;

	for (size_t k = 0; k <= rank; k++, before = best) {
		best = -1;
		for (size_t i = in.from; i < in.to; i++) {
			double v = t[i].value[rung];
			if (t[i].failed || t[i].first > rung || t[i].reached <= rung)
				continue;
			double b = before >= 0 ? t[before].value[rung] : -INFINITY;
			if (v < b || (v == b && (long)i <= before))
				continue;
			if (best < 0 || v < t[best].value[rung])
				best = (long)i;
		}
		if (best < 0)
			return -1;
	}
	return best;
}

static size_t on_rung(const struct standing *t, struct range in, int rung)
{
	size_t n = 0;

	for (size_t i = in.from; i < in.to; i++)
		n += !t[i].failed && t[i].first <= rung && t[i].reached > rung;
	return n;
}

/* Of the best 1/η of a rung, one that has gone no farther; −1: none. */
static long to_promote(const struct rungs *r, const struct standing *t, struct range in, int rung, size_t least)
{
	size_t n = on_rung(t, in, rung), top = n / (size_t)r->eta;
	long best = ranked(t, in, rung, 0);

	top = top < least ? least : top;
	for (size_t k = 0; k < top && k < n; k++) {
		long i = ranked(t, in, rung, k);
		if (t[i].over || t[i].reached != rung + 1)
			continue;
		if (i == best || !r->worse || !r->worse(r->ctx, (size_t)i, (size_t)best, rung))
			return i;
	}
	return -1;
}

/* Nothing is left to begin or to promote. */
static struct rungs_next at_the_end(const struct rungs *r, const struct standing *t, size_t n)
{
	struct range all = { 0, n };

	for (size_t i = 0; i < n; i++)
		if (t[i].over && !t[i].failed)
			return (struct rungs_next){ .what = RUNGS_DONE };
	for (int rung = r->rungs - 1; rung >= 0; rung--) {
		long best = ranked(t, all, rung, 0);
		if (best >= 0)
			return (struct rungs_next){ .what = RUNGS_FINISH, .trial = (size_t)best };
	}
	return (struct rungs_next){ .what = RUNGS_DONE };
}

static struct rungs_next begin(size_t trial, int first)
{
	return (struct rungs_next){ .what = RUNGS_BEGIN, .trial = trial, .first = first };
}

static struct rungs_next next_asha(const struct rungs *r, const struct standing *t, size_t n)
{
	struct range all = { 0, n };

	for (int rung = r->rungs - 1; rung >= 0; rung--) {
		long i = to_promote(r, t, all, rung, 0);
		if (i >= 0)
			return (struct rungs_next){ .what = RUNGS_GO_ON, .trial = (size_t)i };
	}
	return n < r->trials ? begin(n, 0) : at_the_end(r, t, n);
}

static size_t bracket_size(const struct rungs *r, int s)
{
	return (size_t)ceil((double)(r->rungs + 1) / (s + 1) * pow(r->eta, s) - 1e-9);
}

static struct rungs_next next_hyperband(const struct rungs *r, const struct standing *t, size_t n)
{
	size_t from = 0;

	for (int s = r->rungs;; s = s ? s - 1 : r->rungs) {
		size_t end = from + bracket_size(r, s), stop = end < r->trials ? end : r->trials;
		if (n < stop)
			return begin(n, r->rungs - s);
		for (int rung = r->rungs - s; rung < r->rungs; rung++) {
			long i = to_promote(r, t, (struct range){ from, stop }, rung, 1);
			if (i >= 0)
				return (struct rungs_next){ .what = RUNGS_GO_ON, .trial = (size_t)i };
		}
		if (stop == r->trials)
			return at_the_end(r, t, n);
		from = end;
	}
}

struct rungs_next rungs_next(const struct rungs *r, const struct standing *t, size_t n)
{
	if (r->by == RUNGS_ASHA)
		return next_asha(r, t, n);
	if (r->by == RUNGS_HYPERBAND)
		return next_hyperband(r, t, n);
	return n < r->trials ? begin(n, r->rungs) : at_the_end(r, t, n);
}

double rungs_share(const struct rungs *r, int rung, double most, double whole)
{
	return rung >= r->rungs ? 1 : fmin(1, most * pow(r->eta, rung - r->rungs) / whole);
}

/* Of n trials that begin on a rung: each part of the way by those that get there. */
static double halving_cost(const struct rungs *r, double n, int first, double *times)
{
	double sum = 0, before = 0;

	for (int rung = first; rung <= r->rungs; rung++) {
		double at = pow(r->eta, rung - r->rungs);
		sum += n * (at - before);
		*times += n;
		before = at;
		n = fmax(1, floor(n / r->eta));
	}
	return sum;
}

double rungs_cost(const struct rungs *r, double *times)
{
	double sum = 0, left = (double)r->trials;

	*times = 0;
	if (r->by == RUNGS_NONE)
		return *times = left;
	if (r->by == RUNGS_ASHA)
		return halving_cost(r, left, 0, times);
	for (int s = r->rungs; left > 0; s = s ? s - 1 : r->rungs) {
		double n = fmin(left, (double)bracket_size(r, s));
		sum += halving_cost(r, n, r->rungs - s, times);
		left -= n;
	}
	return sum;
}
