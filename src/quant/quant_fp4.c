/* MXFP4 and NVFP4: floats of four bits (E2M1: 0 ½ 1 1½ 2 3 4 6 and their negatives), here doubled, so integers, times
 * half of the scale.
 *
 *     MXFP4     32 numbers in 17 bytes: the scale 2^(e − 127) as its exponent e, nibbles as Q4_0 has them
 *     NVFP4     64 numbers in 36 bytes: four scales as unsigned floats of 4 bits of exponent and 3 of mantissa, each
 *               for 16 numbers in eight bytes (byte i: number i low, number i+8 high)
 *
 * Sources: OCP Microscaling Formats 1.0, 5.3 and 6.3; ggml-common.h for the order of the bytes. */
#include "quant/runs.h"

#include <string.h>

#include "quant/bytes.h"

enum { MX = 32, MX_BYTES = 17, NV = 64, NV_BYTES = 36 };

const signed char fp4_values[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

/* 2^(e − 128) by its bits: of e < 2 it is no normal number. */
float mxfp4_half_scale(unsigned char e)
{
	uint32_t bits = e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23;
	float d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

float nvfp4_half_scale(unsigned char x)
{
	int e = x >> 3 & 15, m = x & 7;

	if (x == 0x7f) /* not a number */
		return 0;
	return e ? (float)(8 + m) * (float)(1 << e) * 0x1p-11f : (float)m * 0x1p-10f;
}

static void mxfp4_run(const uint8_t *b, size_t first, float *y)
{
	float d = mxfp4_half_scale(b[0]);

	for (int i = 0; i < QUANT_RUN; i++)
		y[i] = d * (float)fp4_values[b[1 + i] >> (first ? 4 : 0) & 15];
}

static void nvfp4_run(const uint8_t *b, size_t first, float *y)
{
	const uint8_t *q = b + 4 + first / 2;
	float d = nvfp4_half_scale(b[first / QUANT_RUN]);

	for (int i = 0; i < QUANT_RUN / 2; i++) {
		y[i] = d * (float)fp4_values[q[i] & 15];
		y[i + QUANT_RUN / 2] = d * (float)fp4_values[q[i] >> 4];
	}
}

QUANT_SLOTS(mxfp4, MX, MX_BYTES)
QUANT_SLOTS(nvfp4, NV, NV_BYTES)
