/* IQ3: points of four numbers in a grid of eight values, and a sign for each number.
 *
 *     IQ3_XXS   256 numbers in 98 bytes: f16 d, 64 bytes that name points, then a word for each 32 numbers: four times
 *               seven sign bits (grid_signs), and above them a scale of four bits; w = ±(d·(scale + ½)·½)·point
 *     IQ3_S     256 numbers in 110 bytes: f16 d, 64 bytes and 8 bytes of their ninth bits that name points, 32 bytes of
 *               signs, 4 bytes of a scale for each 32 numbers; w = ±(d·(1 + 2·scale))·point */
#include "quant/runs.h"

#include "quant/bytes.h"
#include "quant/grids.h"

enum { BLOCK = 256, XXS_BYTES = 98, S_BYTES = 110, POINT = 4, SIGNS = 8, SUB = 32 };

static const uint8_t xxs_values[8] = { 4, 12, 20, 28, 36, 44, 52, 62 }, s_values[8] = { 1, 3, 5, 7, 9, 11, 13, 15 };

static void point_put(unsigned point, const uint8_t values[8], unsigned signs, float d, float *y)
{
	for (int i = 0; i < POINT; i++) {
		float v = d * (float)values[point >> 3 * i & 7];
		y[i] = signs >> i & 1 ? -v : v;
	}
}

static void iq3_xxs_run(const uint8_t *b, size_t first, float *y)
{
	uint32_t word = read_u32(b + 66 + first / SUB * 4);
	const uint8_t *q = b + 2 + first / POINT;
	float d = read_f16(b) * (0.5f + (float)(word >> 28)) * 0.5f;

	for (size_t i = 0; i < QUANT_RUN; i += POINT) {
		unsigned signs = grid_signs(word >> (first % SUB + i) / SIGNS * 7 & 127) >> i % SIGNS;
		point_put(grid_iq3_xxs[q[i / POINT]], xxs_values, signs, d, y + i);
	}
}

static void iq3_s_run(const uint8_t *b, size_t first, float *y)
{
	const uint8_t *q = b + 2 + first / POINT, *signs = b + 74 + first / SIGNS;
	int scale = b[106 + first / 64] >> first / SUB % 2 * 4 & 15;
	unsigned ninth = b[66 + first / SUB] >> first % SUB / POINT;
	float d = read_f16(b) * (float)(1 + 2 * scale);

	for (size_t i = 0; i < QUANT_RUN; i += POINT) {
		unsigned point = q[i / POINT] | (ninth >> i / POINT & 1) << 8;
		point_put(grid_iq3_s[point], s_values, signs[i / SIGNS] >> i % SIGNS, d, y + i);
	}
}

QUANT_SLOTS(iq3_xxs, BLOCK, XXS_BYTES)
QUANT_SLOTS(iq3_s, BLOCK, S_BYTES)
