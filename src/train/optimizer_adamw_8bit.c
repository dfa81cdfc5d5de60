/* optimizer_adamw_8bit: AdamW whose moments are bytes (Dettmers, Lewis, Shleifer, Zettlemoyer 2022), as bitsandbytes'
 * AdamW8bit stores them: blocks of 256 numbers, each with its largest absolute value in f32, and for a number x the
 * code whose value in the dynamic map is nearest to x/largest (the lower of two).
 *
 *     the map: 10ⁱ⁻⁶·(0.1 + 0.9·(j + ½)/n),  i = 0 … 6,  j < n = 2ⁱ with either sign (m), n = 2ⁱ⁺¹ (v);  0;  1
 *
 * A step reads a block's moments, does AdamW's update with them in f32, so that the first step is AdamW's own, and
 * writes their codes. Parameters of less than 4,096 numbers (bitsandbytes' min_8bit_size) keep f32, and so do
 * embeddings, as transformers' Trainer has it: the rows of words that do not come have a gradient of 0, and a v that
 * rounds to 0 before m does would throw them far.
 *
 * The map is rounded from exact values; torch.linspace, with which bitsandbytes builds it, is off in the last place
 * here and there. bitsandbytes' loops for processors look codes up in steps of 2⁻¹⁵ and so lose the map's small values;
 * its kernels for GPUs are as here, but that an m which rounds to 0 keeps its sign.
 */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BLOCK = 256, CODES = 256, SMALL = 4096, START_SHIFT = 20, STARTS = 1 << (32 - START_SHIFT) };

/* start: where looking for the code of a number begins, by the number's upper bits. */
struct map { float value[CODES]; uint8_t start[STARTS]; };
struct tables { struct map m, v; };

/* --- the map --- */

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* The smallest number whose upper bits are these. */
static float lowest_of(uint32_t upper)
{
	uint32_t bits = upper << START_SHIFT;
	float x;
	if (bits >> 31)
		bits |= (1u << START_SHIFT) - 1;
	memcpy(&x, &bits, sizeof(x));
	return x;
}

static void fill_map(struct map *map, bool has_sign)
{
	size_t n = 0;

	for (int i = 0; i < 7; i++) {
		int items = has_sign ? 1 << i : 2 << i;
		for (int j = 0; j < items; j++) {
			float x = (float)(pow(10, i - 6) * (0.1 + 0.9 * (j + 0.5) / items));
			map->value[n++] = x;
			if (has_sign)
				map->value[n++] = -x;
		}
	}
	map->value[n++] = 0;
	map->value[n++] = 1;
	qsort(map->value, n, sizeof(*map->value), ascending);
	for (uint32_t upper = 0; upper < STARTS; upper++) {
		float x = lowest_of(upper);
		int code = 0;
		while (code < CODES - 1 && map->value[code + 1] <= x)
			code++;
		map->start[upper] = (uint8_t)code;
	}
}

static void fill_tables(void *out)
{
	struct tables *t = out;
	fill_map(&t->m, true);
	fill_map(&t->v, false);
}

static uint8_t code_of(const struct map *map, float x)
{
	const float *value = map->value;
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	int code = map->start[bits >> START_SHIFT];
	while (code < CODES - 1 && value[code + 1] <= x)
		code++;
	return (uint8_t)(code + (code < CODES - 1 && value[code + 1] - x < x - value[code]));
}

/* --- blocks --- */

static void read_block(const struct map *map, const uint8_t *code, float largest, float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = map->value[code[i]] * largest;
}

static void write_block(const struct map *map, uint8_t *code, float *largest, const float *x, size_t n)
{
	float most = 0;

	for (size_t i = 0; i < n; i++)
		most = MAX(most, fabsf(x[i]));
	*largest = most;
	if (most == 0) {
		memset(code, 0, n);
		return;
	}
	float inverse = 1 / most;
	for (size_t i = 0; i < n; i++)
		code[i] = code_of(map, x[i] * inverse);
}

/* --- the row --- */

static bool in_f32(const struct param *p) { return p->n < SMALL || p->role == PARAM_EMBEDDING; }

static int state(const struct param *p, struct optim_tensor *out)
{
	adamw_state(p, out);
	if (in_f32(p))
		return 2;
	for (int i = 0; i < 2; i++) {
		out[i].dtype = DTYPE_U8;
		out[2 + i] = (struct optim_tensor){ .name = i ? "v_absmax" : "m_absmax", .dtype = DTYPE_F32,
			                            .n_dims = 1, .dim = { (p->n + BLOCK - 1) / BLOCK } };
	}
	return 4;
}

static void update(const struct optim_update *u, size_t at, size_t n)
{
	struct adamw_step s = adamw_scalars(u, u->settings->options, u->rate);
	const struct tables *t = u->tables;
	float m[BLOCK], v[BLOCK];

	if (in_f32(u->param)) {
		u->kernels->adamw(u->w + at, u->g + at, (float *)u->state[0] + at, (float *)u->state[1] + at, n, &s);
		return;
	}
	for (size_t i = at; i < at + n; i += BLOCK) {
		size_t some = MIN(at + n - i, (size_t)BLOCK);
		uint8_t *m_code = (uint8_t *)u->state[0] + i, *v_code = (uint8_t *)u->state[1] + i;
		float *m_most = (float *)u->state[2] + i / BLOCK, *v_most = (float *)u->state[3] + i / BLOCK;
		read_block(&t->m, m_code, *m_most, m, some);
		read_block(&t->v, v_code, *v_most, v, some);
		u->kernels->adamw(u->w + i, u->g + i, m, v, some, &s);
		write_block(&t->m, m_code, m_most, m, some);
		write_block(&t->v, v_code, v_most, v, some);
	}
}

/* Beside AdamW's: a product a number to read a moment, a comparison, a product and a search to write it. */
static struct optim_cost cost(const struct param *p)
{
	struct optim_cost c = adamw_cost(p);
	if (!in_f32(p))
		c = (struct optim_cost){ .flops = c.flops + 16 * (double)p->n,
			                 .bytes = 16 * (double)p->n + 16 * (double)((p->n + BLOCK - 1) / BLOCK) };
	return c;
}

static const char *const also[] = { "adamw_bnb_8bit", "paged_adamw_8bit", NULL };

const struct optimizer optimizer_adamw_8bit = {
	.name = "adamw_8bit",
	.summary = "two moments in 8 bits, as bitsandbytes has them",
	.also = also,
	.rate = 1,
	.opts = adamw_opts,
	.options_size = sizeof(struct adamw_options),
	.state = state,
	.tables_bytes = sizeof(struct tables),
	.tables = fill_tables,
	.update = update,
	.cost = cost,
};
