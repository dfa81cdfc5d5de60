/* IQ4: four bits that name one of 16 values, closer together near zero.
 *
 *     IQ4_NL    32 numbers in 18 bytes: f16 d, nibbles as Q4_0 has them; w = d·value
 *     IQ4_XS    256 numbers in 136 bytes: f16 d, u16 of eight scales' high pairs, 4 bytes of their low nibbles, then
 *               eight times 16 bytes of nibbles; w = (d·(scale − 32))·value */
#include "quant/runs.h"

#include "quant/bytes.h"

enum { NL = 32, NL_BYTES = 18, XS = 256, XS_BYTES = 136 };

const signed char iq4_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

static void values_run(const uint8_t *q, size_t second, float d, float *y)
{
	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)iq4_values[q[i] >> (second ? 4 : 0) & 15];
}

static void iq4_nl_run(const uint8_t *b, size_t first, float *y)
{
	values_run(b + 2, first, read_f16(b), y);
}

int iq4_xs_scale(const unsigned char *b, int j)
{
	int high = b[2] | b[3] << 8;

	return ((b[4 + j / 2] >> j % 2 * 4 & 15) | (high >> 2 * j & 3) << 4) - 32;
}

static void iq4_xs_run(const uint8_t *b, size_t first, float *y)
{
	size_t j = first / NL;

	values_run(b + 8 + j * QUANT_RUN, first % NL, read_f16(b) * (float)iq4_xs_scale(b, (int)j), y);
}

QUANT_SLOTS(iq4_nl, NL, NL_BYTES)
QUANT_SLOTS(iq4_xs, XS, XS_BYTES)
