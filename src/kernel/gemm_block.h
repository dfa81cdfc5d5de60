/* gemm_block: what gemm.c and gemm_parts.c have in common: an item's part of C, and terms added to it. */
#ifndef KERNEL_GEMM_BLOCK_H
#define KERNEL_GEMM_BLOCK_H

#include "kernel/gemm.h"
#include "quant/panels.h"

/* One item: its part of C and where its sums grow. */
struct block {
	size_t i0, m, j0, n;
	size_t all;                   /* columns of C, where terms may be added by parts; else 0 */
	float *sum;
	size_t ld;
	float *panel, *packed;
	bool started;                 /* the sums hold something */
};

/* The largest item of products by parts, and the largest slice of K. */
enum { PARTED_ROWS = 384, PARTED_COLUMNS = 512, PARTED_SLICE = 288 };

/* Panels of F32 are what packing would make of them. */
static inline bool gemm_ready(const struct gemm_term *t)
{
	return t->b.panel_bytes && t->b.dtype == DTYPE_F32 && t->scale == 1;
}

/* Where A's number is. */
static inline const float *gemm_a_at(const struct gemm_term *t, size_t i, size_t k)
{
	size_t row = t->a_rows ? (size_t)t->a_rows[i] : i, col = t->a_ks ? (size_t)t->a_ks[k] : k;

	return t->a + row * t->a_row + col * t->a_col;
}

/* Whether a term of n columns is worth it: by its shape alone. */
bool gemm_by_parts(const struct kernels *k, const struct gemm_term *t, size_t n);
/* Floats that b.packed and b.panel have of them. */
size_t gemm_parts_room(void);
size_t gemm_parts_panel_room(void);
/* The terms of those blocks that are in, which have B in common, by k's parts. */
void gemm_parts_run(const struct kernels *k, const struct gemm_term *const *terms, struct block *b, const bool *in,
                    int n);

#endif
