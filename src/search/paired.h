/* paired: two runs on the same rows. What differs between rows falls out of the comparison, so it sees differences that
 * the two scores' own errors would hide.
 *
 *     d = Σ (b_i − a_i) / Σ w_i      stderr(d) = √( n/(n−1) · Σ (b_i − a_i − d·w_i)² ) / Σ w_i
 *
 * a_i, b_i: Σ loss of row i, w_i: by what the mean divides it (Cochran 1977, ratio estimates); of hits w is 1. */
#ifndef SEARCH_PAIRED_H
#define SEARCH_PAIRED_H

#include <stddef.h>

struct paired {
	double difference, stderr_;    /* of b less a; NAN: of no rows, of one */
	double low, high;              /* 95 % */
	size_t n;
};
struct paired paired_compare(const double *a, const double *b, const double *weight, size_t n);
/* The mean of one by itself: a of zeros. */
struct paired paired_mean(const double *b, const double *weight, size_t n);

#endif
