/* incremental_pca: the directions in which rows vary most, batch after batch of them, none of which is kept:
 * incremental principal components (Ross et al. 2008), with the formulas of scikit-learn's and PEFT's IncrementalPCA.
 *
 *     M = [ S·V ; X − x̄ ; √(n·m/(n+m)) · (μ − x̄) ]    n rows before, of mean μ; m rows X, of mean x̄
 *
 * V and S are then M's largest right singular vectors and singular values, S²/Σ variances the share of all variance
 * that each explains. The largest number of each vector is positive.
 *
 * They are found by subspace iteration from the directions before (Halko et al. 2011, 4.4), exact where a row is little
 * longer than the components are many. Products are in float, as rows are; sums of rows in double. The same rows give
 * the same bits on any number of threads. */
#ifndef ADAPT_INCREMENTAL_PCA_H
#define ADAPT_INCREMENTAL_PCA_H

#include "base/pool.h"
#include "kernel/kernels.h"

struct incremental_pca {
	size_t n, cols;                /* components, numbers of a row */
	double seen;                   /* rows so far; 0: there is nothing yet */
	float *v;                      /* [n][cols] each of length 1 */
	double *s, *share;             /* [n] singular values, falling; of the variance */
	double *alike;                 /* [n] cosine with what it was a batch before; −1 after the first */
	double *mean, *variance;       /* [cols] of all rows */
};

/* Rows of x [·][cols], by number, each so many times. */
struct pca_rows {
	const float *x;
	const int32_t *row, *times;    /* [n] */
	size_t n;
};

void incremental_pca_init(struct incremental_pca *p, size_t n, size_t cols); /* n ≤ cols */
void incremental_pca_release(struct incremental_pca *p);
size_t incremental_pca_bytes(size_t n, size_t cols, size_t rows);              /* that adding so many rows takes */
/* One batch, of as many rows as components at least, repeated ones counted. */
void incremental_pca_add(struct incremental_pca *p, const struct pca_rows *rows, const struct kernels *k,
                         struct pool *pool);

#endif
