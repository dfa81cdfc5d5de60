/* panels: the order of a quantized matrix that products like best, made once from the file's rows at equal size.
 *
 * A panel is 16 rows of W side by side, so that a vector's lanes are 16 outputs: no transposing while a panel is expanded, no sum across
 * lanes. It is a sequence of blocks of 32 numbers along K, each
 *
 *     d [16] f16                scale of each row
 *     m [16] f16                Q4_1, Q5_1: its offset; without it the offset is −PANEL_ZERO·d
 *     q [4][16] dwords          4 and 5 bits: byte b of dword g holds k = 4g+b in its low, k = 16+4g+b in its high nibble
 *       [8][16] dwords          Q8_0: byte b of dword g is k = 4g+b, as q + 128
 *     h [16] dwords             5 bits: bit 8b+g is the fifth bit of k = 4g+b, g < 8
 *
 * so every number is d·u + offset with u unsigned, which is what the int8 kernels count on. F32, F16 and BF16 have [32][16] plain numbers instead,
 * for products in f32 alone. Rows beyond the last are zero. */
#ifndef QUANT_PANELS_H
#define QUANT_PANELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

enum { PANEL_ROWS = 16, PANEL_BLOCK = 32 };

bool panels_fit(enum dtype t);                                 /* is there such an order of it */
bool panels_int8(enum dtype t);                                /* and int8 kernels for it */
size_t panel_bytes(enum dtype t, size_t cols);                 /* of 16 rows */
size_t panels_bytes(enum dtype t, size_t rows, size_t cols);   /* of the matrix */
/* Panels from … to−1 of the matrix w, at their places in `out`. */
void panels_make(enum dtype t, const void *w, size_t rows, size_t cols, size_t from, size_t to, void *out);
/* Row `row` of the matrix, as floats. */
void panels_row(enum dtype t, const void *panels, size_t row, size_t cols, float *out);
/* One row's share of a block as floats; and, of the types that int8 kernels have, as 32 numbers u, scale and offset. */
void panel_floats(enum dtype t, const uint8_t *block, size_t row, float out[PANEL_BLOCK]);
void panel_block(enum dtype t, const uint8_t *block, size_t row, uint8_t u[PANEL_BLOCK], float *d, float *m);

/* What follows from the dtype, foldable by the compiler. */
static inline size_t panel_plain_bytes(enum dtype t) { return t == DTYPE_F32 ? 4 : t == DTYPE_F16 || t == DTYPE_BF16 ? 2 : 0; } /* of a number; 0: blocks */
static inline bool panel_has_min(enum dtype t) { return t == DTYPE_Q4_1 || t == DTYPE_Q5_1; }
static inline bool panel_has_fifth(enum dtype t) { return t == DTYPE_Q5_0 || t == DTYPE_Q5_1; }
static inline bool panel_is_byte(enum dtype t) { return t == DTYPE_Q8_0; }
static inline float panel_zero(enum dtype t) { return t == DTYPE_Q8_0 ? 128 : t == DTYPE_Q5_0 ? 16 : t == DTYPE_Q4_0 ? 8 : 0; }
static inline size_t panel_q_at(enum dtype t) { return panel_has_min(t) ? 64 : 32; }
static inline size_t panel_h_at(enum dtype t) { return panel_q_at(t) + 256; }
static inline size_t panel_block_bytes(enum dtype t)
{
	if (panel_plain_bytes(t))
		return panel_plain_bytes(t) * PANEL_BLOCK * PANEL_ROWS;
	return panel_q_at(t) + (panel_is_byte(t) ? 512 : 256) + (panel_has_fifth(t) ? 64 : 0);
}

#endif
