/* gemm_int8: C[M,N] (+)= A·Wᵀ (+ bias + residual) (+ Σ u·Uᵀ) in int8 arithmetic, W quantized in panels
 * (quant/panels.h), A quantized row by row on the way; the last, an adapter's terms, in f32.
 *
 * A row of A becomes blocks of 32 s8 numbers with a scale each, products of integers are exact, and an output element
 * is one chain over ascending blocks: its bits depend neither on the number of rows nor on threads nor on the
 * instruction set. */
#ifndef KERNEL_GEMM_INT8_H
#define KERNEL_GEMM_INT8_H

#include "kernel/gemm.h"

enum { GEMM_INT8_UP = 3 };

struct gemm_int8 {
	size_t m, n, k;             /* k: a multiple of 32 */
	const float *a;             /* [M][k] */
	enum dtype dtype;
	const void *panels;         /* of W [N][k] */
	uint8_t *rows;              /* gemm_int8_rows_bytes: A quantized */
	const float *bias;          /* [N] or NULL */
	const float *residual;      /* [M,N] like c, or NULL; may be c itself */
	float *c;                   /* [M][N]; not a */
	const int32_t *c_rows;      /* [M] where a row of C lies, or NULL; then there is no residual */
	bool accumulate;            /* add to what C holds */
	/* Σ u·Uᵀ, a chain from 0 as gemm.h has it, is added to all of this while C is near; then there are no c_rows */
	struct gemm_term up[GEMM_INT8_UP];
	int n_up;
	void *scratch;              /* as for gemm_run; NULL where n_up is 0 */
};

size_t gemm_int8_rows_bytes(size_t m, size_t k);
/* m rows of a, or those that a_rows numbers, one after the other into `rows`. */
void gemm_int8_quantize(const struct kernels *k, struct pool *p, const float *a, const int32_t *a_rows, size_t m,
                        size_t width, uint8_t *rows);
/* n products, at most GEMM_TOGETHER, of rows that are there already; a is not looked at. */
void gemm_int8_products(const struct kernels *k, struct pool *p, const struct gemm_int8 *g, int n);
void gemm_int8_run(const struct kernels *k, struct pool *p, const struct gemm_int8 *g);
/* n products, at most GEMM_TOGETHER, of the same A and rows, which are quantized once, as one list of items. Each has
 * the bits that it has alone. */
void gemm_int8_run_all(const struct kernels *k, struct pool *p, const struct gemm_int8 *g, int n);

#endif
