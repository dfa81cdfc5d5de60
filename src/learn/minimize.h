/* minimize: the least value of a smooth convex function of many numbers, by L-BFGS (Liu & Nocedal 1989): steps along
 * −H·g with H made of the last MINIMIZE_PAIRS changes of x and g, each step long enough by Wolfe's conditions
 * (Nocedal & Wright 2006, 3.6), found by halving and doubling. */
#ifndef LEARN_MINIMIZE_H
#define LEARN_MINIMIZE_H

#include <stddef.h>

#include "base/err.h"

enum { MINIMIZE_PAIRS = 10 };

struct minimize {
	size_t n;
	/* The value at x, its gradient into g. */
	double (*value)(void *ctx, const double *x, double *g);
	void *ctx;
	double tolerance;              /* it ends where max |g| is at most this */
	int most;                      /* steps */
	int steps;                     /* that were made */
	double last, slope;            /* value and max |g| where it ended */
};

/* x: where it begins, and where it ended, at the latest where no step makes it less any more. −1: a stop was asked
 * for. */
int minimize(struct minimize *m, double *x, struct err *e);

#endif
