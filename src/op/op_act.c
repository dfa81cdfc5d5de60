/* act: an activation, elementwise, gated or not.      x, up, y (N,F)      the activations: kernel/activation.h
 *
 *     y = f(x)              dx = dy·f'(x)
 *     y = f(x)·up           dx = dy·up·f'(x)      dup = dy·f(x)
 *     (x is the gate: SwiGLU, GeGLU, …; Shazeer 2020)
 *
 * Backward reads x and up alone; y is cheap and so never kept: it is made again of what backward needs anyway. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_act;

struct act_attr { enum activation f; };

/* FLOPs of a value and of a slope, an exponential counting as eight; a gate adds one forward and three backward. */
static const struct { const char *name; double forward, backward; } activations[ACTIVATION_COUNT] = {
	[ACT_SILU] = { "silu", 11, 15 },
	[ACT_GELU] = { "gelu", 28, 30 },
	[ACT_GELU_TANH] = { "gelu_tanh", 18, 18 },
	[ACT_RELU] = { "relu", 1, 2 },
	[ACT_RELU2] = { "relu2", 2, 3 },
	[ACT_TANH] = { "tanh", 14, 17 },
	[ACT_SIGMOID] = { "sigmoid", 10, 13 },
};

static enum activation kind_of(const struct node *n) { return ((const struct act_attr *)n->attr)->f; }

static int act_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor x = *tape_tensor(t, n->in[0]);

	if (n->in[1]) {
		const struct tensor *up = tape_tensor(t, n->in[1]);
		if (x.axis != up->axis || x.n_dims != up->n_dims || tensor_count(&x) != tensor_count(up))
			return err_set(e, "%s and %s differ in shape", x.name, up->name);
	}
	pointwise_output(t, n, activations[kind_of(n)].name);
	return 0;
}

static void act_forward(struct run *r, const struct node *n)
{
	const struct activation_kernels *k = &r->kernels->act[kind_of(n)];

	if (n->in[1])
		pointwise_run(r, n, k->gated);
	else
		pointwise_run1(r, n, k->f);
}

static void act_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->out[0]), live);

	*flops = (activations[kind_of(n)].forward + (n->in[1] ? 1 : 0)) * numbers;
	*bytes = 12 * numbers;
}

/* --- backward. in: dy, x, up or none; out: dx, dup, each of which may lie where one of those was --- */

struct back_work {
	const struct activation_kernels *k;
	const float *dy, *x, *up;
	float *dx, *dup;
};

static void back_piece(void *ctx, size_t at, size_t n)
{
	const struct back_work *w = ctx;

	if (w->up)
		w->k->gated_back(w->dx + at, w->dup + at, w->dy + at, w->x + at, w->up + at, n);
	else
		w->k->back(w->dx + at, w->dy + at, w->x + at, n);
}

static void back_forward(struct run *r, const struct node *n)
{
	struct back_work w = { &r->kernels->act[kind_of(n)],
		               run_f32(r, n->in[0]),
		               run_f32(r, n->in[1]),
		               run_f32(r, n->in[2]),
		               run_f32(r, n->out[0]),
		               run_f32(r, n->out[1]) };

	pointwise_pieces(r, n->out[0], back_piece, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->out[0]), live);

	*flops = (activations[kind_of(n)].backward + (n->in[2] ? 3 : 0)) * numbers;
	*bytes = (n->in[2] ? 20 : 12) * numbers;
}

static const struct op act_back = {
	.name = "act_back", .cost = back_cost, .forward = back_forward, .inplace = 1 | 2
};

static void act_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];

	pointwise_backward(t, i, &act_back, n.in[1] ? 2 : 1, n.in, n.in[1] ? 2 : 1, n.attr, sizeof(struct act_attr));
}

/* Of relu only its gate: differences do not know where its corner is. */
static uint32_t act_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t F; enum activation f; bool gated; } cases[] = {
		{ 1, 1, ACT_SILU, true },        { 31, 65, ACT_SILU, true },  { 70, 300, ACT_SILU, true },
		{ 1, 1, ACT_GELU_TANH, false },  { 31, 65, ACT_GELU_TANH, false },
		{ 70, 300, ACT_GELU_TANH, false }, { 31, 65, ACT_GELU_TANH, true },
		{ 70, 300, ACT_GELU, false },    { 31, 65, ACT_GELU, true },  { 31, 65, ACT_SILU, false },
		{ 31, 65, ACT_RELU2, false },    { 31, 65, ACT_RELU2, true },
		{ 31, 65, ACT_RELU, true },      { 31, 65, ACT_TANH, false }, { 31, 65, ACT_SIGMOID, true },
	};
	size_t dim[2] = { (size_t)cases[i].N, cases[i].F };

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = cases[i].f == ACT_RELU ? tape_weight(t, "x", DTYPE_F32, 2, dim) : tape_param(t, "x", 2, dim);
	return op_act(t, cases[i].f, x, cases[i].gated ? tape_param(t, "up", 2, dim) : TENSOR_NONE);
}

const struct op op_row_act = {
	.name = "act",
	.shape = act_shape,
	.cost = act_cost,
	.forward = act_forward,
	.backward = act_backward,
	.saves = 1 | 2,
	.inplace = 1 | 2,
	.cheap = true,
	.sample = act_sample,
	.sample_count = 15,
};

uint32_t op_act(struct tape *t, enum activation f, uint32_t x, uint32_t up)
{
	struct act_attr attr = { f };

	if ((unsigned)f >= ACTIVATION_COUNT)
		BUG("activation %d of %d", (int)f, (int)ACTIVATION_COUNT);
	return tape_record(t, &op_row_act, (uint32_t[]){ x, up }, 2, &attr, sizeof(attr));
}
