/* gelu: y = ½x(1 + tanh(√(2/π)(x + 0.044715x³))), GPT-2's form (Hendrycks & Gimpel 2016), elementwise.      x, y (N,F)
 *
 * dx = dy·y'(x). Backward reads x alone; y is cheap and never kept. */
#include "op/ops.h"

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_gelu;

static int gelu_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor like = *tape_tensor(t, n->in[0]);
	(void)e;
	tape_output(t, n, 0, "gelu", like.axis, like.n_dims, like.dim);
	return 0;
}

static void gelu_forward(struct run *r, const struct node *n)
{
	pointwise_run1(r, n, r->kernels->gelu);
}

/* in: dy, x */
static void back_forward(struct run *r, const struct node *n)
{
	pointwise_run(r, n, r->kernels->gelu_back);
}

/* An exponential counts as eight. */
static void gelu_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->out[0]), live);

	*flops = 18 * numbers;
	*bytes = 12 * numbers;
}

static const struct op gelu_back = {
	.name = "gelu_back", .cost = gelu_cost, .forward = back_forward, .inplace = 1 | 2
};

static void gelu_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct tensor like = *tape_tensor(t, n.in[0]);
	uint32_t in[2] = { tape_grad(t, n.out[0]), n.in[0] };
	uint32_t dx = tape_output(t, &made, 0, "d_gelu", like.axis, like.n_dims, like.dim);

	tape_emit(t, &gelu_back, in, 2, &dx, 1, NULL, 0);
	tape_grad_pass(t, n.in[0], dx);
}

static uint32_t gelu_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t F; } cases[] = { { 1, 1 }, { 31, 65 }, { 70, 300 } };

	batch_sample(b, rng, cases[i].N, 50);
	return op_gelu(t, tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].F }));
}

const struct op op_row_gelu = {
	.name = "gelu", .shape = gelu_shape, .cost = gelu_cost, .forward = gelu_forward, .backward = gelu_backward,
	.saves = 1, .inplace = 1, .cheap = true, .sample = gelu_sample, .sample_count = 3,
};

uint32_t op_gelu(struct tape *t, uint32_t x)
{
	return tape_record(t, &op_row_gelu, &x, 1, NULL, 0);
}
