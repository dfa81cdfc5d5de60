/* Q4_0: 32 numbers in 18 bytes: f16 d, 16 bytes of nibbles (byte i: number i low, number i+16 high); w = d·(q −
 * 8). */
#include "quant/quant.h"

#include "quant/bytes.h"

enum { BLOCK = 32, BYTES = 18 };

static void run_read(const uint8_t *b, size_t high, float *y)
{
	float d = read_f16(b);
	int shift = high ? 4 : 0;

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)((b[2 + i] >> shift & 15) - 8);
}

/* The number of largest magnitude becomes −8 exactly. */
static void block_write(const float *x, uint8_t *b)
{
	float max = 0, amax = 0;

	for (int i = 0; i < BLOCK; i++) {
		float a = x[i] < 0 ? -x[i] : x[i];
		if (a > amax) {
			amax = a;
			max = x[i];
		}
	}
	float d = max / -8, inverse = d != 0 ? 1 / d : 0;

	write_f16(b, d);
	for (int i = 0; i < QUANT_RUN; i++) {
		int low = (int)(x[i] * inverse + 8.5f), high = (int)(x[i + QUANT_RUN] * inverse + 8.5f);
		b[2 + i] = (uint8_t)((low > 15 ? 15 : low) | (high > 15 ? 15 : high) << 4);
	}
}

void q4_0_part(const void *row, size_t j0, float *dst, size_t n)
{
	for (size_t j = j0; j < j0 + n; j += QUANT_RUN, dst += QUANT_RUN)
		run_read((const uint8_t *)row + j / BLOCK * BYTES, j % BLOCK / QUANT_RUN, dst);
}

void q4_0_to_float(const void *src, float *dst, size_t n)
{
	q4_0_part(src, 0, dst, n);
}

void q4_0_from_float(const float *src, void *dst, size_t n)
{
	for (size_t i = 0; i < n / BLOCK; i++)
		block_write(src + i * BLOCK, (uint8_t *)dst + i * BYTES);
}
