/* Q5_0: 32 numbers in 22 bytes: f16 d, u32 of fifth bits (bit j belongs to number j), 16 bytes of nibbles as in Q4_0;
 * w = d·(q − 16). */
#include "quant/quant.h"

#include "quant/bytes.h"

enum { BLOCK = 32, BYTES = 22 };

static void run_read(const uint8_t *b, size_t high, float *y)
{
	float d = read_f16(b);
	uint32_t fifth = read_u32(b + 2) >> (high ? 16 : 0);
	int shift = high ? 4 : 0;

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)((int)((b[6 + i] >> shift & 15u) | (fifth >> i & 1) << 4) - 16);
}

void q5_0_part(const void *row, size_t j0, float *dst, size_t n)
{
	for (size_t j = j0; j < j0 + n; j += QUANT_RUN, dst += QUANT_RUN)
		run_read((const uint8_t *)row + j / BLOCK * BYTES, j % BLOCK / QUANT_RUN, dst);
}

void q5_0_to_float(const void *src, float *dst, size_t n)
{
	q5_0_part(src, 0, dst, n);
}
