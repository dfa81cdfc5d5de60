/* matrix_sample: random matrices in any storage type, for tests of kernels. Block types are random bytes with scales of
 * ordinary size, so that every bit of a block is exercised. */
#ifndef MATRIX_SAMPLE_H
#define MATRIX_SAMPLE_H

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernel/gemm.h"

/* Where a block's f16 fields stand; −1: none. */
static inline void sample_scales(enum dtype t, int at[2])
{
	at[0] = t == DTYPE_Q6_K ? 208 : t >= DTYPE_Q4_0 && t <= DTYPE_Q6_K ? 0 : -1;
	at[1] = t == DTYPE_Q4_1 || t == DTYPE_Q5_1 || t == DTYPE_Q4_K || t == DTYPE_Q5_K ? 2 : -1;
}

static inline struct matrix sample_matrix(enum dtype t, size_t rows, size_t cols, struct rng_stream *rng)
{
	struct matrix m = { .dtype = t, .rows = rows, .cols = cols };
	struct err e = ERR_INIT;
	int at[2];

	if (dtype_bytes(t, cols, &m.row_bytes, &e))
		BUG("%s", e.msg);
	uint8_t *data = mem_array(rows + 1, m.row_bytes);
	m.data = data;
	sample_scales(t, at);
	for (size_t i = 0; at[0] >= 0 && i < rows * m.row_bytes; i++)
		data[i] = (uint8_t)rng_next(rng);
	for (int s = 0; s < 2; s++)
		for (size_t i = 0; at[s] >= 0 && i < rows * m.row_bytes; i += dtypes[t].bytes) {
			uint16_t h = f16_from_float(rng_next_float(rng) * 0.1f);
			memcpy(data + i + at[s], &h, 2);
		}
	for (size_t i = 0; at[0] < 0 && i < rows * cols; i++) {
		float x = rng_next_float(rng);
		dtypes[t].from_float(&x, data + i * dtypes[t].bytes, 1);
	}
	return m;
}

static inline float *sample_floats(size_t n, struct rng_stream *rng)
{
	float *x = mem_array(n + 1, sizeof(float));

	for (size_t i = 0; i < n; i++)
		x[i] = rng_next_float(rng);
	return x;
}

#endif
