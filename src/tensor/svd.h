/* svd: the largest singular values of a matrix, with their vectors: M ≈ Σ sᵢ·uᵢ·vᵢᵀ, the best
 * approximation of that rank (Eckart and Young 1936).
 *
 * The matrix is given by what it does to vectors, so that a product of thin factors is never multiplied out. It is made
 * bidiagonal step by step (Golub and Kahan 1965), each new vector orthogonal to all before, until the values asked for
 * stand still; the small bidiagonal matrix is taken apart by Jacobi's rotations (Hestenes 1958). All in double; the
 * same input gives the same bits. Of singular values that are exactly equal some may be missed where the matrix is much
 * larger than k. */
#ifndef TENSOR_SVD_H
#define TENSOR_SVD_H

#include <stdbool.h>
#include <stddef.h>

struct svd_matrix {
	size_t rows, cols;
	/* y [rows] = M·x, and y [cols] = Mᵀ·x; y is overwritten */
	void (*apply)(const void *ctx, const double *x, double *y);
	void (*apply_transposed)(const void *ctx, const double *x, double *y);
	const void *ctx;
};

struct svd {
	size_t k;                      /* as many as were asked for, at most the smaller side */
	double *s;                     /* [k] falling, none negative */
	double *u, *v;                 /* [k][rows], [k][cols]; each of length 1, orthogonal to one another */
};

/* interrupted: looked at now and then; true ends it. NULL: never. false: it was ended, and there is nothing. */
bool svd_largest(struct svd *out, const struct svd_matrix *m, size_t k, bool (*interrupted)(void));
void svd_release(struct svd *s);

/* A matrix of floats, row after row. */
struct svd_floats { const float *at; size_t rows, cols; };
struct svd_matrix svd_of_floats(const struct svd_floats *f);

#endif
