/* gather: y[r] = x[target_row[r]]: the rows that predict something.      x (N,C), y (R,C)
 *
 * Backward: dx[target_row[r]] (+)= dy[r]; when this node is the first to give x a gradient, the other rows become zero.
 * Target rows are ascending and distinct, so every block of rows of dx is written by one item. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/run.h"

enum { GATHER_ROWS = 64 };

struct gather_attr { bool accumulate; };

struct gather_work {
	const struct run *r;
	size_t rows, C;            /* rows of what is written */
	const float *src;
	float *dst;
	bool accumulate;
};

static int gather_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]);
	if (x->n_dims != 2 || x->dtype != DTYPE_F32)
		return err_set(e, "%s is no matrix of floats", x->name);
	tape_output(t, n, 0, "targets", AXIS_TARGETS, 2, (size_t[]){ (size_t)t->cap.targets, x->dim[1] });
	return 0;
}

static void gather_rows(void *ctx, size_t item, int thread)
{
	const struct gather_work *w = ctx;
	size_t end = MIN(w->rows, (item + 1) * GATHER_ROWS);
	(void)thread;
	for (size_t i = item * GATHER_ROWS; i < end; i++)
		memcpy(w->dst + i * w->C, w->src + (size_t)w->r->batch->target_row[i] * w->C, w->C * sizeof(float));
}

static void gather_forward(struct run *r, const struct node *n)
{
	struct gather_work w = { .r = r, .rows = (size_t)r->batch->n_targets, .C = run_tensor(r, n->in[0])->dim[1] };
	w.src = run_f32(r, n->in[0]);
	w.dst = run_f32(r, n->out[0]);
	pool_run(r->pool, (w.rows + GATHER_ROWS - 1) / GATHER_ROWS, gather_rows, &w);
}

static void gather_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                        double *bytes)
{
	*flops = 0;
	*bytes = 8 * tensor_live(tape_tensor(t, n->out[0]), live);
}

/* --- backward --- */

/* The first target whose row is ≥ row. */
static size_t target_from(const struct batch *b, size_t row)
{
	size_t lo = 0, hi = (size_t)b->n_targets;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if ((size_t)b->target_row[mid] < row)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void scatter_rows(void *ctx, size_t item, int thread)
{
	const struct gather_work *w = ctx;
	const struct batch *b = w->r->batch;
	size_t begin = item * GATHER_ROWS, end = MIN(w->rows, begin + GATHER_ROWS), C = w->C;
	(void)thread;
	if (!w->accumulate)
		memset(w->dst + begin * C, 0, (end - begin) * C * sizeof(float));
	for (size_t i = target_from(b, begin); i < (size_t)b->n_targets && (size_t)b->target_row[i] < end; i++) {
		float *d = w->dst + (size_t)b->target_row[i] * C;
		w->r->kernels->add(d, d, w->src + i * C, C);
	}
}

static void gather_back_forward(struct run *r, const struct node *n)
{
	const struct gather_attr *attr = n->attr;
	struct gather_work w = { .r = r, .rows = run_rows(r, n->out[0]), .C = run_tensor(r, n->out[0])->dim[1],
	                         .accumulate = attr->accumulate };
	w.src = run_f32(r, n->in[0]);
	w.dst = run_f32(r, n->out[0]);
	pool_run(r->pool, (w.rows + GATHER_ROWS - 1) / GATHER_ROWS, scatter_rows, &w);
}

static void gather_back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                             double *bytes)
{
	*flops = tensor_live(tape_tensor(t, n->in[0]), live);
	*bytes = 8 * *flops + 4 * tensor_live(tape_tensor(t, n->out[0]), live);
}

static const struct op gather_back = { .name = "gather_back",
	                               .cost = gather_back_cost,
	                               .forward = gather_back_forward };

static void gather_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct gather_attr attr;
	uint32_t dy = tape_grad(t, n.out[0]);
	uint32_t dx = tape_grad_target(t, n.in[0], &attr.accumulate);

	tape_emit(t, &gather_back, &dy, 1, &dx, 1, &attr, sizeof(attr));
}

static uint32_t gather_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C; } cases[] = { { 1, 3 }, { 31, 7 }, { 96, 18 } };
	batch_sample(b, rng, cases[i].N, 50);
	return op_gather(t, tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].C }));
}

const struct op op_row_gather = {
	.name = "gather",
	.shape = gather_shape,
	.cost = gather_cost,
	.forward = gather_forward,
	.backward = gather_backward,
	.sample = gather_sample,
	.sample_count = 3,
};

uint32_t op_gather(struct tape *t, uint32_t x)
{
	return tape_record(t, &op_row_gather, &x, 1, NULL, 0);
}
