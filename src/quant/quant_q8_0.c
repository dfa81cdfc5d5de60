/* Q8_0: 32 numbers in 34 bytes: f16 d, 32 signed bytes; w = d·q. */
#include "quant/quant.h"

#include "quant/bytes.h"

enum { BLOCK = 32, BYTES = 34 };

static void run_read(const uint8_t *b, size_t second, float *y)
{
	float d = read_f16(b);
	const int8_t *q = (const int8_t *)b + 2 + second * QUANT_RUN;

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)q[i];
}

/* Nearest, halves away from zero. */
static int round_away(float x)
{
	int q = (int)x;
	float rest = x - (float)q;

	return q + (rest >= 0.5f) - (rest <= -0.5f);
}

static void block_write(const float *x, uint8_t *b)
{
	float amax = 0;

	for (int i = 0; i < BLOCK; i++) {
		float a = x[i] < 0 ? -x[i] : x[i];
		amax = a > amax ? a : amax;
	}
	float d = amax / 127, inverse = d != 0 ? 1 / d : 0;

	write_f16(b, d);
	for (int i = 0; i < BLOCK; i++)
		b[2 + i] = (uint8_t)round_away(x[i] * inverse);
}

void q8_0_part(const void *row, size_t j0, float *dst, size_t n)
{
	for (size_t j = j0; j < j0 + n; j += QUANT_RUN, dst += QUANT_RUN)
		run_read((const uint8_t *)row + j / BLOCK * BYTES, j % BLOCK / QUANT_RUN, dst);
}

void q8_0_to_float(const void *src, float *dst, size_t n)
{
	q8_0_part(src, 0, dst, n);
}

void q8_0_from_float(const float *src, void *dst, size_t n)
{
	for (size_t i = 0; i < n / BLOCK; i++)
		block_write(src + i * BLOCK, (uint8_t *)dst + i * BYTES);
}
