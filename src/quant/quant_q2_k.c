/* Q2_K: 256 numbers in 84 bytes: 16 bytes of a scale (low nibble) and a minimum (high) for each 16 numbers, 64 bytes of
 * bit pairs, f16 d, f16 dmin. Each half of 128 numbers has 32 bytes; its group g of 32 is bits 2g, 2g+1 of them;
 * w = (d·scale)·q − dmin·min. */
#include "quant/runs.h"

#include "quant/bytes.h"

enum { BLOCK = 256, BYTES = 84, HALF = 128, GROUP = 32, Q_AT = 16, D_AT = 80 };

static void q2_k_run(const uint8_t *b, size_t first, float *y)
{
	const uint8_t *q = b + Q_AT + first / HALF * GROUP + first % GROUP;
	int both = b[first / QUANT_RUN], shift = (int)(first % HALF / GROUP * 2);
	float d = read_f16(b + D_AT) * (float)(both & 15), m = read_f16(b + D_AT + 2) * (float)(both >> 4);

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)(q[i] >> shift & 3) - m;
}

QUANT_SLOTS(q2_k, BLOCK, BYTES)
