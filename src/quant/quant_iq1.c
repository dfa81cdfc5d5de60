/* IQ1: points of eight numbers −1, 0 and 1 in a grid, moved by an eighth; w = (d·(2·scale + 1))·(point ± ⅛).
 *
 *     IQ1_S     256 numbers in 50 bytes: f16 d, 32 bytes that name points, a u16 for each 32 numbers: four times three
 *               more bits of the names, the scale of three bits, and whether the eighth is taken off
 *     IQ1_M     256 numbers in 56 bytes: 32 bytes that name points, a nibble for each: three more bits of its name and
 *               whether the eighth is taken off; four u16 that have, each, four scales of three bits (of 16 numbers)
 *               and, in the top nibbles, d as f16 */
#include "quant/runs.h"

#include <stdbool.h>

#include "quant/bytes.h"
#include "quant/grids.h"

enum { BLOCK = 256, S_BYTES = 50, M_BYTES = 56, POINT = 8, SUB = 32 };

static unsigned read_u16(const uint8_t *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

static void point_put(unsigned point, bool down, float d, float *y)
{
	float delta = down ? -0.125f : 0.125f;

	for (int i = 0; i < POINT; i++)
		y[i] = d * ((float)((int)(point >> 2 * i & 3) - 1) + delta);
}

static void iq1_s_run(const uint8_t *b, size_t first, float *y)
{
	unsigned word = read_u16(b + 34 + first / SUB * 2);
	float d = read_f16(b) * (float)(2 * (word >> 12 & 7) + 1);

	for (size_t l = first / POINT, end = l + 2; l < end; l++, y += POINT)
		point_put(grid_iq1[b[2 + l] | (word >> l % 4 * 3 & 7) << 8], word >> 15, d, y);
}

float iq1_m_d(const unsigned char *b)
{
	unsigned h = 0;

	for (int i = 0; i < 4; i++)
		h |= read_u16(b + 48 + 2 * i) >> 12 << 4 * i;
	return f16_to_float((uint16_t)h);
}

static void iq1_m_run(const uint8_t *b, size_t first, float *y)
{
	unsigned j = (unsigned)(first / QUANT_RUN), scale = read_u16(b + 48 + j / 4 * 2) >> j % 4 * 3 & 7;
	float d = iq1_m_d(b) * (float)(2 * scale + 1);

	for (size_t l = first / POINT, end = l + 2; l < end; l++, y += POINT) {
		unsigned nibble = b[32 + l / 2] >> l % 2 * 4 & 15;
		point_put(grid_iq1[b[l] | (nibble & 7) << 8], nibble >> 3, d, y);
	}
}

QUANT_SLOTS(iq1_s, BLOCK, S_BYTES)
QUANT_SLOTS(iq1_m, BLOCK, M_BYTES)
