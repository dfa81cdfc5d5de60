/* Q3_K: 256 numbers in 110 bytes: 32 bytes of high bits, 64 bytes of bit pairs as Q2_K has them, 12 bytes of sixteen
 * 6-bit scales, f16 d. The high bit of number i is bit i/32 of byte i%32; where it is not set, 4 is taken off;
 * w = (d·(scale − 32))·q. */
#include "quant/runs.h"

#include "quant/bytes.h"

enum { BLOCK = 256, BYTES = 110, HALF = 128, GROUP = 32, Q_AT = 32, SCALES_AT = 96, D_AT = 108 };

/* Low nibbles of 0 … 7 and of 8 … 15 share bytes 0 … 7; bytes 8 … 11 have the high pairs of j, j+4, j+8,
 * j+12. */
int q3_k_scale(const unsigned char s[12], int j)
{
	return ((s[j % 8] >> (j / 8 * 4) & 15) | (s[8 + j % 4] >> (j / 4 * 2) & 3) << 4) - 32;
}

static void q3_k_run(const uint8_t *b, size_t first, float *y)
{
	const uint8_t *q = b + Q_AT + first / HALF * GROUP + first % GROUP, *high = b + first % GROUP;
	int shift = (int)(first % HALF / GROUP * 2), bit = (int)(first / GROUP);
	float d = read_f16(b + D_AT) * (float)q3_k_scale(b + SCALES_AT, (int)(first / QUANT_RUN));

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)((q[i] >> shift & 3) - (high[i] >> bit & 1 ? 0 : 4));
}

QUANT_SLOTS(q3_k, BLOCK, BYTES)
