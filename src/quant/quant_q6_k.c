/* Q6_K: 256 numbers in 210 bytes: 128 bytes of low nibbles, 64 bytes of high pairs of bits, 16 signed 8-bit scales, f16
 * d. Each half of 128 numbers is four groups of 32: group g takes nibble g/2 of low bytes 32·(g%2) + i and bits 2g,
 * 2g+1 of high byte i; a scale covers 16 numbers; w = (d·scale)·(q − 32). */
#include "quant/quant.h"

#include "quant/bytes.h"

enum { BLOCK = 256, BYTES = 210, HALF = 128, GROUP = 32 };

static void run_read(const uint8_t *b, size_t first, float *y)
{
	size_t half = first / HALF, g = first % HALF / GROUP, at = first % GROUP;
	const uint8_t *low = b + half * 64 + g % 2 * GROUP + at, *high = b + 128 + half * 32 + at;
	int low_shift = g / 2 ? 4 : 0, high_shift = (int)(2 * g);
	float d = read_f16(b + 208) * (float)(int8_t)b[192 + first / QUANT_RUN];

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
}

void q6_k_part(const void *row, size_t j0, float *dst, size_t n)
{
	for (size_t j = j0; j < j0 + n; j += QUANT_RUN, dst += QUANT_RUN)
		run_read((const uint8_t *)row + j / BLOCK * BYTES, j % BLOCK, dst);
}

void q6_k_to_float(const void *src, float *dst, size_t n)
{
	q6_k_part(src, 0, dst, n);
}
