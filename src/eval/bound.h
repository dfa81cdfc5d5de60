/* bound: how good a mean, or a difference of two models on the same samples, is at least and at most: one-sided bounds,
 * each of which holds with a given confidence. For who must decide: "not worse by more than this".
 *
 *     hits (0 or 1)            Wilson (1927), one-sided
 *     paired hits              Tango (1998): the d where (gained − lost − n·d) / √(n·(2q+d·(1−d))) is z, q
 *                              the likeliest share of what is lost, given d; says something of samples without
 *                              a difference too: that of n none differs excludes losses from z²/(n + z²) on
 *     any other numbers        mean ± t·error, Student's t; from BOUND_LEAST samples on
 *     with weights             Σ w·x / Σ w, error by linearization (Cochran 1977); a perplexity's are tokens
 *     with clusters            sums of residuals by cluster (Miller 2024), t of the clusters, hits too
 *
 * Where several requirements must all hold, each with its own bound, the chance of passing what fails one of them is at
 * most the chance of that one (intersection-union test, Berger 1982): no correction for their number. */
#ifndef EVAL_BOUND_H
#define EVAL_BOUND_H

#include <stddef.h>

enum { BOUND_LEAST = 10 };

struct bound_samples {
	const double *x;               /* [n] */
	const double *from;            /* [n] the other model's, of the same samples: x less it is meant; or NULL */
	const double *weight;          /* [n] or NULL: 1 */
	const size_t *cluster;         /* [n] a number below n, or NULL: each its own */
	size_t n;
};

struct bound {
	double value, low, high;       /* low, high: each with the confidence; NAN where there are too few */
	size_t units;                  /* clusters, or samples */
	const char *method;            /* "wilson", "tango", "student" */
};

/* confidence: of one side, between 0.5 and 1. */
struct bound bound_of(const struct bound_samples *s, double confidence);
double bound_normal(double p);         /* the normal's p-quantile */

#endif
