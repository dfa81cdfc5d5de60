/* Q4_1: 32 numbers in 20 bytes: f16 d, f16 m, 16 bytes of nibbles (byte i: number i low, number i+16 high); w = d·q +
 * m. */
#include "quant/quant.h"

#include "quant/bytes.h"

enum { BLOCK = 32, BYTES = 20 };

static void run_read(const uint8_t *b, size_t high, float *y)
{
	float d = read_f16(b), m = read_f16(b + 2);
	int shift = high ? 4 : 0;

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)(b[4 + i] >> shift & 15) + m;
}

static void block_write(const float *x, uint8_t *b)
{
	float min = x[0], max = x[0];

	for (int i = 1; i < BLOCK; i++) {
		min = x[i] < min ? x[i] : min;
		max = x[i] > max ? x[i] : max;
	}
	float d = (max - min) / 15, inverse = d != 0 ? 1 / d : 0;

	write_f16(b, d);
	write_f16(b + 2, min);
	for (int i = 0; i < QUANT_RUN; i++) {
		int low = (int)((x[i] - min) * inverse + 0.5f), high = (int)((x[i + QUANT_RUN] - min) * inverse + 0.5f);
		b[4 + i] = (uint8_t)((low > 15 ? 15 : low) | (high > 15 ? 15 : high) << 4);
	}
}

void q4_1_part(const void *row, size_t j0, float *dst, size_t n)
{
	for (size_t j = j0; j < j0 + n; j += QUANT_RUN, dst += QUANT_RUN)
		run_read((const uint8_t *)row + j / BLOCK * BYTES, j % BLOCK / QUANT_RUN, dst);
}

void q4_1_to_float(const void *src, float *dst, size_t n)
{
	q4_1_part(src, 0, dst, n);
}

void q4_1_from_float(const float *src, void *dst, size_t n)
{
	for (size_t i = 0; i < n / BLOCK; i++)
		block_write(src + i * BLOCK, (uint8_t *)dst + i * BYTES);
}
