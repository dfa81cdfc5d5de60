/* quantize_nf4: codes and scales of a matrix as bitsandbytes' functional.quantize_4bit makes them on a processor.
 *
 *     s = max |x|,  y = x·(1/max(s, 10⁻³⁸)),  q: how many middles of neighbours in the map are below y
 *     nested: a = s − mean(s), s' = max |a| of 256, s₈: the dynamic map's nearest to a/s' in 65,536 steps
 *
 * The mean is torch's: four vectors of eight sums in cascades, as one thread adds them up; from 32,768 blocks on torch
 * shares them out, and its last place depends on how many threads it has. Kernels of bitsandbytes for GPUs find s₈
 * without those steps. Nothing here depends on threads. */
#include "quant/nf4.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

enum { STEPS = 65535, ROWS_EACH = 16 };

/* FP4's codes by their values; NF4's are in order. */
static const uint8_t fp4_order[16] = { 11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3 };

struct bounds {
	float middle[15];
	uint8_t code[16];
};

static struct bounds bounds_of(enum dtype t)
{
	const float *map = nf4_map(t);
	struct bounds b;

	for (int i = 0; i < 16; i++)
		b.code[i] = map == nf4_values ? (uint8_t)i : fp4_order[i];
	for (int i = 0; i < 15; i++)
		b.middle[i] = (map[b.code[i]] + map[b.code[i + 1]]) / 2;
	return b;
}

static float largest(const float *x, size_t n)
{
	float most = 0;

	for (size_t i = 0; i < n; i++)
		most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
	return most;
}

static float block_codes(const struct bounds *b, const float *x, uint8_t *q)
{
	float s = largest(x, NF4_BLOCK), by = 1 / (s < 1e-38F ? 1e-38F : s);

	for (int i = 0; i < NF4_BLOCK; i++) {
		float y = x[i] * by;
		int below = 0;
		for (int j = 0; j < 15; j++)
			below += b->middle[j] < y;
		q[i] = b->code[below];
	}
	return s;
}

float nf4_block(enum dtype t, const float x[NF4_BLOCK], uint8_t q[NF4_BLOCK])
{
	struct bounds b = bounds_of(t);

	return block_codes(&b, x, q);
}

/* --- the mean --- */

enum { LANES = 8, ILP = 4, LEVELS = 4 };

static void add_lanes(float *to, const float *x)
{
	for (int i = 0; i < LANES; i++)
		to[i] += x[i];
}

/* `rows` rows of ILP vectors beside each other, in a cascade of LEVELS sums. */
static void cascade(const float *x, size_t rows, float out[ILP][LANES])
{
	float sum[LEVELS][ILP][LANES] = { 0 };
	size_t power = 0, i = 0;

	while (((size_t)1 << power) < rows)
		power++;
	power = MAX(power / LEVELS, (size_t)4);
	size_t step = (size_t)1 << power, mask = step - 1;
	for (; i + step <= rows;) {
		for (size_t j = 0; j < step; j++, i++)
			for (size_t k = 0; k < ILP; k++)
				add_lanes(sum[0][k], x + (i * ILP + k) * LANES);
		for (size_t j = 1; j < LEVELS; j++) {
			for (int k = 0; k < ILP; k++)
				add_lanes(sum[j][k], sum[j - 1][k]);
			memset(sum[j - 1], 0, sizeof(sum[j - 1]));
			if (i & mask << j * power)
				break;
		}
	}
	for (; i < rows; i++)
		for (size_t k = 0; k < ILP; k++)
			add_lanes(sum[0][k], x + (i * ILP + k) * LANES);
	for (size_t j = 1; j < LEVELS; j++)
		for (int k = 0; k < ILP; k++)
			add_lanes(sum[0][k], sum[j][k]);
	memcpy(out, sum[0], sizeof(sum[0]));
}

float nf4_mean(const float *x, size_t n)
{
	size_t vectors = n / LANES, rows = vectors / ILP;
	float lane[ILP][LANES], sum = 0;

	cascade(x, rows, lane);
	for (size_t i = rows * ILP; i < vectors; i++)
		add_lanes(lane[0], x + i * LANES);
	for (int k = 1; k < ILP; k++)
		add_lanes(lane[0], lane[k]);
	for (size_t i = vectors * LANES; i < n; i++)
		sum += x[i];
	for (int i = 0; i < LANES; i++)
		sum += lane[0][i];
	return sum / (float)n;
}

/* --- scales of scales --- */

static void fill_nearest(uint8_t *nearest)
{
	int code = 0;

	for (int i = 0; i <= STEPS; i++) {
		float y = -1 + 2 * (float)i / STEPS;
		while (code < 255 &&
		       0.5F * (nf4_dynamic((uint8_t)code) + nf4_dynamic((uint8_t)(code + 1))) < y)
			code++;
		nearest[i] = (uint8_t)code;
	}
}

static void nest(const float *scale, size_t n, uint8_t *code, float *nested, float *offset)
{
	uint8_t *nearest = mem_array((size_t)STEPS + 1, 1);
	float a[NF4_NESTED];

	fill_nearest(nearest);
	*offset = nf4_mean(scale, n);
	for (size_t first = 0; first < n; first += NF4_NESTED) {
		size_t some = MIN(n - first, (size_t)NF4_NESTED);
		for (size_t i = 0; i < some; i++)
			a[i] = scale[first + i] - *offset;
		float most = largest(a, some), by = 1 / most;
		nested[first / NF4_NESTED] = most;
		for (size_t i = 0; i < some; i++) {
			float y = fminf(fmaxf(a[i] * by, -1), 1);
			code[first + i] = most == 0 ? 0 : nearest[(int)((y + 1) * 0.5F * STEPS + 0.5F)];
		}
	}
	mem_free(nearest);
}

/* --- a matrix --- */

struct work {
	struct bounds b;
	const struct nf4_source *x;
	uint8_t *q;
	float *scale, *rows;               /* rows: [threads][cols] */
	atomic_bool infinite;
};

static void row_run(struct work *w, size_t row, float *x)
{
	size_t cols = w->x->cols, blocks = cols / NF4_BLOCK;
	uint8_t code[NF4_BLOCK];

	w->x->read(w->x->ctx, row, x);
	for (size_t b = 0; b < blocks; b++) {
		uint8_t *q = w->q + (row * cols + b * NF4_BLOCK) / 2;
		bool finite = true;
		for (size_t i = 0; i < NF4_BLOCK; i++)
			finite &= isfinite(x[b * NF4_BLOCK + i]) != 0;
		if (!finite)
			w->infinite = true;
		w->scale[row * blocks + b] = block_codes(&w->b, x + b * NF4_BLOCK, code);
		for (int i = 0; i < NF4_BLOCK / 2; i++)
			q[i] = (uint8_t)(code[2 * i] << 4 | code[2 * i + 1]);
	}
}

static void item_run(void *ctx, size_t item, int thread)
{
	struct work *w = ctx;
	unsigned long state = float_state();

	float_keep_denormals();
	for (size_t row = item * ROWS_EACH; row < MIN((item + 1) * ROWS_EACH, w->x->rows); row++)
		row_run(w, row, w->rows + (size_t)thread * w->x->cols);
	float_restore(state);
}

int nf4_quantize(enum dtype t, struct pool *p, const struct nf4_source *x, uint8_t *q, float *scale, uint8_t *code,
                 float *nested, float *offset)
{
	struct work w = { .b = bounds_of(t), .x = x, .q = q, .scale = scale };

	w.rows = mem_array((size_t)pool_threads(p) * x->cols, sizeof(float));
	pool_run(p, (x->rows + ROWS_EACH - 1) / ROWS_EACH, item_run, &w);
	mem_free(w.rows);
	if (w.infinite)
		return -1;
	if (nf4_is_nested(t))
		nest(scale, x->rows * x->cols / NF4_BLOCK, code, nested, offset);
	return 0;
}
