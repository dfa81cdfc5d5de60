/* newton: the greatest value of a concave function of few numbers: Newton's steps, halved while they do not climb. */
#ifndef FEEDBACK_NEWTON_H
#define FEEDBACK_NEWTON_H

#include <stdbool.h>
#include <stddef.h>

struct newton {
	size_t n;
	/* The value at x; where g is asked for, the gradient into g[n] and minus the second derivatives into
	 * h[n][n], both zeroed before. */
	double (*value)(const void *ctx, const double *x, double *g, double *h);
	const void *ctx;
};

/* x: where it begins, and where it ended. inverse: [n][n] of minus the second derivatives there, or NULL: with the
 * logarithm of a likelihood for value, the covariance of x. false: there is no single greatest value in reach. */
bool newton_climb(const struct newton *f, double *x, double *inverse);

#endif
