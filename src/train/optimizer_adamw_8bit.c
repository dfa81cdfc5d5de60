/* optimizer_adamw_8bit: AdamW whose moments are bytes (Dettmers, Lewis, Shleifer, Zettlemoyer 2022), as bitsandbytes'
 * AdamW8bit stores them: blocks of 256 numbers, each with its largest absolute value in f32, and for a number x the
 * code whose value in the dynamic map is nearest to x/largest (the lower of two).
 *
 *     the map: 10ⁱ⁻⁶·(0.1 + 0.9·(j + ½)/n),  i = 0 … 6,  j < n;  0;  1
 *     n = 2ⁱ with either sign (m), n = 2ⁱ⁺¹ (v)
 *
 * A step reads a block's moments, does AdamW's update with them in f32, so that the first step is AdamW's own, and
 * writes their codes. Parameters of less than 4,096 numbers (bitsandbytes' min_8bit_size) keep f32, and so do
 * embeddings, as transformers' Trainer has it: the rows of words that do not come have a gradient of 0, and a v that
 * rounds to 0 before m does would throw them far.
 *
 * The map is rounded from exact values; torch.linspace, with which bitsandbytes builds it, is off in the last place
 * here and there. bitsandbytes' loops for processors look codes up in steps of 2⁻¹⁵ and so lose the map's small
 * values; its kernels for GPUs are as here, but that an m which rounds to 0 keeps its sign.
 */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BLOCK = 256, CODES = 256, SMALL = 4096, LANES = 8 };

/* Numbers of one sign whose upper 16 bits are alike are one class; those under 2⁻²⁴ and from 1 on are one each. A
 * class is so narrow that at most two codes are in it: the lowest, and the next for numbers over the former's limit. */
enum { CLASS_SHIFT = 16, FIRST_CLASS = (127 - 24) << (23 - CLASS_SHIFT), CLASSES = (24 << (23 - CLASS_SHIFT)) + 1 };

struct map {
	float value[CODES];                /* ascending */
	float limit[CODES];                /* numbers over it are nearer to the next */
	uint8_t lowest[2][CLASSES];        /* of not negative and of negative numbers */
};
struct tables { struct map m, v; };

/* --- the map --- */

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static void fill_values(float *value, bool has_sign)
{
	size_t n = 0;

	for (int i = 0; i < 7; i++) {
		int items = has_sign ? 1 << i : 2 << i;
		for (int j = 0; j < items; j++) {
			float x = (float)(pow(10, i - 6) * (0.1 + 0.9 * (j + 0.5) / items));
			value[n++] = x;
			if (has_sign)
				value[n++] = -x;
		}
	}
	value[n++] = 0;
	value[n++] = 1;
	qsort(value, n, sizeof(*value), ascending);
}

/* The largest float that is not over the middle of two. */
static float limit_between(float a, float b)
{
	double middle = ((double)a + (double)b) / 2;
	float x = (float)middle;
	return (double)x > middle ? nextafterf(x, -INFINITY) : x;
}

/* The lowest number of a class. */
static float lowest_of(uint32_t class, bool negative)
{
	uint32_t bits = (class + FIRST_CLASS) << CLASS_SHIFT;
	float x;

	if (!negative && class == 0)
		return 0;
	if (negative)
		bits |= 1u << 31 | ((1u << CLASS_SHIFT) - 1);
	memcpy(&x, &bits, sizeof(x));
	return x;
}

static void fill_map(struct map *map, bool has_sign)
{
	fill_values(map->value, has_sign);
	for (int i = 0; i < CODES; i++)
		map->limit[i] = i < CODES - 1 ? limit_between(map->value[i], map->value[i + 1]) : INFINITY;
	for (int negative = 0; negative < 2; negative++)
		for (uint32_t class = 0; class < CLASSES; class++) {
			int code = 0;
			while (lowest_of(class, negative) > map->limit[code])
				code++;
			map->lowest[negative][class] = (uint8_t)code;
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
	int32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	int32_t class = ((bits & 0x7fffffff) >> CLASS_SHIFT) - FIRST_CLASS;
	class = MIN(MAX(class, 0), CLASSES - 1);
	int code = map->lowest[bits < 0][class];
	return (uint8_t)(code + (x > map->limit[code]));
}

/* --- blocks --- */

static void read_block(const struct map *map, const uint8_t *code, float largest, float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = map->value[code[i]] * largest;
}

/* The largest absolute value; by lanes, so that a compiler finds vectors in it. */
static float largest_of(const float *x, size_t n)
{
	float lane[LANES] = { 0 }, most = 0;
	size_t i = 0;

	for (; i + LANES <= n; i += LANES)
		for (int j = 0; j < LANES; j++)
			lane[j] = MAX(lane[j], fabsf(x[i + (size_t)j]));
	for (; i < n; i++)
		most = MAX(most, fabsf(x[i]));
	for (int j = 0; j < LANES; j++)
		most = MAX(most, lane[j]);
	return most;
}

static void write_block(const struct map *map, uint8_t *code, float *largest, const float *x, size_t n)
{
	float most = largest_of(x, n);

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

static int state(const struct param *p, const void *options, struct optim_tensor *out)
{
	adamw_state(p, options, out);
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
	const struct adamw_options *o = u->settings->options;
	struct adamw_step s = adamw_scalars(u, o, u->rate);
	const struct tables *t = u->tables;
	float m[BLOCK], v[BLOCK];

	if (in_f32(u->param)) {
		adamw_update(u->kernels, o, &s, u->w + at, u->g + at, (float *)u->state[0] + at,
		             (float *)u->state[1] + at, n);
		return;
	}
	for (size_t i = at; i < at + n; i += BLOCK) {
		size_t some = MIN(at + n - i, (size_t)BLOCK);
		uint8_t *m_code = (uint8_t *)u->state[0] + i, *v_code = (uint8_t *)u->state[1] + i;
		float *m_most = (float *)u->state[2] + i / BLOCK, *v_most = (float *)u->state[3] + i / BLOCK;
		read_block(&t->m, m_code, *m_most, m, some);
		read_block(&t->v, v_code, *v_most, v, some);
		adamw_update(u->kernels, o, &s, u->w + i, u->g + i, m, v, some);
		write_block(&t->m, m_code, m_most, m, some);
		write_block(&t->v, v_code, v_most, v, some);
	}
}

/* Beside AdamW's: a product a number to read a moment, a comparison, a product and a search to write it. */
static struct optim_cost cost(const struct param *p, const void *options)
{
	struct optim_cost c = adamw_cost(p, options);
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
	.normalized = true,
	.least = adamw_least,
	.opts = adamw_opts,
	.options_size = sizeof(struct adamw_options),
	.state = state,
	.tables_bytes = sizeof(struct tables),
	.tables = fill_tables,
	.update = update,
	.cost = cost,
};
