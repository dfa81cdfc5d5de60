/* design: the rows that something is learnt from as a matrix X, dense or sparse, as far as fitting needs it: X·W and
 * Xᵀ·R for a few columns. Sums do not depend on threads. */
#ifndef LEARN_DESIGN_H
#define LEARN_DESIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/pool.h"
#include "kernel/kernels.h"

struct workshop {                   /* what products are made with; borrowed */
	const struct kernels *kernels;
	struct pool *pool;
};

struct design {
	size_t rows, cols;
	const float *dense;         /* [rows][cols], or NULL: */
	const size_t *first;        /* [rows + 1] where a row's numbers begin */
	const int32_t *col;         /* ascending in a row */
	const double *value;
	/* by columns, which Xᵀ·R goes through: design_turn */
	const size_t *col_first;
	const int32_t *row;
	const double *col_value;
};

/* Fills the columns of a sparse one, in mem. */
void design_turn(struct design *x, struct arena *mem);
/* z[rows][k] = X·w[cols][k], g[cols][k] = Xᵀ·r[rows][k]; in double. */
void design_times(const struct design *x, const struct workshop *on, const double *w, size_t k, double *z);
void design_back(const struct design *x, const struct workshop *on, const double *r, size_t k, double *g);

/* The same of a dense one in float, by the kernels; its scratch is taken once. */
struct design_fast {
	const struct design *x;
	const struct workshop *on;
	size_t k;
	float *w, *z, *r, *g;       /* [cols][k], [rows][k], and back */
	void *scratch;
	struct arena mem;
};
void design_fast_begin(struct design_fast *f, const struct design *x, const struct workshop *on, size_t k);
void design_fast_times(struct design_fast *f, const double *w, double *z);
void design_fast_back(struct design_fast *f, const double *r, double *g);
void design_fast_release(struct design_fast *f);

#endif
