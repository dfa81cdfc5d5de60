/* panels: from a file's rows to panels and back, see panels.h.
 *
 * GGUF's 4-bit blocks keep number i and number i+16 in the nibbles of byte i, so their dwords move as they are; only
 * Q8_0's sign and the fifth bits are rewritten. K-quants are taken apart into bytes and put together again; a type in
 * another's form is dequantized and divided by its scales, which is exact. */
#include "quant/panels.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "quant/bytes.h"
#include "quant/quant.h"
#include "quant/scales.h"

enum dtype panel_form(enum dtype t)
{
	switch (t) {
	case DTYPE_Q1_0: case DTYPE_Q2_0: case DTYPE_TQ1_0: case DTYPE_TQ2_0: return DTYPE_Q4_0;
	case DTYPE_MXFP4: return DTYPE_Q5_0;
	case DTYPE_IQ4_NL: return DTYPE_Q8_0;
	case DTYPE_Q3_K: case DTYPE_IQ3_S: return DTYPE_Q6_K;
	case DTYPE_IQ1_S: case DTYPE_IQ1_M: case DTYPE_IQ2_XXS: case DTYPE_IQ2_XS: case DTYPE_IQ2_S:
	case DTYPE_IQ3_XXS: case DTYPE_NVFP4: return DTYPE_IQ4_XS;
	case DTYPE_F32: case DTYPE_F16: case DTYPE_BF16: case DTYPE_Q4_0: case DTYPE_Q4_1: case DTYPE_Q5_0:
	case DTYPE_Q5_1: case DTYPE_Q8_0: case DTYPE_Q2_K: case DTYPE_Q4_K: case DTYPE_Q5_K: case DTYPE_Q6_K:
	case DTYPE_IQ4_XS:
		return t;
	default: return DTYPE_COUNT;
	}
}

bool panels_fit(enum dtype t) { return panel_form(t) != DTYPE_COUNT; }
bool panels_int8(enum dtype t) { return panels_fit(t) && !panel_plain_bytes(t); }

/* Scales that are powers of two from 2⁻²⁴ to 2¹⁵; a block of zeros may have any. */
static bool mxfp4_holds(const uint8_t *b)
{
	bool zero = true;

	for (int i = 1; i < 17; i++)
		zero &= (b[i] & 0x77) == 0;
	return zero || (b[0] >= 128 - 24 && b[0] <= 128 + 15);
}

/* Scales of 256 numbers that are bytes. */
static bool nvfp4_holds(const uint8_t *row, size_t cols)
{
	struct run_scales s;
	bool holds = true;

	for (size_t j = 0; j < cols / PANEL_BLOCK; j++) {
		scales_read(DTYPE_NVFP4, row, j, cols, &s);
		holds &= s.scale[0] <= 127 && s.scale[1] <= 127;
	}
	return holds;
}

bool panels_hold(enum dtype t, const void *w, size_t rows, size_t cols)
{
	size_t row = cols / dtypes[t].block * dtypes[t].bytes;
	bool holds = true;

	for (size_t i = 0; t == DTYPE_MXFP4 && i < rows * row; i += dtypes[t].bytes)
		holds &= mxfp4_holds((const uint8_t *)w + i);
	for (size_t i = 0; t == DTYPE_NVFP4 && i < rows && holds; i++)
		holds = nvfp4_holds((const uint8_t *)w + i * row, cols);
	return holds;
}

size_t panel_bytes(enum dtype type, size_t cols)
{
	enum dtype t = panel_form(type);

	return cols / PANEL_BLOCK * panel_block_bytes(t) +
	       (cols / PANEL_BLOCK + PANEL_HEADED - 1) / PANEL_HEADED * panel_head_bytes(t);
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

static void put_plain(size_t bytes, const uint8_t *from, size_t n, size_t row, uint8_t *out)
{
	for (size_t k = 0; bytes == 2 && k < n; k++)
		memcpy(out + (k * PANEL_ROWS + row) * 2, from + k * 2, 2);
	for (size_t k = 0; bytes == 4 && k < n; k++)
		memcpy(out + (k * PANEL_ROWS + row) * 4, from + k * 4, 4);
}

void panel_put(enum dtype t, const uint8_t *b, size_t n, size_t row, uint8_t *out)
{
	if (panel_plain_bytes(t)) {
		put_plain(panel_plain_bytes(t), b, n, row, out);
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

/* Numbers of 4 to 6 bits, or of 8, to their places in block b. */
static void put_bits(enum dtype t, const uint8_t u[PANEL_BLOCK], size_t row, uint8_t *b)
{
	uint8_t *q = b + panel_q_at(t) + 4 * row, *h = b + panel_h_at(t) + 4 * row;

	for (size_t k = 0; panel_is_byte(t) && k < PANEL_BLOCK; k++)
		q[k / 4 * 4 * PANEL_ROWS + k % 4] = u[k];
	if (panel_is_byte(t))
		return;
	for (size_t k = 0; k < PANEL_BLOCK / 2; k++)
		q[k / 4 * 4 * PANEL_ROWS + k % 4] = (uint8_t)((u[k] & 15) | u[k + 16] << 4);
	for (size_t k = 0; panel_has_fifth(t) && k < PANEL_BLOCK; k++)
		h[k % 4] = (uint8_t)((k < 4 ? 0 : h[k % 4]) | u[k] >> 4 << k / 4);
	for (size_t k = 0; panel_has_pairs(t) && k < PANEL_BLOCK; k++) {
		uint8_t *x = h + k / 16 * 4 * PANEL_ROWS + k % 4;
		*x = (uint8_t)((k % 16 < 4 ? 0 : *x) | u[k] >> 4 << k % 16 / 4 * 2);
	}
}

/* Numbers 32·j … of a file's block of 256, unsigned. */
static void read_bits(enum dtype t, const uint8_t *b, size_t j, uint8_t u[PANEL_BLOCK])
{
	const uint8_t *q = b + (t == DTYPE_Q4_K ? 16 : 48) + j / 2 * PANEL_BLOCK, *h = b + 16;
	int low = j % 2 * 4, high = (int)j;

	if (t == DTYPE_Q6_K) {
		q = b + j / 4 * 64 + j % 2 * PANEL_BLOCK;
		h = b + 128 + j / 4 * PANEL_BLOCK;
		low = j % 4 / 2 * 4;
		high = j % 4 * 2;
	}
	int mask = t == DTYPE_Q6_K ? 3 : t == DTYPE_Q5_K ? 1 : 0;
	for (size_t k = 0; k < PANEL_BLOCK; k++)
		u[k] = (uint8_t)((q[k] >> low & 15) | (h[k] >> high & mask) << 4);
}

/* One row's 256 numbers of a K-quant: the head at `out`, eight blocks behind it. */
static void put_headed(enum dtype t, const uint8_t *b, size_t row, uint8_t *out)
{
	int scale, min;
	uint8_t u[PANEL_BLOCK];

	memcpy(out + 2 * row, b + (t == DTYPE_Q6_K ? 208 : 0), 2);
	if (t != DTYPE_Q6_K)
		memcpy(out + 2 * PANEL_ROWS + 2 * row, b + 2, 2);
	for (size_t j = 0; j < PANEL_HEADED; j++) {
		uint8_t *block = out + panel_block_at(t, j);
		if (t == DTYPE_Q6_K) {
			scale = b[192 + 2 * j];
			min = b[193 + 2 * j];
		} else {
			k_scale_min(b + 4, (int)j, &scale, &min);
		}
		block[row] = (uint8_t)scale;
		block[PANEL_ROWS + row] = (uint8_t)min;
		read_bits(t, b, j, u);
		put_bits(t, u, row, block);
	}
}

/* A block of a type in another's form. What is divided is a product, so the quotient is the integer that it was. */
static void put_share(enum dtype t, const uint8_t *from, size_t j, size_t cols, size_t row, uint8_t *panel)
{
	enum dtype form = panel_form(t);
	uint8_t *head = panel + panel_head_at(form, j), *block = panel + panel_block_at(form, j), u[PANEL_BLOCK];
	float y[PANEL_BLOCK];
	struct run_scales s;

	scales_read(t, from, j, cols, &s);
	dtypes[t].part(from, j * PANEL_BLOCK, y, PANEL_BLOCK);
	for (int k = 0; k < PANEL_BLOCK; k++) {
		float q = y[k] / (s.d * (float)s.scale[k / 16]);
		u[k] = (uint8_t)((int)panel_zero(form) + (q >= -128 && q <= 127 ? (int)q : 0));
	}
	if (panel_is_wide(form))
		memcpy(head + 4 * row, &s.d, 4);
	else
		write_f16((panel_has_head(form) ? head : block) + 2 * row, s.d);
	for (size_t half = 0; panel_has_head(form) && half < 2; half++)
		block[half * PANEL_ROWS + row] = (uint8_t)s.scale[half];
	put_bits(form, u, row, block);
}

static void put_q2_k(const uint8_t *b, size_t row, uint8_t *out)
{
	uint8_t u[PANEL_BLOCK];

	memcpy(out + 2 * row, b + 80, 2);
	memcpy(out + 2 * PANEL_ROWS + 2 * row, b + 82, 2);
	for (size_t j = 0; j < PANEL_HEADED; j++) {
		uint8_t *block = out + panel_block_at(DTYPE_Q2_K, j);
		for (size_t half = 0; half < 2; half++) {
			block[half * PANEL_ROWS + row] = b[2 * j + half] & 15;
			block[(2 + half) * PANEL_ROWS + row] = b[2 * j + half] >> 4;
		}
		for (size_t k = 0; k < PANEL_BLOCK; k++)
			u[k] = b[16 + j / 4 * PANEL_BLOCK + k] >> j % 4 * 2 & 3;
		put_bits(DTYPE_Q2_K, u, row, block);
	}
}

/* One row of the matrix; a type that is its own form moves as it lies. */
static void put_row(enum dtype t, const uint8_t *w, size_t cols, size_t row, uint8_t *panel)
{
	size_t unit = panel_has_head(t) ? PANEL_BLOCK * PANEL_HEADED : PANEL_BLOCK, units = cols / unit,
	       file = dtypes[t].bytes * unit / dtypes[t].block, one = panel_bytes(t, unit);

	for (size_t i = 0; i < units; i++)
		if (panel_has_half_mins(t))
			put_q2_k(w + i * file, row, panel + i * one);
		else if (panel_has_head(t))
			put_headed(t, w + i * file, row, panel + i * one);
		else
			panel_put(t, w + i * file, PANEL_BLOCK, row, panel + i * one);
}

void panels_make(enum dtype t, const void *w, size_t rows, size_t cols, size_t from, size_t to, void *out)
{
	size_t block = MAX(dtypes[t].block, PANEL_BLOCK), row_bytes = cols / dtypes[t].block * dtypes[t].bytes,
	       one = panel_bytes(t, cols);

	if (!panels_fit(t) || cols % block)
		BUG("no panels of %s with rows of %zu", dtypes[t].name, cols);
	for (size_t p = from; p < to; p++) {
		uint8_t *panel = (uint8_t *)out + p * one;
		if ((p + 1) * PANEL_ROWS > rows)
			memset(panel, 0, one);
		for (size_t r = 0; r < PANEL_ROWS && p * PANEL_ROWS + r < rows; r++) {
			const uint8_t *row = (const uint8_t *)w + (p * PANEL_ROWS + r) * row_bytes;
			if (panel_form(t) == t && t != DTYPE_IQ4_XS)
				put_row(t, row, cols, r, panel);
			for (size_t j = 0; (panel_form(t) != t || t == DTYPE_IQ4_XS) && j < cols / PANEL_BLOCK; j++)
				put_share(t, row, j, cols, r, panel);
		}
	}
}

static float head_d(enum dtype t, const uint8_t *head, size_t row)
{
	float d;

	if (!panel_is_wide(t))
		return read_f16(head + 2 * row);
	memcpy(&d, head + 4 * row, sizeof(d));
	return d;
}

static void scales(enum dtype t, const uint8_t *head, const uint8_t *b, size_t row, struct panel_share *s)
{
	const uint8_t *of = b + row, *second = b + PANEL_ROWS + row;

	s->scale[0] = s->scale[1] = s->min[0] = s->min[1] = 1;
	s->d = head_d(t, panel_has_head(t) ? head : b, row);
	if (panel_has_halves(t)) {
		s->scale[0] = (int8_t)*of;
		s->scale[1] = (int8_t)*second;
		s->m = 0;
		for (size_t half = 0; panel_has_half_mins(t) && half < 2; half++) {
			s->min[half] = b[(2 + half) * PANEL_ROWS + row];
			s->m = -read_f16(head + 2 * PANEL_ROWS + 2 * row);
		}
	} else if (panel_has_head(t)) {
		s->d *= (float)*of;
		s->m = -(read_f16(head + 2 * PANEL_ROWS + 2 * row) * (float)*second);
	} else {
		s->m = panel_has_min(t) ? read_f16(b + 2 * PANEL_ROWS + 2 * row) : -panel_zero(t) * s->d;
	}
}

void panel_share(enum dtype t, const uint8_t *panel, size_t i, size_t row, struct panel_share *s)
{
	const uint8_t *b = panel + panel_block_at(t, i), *q = b + panel_q_at(t) + 4 * row,
		      *h = b + panel_h_at(t) + 4 * row;

	scales(t, panel + panel_head_at(t, i), b, row, s);
	for (size_t k = 0; k < PANEL_BLOCK; k++) {
		size_t g = k / 4, at = k % 4, line = 4 * PANEL_ROWS;
		int high = 0;
		if (panel_has_fifth(t))
			high = h[at] >> g & 1;
		if (panel_has_pairs(t))
			high = h[g / 4 * line + at] >> g % 4 * 2 & 3;
		s->u[k] = (uint8_t)(panel_is_byte(t) ? q[g * line + at] :
		                                       (q[g % 4 * line + at] >> g / 4 * 4 & 15) | high << 4);
	}
}

void panel_floats(enum dtype t, const uint8_t *panel, size_t i, size_t row, float out[PANEL_BLOCK])
{
	size_t plain = panel_plain_bytes(t);
	struct panel_share s;

	for (size_t k = 0; plain && k < PANEL_BLOCK; k++)
		dtypes[t].to_float(panel + panel_block_at(t, i) + (k * PANEL_ROWS + row) * plain, out + k, 1);
	if (plain)
		return;
	panel_share(t, panel, i, row, &s);
	for (size_t k = 0; k < PANEL_BLOCK; k++) /* the products are exact, as in quant.h */
		out[k] = panel_has_half_mins(t) ?
				 s.d * (float)(s.scale[k / 16] * s.u[k]) + s.m * (float)s.min[k / 16] :
			 panel_has_halves(t) ?
				 s.d * (float)(s.scale[k / 16] * (s.u[k] - (int)panel_zero(t))) :
				 s.d * (float)s.u[k] + s.m;
}

void panels_row(enum dtype type, const void *panels, size_t row, size_t cols, float *out)
{
	enum dtype t = panel_form(type);
	const uint8_t *panel = (const uint8_t *)panels + row / PANEL_ROWS * panel_bytes(t, cols);

	for (size_t i = 0; i < cols / PANEL_BLOCK; i++)
		panel_floats(t, panel, i, row % PANEL_ROWS, out + i * PANEL_BLOCK);
}
