/* layernorm: y = (x − μ)·r·w + b, r = 1/√(mean((x − μ)²) + ε) (Ba et al. 2016).
 * x, y (N,C), w, b (C), μ, r (N), kept for backward. Where w and b are as wide as a part of the row, C counts the
 * numbers of a part: see norm.h.
 *
 *     g = dy·w    x̂ = (x − μ)·r    dx = r·(g − mean(g) − x̂·mean(g·x̂))    dw = Σ rows dy·x̂
 *     db = Σ rows dy
 *
 * y is cheap and so never kept: backward of what follows makes it again from x. */
#include "op/ops.h"

#include "op/batch_sample.h"
#include "op/norm.h"

extern const struct op op_row_layernorm;

static int layernorm_shape(struct tape *t, struct node *n, struct err *e)
{
	return norm_shape(t, n, 2, e);
}

static void layernorm_row(const struct norm_row *row)
{
	row->k->layernorm(row->y, row->x, row->w, row->b, row->C, row->attr->eps, row->stat[0], row->stat[1]);
}

static void layernorm_forward(struct run *r, const struct node *n)
{
	norm_forward(r, n, layernorm_row);
}

static void back_row(const struct norm_row *row)
{
	row->k->layernorm_back(row->dx, row->dw, row->db, row->dy, row->x, row->w, *row->stat[0], *row->stat[1], row->C,
	                       row->attr->add_x);
}

static void back_forward(struct run *r, const struct node *n)
{
	norm_back_forward(r, n, back_row);
}

static const struct op layernorm_back = {
	.name = "layernorm_back", .cost = norm_back_cost, .forward = back_forward, .scratch = norm_back_scratch
};

static void layernorm_backward(struct tape *t, uint32_t i)
{
	norm_backward(t, i, &layernorm_back);
}

static uint32_t layernorm_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C, groups; bool frozen_x, frozen_w; } cases[] = {
		{ 1, 3, 1, false, false },  { 65, 67, 1, false, false }, { 96, 33, 1, true, false },
		{ 7, 300, 1, false, true }, { 66, 18, 3, false, false },
	};
	size_t C = cases[i].C, dim[2] = { (size_t)cases[i].N, cases[i].groups * C };

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = cases[i].frozen_x ? tape_weight(t, "x", DTYPE_F32, 2, dim) : tape_param(t, "x", 2, dim);
	uint32_t w = cases[i].frozen_w ? tape_weight(t, "w", DTYPE_F32, 1, &C) : tape_param(t, "w", 1, &C);
	return op_layernorm(t, x, w, tape_param(t, "b", 1, &C), 1e-5F);
}

const struct op op_row_layernorm = {
	.name = "layernorm",
	.shape = layernorm_shape,
	.cost = norm_cost,
	.forward = layernorm_forward,
	.backward = layernorm_backward,
	.saves = 1 | 2 | SAVES_OUT(1) | SAVES_OUT(2),
	.cheap = true,
	.sample = layernorm_sample,
	.sample_count = 5,
};

uint32_t op_layernorm(struct tape *t, uint32_t x, uint32_t w, uint32_t b, float eps)
{
	struct norm_attr attr = { .eps = eps };
	return tape_record(t, &op_row_layernorm, (uint32_t[]){ x, w, b }, 3, &attr, sizeof(attr));
}
