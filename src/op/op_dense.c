/* dense: a small linear of fixed rows, with its bias and activation: what makes virtual tokens' numbers is no matter of
 * the batch.
 *
 *     y = f(x·Wᵀ + b)     x (n,I), W (O,I), b (O), y (n,O), all f32; f: none, relu, tanh
 *
 *     dz = dy∘f'(z), from y alone    dW (+)= dzᵀ·x    db (+)= Σ rows dz    dx = dz·W
 *
 * Columns of y are dealt out in fixed blocks, and so are rows of W; sums over rows go up in their order. */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/run.h"

enum { IN_X, IN_W, IN_B, N_IN, ITEM = 16 };

struct dense_attr {
	enum dense_f f;
	bool add_w, add_b;         /* to the gradients that are there */
};

struct work {
	const struct kernels *k;
	enum dense_f f;
	size_t n, I, O;
	const float *x, *w, *b, *dy;
	float *y, *dw, *db, *dx;
	bool add_w, add_b;
};

static int dense_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[IN_X]), *w = tape_tensor(t, n->in[IN_W]),
			    *b = tape_tensor(t, n->in[IN_B]);

	if (x->n_dims != 2 || w->n_dims != 2 || x->axis != AXIS_FIXED || x->dim[1] != w->dim[1] ||
	    tensor_count(b) != w->dim[0])
		return err_set(e, "%s, %s and %s are no rows, matrix and bias that go together", x->name, w->name,
		               b->name);
	tape_output(t, n, 0, "dense", AXIS_FIXED, 2, (size_t[]){ x->dim[0], w->dim[0] });
	return 0;
}

static float activated(enum dense_f f, float z)
{
	return f == DENSE_TANH ? (float)tanh((double)z) : f == DENSE_RELU && z < 0 ? 0 : z;
}

static float slope(enum dense_f f, float y)
{
	return f == DENSE_TANH ? 1 - y * y : f == DENSE_RELU && y <= 0 ? 0 : 1;
}

static struct work work_of(const struct run *r, const struct dense_attr *a, uint32_t y, size_t I)
{
	const struct tensor *out = run_tensor(r, y);

	return (struct work){ .k = r->kernels, .f = a->f, .n = out->dim[0], .O = out->dim[1], .I = I,
		              .y = run_f32(r, y), .add_w = a->add_w, .add_b = a->add_b };
}

static void columns(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t end = MIN(w->O, (item + 1) * ITEM);
	(void)thread;

	for (size_t o = item * ITEM; o < end; o++)
		for (size_t i = 0; i < w->n; i++)
			w->y[i * w->O + o] =
				activated(w->f, w->k->dot(w->x + i * w->I, w->w + o * w->I, w->I) + w->b[o]);
}

static void dense_forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n->attr, n->out[0], run_tensor(r, n->in[IN_X])->dim[1]);

	w.x = run_f32(r, n->in[IN_X]);
	w.w = run_f32(r, n->in[IN_W]);
	w.b = run_f32(r, n->in[IN_B]);
	pool_run(r->pool, (w.O + ITEM - 1) / ITEM, columns, &w);
}

static void dense_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	double w = (double)tensor_count(tape_tensor(t, n->in[IN_W]));
	(void)live;

	*flops = 2 * w * (double)tape_tensor(t, n->in[IN_X])->dim[0];
	*bytes = 4 * w;
}

/* --- backward --- */

static void rows_of_w(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t end = MIN(w->O, (item + 1) * ITEM);
	(void)thread;

	for (size_t o = item * ITEM; o < end; o++) {
		float sum = 0, *dw = w->dw + o * w->I;
		if (!w->add_w)
			memset(dw, 0, w->I * sizeof(*dw));
		for (size_t i = 0; i < w->n; i++) {
			float dz = w->dy[i * w->O + o] * slope(w->f, w->y[i * w->O + o]);
			w->k->axpy(dw, dz, w->x + i * w->I, w->I);
			sum += dz;
		}
		w->db[o] = w->add_b ? w->db[o] + sum : sum;
	}
}

/* in: dy, y, x; out: dW, db */
static void dw_forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n->attr, n->in[1], run_tensor(r, n->in[2])->dim[1]);

	w.dy = run_f32(r, n->in[0]);
	w.x = run_f32(r, n->in[2]);
	w.dw = run_f32(r, n->out[0]);
	w.db = run_f32(r, n->out[1]);
	pool_run(r->pool, (w.O + ITEM - 1) / ITEM, rows_of_w, &w);
}

static void row_of_x(void *ctx, size_t i, int thread)
{
	const struct work *w = ctx;
	float *dx = w->dx + i * w->I;
	(void)thread;

	memset(dx, 0, w->I * sizeof(*dx));
	for (size_t o = 0; o < w->O; o++)
		w->k->axpy(dx, w->dy[i * w->O + o] * slope(w->f, w->y[i * w->O + o]), w->w + o * w->I, w->I);
}

/* in: dy, y, W; out: dx */
static void dx_forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n->attr, n->in[1], run_tensor(r, n->in[2])->dim[1]);

	w.dy = run_f32(r, n->in[0]);
	w.w = run_f32(r, n->in[2]);
	w.dx = run_f32(r, n->out[0]);
	pool_run(r->pool, w.n, row_of_x, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double y = (double)tensor_count(tape_tensor(t, n->in[1]));
	(void)live;

	*flops = 2 * y * (double)tape_tensor(t, n->in[2])->dim[1];
	*bytes = 4 * (double)tensor_count(tape_tensor(t, n->out[0]));
}

static const struct op dense_dw = { .name = "dense_dw", .cost = back_cost, .forward = dw_forward };
static const struct op dense_dx = { .name = "dense_dx", .cost = back_cost, .forward = dx_forward };

static void dense_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct dense_attr a = *(const struct dense_attr *)n.attr;
	uint32_t dy = tape_grad(t, n.out[0]);

	if (tape_wants(t, n.in[IN_W])) {
		uint32_t out[2] = { tape_grad_target(t, n.in[IN_W], &a.add_w),
			            tape_grad_target(t, n.in[IN_B], &a.add_b) };
		tape_emit(t, &dense_dw, (uint32_t[]){ dy, n.out[0], n.in[IN_X] }, 3, out, 2, &a, sizeof(a));
	}
	if (!tape_wants(t, n.in[IN_X]))
		return;
	struct tensor like = *tape_tensor(t, n.in[IN_X]);
	uint32_t dx = tape_output(t, &made, 0, "d_dense", like.axis, like.n_dims, like.dim);
	tape_emit(t, &dense_dx, (uint32_t[]){ dy, n.out[0], n.in[IN_W] }, 3, &dx, 1, &a, sizeof(a));
	tape_grad_pass(t, n.in[IN_X], dx);
}

static uint32_t dense_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { size_t n, I, O; enum dense_f f; } cases[] = {
		{ 1, 1, 1, DENSE_LINEAR }, { 5, 19, 37, DENSE_TANH }, { 7, 33, 6, DENSE_LINEAR },
	};
	size_t I = cases[i].I, O = cases[i].O;

	batch_sample(b, rng, 5, 50);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ cases[i].n, I }), w = tape_param(t, "w", 2, (size_t[]){ O, I });
	return op_dense(t, x, w, tape_param(t, "b", 1, &O), cases[i].f);
}

const struct op op_row_dense = {
	.name = "dense",
	.shape = dense_shape,
	.cost = dense_cost,
	.forward = dense_forward,
	.backward = dense_backward,
	.saves = 1U << IN_X | 1U << IN_W | SAVES_OUT(0),
	.sample = dense_sample,
	.sample_count = 3,
};

uint32_t op_dense(struct tape *t, uint32_t x, uint32_t w, uint32_t bias, enum dense_f f)
{
	struct dense_attr a = { .f = f };

	return tape_record(t, &op_row_dense, (uint32_t[N_IN]){ x, w, bias }, N_IN, &a, sizeof(a));
}
