/* TQ: numbers −1, 0 and 1 times the block's scale; of TQ1_0 five share a byte.
 *
 *     TQ1_0     256 numbers in 54 bytes: 32 bytes of five numbers (i, i+32 …), 16 bytes of five (i, i+16 …),
 *               4 bytes of four (i, i+4 …), f16 d. A byte is ⌈256·q/243⌉ of five digits of base 3, the first the
 *               highest: times 3ⁿ in eight bits, then times 3, the ninth and tenth bit are digit n
 *     TQ2_0     256 numbers in 66 bytes: each half of 128 numbers has 32 bytes, its group g of 32 is bits 2g, 2g+1 of
 *               them; f16 d */
#include "quant/runs.h"

#include "quant/bytes.h"

enum { BLOCK = 256, TQ1_BYTES = 54, TQ2_BYTES = 66, HALF = 128, GROUP = 32 };

static int digit(uint8_t byte, size_t n)
{
	static const uint8_t powers[5] = { 1, 3, 9, 27, 81 };

	return (uint8_t)(byte * powers[n]) * 3 >> 8;
}

static void tq1_0_run(const uint8_t *b, size_t first, float *y)
{
	float d = read_f16(b + 52);

	for (size_t i = 0; i < QUANT_RUN; i++) {
		size_t at = first + i;
		int q = at < 160 ? digit(b[at % 32], at / 32) :
		        at < 240 ? digit(b[32 + at % 16], (at - 160) / 16) :
		                   digit(b[48 + at % 4], (at - 240) / 4);
		y[i] = d * (float)(q - 1);
	}
}

static void tq2_0_run(const uint8_t *b, size_t first, float *y)
{
	const uint8_t *q = b + first / HALF * GROUP + first % GROUP;
	int shift = (int)(first % HALF / GROUP * 2);
	float d = read_f16(b + 64);

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)((q[i] >> shift & 3) - 1);
}

QUANT_SLOTS(tq1_0, BLOCK, TQ1_BYTES)
QUANT_SLOTS(tq2_0, BLOCK, TQ2_BYTES)
