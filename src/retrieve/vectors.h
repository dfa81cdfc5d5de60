/* vectors: chunks' vectors in blocks of VECTORS_BLOCK rows: row i lies in block i / VECTORS_BLOCK, so rows are added
 * without moving others; a file ends with a whole block.
 *
 *     int8   a block has its rows' scales (f32), then the rows (s8): x ≈ scale·q, q = round(x·127 / largest |x|)
 *     f16    the rows alone, as halves
 *
 * The likeness of a query and a row is Σ x_i·r_i: of int8 the query is made whole numbers too, and the sum is exact,
 * scale_q·scale·Σ q_i·r_i. */
#ifndef RETRIEVE_VECTORS_H
#define RETRIEVE_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "kernel/kernels.h"

enum { VECTORS_BLOCK = 1024 };

enum vectors_kind { VECTORS_INT8, VECTORS_F16, VECTORS_KINDS };
extern const char *const vectors_names[VECTORS_KINDS];

struct vectors_form { enum vectors_kind kind; size_t width; };

size_t vectors_bytes(const struct vectors_form *f, size_t rows);        /* of a file with so many rows */
/* Where in the file a row's scale and its numbers are, and how many bytes these have. */
size_t vectors_scale_at(const struct vectors_form *f, size_t row);
size_t vectors_row_at(const struct vectors_form *f, size_t row);
size_t vectors_row_bytes(const struct vectors_form *f);
/* A row's bytes; scale: of int8, else 1. */
void vectors_put(const struct vectors_form *f, const float *x, void *row, float *scale);

struct vectors_query { const float *x; int8_t *q; float scale; };       /* q: mem_free */
void vectors_ask(const struct vectors_form *f, const float *x, struct vectors_query *q);
float vectors_score(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, size_t row,
                    const struct vectors_query *q);
/* score[first … rows) of a query. Rows are dealt out to the pool. */
void vectors_scan(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, size_t first, size_t rows,
                  const float *query, struct pool *pool, float *score);
/* score[row[i]] of n rows. */
void vectors_scan_rows(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, const uint32_t *row,
                       size_t n, const float *query, struct pool *pool, float *score);
/* out: the row's numbers. */
void vectors_get(const struct vectors_form *f, const uint8_t *data, size_t row, float *out);
/* Of two rows. */
double vectors_likeness(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, size_t a, size_t b);

#endif
