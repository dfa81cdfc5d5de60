/* quantize_k: the K-quants. Each group of 16 or 32 numbers is fitted alone (quant/fit.h), then the groups' scales (and
 * minima) become integers of a few bits times the block's d (and dmin), and the numbers are taken anew with the scales
 * as they are then stored.
 *
 * With weights the scales are fitted as numbers are, each group weighing the sum of its numbers' weights; without them
 * the largest becomes the largest integer. */
#include "quant/quantize.h"

#include <math.h>
#include <string.h>

#include "quant/bytes.h"
#include "quant/fit.h"
#include "quant/quant.h"

enum { BLOCK = 256, GROUPS_MOST = 16, HALF = 128 };

#define NOTHING 1e-15f

/* Q2_K, Q4_K, Q5_K: groups of `size`, scales and minima up to `most`. */
struct affine_k {
	int size, most;
	struct fit_affine plain, weighted;
	float more;       /* a weighted number weighs its column times √(more·mean square of the block + x²) */
};
static const struct affine_k k2 = { 16, 15, { 3, -0.5f, 0.1f, 15, true }, { 3, -0.9f, 0.05f, 36, false }, 1 },
			     k4 = { 32, 63, { 15, -1, 0.1f, 20, false }, { 15, -0.9f, 0.05f, 36, false }, 2 },
			     k5 = { 32, 63, { 31, -0.5f, 0.1f, 15, false }, { 31, -0.9f, 0.05f, 36, false }, 2 };

struct affine_block {
	uint8_t q[BLOCK], scale[GROUPS_MOST], min[GROUPS_MOST];
	float d, dmin;    /* as they are stored */
};

static float stored(float x)
{
	return f16_to_float(f16_from_float(x));
}

/* What a group's numbers weigh without an importance: of Q2_K their magnitude, else that and their root mean square. */
static void plain_weights(const struct affine_k *k, const float *x, float *w)
{
	float mean = k->size == 32 ? sqrtf(quantize_squares(x, 32) / 32) : 0;

	for (int i = 0; i < k->size; i++)
		w[i] = k->size == 32 ? mean + fabsf(x[i]) : fabsf(x[i]);
}

static float sum(const float *x, int n)
{
	float s = 0;

	for (int i = 0; i < n; i++)
		s += x[i];
	return s;
}

/* The largest of n numbers that are not negative becomes `most`. */
static float scales_plain(const float *x, int n, int most, uint8_t *q)
{
	float largest = 0;

	for (int i = 0; i < n; i++)
		largest = x[i] > largest ? x[i] : largest;
	float inverse = largest > 0 ? (float)most / largest : 0;
	for (int i = 0; i < n; i++) {
		uint8_t l = (uint8_t)fit_nearest(inverse * x[i]);
		q[i] = l > most ? (uint8_t)most : l;
	}
	return largest / (float)most;
}

/* The numbers anew, with scales as they are stored; where a scale is zero they stay what the search made of them. */
static void numbers_again(const struct affine_k *k, const float *x, struct affine_block *b)
{
	for (int j = 0; j < BLOCK / k->size; j++) {
		float d = b->d * (float)b->scale[j], m = b->dmin * (float)b->min[j];
		for (int i = j * k->size; d != 0 && i < (j + 1) * k->size; i++)
			b->q[i] = (uint8_t)fit_clamp(fit_nearest((x[i] + m) / d), 0, k->plain.most);
	}
}

static void affine_fit(const struct affine_k *k, const float *x, const float *weights, struct affine_block *b)
{
	int n = BLOCK / k->size;
	float scale[GROUPS_MOST], minus[GROUPS_MOST], heavy[GROUPS_MOST], w[32];
	float more = weights ? k->more * quantize_squares(x, BLOCK) / BLOCK : 0;

	for (int j = 0; j < n; j++) {
		int at = j * k->size;
		if (weights)
			quantize_weigh(x + at, (size_t)k->size, weights + at, more, w);
		else
			plain_weights(k, x + at, w);
		heavy[j] = sum(w, k->size);
		scale[j] = fit_affine(weights ? &k->weighted : &k->plain, k->size, x + at, w, b->q + at, &minus[j]);
	}
	if (weights) {
		b->d = stored(fit_unsigned(n, k->most, scale, heavy, b->scale));
		b->dmin = stored(fit_unsigned(n, k->most, minus, heavy, b->min));
	} else {
		b->d = stored(scales_plain(scale, n, k->most, b->scale));
		b->dmin = stored(scales_plain(minus, n, k->most, b->min));
	}
	numbers_again(k, x, b);
}

/* Numbers of two bits: each half of 128 has 32 bytes, number i of it bits 2·(i / 32) and the next of byte i % 32. */
static void put_pairs(const uint8_t q[BLOCK], uint8_t *out)
{
	for (int i = 0; i < BLOCK / 4; i++) {
		const uint8_t *at = q + i / 32 * HALF + i % 32;
		out[i] = (uint8_t)((at[0] & 3) | (at[32] & 3) << 2 | (at[64] & 3) << 4 | (at[96] & 3) << 6);
	}
}

/* Low nibbles: groups 2c and 2c+1 share bytes 32c … */
static void put_nibbles(const uint8_t q[BLOCK], uint8_t *out)
{
	for (int i = 0; i < HALF; i++)
		out[i] = (uint8_t)((q[i / 32 * 64 + i % 32] & 15) | (q[i / 32 * 64 + 32 + i % 32] & 15) << 4);
}

/* The way back from k_scale_min. */
static void put_scale_min(const struct affine_block *b, uint8_t s[12])
{
	for (int j = 0; j < 8; j++) {
		uint8_t scale = b->scale[j], min = b->min[j];
		if (j < 4) {
			s[j] = scale;
			s[j + 4] = min;
			continue;
		}
		s[j + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
		s[j - 4] = (uint8_t)(s[j - 4] | scale >> 4 << 6);
		s[j] = (uint8_t)(s[j] | min >> 4 << 6);
	}
}

void quantize_q2_k(const float *x, size_t n, const float *weights, uint8_t *out)
{
	struct affine_block b;

	for (size_t i = 0; i < n; i += BLOCK, out += dtypes[DTYPE_Q2_K].bytes) {
		affine_fit(&k2, x + i, weights ? weights + i : NULL, &b);
		for (int j = 0; j < 16; j++)
			out[j] = (uint8_t)(b.scale[j] | b.min[j] << 4);
		put_pairs(b.q, out + 16);
		write_f16(out + 80, b.d);
		write_f16(out + 82, b.dmin);
	}
}

void quantize_q4_k(const float *x, size_t n, const float *weights, uint8_t *out)
{
	struct affine_block b;

	for (size_t i = 0; i < n; i += BLOCK, out += dtypes[DTYPE_Q4_K].bytes) {
		affine_fit(&k4, x + i, weights ? weights + i : NULL, &b);
		write_f16(out, b.d);
		write_f16(out + 2, b.dmin);
		put_scale_min(&b, out + 4);
		put_nibbles(b.q, out + 16);
	}
}

void quantize_q5_k(const float *x, size_t n, const float *weights, uint8_t *out)
{
	struct affine_block b;

	for (size_t i = 0; i < n; i += BLOCK, out += dtypes[DTYPE_Q5_K].bytes) {
		affine_fit(&k5, x + i, weights ? weights + i : NULL, &b);
		write_f16(out, b.d);
		write_f16(out + 2, b.dmin);
		put_scale_min(&b, out + 4);
		memset(out + 16, 0, 32);
		for (int k = 0; k < BLOCK; k++)
			out[16 + k % 32] = (uint8_t)(out[16 + k % 32] | b.q[k] >> 4 << k / 32);
		put_nibbles(b.q, out + 48);
	}
}

/* --- Q3_K and Q6_K: groups of 16 without minima --- */

/* Numbers anew, from −most to most − 1 and that much more. */
static void signed_again(const float *x, float d, const int scale[16], int most, int8_t *q)
{
	for (int j = 0; j < BLOCK; j++) {
		float by = d * (float)scale[j / 16];
		if (by != 0)
			q[j] = (int8_t)(most + fit_clamp(fit_nearest(x[j] / by), -most, most - 1));
	}
}

/* The scale of largest magnitude becomes −most exactly; where all are zero, so do all. */
static float signed_scales(const float scale[16], int most, int out[16])
{
	float at = 0, largest = 0;

	for (int j = 0; j < 16; j++)
		if (fabsf(scale[j]) > largest) {
			largest = fabsf(scale[j]);
			at = scale[j];
		}
	float inverse = at != 0 ? (float)-most / at : 0;
	for (int j = 0; j < 16; j++)
		out[j] = at != 0 ? fit_clamp(fit_nearest(inverse * scale[j]), -most, most - 1) : -most;
	return at != 0 ? 1 / inverse : 0;
}

static void q3_k_fit(const float *x, const float *weights, int8_t *q, int scale[16], float *d)
{
	float s[16], heavy[16], w[16], more = 2 * quantize_squares(x, BLOCK) / BLOCK;
	int8_t l[16];

	for (int j = 0; j < 16; j++) {
		if (!weights) {
			s[j] = fit_signed_by_turns(16, 4, x + 16 * j, q + 16 * j);
			continue;
		}
		quantize_weigh(x + 16 * j, 16, weights + 16 * j, more, w);
		heavy[j] = sum(w, 16);
		s[j] = fit_signed(16, 4, x + 16 * j, w, q + 16 * j);
	}
	if (!weights) {
		*d = stored(signed_scales(s, 32, scale));
		return;
	}
	*d = stored(fit_signed(16, 32, s, heavy, l));
	for (int j = 0; j < 16; j++)
		scale[j] = l[j] - 32;
}

/* The way back from q3_k_scale. */
static void put_q3_scales(const int scale[16], uint8_t s[12])
{
	memset(s, 0, 12);
	for (int j = 0; j < 16; j++) {
		int l = scale[j] + 32;
		s[j % 8] = (uint8_t)(s[j % 8] | (l & 15) << (j / 8 * 4));
		s[8 + j % 4] = (uint8_t)(s[8 + j % 4] | l >> 4 << (j / 4 * 2));
	}
}

void quantize_q3_k(const float *x, size_t n, const float *weights, uint8_t *out)
{
	int8_t q[BLOCK];
	int scale[16];
	float d;

	for (size_t i = 0; i < n; i += BLOCK, out += dtypes[DTYPE_Q3_K].bytes) {
		q3_k_fit(x + i, weights ? weights + i : NULL, q, scale, &d);
		signed_again(x + i, d, scale, 4, q);
		memset(out, 0, 32);
		for (int k = 0; k < BLOCK; k++)
			out[k % 32] = (uint8_t)(out[k % 32] | (q[k] >> 2 & 1) << k / 32);
		put_pairs((const uint8_t *)q, out + 32);
		put_q3_scales(scale, out + 96);
		write_f16(out + 108, d);
	}
}

static void put_q6(const int8_t q[BLOCK], uint8_t *low, uint8_t *high)
{
	for (int i = 0; i < HALF; i++) {
		const int8_t *at = q + i / 64 * HALF + i % 64;
		low[i] = (uint8_t)((at[0] & 15) | (at[64] & 15) << 4);
	}
	for (int i = 0; i < BLOCK / 4; i++) {
		const int8_t *at = q + i / 32 * HALF + i % 32;
		high[i] = (uint8_t)(at[0] >> 4 | at[32] >> 4 << 2 | at[64] >> 4 << 4 | at[96] >> 4 << 6);
	}
}

void quantize_q6_k(const float *x, size_t n, const float *weights, uint8_t *out)
{
	for (size_t i = 0; i < n; i += BLOCK, out += dtypes[DTYPE_Q6_K].bytes) {
		int8_t q[BLOCK];
		int scale[16];
		float s[16], largest = 0;

		for (int j = 0; j < 16; j++) {
			size_t at = i + 16 * (size_t)j;
			s[j] = fit_signed(16, 32, x + at, weights ? weights + at : NULL, q + 16 * j);
			largest = fabsf(s[j]) > largest ? fabsf(s[j]) : largest;
		}
		memset(out, 0, dtypes[DTYPE_Q6_K].bytes);
		if (largest < NOTHING)
			continue;
		float d = stored(signed_scales(s, 128, scale));
		for (int j = 0; j < 16; j++)
			out[192 + j] = (uint8_t)scale[j];
		write_f16(out + 208, d);
		signed_again(x + i, d, scale, 32, q);
		put_q6(q, out, out + 128);
	}
}
