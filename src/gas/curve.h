/* curve: a learning curve, error against what was learnt from (labels, tokens, steps), as the power law with a floor
 * that such curves follow (Hestness et al. 2017; Rosenfeld et al. 2020):
 *
 *     err(n) = a · n^−b + c,   a, c ≥ 0,  0.02 ≤ b ≤ 5
 *
 * Weighted least squares. For a given b the best a and c are linear, so the search is over b alone: a scan, then a
 * golden section; no start value, no luck. The band is a parametric bootstrap with a fixed seed: points drawn anew
 * about the curve with their own standard errors (enlarged by √(χ²/degrees) where the curve fits worse than they
 * allow), fitted again; the middle 90 % of what comes out. It says nothing of a task that stops following a power
 * law. */
#ifndef GAS_CURVE_H
#define GAS_CURVE_H

#include <stdint.h>

#include "base/err.h"
#include "gas/economics.h"

/* se: standard error of err; 0 or NAN: unknown, then the scatter about the curve tells */
struct curve_point { double n, err, se; };

struct curve {
	double a, b, c;
	bool has_band;             /* false: as many numbers as points and no standard errors */
	/* √(χ²/degrees): how far the points lie off, in their standard errors; 1 is as wanted; NAN: nothing tells */
	double misfit;
	double (*draws)[3];        /* [n_draws] a, b, c */
	size_t n_draws;
};

/* At least 3 points of different n, or 2 with no_floor (c = 0). Refuses others with a sentence. */
int curve_fit(struct curve *c, const struct curve_point *p, size_t n, bool no_floor, uint64_t seed, struct err *e);
struct span curve_at(const struct curve *c, double n);
/* err(from) − err(to): what the labels between are worth, in error */
struct span curve_gain(const struct curve *c, double from, double to);
/* n at which one more costs what it brings: value · (−err′(n)) = cost, n = (value·a·b / cost)^(1/(b+1)). value:
 * of an error of 1 becoming 0. */
struct span curve_stop(const struct curve *c, double value, double cost);
void curve_release(struct curve *c);

#endif
