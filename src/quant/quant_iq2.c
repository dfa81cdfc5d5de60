/* IQ2: points of eight numbers in a grid of three values, and a sign for each number;
 * w = ±(d·(scale + ½)·¼)·point.
 *
 *     IQ2_XXS   256 numbers in 66 bytes: f16 d, then for each 32 numbers four bytes that name points and a word: four
 *               times seven sign bits (grid_signs), and above them the scale
 *     IQ2_XS    256 numbers in 74 bytes: f16 d, a u16 for each eight numbers: nine bits that name a point, seven of
 *               signs; then a byte for each 32 numbers: the scale of the first and of the last 16
 *     IQ2_S     256 numbers in 82 bytes: f16 d, 32 bytes that name points, 32 bytes of signs, 8 bytes of two more bits
 *               of the points' names, 8 bytes of scales as in IQ2_XS */
#include "quant/runs.h"

#include "quant/bytes.h"
#include "quant/grids.h"

enum { BLOCK = 256, XXS_BYTES = 66, XS_BYTES = 74, S_BYTES = 82, POINT = 8, SUB = 32 };

static const uint8_t values[4] = { 8, 25, 43, 0 };

static void point_put(unsigned point, unsigned signs, float d, float *y)
{
	for (int i = 0; i < POINT; i++) {
		float v = d * (float)values[point >> 2 * i & 3];
		y[i] = signs >> i & 1 ? -v : v;
	}
}

static float scaled(const uint8_t *b, unsigned scale)
{
	return read_f16(b) * (0.5f + (float)scale) * 0.25f;
}

/* Of IQ2_XS and IQ2_S: the scale of the 16 numbers from `first` on, in bytes at s. */
static unsigned scale_of(const uint8_t *s, size_t first)
{
	return s[first / SUB] >> first / QUANT_RUN % 2 * 4 & 15;
}

static void iq2_xxs_run(const uint8_t *b, size_t first, float *y)
{
	const uint8_t *q = b + 2 + first / SUB * 8;
	uint32_t word = read_u32(q + 4);
	float d = scaled(b, word >> 28);

	for (size_t l = first % SUB / POINT, end = l + 2; l < end; l++, y += POINT)
		point_put(grid_iq2_xxs[q[l]], grid_signs(word >> 7 * l & 127), d, y);
}

static void iq2_xs_run(const uint8_t *b, size_t first, float *y)
{
	float d = scaled(b, scale_of(b + 66, first));

	for (size_t l = first / POINT, end = l + 2; l < end; l++, y += POINT) {
		unsigned q = b[2 + 2 * l] | (unsigned)b[3 + 2 * l] << 8;
		point_put(grid_iq2_xs[q & 511], grid_signs(q >> 9), d, y);
	}
}

static void iq2_s_run(const uint8_t *b, size_t first, float *y)
{
	float d = scaled(b, scale_of(b + 74, first));

	for (size_t l = first / POINT, end = l + 2; l < end; l++, y += POINT) {
		unsigned high = b[66 + l / 4] >> l % 4 * 2 & 3;
		point_put(grid_iq2_s[b[2 + l] | high << 8], b[34 + l], d, y);
	}
}

QUANT_SLOTS(iq2_xxs, BLOCK, XXS_BYTES)
QUANT_SLOTS(iq2_xs, BLOCK, XS_BYTES)
QUANT_SLOTS(iq2_s, BLOCK, S_BYTES)
