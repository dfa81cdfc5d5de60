/* Q5_K: 256 numbers in 176 bytes: f16 d, f16 dmin, 12 bytes of packed 6-bit scales and minima (as in Q4_K), 32 bytes of
 * fifth bits (bit j of byte i belongs to number i of sub-block j), 128 bytes of nibbles as in Q4_K; w = (d·scale_j)·q
 * − dmin·min_j. */
#include "quant/quant.h"

#include "quant/bytes.h"

enum { BLOCK = 256, BYTES = 176, SUB = 32 };

static void run_read(const uint8_t *b, size_t first, float *y)
{
	size_t j = first / SUB;
	const uint8_t *fifth = b + 16 + first % SUB, *q = b + 48 + j / 2 * SUB + first % SUB;
	int shift = j % 2 ? 4 : 0, scale, min;

	k_scale_min(b + 4, (int)j, &scale, &min);
	float d = read_f16(b) * (float)scale, m = read_f16(b + 2) * (float)min;

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)((q[i] >> shift & 15) | (fifth[i] >> j & 1) << 4) - m;
}

void q5_k_part(const void *row, size_t j0, float *dst, size_t n)
{
	for (size_t j = j0; j < j0 + n; j += QUANT_RUN, dst += QUANT_RUN)
		run_read((const uint8_t *)row + j / BLOCK * BYTES, j % BLOCK, dst);
}

void q5_k_to_float(const void *src, float *dst, size_t n)
{
	q5_k_part(src, 0, dst, n);
}
