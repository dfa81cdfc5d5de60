/* panels: the order of a quantized matrix that products like best, made once from the file's rows at equal size.
 *
 * A panel is 16 rows of W side by side, so that a vector's lanes are 16 outputs: no transposing while a panel is
 * expanded, no sum across lanes. It is a sequence of blocks of 32 numbers along K, each
 *
 *     d [16] f16                scale of each row
 *     m [16] f16                Q4_1, Q5_1: its offset; without it the offset is −PANEL_ZERO·d
 *     q [4][16] dwords          4 and 5 bits: byte b of dword g holds k = 4g+b in its low, k = 16+4g+b in its high
 * nibble [8][16] dwords          Q8_0: byte b of dword g is k = 4g+b, as q + 128 h [16] dwords             5 bits: bit
 * 8b+g is the fifth bit of k = 4g+b, g < 8 [2][16] dwords          Q6_K: bits 8b+2(g%4) and the next of dword g/4 are
 * the fifth and sixth of k = 4g+b
 *
 * so every number is d·u + offset with u unsigned, which is what the int8 kernels count on.
 *
 * K-quants: each eight blocks (256 numbers, or what is left of a row) have a head before them, d [16] f16 and, but for
 * Q6_K, dmin [16] f16, and a block begins with
 *
 *     s [2][16] bytes           Q4_K, Q5_K: scale and minimum of each row, number = (d·scale)·u − dmin·minimum
 *                               Q6_K: signed scales of k < 16 and of k ≥ 16, number = (d·scale)·(u − 32)
 *
 * (the file's 6-bit scales become bytes: 3 % more). IQ4_XS is bytes as Q8_0, with d [16] f32 as its head and signed
 * scales as Q6_K: number = (d·scale)·(u − 128). Q2_K has s [4][16] bytes, scales and minima of k < 16 and of k ≥
 * 16, and its bit pairs in nibbles: number = (d·scale)·u − dmin·minimum.
 *
 * Every other block type goes into the panels of one of these, its form, in which its numbers have a place: those of
 * few values into Q4_0, MXFP4 into Q5_0 (if f16 holds its scales), IQ4_NL into Q8_0, Q3_K and IQ3_S into Q6_K, the
 * other IQ types and NVFP4 (if no scale is a thousand times another one near it) into IQ4_XS. F32, F16 and BF16 have
 * [32][16] plain numbers instead, for products in f32 alone. Rows beyond the last are zero. */
#ifndef QUANT_PANELS_H
#define QUANT_PANELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

enum { PANEL_ROWS = 16, PANEL_BLOCK = 32, PANEL_HEADED = 8 /* blocks of K-quants that share a head */ };

/* Whose panels hold numbers of type t; DTYPE_COUNT: none. Kernels know forms alone. */
enum dtype panel_form(enum dtype t);
/* Of any type, by its form: */
bool panels_fit(enum dtype t);                                 /* is there such an order of it */
bool panels_int8(enum dtype t);                                /* and int8 kernels for it */
/* whether this matrix, of a type that fits, loses nothing in its form */
bool panels_hold(enum dtype t, const void *w, size_t rows, size_t cols);
size_t panel_bytes(enum dtype t, size_t cols);                 /* of 16 rows */
size_t panels_bytes(enum dtype t, size_t rows, size_t cols);   /* of the matrix */
/* Panels from … to−1 of the matrix w (of type t), in its form, at their places in `out`. */
void panels_make(enum dtype t, const void *w, size_t rows, size_t cols, size_t from, size_t to, void *out);
/* One row's block b, as the file has it, into block `out` of a panel, of forms without a head; of plain numbers the
 * first n. */
void panel_put(enum dtype t, const uint8_t *b, size_t n, size_t row, uint8_t *out);
/* Row `row` of the matrix, as floats. */
void panels_row(enum dtype t, const void *panels, size_t row, size_t cols, float *out);
/* One row's share of a block of the types that int8 kernels have: number k is
 * d·scale[k / 16]·u[k] + m·min[k / 16], or, of Q6_K, d·scale[k / 16]·(u[k] − 32), of IQ4_XS with 128. */
struct panel_share {
	uint8_t u[PANEL_BLOCK];
	float d, m;
	int scale[2], min[2];       /* min: Q2_K's, by which m is multiplied */
};
/* Block `i` of a panel: as that, and of every type as floats. */
void panel_share(enum dtype t, const uint8_t *panel, size_t i, size_t row, struct panel_share *out);
void panel_floats(enum dtype t, const uint8_t *panel, size_t i, size_t row, float out[PANEL_BLOCK]);

/* What follows from the form, foldable by the compiler. */
/* of a number; 0: blocks */
static inline size_t panel_plain_bytes(enum dtype t)
{
	return t == DTYPE_F32 ? 4 : t == DTYPE_F16 || t == DTYPE_BF16 ? 2 : 0;
}
/* a scale for each 16 numbers, and a minimum; where that is missing nothing is added */
static inline bool panel_has_half_mins(enum dtype t) { return t == DTYPE_Q2_K; }
static inline bool panel_has_halves(enum dtype t)
{
	return t == DTYPE_Q6_K || t == DTYPE_IQ4_XS || panel_has_half_mins(t);
}
static inline bool panel_has_head(enum dtype t)
{
	return t == DTYPE_Q4_K || t == DTYPE_Q5_K || panel_has_halves(t);
}
static inline bool panel_is_wide(enum dtype t) { return t == DTYPE_IQ4_XS; } /* d of the head is f32 */
static inline bool panel_has_pairs(enum dtype t) { return t == DTYPE_Q6_K; } /* the fifth and sixth bits apart */
static inline bool panel_has_min(enum dtype t) { return t == DTYPE_Q4_1 || t == DTYPE_Q5_1; }
static inline bool panel_has_fifth(enum dtype t) { return t == DTYPE_Q5_0 || t == DTYPE_Q5_1 || t == DTYPE_Q5_K; }
static inline bool panel_is_byte(enum dtype t) { return t == DTYPE_Q8_0 || t == DTYPE_IQ4_XS; }
static inline float panel_zero(enum dtype t)
{
	return panel_is_byte(t) ? 128 : t == DTYPE_Q6_K ? 32 : t == DTYPE_Q5_0 ? 16 : t == DTYPE_Q4_0 ? 8 : 0;
}
static inline size_t panel_head_bytes(enum dtype t)
{
	return panel_has_pairs(t) ? 32 : panel_has_head(t) ? 64 : 0;
}
static inline size_t panel_q_at(enum dtype t) { return panel_has_min(t) || panel_has_half_mins(t) ? 64 : 32; }
static inline size_t panel_h_at(enum dtype t) { return panel_q_at(t) + 256; }
static inline size_t panel_block_bytes(enum dtype t)
{
	if (panel_plain_bytes(t))
		return panel_plain_bytes(t) * PANEL_BLOCK * PANEL_ROWS;
	return panel_q_at(t) + (panel_is_byte(t) ? 512 : 256) +
	       (panel_has_fifth(t) ? 64 :
	        panel_has_pairs(t) ? 128 :
	                             0);
}
/* Where block i of a panel begins, and the head that it shares. */
static inline size_t panel_block_at(enum dtype t, size_t i)
{
	return i * panel_block_bytes(t) + (i / PANEL_HEADED + 1) * panel_head_bytes(t);
}
static inline size_t panel_head_at(enum dtype t, size_t i)
{
	return i / PANEL_HEADED * (PANEL_HEADED * panel_block_bytes(t) + panel_head_bytes(t));
}

#endif
