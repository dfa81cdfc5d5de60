/* Q4_K: 256 numbers in 144 bytes: f16 d, f16 dmin, 12 bytes of packed 6-bit scales and minima, 128 bytes of nibbles.
 * Eight sub-blocks of 32; sub-blocks 2c and 2c+1 are the low and high nibbles of bytes 32c … 32c+31;
 * w = (d·scale_j)·q − dmin·min_j. */
#include "quant/quant.h"

#include "quant/bytes.h"

enum { BLOCK = 256, BYTES = 144, SUB = 32 };

/* j < 4: low six bits of bytes j and j+4; else four bits of byte j+4 and the two high bits of bytes j−4 and j. */
void k_scale_min(const unsigned char s[12], int j, int *scale, int *min)
{
	if (j < 4) {
		*scale = s[j] & 63;
		*min = s[j + 4] & 63;
	} else {
		*scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
		*min = s[j + 4] >> 4 | (s[j] >> 6) << 4;
	}
}

static void run_read(const uint8_t *b, size_t first, float *y)
{
	size_t j = first / SUB;
	const uint8_t *q = b + 16 + j / 2 * SUB + first % SUB;
	int shift = j % 2 ? 4 : 0, scale, min;

	k_scale_min(b + 4, (int)j, &scale, &min);
	float d = read_f16(b) * (float)scale, m = read_f16(b + 2) * (float)min;

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)(q[i] >> shift & 15) - m;
}

void q4_k_part(const void *row, size_t j0, float *dst, size_t n)
{
	for (size_t j = j0; j < j0 + n; j += QUANT_RUN, dst += QUANT_RUN)
		run_read((const uint8_t *)row + j / BLOCK * BYTES, j % BLOCK, dst);
}

void q4_k_to_float(const void *src, float *dst, size_t n)
{
	q4_k_part(src, 0, dst, n);
}
