/* eighths: see eighths.h. A row is blocks of f32 d and 32 × s8 q, the last one filled up with zeros. The numbers are
 * those of the kernels' q8_row, of which the sums are left out. A NaN stays one, in d. */
#include "op/eighths.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/q8.h"
#include "op/run.h"

enum { BLOCK_BYTES = sizeof(float) + EIGHTHS_BLOCK, AT_ONCE = 16, ROWS_EACH = 8 };

static size_t blocks_of(size_t width) { return (width + EIGHTHS_BLOCK - 1) / EIGHTHS_BLOCK; }

struct tensor eighths_of(const struct tensor *x)
{
	struct tensor y = *x;

	snprintf(y.name, sizeof(y.name), "%.70s.8bit", x->name);
	y.dtype = DTYPE_U8;
	y.dim[1] = blocks_of(x->dim[1]) * BLOCK_BYTES;
	y.needs_grad = false;
	return y;
}

struct rows_work {
	const struct kernels *k;
	float *x;
	uint8_t *packed;
	size_t rows, width;
};

/* Whole blocks, at most AT_ONCE. */
static void pack_blocks(const struct kernels *k, const float *x, size_t n, uint8_t *out)
{
	struct q8_block made[AT_ONCE];

	k->q8_row(x, n * EIGHTHS_BLOCK, (uint8_t *)made);
	for (size_t i = 0; i < n; i++, out += BLOCK_BYTES) {
		memcpy(out, &made[i].d, sizeof(made[i].d));
		memcpy(out + sizeof(made[i].d), made[i].q, sizeof(made[i].q));
	}
}

static void pack_row(const struct kernels *k, const float *x, size_t width, uint8_t *out)
{
	float last[EIGHTHS_BLOCK] = { 0 };
	size_t whole = width / EIGHTHS_BLOCK;

	for (size_t i = 0; i < whole; i += AT_ONCE)
		pack_blocks(k, x + i * EIGHTHS_BLOCK, MIN(whole - i, (size_t)AT_ONCE), out + i * BLOCK_BYTES);
	if (width % EIGHTHS_BLOCK == 0)
		return;
	memcpy(last, x + whole * EIGHTHS_BLOCK, width % EIGHTHS_BLOCK * sizeof(*x));
	pack_blocks(k, last, 1, out + whole * BLOCK_BYTES);
}

static void unpack_row(const uint8_t *in, size_t width, float *x)
{
	for (size_t at = 0; at < width; at += EIGHTHS_BLOCK, in += BLOCK_BYTES) {
		const int8_t *q = (const int8_t *)(in + sizeof(float));
		size_t n = MIN(width - at, (size_t)EIGHTHS_BLOCK);
		float d;
		memcpy(&d, in, sizeof(d));
		for (size_t i = 0; i < n; i++)
			x[at + i] = d * (float)q[i];
	}
}

static void pack_item(void *ctx, size_t item, int thread)
{
	const struct rows_work *w = ctx;
	size_t bytes = blocks_of(w->width) * BLOCK_BYTES;
	(void)thread;

	for (size_t i = item * ROWS_EACH; i < MIN(w->rows, (item + 1) * ROWS_EACH); i++)
		pack_row(w->k, w->x + i * w->width, w->width, w->packed + i * bytes);
}

static void unpack_item(void *ctx, size_t item, int thread)
{
	const struct rows_work *w = ctx;
	size_t bytes = blocks_of(w->width) * BLOCK_BYTES;
	(void)thread;

	for (size_t i = item * ROWS_EACH; i < MIN(w->rows, (item + 1) * ROWS_EACH); i++)
		unpack_row(w->packed + i * bytes, w->width, w->x + i * w->width);
}

static void rows_run(struct run *r, uint32_t x, uint32_t packed, void (*item)(void *ctx, size_t item, int thread))
{
	struct rows_work w = { r->kernels, run_f32(r, x), r->data[packed], run_rows(r, x), run_tensor(r, x)->dim[1] };

	pool_run(r->pool, (w.rows + ROWS_EACH - 1) / ROWS_EACH, item, &w);
}

static void to_forward(struct run *r, const struct node *n) { rows_run(r, n->in[0], n->out[0], pack_item); }
static void from_forward(struct run *r, const struct node *n) { rows_run(r, n->out[0], n->in[0], unpack_item); }

static void cost(double numbers, double *flops, double *bytes)
{
	*flops = 3 * numbers;
	*bytes = 5 * numbers;
}

static void to_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	cost(tensor_live(tape_tensor(t, n->in[0]), live), flops, bytes);
}

static void from_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	cost(tensor_live(tape_tensor(t, n->out[0]), live), flops, bytes);
}

const struct op op_to_eighths = { .name = "to_8bit", .cost = to_cost, .forward = to_forward };
const struct op op_from_eighths = { .name = "from_8bit", .cost = from_cost, .forward = from_forward };
