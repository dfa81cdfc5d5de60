/* swiglu: h = silu(gate)·up, silu(z) = z·σ(z) (Shazeer 2020), elementwise.      gate, up, h (N,F)
 *
 *     dup = dh·silu(gate)      dgate = dh·up·σ(gate)·(1 + gate·(1 − σ(gate)))
 *
 * h is cheap and so never kept: backward makes it again from gate and up, which it needs anyway. */
#include "op/ops.h"

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_swiglu;

static int swiglu_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor gate = *tape_tensor(t, n->in[0]), up = *tape_tensor(t, n->in[1]);

	if (gate.axis != up.axis || gate.n_dims != up.n_dims || tensor_count(&gate) != tensor_count(&up))
		return err_set(e, "%s and %s differ in shape", gate.name, up.name);
	tape_output(t, n, 0, "swiglu", gate.axis, gate.n_dims, gate.dim);
	return 0;
}

static void swiglu_forward(struct run *r, const struct node *n)
{
	pointwise_run(r, n, r->kernels->swiglu);
}

/* An exponential counts as eight. */
static void swiglu_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                        double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->out[0]), live);

	*flops = 12 * numbers;
	*bytes = 12 * numbers;
}

/* --- backward. in: dh, gate, up; out: dgate, dup, each of which may lie where one of those was --- */

struct back_work {
	const struct kernels *k;
	const float *dh, *gate, *up;
	float *dgate, *dup;
	size_t n;
};

static void back_piece(void *ctx, size_t item, int thread)
{
	const struct back_work *w = ctx;
	size_t at = item * POINTWISE_PIECE, n = MIN(w->n - at, (size_t)POINTWISE_PIECE);
	(void)thread;
	w->k->swiglu_back(w->dgate + at, w->dup + at, w->dh + at, w->gate + at, w->up + at, n);
}

static void back_forward(struct run *r, const struct node *n)
{
	struct back_work w = { r->kernels,
		               run_f32(r, n->in[0]),
		               run_f32(r, n->in[1]),
		               run_f32(r, n->in[2]),
		               run_f32(r, n->out[0]),
		               run_f32(r, n->out[1]),
		               pointwise_count(r, n->out[0]) };

	pool_run(r->pool, (w.n + POINTWISE_PIECE - 1) / POINTWISE_PIECE, back_piece, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->out[0]), live);

	*flops = 18 * numbers;
	*bytes = 20 * numbers;
}

static const struct op swiglu_back = {
	.name = "swiglu_back", .cost = back_cost, .forward = back_forward, .inplace = 1 | 2
};

static void swiglu_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct tensor like = *tape_tensor(t, n.out[0]);
	uint32_t in[3] = { tape_grad(t, n.out[0]), n.in[0], n.in[1] };
	uint32_t out[2] = { tape_output(t, &made, 0, "d_gate", like.axis, like.n_dims, like.dim),
		            tape_output(t, &made, 1, "d_up", like.axis, like.n_dims, like.dim) };

	tape_emit(t, &swiglu_back, in, 3, out, 2, NULL, 0);
	for (int j = 0; j < 2; j++)
		if (tape_wants(t, n.in[j]))
			tape_grad_pass(t, n.in[j], out[j]);
}

static uint32_t swiglu_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t F; } cases[] = { { 1, 1 }, { 31, 65 }, { 70, 300 } };
	size_t dim[2] = { (size_t)cases[i].N, cases[i].F };

	batch_sample(b, rng, cases[i].N, 50);
	return op_swiglu(t, tape_param(t, "gate", 2, dim), tape_param(t, "up", 2, dim));
}

const struct op op_row_swiglu = {
	.name = "swiglu",
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

uint32_t op_swiglu(struct tape *t, uint32_t gate, uint32_t up)
{
	return tape_record(t, &op_row_swiglu, (uint32_t[]){ gate, up }, 2, NULL, 0);
}
