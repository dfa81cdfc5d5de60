/* vectors: chunks' vectors as whole numbers, in blocks of VECTORS_BLOCK rows: a block has its rows' scales (f32), then
 * the rows (s8), x ≈ scale·q, q = round(x·127 / largest |x|). Row i lies in block i / VECTORS_BLOCK, so rows are
 * added without moving others; a file ends with a whole block.
 *
 *     likeness of a query (quantized alike) and row = scale_q·scale·Σ q_i·r_i,  the sum in whole numbers, exact */
#ifndef RETRIEVE_VECTORS_H
#define RETRIEVE_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"

enum { VECTORS_BLOCK = 1024 };

size_t vectors_bytes(size_t rows, size_t width);        /* of a file with so many rows */
size_t vectors_scale_at(size_t row, size_t width);      /* where in the file a row's scale and its numbers are */
size_t vectors_row_at(size_t row, size_t width);
void vectors_quantize(const float *x, size_t width, int8_t *q, float *scale);
/* score[rows] of a query. Rows are dealt out to the pool. */
void vectors_scan(const uint8_t *data, size_t rows, size_t width, const float *query, struct pool *pool, float *score);
/* Of two rows. */
double vectors_likeness(const uint8_t *data, size_t width, size_t a, size_t b);

#endif
