/* combine: what several parts of a row say, weighted.      x (N,k·C)  p (N,k)      y (N,C) = Σ_j p_j·x_j
 *
 * The sum goes up in the order of the parts.      dx_j = p_j·dy      dp_j = Σ_c dy_c·x_jc */
#include "op/ops.h"

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_combine;

enum { COMBINE_ROWS = 32 };

static int combine_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor x = *tape_tensor(t, n->in[0]);
	const struct tensor *p = tape_tensor(t, n->in[1]);

	if (x.n_dims != 2 || p->n_dims != 2 || x.axis != p->axis || !p->dim[1] || x.dim[1] % p->dim[1])
		return err_set(e, "%s: rows of %zu numbers are no parts for %zu weights", x.name, x.dim[1], p->dim[1]);
	x.dim[1] /= p->dim[1];
	tape_output(t, n, 0, "combine", x.axis, 2, x.dim);
	return 0;
}

struct combine_work {
	const struct kernels *k;
	const float *x, *p, *dy;
	float *y, *dx, *dp;
	size_t N, top, C;
};

static void combine_rows(void *ctx, size_t item, int thread)
{
	const struct combine_work *w = ctx;
	(void)thread;

	for (size_t i = item * COMBINE_ROWS; i < MIN(w->N, (item + 1) * COMBINE_ROWS); i++) {
		const float *x = w->x + i * w->top * w->C, *p = w->p + i * w->top;
		w->k->scale(w->y + i * w->C, x, p[0], w->C);
		for (size_t j = 1; j < w->top; j++)
			w->k->axpy(w->y + i * w->C, p[j], x + j * w->C, w->C);
	}
}

static struct combine_work work_of(const struct run *r, uint32_t x, uint32_t p)
{
	struct combine_work w = { .k = r->kernels, .x = run_f32(r, x), .p = run_f32(r, p), .N = run_rows(r, x) };

	w.top = run_tensor(r, p)->dim[1];
	w.C = run_tensor(r, x)->dim[1] / w.top;
	return w;
}

static void combine_forward(struct run *r, const struct node *n)
{
	struct combine_work w = work_of(r, n->in[0], n->in[1]);

	w.y = run_f32(r, n->out[0]);
	pool_run(r->pool, (w.N + COMBINE_ROWS - 1) / COMBINE_ROWS, combine_rows, &w);
}

static void combine_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                         double *bytes)
{
	*flops = 2 * tensor_live(tape_tensor(t, n->in[0]), live);
	*bytes = 2 * *flops + 4 * tensor_live(tape_tensor(t, n->out[0]), live);
}

/* --- backward. in: dy, x, p; out: dx, dp --- */

static void back_rows(void *ctx, size_t item, int thread)
{
	const struct combine_work *w = ctx;
	(void)thread;

	for (size_t i = item * COMBINE_ROWS; i < MIN(w->N, (item + 1) * COMBINE_ROWS); i++)
		for (size_t j = 0; j < w->top; j++) {
			size_t at = (i * w->top + j) * w->C;
			w->dp[i * w->top + j] = w->k->dot(w->dy + i * w->C, w->x + at, w->C);
			w->k->scale(w->dx + at, w->dy + i * w->C, w->p[i * w->top + j], w->C);
		}
}

static void back_forward(struct run *r, const struct node *n)
{
	struct combine_work w = work_of(r, n->in[1], n->in[2]);

	w.dy = run_f32(r, n->in[0]);
	w.dx = run_f32(r, n->out[0]);
	w.dp = run_f32(r, n->out[1]);
	pool_run(r->pool, (w.N + COMBINE_ROWS - 1) / COMBINE_ROWS, back_rows, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 3 * tensor_live(tape_tensor(t, n->in[1]), live);
	*bytes = 4 * *flops;
}

static const struct op combine_back = { .name = "combine_back", .cost = back_cost, .forward = back_forward };

static void combine_backward(struct tape *t, uint32_t i)
{
	pointwise_backward(t, i, &combine_back, 2, t->nodes[i].in, 2, NULL, 0);
}

static uint32_t combine_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t top, C; } cases[] = { { 1, 1, 1 }, { 33, 2, 5 }, { 70, 3, 70 } };
	size_t N = (size_t)cases[i].N;

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ N, cases[i].top * cases[i].C });
	return op_combine(t, x, tape_param(t, "p", 2, (size_t[]){ N, cases[i].top }));
}

const struct op op_row_combine = {
	.name = "combine",
	.shape = combine_shape,
	.cost = combine_cost,
	.forward = combine_forward,
	.backward = combine_backward,
	.saves = 1 | 2,
	.sample = combine_sample,
	.sample_count = 3,
};

uint32_t op_combine(struct tape *t, uint32_t x, uint32_t p)
{
	return tape_record(t, &op_row_combine, (uint32_t[]){ x, p }, 2, NULL, 0);
}
