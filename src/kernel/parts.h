/* parts: float32 products from products of bfloat16, as the table of an instruction set that multiplies such tiles.
 *
 * Each number is the sum of three of bfloat16's, x = x1 + x2 + x3 with 8 bits each, which together hold all 24 (Henry,
 * Tang and Heinecke 2019, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
 * Computations"). Of their nine products the six largest are computed, all into one sum in f32:
 *
 *     a·b ≈ a1·b3 + a1·b2 + a2·b2 + a2·b1 + a3·b1 + a1·b1
 *
 * What is left out is at most 2⁻²² of |a·b|, 2⁻²⁶ as a rule and of either sign. Factors B that were bfloat16
 * are one part (three products), those of float16 two.
 *
 * An element's sum goes over k in blocks of PARTS_K, which begin at 0, and within a block over the products above. A
 * product of a block is Σ of the first half of its numbers and Σ of the second, each one chain from 0 on, which are
 * added to each other and then to the sum: what the tile unit does. So the bits are a function of the row, the column
 * and k, as those of kernels.gemm_tile are, but other bits than those. Against a sum in double, in 2⁻²⁴·Σ|a·b|,
 * root of the mean square and worst of 128 × 128 sums over 1280 numbers:
 *
 *                                      parts             a chain of f32
 *     either sign                      0.17    2.1       0.40    3.5
 *     sizes over 2¹⁶, either sign      0.91    7.0       1.98   15.9
 *     positive                         3.85   14.8       9.32   38.5
 *
 * Infinities and NaN make NaN or an infinity, never a finite number; the first part is cut off, not rounded, so no
 * finite number becomes an infinity. Parts below 2⁻¹²⁶, and sums below it, count as zero, so a product errs by
 * (|a| + |b|)·2⁻¹²⁵ + 2⁻¹²³ besides: it shows where numbers are below 2⁻¹⁰². */
#ifndef KERNEL_PARTS_H
#define KERNEL_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PARTS_MOST = 3,
	PARTS_K = 32,        /* numbers of a block */
	PARTS_ROWS = 16,     /* of A together */
	PARTS_COLUMNS = 32,  /* of B together: the table's nr */
	PARTS_A = PARTS_MOST * PARTS_ROWS * PARTS_K,     /* numbers that a block of A takes, 2 bytes each */
	PARTS_B = PARTS_MOST * PARTS_COLUMNS * PARTS_K
};

struct part_kernels {
	/* Between these two, in one thread, products may be computed. */
	void (*begin)(void);
	void (*end)(void);

	/* The parts of m ≤ PARTS_ROWS rows of k numbers, a_row apart; out: blocks of PARTS_A numbers, 64-byte aligned,
	 * of which other rows keep what they are. Numbers beyond k are zero. */
	void (*rows)(size_t m, size_t k, const float *a, size_t a_row, uint16_t *out);
	/* The same of rows that lie across: number q of row i at a[(ks ? ks[q] : q)·a_col + i]. */
	void (*across)(size_t m, size_t k, const float *a, size_t a_col, const int32_t *ks, uint16_t *out);
	/* The first `parts` parts of n ≤ PARTS_COLUMNS columns of k numbers: 16 of number q at b + q·step, the 16 after
	 * them `next` floats further; of the columns' last 16 all are read. out: blocks of PARTS_B numbers. */
	void (*columns)(int parts, size_t n, size_t k, const float *b, size_t step, size_t next, uint16_t *out);
	/* C[m,n] = (accumulate ? C : 0) + A·B, m ≤ 2·PARTS_ROWS, n ≤ PARTS_COLUMNS, k numbers. Rows PARTS_ROWS …
	 * of A are `next` numbers behind the first. */
	void (*tile)(int parts, size_t m, size_t n, size_t k, const uint16_t *a, size_t next, const uint16_t *b,
	             float *c, size_t ldc, bool accumulate);
};

#endif
