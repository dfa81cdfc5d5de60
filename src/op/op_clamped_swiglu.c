/* clamped_swiglu: gpt-oss's gate (OpenAI 2025), elementwise.      gate, up, y (N,F)
 *
 *     g = min(gate, L)  u = up between −L and L      y = g·σ(α·g)·(u + 1)
 *     dgate = dy·(u + 1)·s·(1 + α·g·(1 − s)), s = σ(α·g)      dup = dy·g·s
 *     each 0 where its bound holds
 *
 * Backward reads gate and up alone; y is cheap and so never kept. */
#include "op/ops.h"

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_clamped_swiglu;

struct swiglu_attr { float alpha, limit; };

struct swiglu_work {
	const struct kernels *k;
	const struct swiglu_attr *attr;
	const float *dy, *gate, *up;
	float *y, *dgate, *dup;
};

static int swiglu_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *gate = tape_tensor(t, n->in[0]), *up = tape_tensor(t, n->in[1]);
	const struct swiglu_attr *attr = n->attr;

	if (gate->axis != up->axis || gate->n_dims != up->n_dims || tensor_count(gate) != tensor_count(up))
		return err_set(e, "%s and %s differ in shape", gate->name, up->name);
	if (!(attr->limit > 0))
		return err_set(e, "a limit of %g, one above 0 is wanted", (double)attr->limit);
	pointwise_output(t, n, "clamped_swiglu");
	return 0;
}

static void swiglu_piece(void *ctx, size_t at, size_t n)
{
	const struct swiglu_work *w = ctx;

	w->k->clamped_swiglu(w->y + at, w->gate + at, w->up + at, w->attr->alpha, w->attr->limit, n);
}

static void swiglu_forward(struct run *r, const struct node *n)
{
	struct swiglu_work w = { .k = r->kernels, .attr = n->attr };

	w.gate = run_f32(r, n->in[0]);
	w.up = run_f32(r, n->in[1]);
	w.y = run_f32(r, n->out[0]);
	pointwise_pieces(r, n->out[0], swiglu_piece, &w);
}

static void swiglu_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                        double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->out[0]), live);

	*flops = 16 * numbers;
	*bytes = 12 * numbers;
}

static void back_piece(void *ctx, size_t at, size_t n)
{
	const struct swiglu_work *w = ctx;

	w->k->clamped_swiglu_back(w->dgate + at, w->dup + at, w->dy + at, w->gate + at, w->up + at, w->attr->alpha,
	                          w->attr->limit, n);
}

/* in: dy, gate, up; out: dgate, dup */
static void back_forward(struct run *r, const struct node *n)
{
	struct swiglu_work w = { .k = r->kernels, .attr = n->attr };

	w.dy = run_f32(r, n->in[0]);
	w.gate = run_f32(r, n->in[1]);
	w.up = run_f32(r, n->in[2]);
	w.dgate = run_f32(r, n->out[0]);
	w.dup = run_f32(r, n->out[1]);
	pointwise_pieces(r, n->out[0], back_piece, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 24 * tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = 20 * tensor_live(tape_tensor(t, n->out[0]), live);
}

static const struct op swiglu_back = {
	.name = "clamped_swiglu_back", .cost = back_cost, .forward = back_forward, .inplace = 1 | 2
};

static void swiglu_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];

	pointwise_backward(t, i, &swiglu_back, 2, n.in, 2, n.attr, sizeof(struct swiglu_attr));
}

/* The limit is beyond what differences reach: they do not know where a bound begins to hold. */
static uint32_t swiglu_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t F; } cases[] = { { 1, 1 }, { 31, 65 }, { 70, 300 } };
	size_t dim[2] = { (size_t)cases[i].N, cases[i].F };

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t gate = tape_param(t, "gate", 2, dim);
	return op_clamped_swiglu(t, gate, tape_param(t, "up", 2, dim), 1.702F, 7);
}

const struct op op_row_clamped_swiglu = {
	.name = "clamped_swiglu",
	.shape = swiglu_shape,
	.cost = swiglu_cost,
	.forward = swiglu_forward,
	.backward = swiglu_backward,
	.saves = 1 | 2,
	.inplace = 1 | 2,
	.cheap = true,
	.sample = swiglu_sample,
	.sample_count = 3,
};

uint32_t op_clamped_swiglu(struct tape *t, uint32_t gate, uint32_t up, float alpha, float limit)
{
	struct swiglu_attr attr = { alpha, limit };

	return tape_record(t, &op_row_clamped_swiglu, (uint32_t[]){ gate, up }, 2, &attr, sizeof(attr));
}
