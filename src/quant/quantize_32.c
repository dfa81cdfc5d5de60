/* quantize_32: Q4_0, Q4_1, Q5_0, Q5_1. Without weights the scale comes from a block's extremes; with them it is
 * searched (quant/fit.h), a number's weight being its column's times √(mean square of the row + x²). */
#include "quant/quantize.h"

#include <math.h>
#include <string.h>

#include "quant/bytes.h"
#include "quant/fit.h"
#include "quant/quant.h"

enum { BLOCK = 32, HALF = 16 };

static const struct fit_affine line_4 = { 15, -0.9f, 0.05f, 36, false }, line_5 = { 31, -0.9f, 0.05f, 36, false };

static void put_nibbles(const uint8_t q[BLOCK], uint8_t *out)
{
	for (int i = 0; i < HALF; i++)
		out[i] = (uint8_t)((q[i] & 15) | (q[i + HALF] & 15) << 4);
}

/* The word of the fifth bits: number i at bit i. */
static void put_fifth(const uint8_t q[BLOCK], uint8_t *out)
{
	memset(out, 0, 4);
	for (int i = 0; i < BLOCK; i++)
		out[i / 8] = (uint8_t)(out[i / 8] | (q[i] >> 4 & 1) << i % 8);
}

/* Of Q5_0 and Q5_1: what follows scale and minimum. */
static void put_5_bits(const uint8_t q[BLOCK], uint8_t *out)
{
	put_fifth(q, out);
	put_nibbles(q, out + 4);
}

void quantize_q4_0(const float *x, size_t n, const float *weights, uint8_t *out)
{
	float more = weights ? quantize_squares(x, n) / (float)n : 0, w[BLOCK];
	int8_t q[BLOCK];

	if (!weights) {
		q4_0_from_float(x, out, n);
		return;
	}
	for (size_t i = 0; i < n; i += BLOCK, out += dtypes[DTYPE_Q4_0].bytes) {
		quantize_weigh(x + i, BLOCK, weights + i, more, w);
		write_f16(out, fit_signed(BLOCK, 8, x + i, w, q));
		put_nibbles((const uint8_t *)q, out + 2);
	}
}

void quantize_q4_1(const float *x, size_t n, const float *weights, uint8_t *out)
{
	float more = weights ? quantize_squares(x, n) / (float)n : 0, w[BLOCK], minus;
	uint8_t q[BLOCK];

	if (!weights) {
		q4_1_from_float(x, out, n);
		return;
	}
	for (size_t i = 0; i < n; i += BLOCK, out += dtypes[DTYPE_Q4_1].bytes) {
		quantize_weigh(x + i, BLOCK, weights + i, more, w);
		write_f16(out, fit_affine(&line_4, BLOCK, x + i, w, q, &minus));
		write_f16(out + 2, -minus);
		put_nibbles(q, out + 4);
	}
}

/* The number of largest magnitude becomes −16 exactly. */
static void block_q5_0(const float *x, uint8_t *out)
{
	float most = 0, at = 0;
	uint8_t q[BLOCK];

	for (int i = 0; i < BLOCK; i++)
		if (fabsf(x[i]) > most) {
			most = fabsf(x[i]);
			at = x[i];
		}
	float d = at / -16, inverse = d != 0 ? 1 / d : 0;
	write_f16(out, d);
	for (int i = 0; i < BLOCK; i++)
		q[i] = (uint8_t)fit_clamp((int)(x[i] * inverse + 16.5f), 0, 31);
	put_5_bits(q, out + 2);
}

void quantize_q5_0(const float *x, size_t n, const float *weights, uint8_t *out)
{
	float more = weights ? quantize_squares(x, n) / (float)n : 0, w[BLOCK];
	int8_t q[BLOCK];

	for (size_t i = 0; i < n; i += BLOCK, out += dtypes[DTYPE_Q5_0].bytes) {
		if (!weights) {
			block_q5_0(x + i, out);
			continue;
		}
		quantize_weigh(x + i, BLOCK, weights + i, more, w);
		write_f16(out, fit_signed(BLOCK, 16, x + i, w, q));
		put_5_bits((const uint8_t *)q, out + 2);
	}
}

static void block_q5_1(const float *x, uint8_t *out)
{
	float least = x[0], most = x[0];
	uint8_t q[BLOCK];

	for (int i = 1; i < BLOCK; i++) {
		least = x[i] < least ? x[i] : least;
		most = x[i] > most ? x[i] : most;
	}
	float d = (most - least) / 31, inverse = d != 0 ? 1 / d : 0;
	write_f16(out, d);
	write_f16(out + 2, least);
	for (int i = 0; i < BLOCK; i++)
		q[i] = (uint8_t)((x[i] - least) * inverse + 0.5f);
	put_5_bits(q, out + 4);
}

void quantize_q5_1(const float *x, size_t n, const float *weights, uint8_t *out)
{
	float more = weights ? quantize_squares(x, n) / (float)n : 0, w[BLOCK], minus;
	uint8_t q[BLOCK];

	for (size_t i = 0; i < n; i += BLOCK, out += dtypes[DTYPE_Q5_1].bytes) {
		if (!weights) {
			block_q5_1(x + i, out);
			continue;
		}
		quantize_weigh(x + i, BLOCK, weights + i, more, w);
		write_f16(out, fit_affine(&line_5, BLOCK, x + i, w, q, &minus));
		write_f16(out + 2, -minus);
		put_5_bits(q, out + 4);
	}
}
