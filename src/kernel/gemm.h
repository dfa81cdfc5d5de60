/* gemm: matrix products cut into tiles by shape alone and dealt to the pool.
 *
 *     C[M,N] (+)= Σ_terms scale_t · A_t[M,K_t] · B_t[K_t,N] (+ bias[N]) (+ residual[M,N])
 *
 * Up to GEMM_TERMS products add up in one pass over C (LoRA's B·(A·x) is a second term with K = r). B is a matrix
 * in its storage form: dequantized by cache-sized panels while it is packed, never expanded in memory. Every output
 * element is one chain over ascending k, term after term, so its bits do not depend on M, on the row's place or on
 * threads. Nor do they where a product is free to be computed by parts (kernel/parts.h), in other bits: a choice of its
 * shape. Scratch: gemm_scratch_bytes() per thread, given by the caller at plan time. Nothing is allocated here.
 *
 * Rows may be picked by number instead of lying one after the other (experts, op/op_experts.c): those of A and of C, or
 * those of A and B that a sum goes over. Such rows of A are packed, the bits are those of rows that lie together. */
#ifndef KERNEL_GEMM_H
#define KERNEL_GEMM_H

#include "base/pool.h"
#include "kernel/kernels.h"

enum { GEMM_TERMS = 6, GEMM_TOGETHER = 16, GEMM_SLICE = 576 /* most k of a panel */,
       GEMM_ROWS = 272 /* most rows that one packing of a panel is for */ };
enum { GEMM_TAG = 2, GEMM_BESIDE = 16 }; /* of parted rows: numbers before them, numbers to be read behind B */

struct matrix {                 /* row-major [rows][cols] */
	enum dtype dtype;
	const void *data;
	size_t rows, cols;
	size_t row_bytes;
	/* data are panels of quant/panels.h, of so many bytes each; only y = x·Wᵀ. 0: rows as they lie */
	size_t panel_bytes;
};

struct gemm_term {
	const float *a;             /* A(i,k) = a[i*a_row + k*a_col] */
	size_t a_row, a_col;
	struct matrix b;            /* transposed: b is [N][K] (y = x·Wᵀ); else [K][N] (dx = dy·W) */
	bool transposed;
	size_t k;                   /* K of this term */
	float scale;                /* multiplies this term: B's panel is scaled while it is packed; 1 costs nothing */
	/* or NULL: i is i. [M]: A(i,k) = a[a_rows[i]*a_row + k*a_col]; [K]: A(i,k) = a[i*a_row + a_ks[k]*a_col], and
	 * of B, which is f32 then, k's row is b_ks[k]; one of the two kinds alone */
	const int32_t *a_rows, *a_ks, *b_ks;
	/* Each row meets rows of B of its own: A's begin with two i32, the first of B's rows and how many; then come as
	 * many numbers, k at most. B is f32 [rows][N], and GEMM_BESIDE numbers may be read behind it; a_col and scale
	 * are 1, no a_ks. */
	bool parted;
};

struct gemm {
	size_t m, n;
	struct gemm_term term[GEMM_TERMS];
	int n_terms;
	const float *bias;          /* [N] or NULL */
	const float *residual;      /* [M,N] row stride ldc, or NULL; may be c itself */
	float *c;                   /* may not overlap A */
	size_t ldc;
	const int32_t *c_rows;      /* [M] where a row of C lies, or NULL; then there is no residual */
	bool accumulate;            /* add to what C holds */
	/* Its bits need not be those that the same rows have in products without it: then it may be computed by parts
	 * (kernel/parts.h), which is faster and as exact. So are gradients. */
	bool free;
};

/* A panel for gemm_tile of a term's B: columns j … j+n−1, numbers k0 … k0+some−1, scaled. */
void gemm_pack(const struct kernels *k, const struct gemm_term *t, size_t j, size_t n, size_t k0, size_t some,
               float *out);

/* c (m,n), rows ldc apart, += rows i0 … of a parted term's A times columns j … of B: the chain goes on. */
void gemm_parted_add(const struct kernels *k, const struct gemm_term *t, size_t i0, size_t m, size_t j, size_t n,
                     float *c, size_t ldc);

size_t gemm_scratch_bytes(const struct kernels *k);
/* scratch: pool_threads × gemm_scratch_bytes, 64-byte aligned. */
void gemm_run(const struct kernels *k, struct pool *p, const struct gemm *g, void *scratch);
/* n products, at most GEMM_TOGETHER, that do not depend on each other, as one list of items. Each has the bits that it
 * has alone. */
void gemm_run_all(const struct kernels *k, struct pool *p, const struct gemm *g, int n, void *scratch);
/* n products, at most GEMM_TOGETHER, of one number of columns, that do not depend on each other and have factors B in
 * common: such a panel is packed once for the rows of all. Each has the bits that it has alone. */
void gemm_run_joined(const struct kernels *k, struct pool *p, const struct gemm *g, int n, void *scratch);
/* The same product by one thread without the pool, for use inside a pool item (attention, head). */
void gemm_serial(const struct kernels *k, const struct gemm *g, void *scratch);

#endif
