/* panels: from a file's rows to panels and back, see panels.h.
 *
 * GGUF's 4-bit blocks keep number i and number i+16 in the nibbles of byte i, so their dwords move as they are; only Q8_0's sign and the
 * fifth bits are rewritten. */
#include "quant/panels.h"

#include <string.h>

#include "base/err.h"
#include "quant/bytes.h"

bool panels_fit(enum dtype t) { return panels_int8(t) || panel_plain_bytes(t); }

bool panels_int8(enum dtype t)
{
	return t == DTYPE_Q4_0 || t == DTYPE_Q4_1 || t == DTYPE_Q5_0 || t == DTYPE_Q5_1 || t == DTYPE_Q8_0;
}

size_t panel_bytes(enum dtype t, size_t cols)
{
	return cols / PANEL_BLOCK * panel_block_bytes(t);
}

size_t panels_bytes(enum dtype t, size_t rows, size_t cols)
{
	return (rows + PANEL_ROWS - 1) / PANEL_ROWS * panel_bytes(t, cols);
}

/* Bit 4g+b of GGUF's word to bit 8b+g. */
static uint32_t fifth_bits(uint32_t h)
{
	uint32_t out = 0;

	for (int b = 0; b < 4; b++)
		for (int g = 0; g < 8; g++)
			out |= (h >> (4 * g + b) & 1) << (8 * b + g);
	return out;
}

static void put_dwords(uint8_t *q, const uint8_t *from, int n, size_t row, uint32_t flip)
{
	for (int g = 0; g < n; g++) {
		uint32_t x;
		memcpy(&x, from + 4 * g, 4);
		x ^= flip;
		memcpy(q + ((size_t)g * PANEL_ROWS + row) * 4, &x, 4);
	}
}

static void put_plain(size_t bytes, const uint8_t *from, size_t row, uint8_t *out)
{
	for (size_t k = 0; k < PANEL_BLOCK; k++)
		memcpy(out + (k * PANEL_ROWS + row) * bytes, from + k * bytes, bytes);
}

/* One row's block of the file into its place. */
static void put_block(enum dtype t, const uint8_t *b, size_t row, uint8_t *out)
{
	if (panel_plain_bytes(t)) {
		put_plain(panel_plain_bytes(t), b, row, out);
		return;
	}
	memcpy(out + 2 * row, b, 2);
	b += 2;
	if (panel_has_min(t)) {
		memcpy(out + 32 + 2 * row, b, 2);
		b += 2;
	}
	if (panel_has_fifth(t)) {
		uint32_t h = fifth_bits(read_u32(b));
		memcpy(out + panel_h_at(t) + 4 * row, &h, 4);
		b += 4;
	}
	if (panel_is_byte(t))
		put_dwords(out + panel_q_at(t), b, 8, row, 0x80808080);
	else
		put_dwords(out + panel_q_at(t), b, 4, row, 0);
}

void panels_make(enum dtype t, const void *w, size_t rows, size_t cols, size_t from, size_t to, void *out)
{
	size_t blocks = cols / PANEL_BLOCK, block_bytes = panel_block_bytes(t), file = dtypes[t].bytes * PANEL_BLOCK / dtypes[t].block, one = panel_bytes(t, cols);

	if (!panels_fit(t) || cols % PANEL_BLOCK)
		BUG("no panels of %s with rows of %zu", dtypes[t].name, cols);
	for (size_t p = from; p < to; p++) {
		uint8_t *panel = (uint8_t *)out + p * one;
		if ((p + 1) * PANEL_ROWS > rows)
			memset(panel, 0, one);
		for (size_t r = 0; r < PANEL_ROWS && p * PANEL_ROWS + r < rows; r++) {
			const uint8_t *b = (const uint8_t *)w + (p * PANEL_ROWS + r) * blocks * file;
			for (size_t i = 0; i < blocks; i++)
				put_block(t, b + i * file, r, panel + i * block_bytes);
		}
	}
}

void panel_block(enum dtype t, const uint8_t *block, size_t row, uint8_t u[PANEL_BLOCK], float *d, float *m)
{
	const uint8_t *q = block + panel_q_at(t) + 4 * row;

	*d = read_f16(block + 2 * row);
	*m = panel_has_min(t) ? read_f16(block + 32 + 2 * row) : -panel_zero(t) * *d;
	for (size_t k = 0; k < PANEL_BLOCK; k++) {
		size_t g = k / 4, b = k % 4;
		if (panel_is_byte(t))
			u[k] = q[g * 4 * PANEL_ROWS + b];
		else
			u[k] = q[g % 4 * 4 * PANEL_ROWS + b] >> (g / 4 * 4) & 15;
		if (panel_has_fifth(t))
			u[k] |= (uint8_t)((block[panel_h_at(t) + 4 * row + b] >> g & 1) << 4);
	}
}

void panel_floats(enum dtype t, const uint8_t *block, size_t row, float out[PANEL_BLOCK])
{
	size_t plain = panel_plain_bytes(t);
	uint8_t u[PANEL_BLOCK];
	float d, m;

	for (size_t k = 0; plain && k < PANEL_BLOCK; k++)
		dtypes[t].to_float(block + (k * PANEL_ROWS + row) * plain, out + k, 1);
	if (plain)
		return;
	panel_block(t, block, row, u, &d, &m);
	for (size_t k = 0; k < PANEL_BLOCK; k++)
		out[k] = d * (float)u[k] + m; /* the product is exact, as in quant.h */
}

void panels_row(enum dtype t, const void *panels, size_t row, size_t cols, float *out)
{
	const uint8_t *block = (const uint8_t *)panels + row / PANEL_ROWS * panel_bytes(t, cols);

	for (size_t k = 0; k < cols; k += PANEL_BLOCK, block += panel_block_bytes(t))
		panel_floats(t, block, row % PANEL_ROWS, out + k);
}
