/* matrix_sample: random matrices in any storage type, for tests of kernels. Block types are random bytes with scales of
 * ordinary size, so that every bit of a block is exercised. */
#ifndef MATRIX_SAMPLE_H
#define MATRIX_SAMPLE_H

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernel/gemm.h"
#include "quant/nf4.h"

/* Where a block's f16 fields stand; −1: none. */
static inline void sample_scales(enum dtype t, int at[2])
{
	at[0] = dtypes[t].block == 1 || nf4_is(t) || t == DTYPE_IQ1_M || t == DTYPE_MXFP4 || t == DTYPE_NVFP4 ? -1 :
	        t == DTYPE_Q6_K                                                                  ? 208 :
	        t == DTYPE_Q2_K                                                                  ? 80 :
	        t == DTYPE_Q3_K                                                                  ? 108 :
	        t == DTYPE_TQ1_0                                                                 ? 52 :
	        t == DTYPE_TQ2_0                                                                 ? 64 :
	                                                                                           0;
	at[1] = t == DTYPE_Q4_1 || t == DTYPE_Q5_1 || t == DTYPE_Q4_K || t == DTYPE_Q5_K ? 2 :
	        t == DTYPE_Q2_K                                                          ? 82 :
	                                                                                   -1;
}

/* Scales that are no f16 in one piece. */
static inline void sample_odd_scale(enum dtype t, uint8_t *b, struct rng_stream *rng)
{
	uint16_t h = f16_from_float(rng_next_float(rng) * 0.1f);

	for (int i = 0; t == DTYPE_IQ1_M && i < 4; i++)
		b[49 + 2 * i] = (uint8_t)((b[49 + 2 * i] & 15) | (h >> 4 * i & 15) << 4);
	if (t == DTYPE_MXFP4)
		b[0] = (uint8_t)(110 + rng_below(rng, 20));
	for (int i = 0; t == DTYPE_NVFP4 && i < 4; i++)
		b[i] = (uint8_t)((b[i] & 47) + 16);
}

/* A row of 4-bit floats: its head, scales of ordinary size, and each kind of rounding by turns. */
static inline void sample_float4(enum dtype t, uint8_t *row, size_t n, size_t cols, struct rng_stream *rng)
{
	size_t blocks = cols / NF4_BLOCK;

	row[0] = (uint8_t)(n % 3);
	for (size_t i = 0; nf4_is_nested(t) && i < 3; i++) {
		float x = rng_next_float(rng) * 0.1f;
		memcpy(row + 4 + 4 * i, &x, sizeof(x));
		row[2] = (uint8_t)(blocks / 2);
		row[3] = 0;
	}
	for (size_t b = 0; !nf4_is_nested(t) && b < blocks; b++) {
		float x = rng_next_float(rng);
		memcpy(row + dtype_head(t) + b * dtypes[t].bytes, &x, sizeof(x));
	}
}

/* Types that are only read: a double, and bytes whose upper exponents are left out, so that all are numbers below 2. */
static inline void sample_number(enum dtype t, uint8_t *to, struct rng_stream *rng)
{
	float x = rng_next_float(rng);
	double wide = x;

	if (t == DTYPE_F64)
		memcpy(to, &wide, sizeof(wide));
	else if (t == DTYPE_F8_E4M3 || t == DTYPE_F8_E5M2)
		*to = (uint8_t)(rng_next(rng) & 0xbf);
	else
		dtypes[t].from_float(&x, to, 1);
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
	for (size_t i = 0; dtypes[t].block > 1 && i < rows * m.row_bytes; i++)
		data[i] = (uint8_t)rng_next(rng);
	for (int s = 0; s < 2; s++)
		for (size_t i = 0; at[s] >= 0 && i < rows * m.row_bytes; i += dtypes[t].bytes) {
			uint16_t h = f16_from_float(rng_next_float(rng) * 0.1f);
			memcpy(data + i + at[s], &h, 2);
		}
	for (size_t i = 0; nf4_is(t) && i < rows; i++)
		sample_float4(t, data + i * m.row_bytes, i, cols, rng);
	for (size_t i = 0; dtypes[t].block > 1 && !nf4_is(t) && i < rows * m.row_bytes; i += dtypes[t].bytes)
		sample_odd_scale(t, data + i, rng);
	for (size_t i = 0; dtypes[t].block == 1 && i < rows * cols; i++)
		sample_number(t, data + i * dtypes[t].bytes, rng);
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
