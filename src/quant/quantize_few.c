/* quantize_few: the types of few values, whose scale is a block's largest magnitude (of Q1_0 its mean magnitude, of the
 * FP4 types a number that their scale can be); nothing is searched, and weights change nothing. */
#include "quant/quantize.h"

#include <math.h>
#include <string.h>

#include "quant/bytes.h"
#include "quant/fit.h"
#include "quant/quant.h"

static float largest(const float *x, size_t n)
{
	float most = 0;

	for (size_t i = 0; i < n; i++)
		most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
	return most;
}

void quantize_q1_0(const float *x, size_t n, const float *weights, uint8_t *out)
{
	enum { BLOCK = 128 };
	(void)weights;

	for (; n; n -= BLOCK, x += BLOCK, out += 18) {
		float sum = 0;
		memset(out, 0, 18);
		for (int i = 0; i < BLOCK; i++) {
			sum += fabsf(x[i]);
			out[2 + i / 8] = (uint8_t)(out[2 + i / 8] | (x[i] >= 0) << i % 8);
		}
		write_f16(out, sum / BLOCK);
	}
}

void quantize_q2_0(const float *x, size_t n, const float *weights, uint8_t *out)
{
	enum { BLOCK = 64 };
	(void)weights;

	for (; n; n -= BLOCK, x += BLOCK, out += 18) {
		float d = largest(x, BLOCK), inverse = d > 0 ? 1 / d : 0;
		memset(out, 0, 18);
		write_f16(out, d);
		for (int i = 0; i < BLOCK; i++) {
			int q = fit_clamp((int)roundf(x[i] * inverse) + 1, 0, 3);
			out[2 + i / 4] = (uint8_t)(out[2 + i / 4] | q << i % 4 * 2);
		}
	}
}

/* n numbers, step apart, as digits of base 3, the first the highest, of a fraction of 256. */
static uint8_t digits(const float *x, size_t step, int n, float inverse)
{
	unsigned q = 0;

	for (int i = 0; i < 5; i++)
		q = q * 3 + (i < n ? (unsigned)(lroundf(x[(size_t)i * step] * inverse) + 1) : 0);
	return (uint8_t)((q * 256 + 242) / 243);
}

void quantize_tq1_0(const float *x, size_t n, const float *weights, uint8_t *out)
{
	enum { BLOCK = 256 };
	(void)weights;

	for (; n; n -= BLOCK, x += BLOCK, out += 54) {
		float d = largest(x, BLOCK), inverse = d != 0 ? 1 / d : 0;
		for (size_t i = 0; i < 32; i++)
			out[i] = digits(x + i, 32, 5, inverse);
		for (size_t i = 0; i < 16; i++)
			out[32 + i] = digits(x + 160 + i, 16, 5, inverse);
		for (size_t i = 0; i < 4; i++)
			out[48 + i] = digits(x + 240 + i, 4, 4, inverse);
		write_f16(out + 52, d);
	}
}

void quantize_tq2_0(const float *x, size_t n, const float *weights, uint8_t *out)
{
	enum { BLOCK = 256 };
	(void)weights;

	for (; n; n -= BLOCK, x += BLOCK, out += 66) {
		float d = largest(x, BLOCK), inverse = d != 0 ? 1 / d : 0;
		memset(out, 0, 64);
		for (int i = 0; i < BLOCK; i++) {
			uint8_t *at = out + i / 128 * 32 + i % 32;
			*at = (uint8_t)(*at | ((lroundf(x[i] * inverse) + 1) & 3) << i / 32 % 4 * 2);
		}
		write_f16(out + 64, d);
	}
}

/* The value that is nearest to x / d; of two the first. */
static int nearest_fp4(float x, float d)
{
	float least = fabsf((float)fp4_values[0] * d - x);
	int at = 0;

	for (int i = 1; i < 16; i++) {
		float error = fabsf((float)fp4_values[i] * d - x);
		if (error < least) {
			least = error;
			at = i;
		}
	}
	return at;
}

void quantize_mxfp4(const float *x, size_t n, const float *weights, uint8_t *out)
{
	enum { BLOCK = 32 };
	(void)weights;

	for (; n; n -= BLOCK, x += BLOCK, out += 17) {
		float most = largest(x, BLOCK);
		/* log2f rounds just below a power of two up, and so does everybody's file */
		out[0] = most > 0 ? (uint8_t)(int)(floorf(log2f(most)) - 2 + 127) : 0;
		float d = mxfp4_half_scale(out[0]);
		for (int i = 0; i < 16; i++)
			out[1 + i] = (uint8_t)(nearest_fp4(x[i], d) | nearest_fp4(x[i + 16], d) << 4);
	}
}

/* An unsigned float of 4 bits of exponent and 3 of mantissa, at most 448, rounded by the bit below the mantissa. */
static uint8_t ue4m3_from_float(float x)
{
	uint32_t bits;

	if (!(x > 0))
		return 0;
	x = x > 448 ? 448 : x;
	memcpy(&bits, &x, sizeof(bits));
	int e = (int)(bits >> 23 & 255) - 120, m = (int)(bits >> 20 & 7);
	if (e <= 0)
		return (uint8_t)fit_clamp((int)(x * 512 + 0.5f), 0, 7);
	if (e < 15)
		m += bits >> 19 & 1;
	e += m >> 3;
	return e >= 15 ? 0x7e : (uint8_t)(e << 3 | (m & 7));
}

void quantize_nvfp4(const float *x, size_t n, const float *weights, uint8_t *out)
{
	enum { BLOCK = 64, RUN = 16 };
	(void)weights;

	for (; n; n -= BLOCK, x += BLOCK, out += 36)
		for (int j = 0; j < BLOCK / RUN; j++) {
			const float *y = x + j * RUN;
			out[j] = ue4m3_from_float(largest(y, RUN) / 6);
			float d = nvfp4_half_scale(out[j]);
			for (int i = 0; i < RUN / 2; i++)
				out[4 + j * RUN / 2 + i] = (uint8_t)(nearest_fp4(y[i], d) |
				                                     nearest_fp4(y[i + RUN / 2], d) << 4);
		}
}
