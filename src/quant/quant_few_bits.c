/* Q1_0 and Q2_0: one or two bits a number, in their order from the low end of each byte.
 *
 *     Q1_0      128 numbers in 18 bytes: f16 d, 16 bytes; w = d where the bit is set, else −d
 *     Q2_0      64 numbers in 18 bytes: f16 d, 16 bytes; w = d·(q − 1) */
#include "quant/runs.h"

#include "quant/bytes.h"

enum { Q1 = 128, Q2 = 64, BYTES = 18 };

static void q1_0_run(const uint8_t *b, size_t first, float *y)
{
	float d = read_f16(b);

	for (size_t i = 0; i < QUANT_RUN; i++)
		y[i] = b[2 + (first + i) / 8] >> i % 8 & 1 ? d : -d;
}

static void q2_0_run(const uint8_t *b, size_t first, float *y)
{
	float d = read_f16(b);

	for (size_t i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)((b[2 + (first + i) / 4] >> i % 4 * 2 & 3) - 1);
}

QUANT_SLOTS(q1_0, Q1, BYTES)
QUANT_SLOTS(q2_0, Q2, BYTES)
