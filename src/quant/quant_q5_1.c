/* Q5_1: 32 numbers in 24 bytes: f16 d, f16 m, u32 of fifth bits (bit j belongs to number j), 16 bytes of nibbles as in
 * Q4_1; w = d·q + m. */
#include "quant/quant.h"

#include "quant/bytes.h"

enum { BLOCK = 32, BYTES = 24 };

static void run_read(const uint8_t *b, size_t high, float *y)
{
	float d = read_f16(b), m = read_f16(b + 2);
	uint32_t fifth = read_u32(b + 4) >> (high ? 16 : 0);
	int shift = high ? 4 : 0;

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)(int)((b[8 + i] >> shift & 15u) | (fifth >> i & 1) << 4) + m;
}

void q5_1_part(const void *row, size_t j0, float *dst, size_t n)
{
	for (size_t j = j0; j < j0 + n; j += QUANT_RUN, dst += QUANT_RUN)
		run_read((const uint8_t *)row + j / BLOCK * BYTES, j % BLOCK / QUANT_RUN, dst);
}

void q5_1_to_float(const void *src, float *dst, size_t n)
{
	q5_1_part(src, 0, dst, n);
}
