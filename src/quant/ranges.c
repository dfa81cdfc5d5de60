/* ranges: see ranges.h. A scale is negative where the file's own encoder made it so, and 0 where a block is nothing. */
#include "quant/ranges.h"

#include <math.h>
#include <string.h>

#include "quant/bytes.h"
#include "quant/codes.h"
#include "quant/quant.h"

/* What the type's integers, counted from 0, stand for in units of the scale: a line from `least`, or a table. */
struct line { int n, least; const signed char *table; };

static struct line line_of(enum dtype t)
{
	switch (t) {
	case DTYPE_Q4_0:
		return (struct line){ 16, -8, NULL };
	case DTYPE_Q5_0:
		return (struct line){ 32, -16, NULL };
	case DTYPE_IQ4_NL:
		return (struct line){ 16, 0, iq4_values };
	default:
		return (struct line){ 0, 0, NULL };
	}
}

bool ranges_of(enum dtype t) { return line_of(t).n > 0; }

void ranges_read(enum dtype t, const void *blocks, size_t cols, float *scale)
{
	const uint8_t *b = blocks;

	for (size_t i = 0; i < cols / RANGE_BLOCK; i++)
		scale[i] = read_f16(b + i * dtypes[t].bytes);
}

static float as_stored(float scale) { return f16_to_float(f16_from_float(scale)); }

static float value_of(const struct line *l, int code)
{
	return (float)(l->table ? l->table[code] : l->least + code);
}

static int nearest(const struct line *l, float y)
{
	int best = 0;

	if (!l->table) {
		float k = nearbyintf(y) - (float)l->least;
		return k <= 0 ? 0 : k >= (float)(l->n - 1) ? l->n - 1 : (int)k;
	}
	for (int c = 1; c < l->n; c++)
		if (fabsf((float)l->table[c] - y) < fabsf((float)l->table[best] - y))
			best = c;
	return best;
}

/* x/s; 0 where the scale is 0, which makes all numbers 0. */
static float in_units(float x, float s) { return s != 0 ? x / s : 0; }

void ranges_round(enum dtype t, const float *x, const float *scale, size_t cols, float *q)
{
	struct line l = line_of(t);

	for (size_t i = 0; i < cols; i++) {
		float s = as_stored(scale[i / RANGE_BLOCK]);
		q[i] = isfinite(x[i]) ? s * value_of(&l, nearest(&l, in_units(x[i], s))) : x[i];
	}
}

void ranges_write(enum dtype t, const float *x, const float *scale, size_t cols, void *blocks)
{
	struct line l = line_of(t);
	uint8_t *b = blocks;

	for (size_t i = 0; i < cols; i += RANGE_BLOCK, b += dtypes[t].bytes) {
		float s = as_stored(scale[i / RANGE_BLOCK]);
		memset(b, 0, dtypes[t].bytes);
		write_f16(b, s);
		for (int k = 0; k < RANGE_BLOCK; k++)
			codes_put(t, b, k, nearest(&l, in_units(x[i + (size_t)k], s)));
	}
}

void ranges_gradient(enum dtype t, const float *w, const float *scale, size_t cols, float *g, float *d_scale)
{
	struct line l = line_of(t);
	float least = value_of(&l, 0), most = value_of(&l, l.n - 1);

	memset(d_scale, 0, cols / RANGE_BLOCK * sizeof(*d_scale));
	for (size_t i = 0; i < cols; i++) {
		float s = as_stored(scale[i / RANGE_BLOCK]), y = in_units(w[i], s);
		bool inside = y >= least && y <= most;
		d_scale[i / RANGE_BLOCK] += g[i] * (value_of(&l, nearest(&l, y)) - (inside ? y : 0));
		g[i] = inside ? g[i] : 0;
	}
}
