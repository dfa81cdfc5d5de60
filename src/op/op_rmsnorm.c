/* rmsnorm: y = x·r·w, r = 1/√(mean(x²) + ε) (Zhang & Sennrich 2019).
 * x, y (N,C), w (C), r (N), kept for backward.
 * Where w is as wide as a part of the row, C counts the numbers of a part, and a row has an r for each: see norm.h.
 *
 *     g = dy·w    x̂ = x·r    dx = r·(g − x̂·mean(g·x̂))    dw = Σ rows dy·x̂
 *
 * y is cheap and so never kept: backward of what follows makes it again from x. */
#include "op/ops.h"

#include "op/batch_sample.h"
#include "op/norm.h"

extern const struct op op_row_rmsnorm;

static int rmsnorm_shape(struct tape *t, struct node *n, struct err *e)
{
	return norm_shape(t, n, 1, e);
}

static void rmsnorm_row(const struct norm_row *row)
{
	*row->stat[0] = row->k->rmsnorm(row->y, row->x, row->w, row->C, row->attr->eps);
}

static void rmsnorm_forward(struct run *r, const struct node *n)
{
	norm_forward(r, n, rmsnorm_row);
}

static void back_row(const struct norm_row *row)
{
	row->k->rmsnorm_back(row->dx, row->dw, row->dy, row->x, row->w, *row->stat[0], row->C, row->attr->add_x);
}

static void back_forward(struct run *r, const struct node *n)
{
	norm_back_forward(r, n, back_row);
}

static const struct op rmsnorm_back = {
	.name = "rmsnorm_back", .cost = norm_back_cost, .forward = back_forward, .scratch = norm_back_scratch
};

static void rmsnorm_backward(struct tape *t, uint32_t i)
{
	norm_backward(t, i, &rmsnorm_back);
}

static uint32_t rmsnorm_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C, groups; bool frozen_x, frozen_w; } cases[] = {
		{ 1, 2, 1, false, false },  { 65, 67, 1, false, false }, { 96, 33, 1, true, false },
		{ 7, 300, 1, false, true }, { 66, 18, 3, false, false }, { 70, 5, 4, true, false },
	};
	size_t C = cases[i].C, dim[2] = { (size_t)cases[i].N, cases[i].groups * C };

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = cases[i].frozen_x ? tape_weight(t, "x", DTYPE_F32, 2, dim) : tape_param(t, "x", 2, dim);
	return op_rmsnorm(t, x, cases[i].frozen_w ? tape_weight(t, "w", DTYPE_F32, 1, &C) : tape_param(t, "w", 1, &C),
	                  1e-5F);
}

const struct op op_row_rmsnorm = {
	.name = "rmsnorm",
	.shape = rmsnorm_shape,
	.cost = norm_cost,
	.forward = rmsnorm_forward,
	.backward = rmsnorm_backward,
	.saves = 1 | 2 | SAVES_OUT(1),
	.cheap = true,
	.sample = rmsnorm_sample,
	.sample_count = 6,
};

uint32_t op_rmsnorm(struct tape *t, uint32_t x, uint32_t w, float eps)
{
	struct norm_attr attr = { .eps = eps };
	return tape_record(t, &op_row_rmsnorm, (uint32_t[]){ x, w }, 2, &attr, sizeof(attr));
}
