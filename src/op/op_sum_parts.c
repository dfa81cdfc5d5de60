/* sum_parts: the sum of the parts of r numbers that a row is, the last of which may be shorter.
 *
 *     x (N,C)      y (N,r)      y(n,k) = Σ_j x(n, j·r + k)      j·r + k < C
 *
 *     dx(n,i) = dy(n, i mod r)
 *
 * What MiSS has for LoRA's A (adapt/adapter_miss.c): a matrix of ones and zeros. Sums go up in the order of the
 * parts. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/run.h"

extern const struct op op_row_sum_parts;

enum { SUM_ROWS = 16 };

struct sum_attr { size_t r; bool accumulate; };

static int sum_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]);
	size_t r = ((const struct sum_attr *)n->attr)->r;

	if (x->n_dims != 2 || r < 1 || r > x->dim[1])
		return err_set(e, "%s: rows of %zu numbers have no parts of %zu", x->name, x->dim[1], r);
	tape_output(t, n, 0, "sum_parts", x->axis, 2, (size_t[]){ x->dim[0], r });
	return 0;
}

struct sum_work {
	const struct kernels *k;
	float *whole, *sum;            /* rows of C and of r numbers */
	size_t N, C, r;
	bool accumulate;
};

static void sum_piece(void *ctx, size_t item, int thread)
{
	const struct sum_work *w = ctx;
	size_t end = MIN(w->N, (item + 1) * SUM_ROWS);
	(void)thread;

	for (size_t n = item * SUM_ROWS; n < end; n++) {
		const float *x = w->whole + n * w->C;
		float *y = w->sum + n * w->r;
		memcpy(y, x, w->r * sizeof(*y));
		for (size_t at = w->r; at < w->C; at += w->r)
			w->k->add(y, y, x + at, MIN(w->r, w->C - at));
	}
}

static void spread_piece(void *ctx, size_t item, int thread)
{
	const struct sum_work *w = ctx;
	size_t end = MIN(w->N, (item + 1) * SUM_ROWS);
	(void)thread;

	for (size_t n = item * SUM_ROWS; n < end; n++)
		for (size_t at = 0; at < w->C; at += w->r) {
			size_t some = MIN(w->r, w->C - at);
			float *dx = w->whole + n * w->C + at;
			const float *dy = w->sum + n * w->r;
			if (w->accumulate)
				w->k->add(dx, dx, dy, some);
			else
				memcpy(dx, dy, some * sizeof(*dx));
		}
}

static void run_of(struct run *r, uint32_t whole, uint32_t sum, const struct sum_attr *attr,
                   void (*f)(void *ctx, size_t item, int thread))
{
	struct sum_work w = { .k = r->kernels,
		              .whole = run_f32(r, whole),
		              .sum = run_f32(r, sum),
		              .N = run_rows(r, sum),
		              .C = run_tensor(r, whole)->dim[1],
		              .r = attr->r,
		              .accumulate = attr->accumulate };

	pool_run(r->pool, (w.N + SUM_ROWS - 1) / SUM_ROWS, f, &w);
}

static void sum_forward(struct run *r, const struct node *n) { run_of(r, n->in[0], n->out[0], n->attr, sum_piece); }

/* in: dy; out: dx */
static void back_forward(struct run *r, const struct node *n) { run_of(r, n->out[0], n->in[0], n->attr, spread_piece); }

static void cost_of(const struct tape *t, uint32_t whole, const struct live *live, double *flops, double *bytes)
{
	*flops = tensor_live(tape_tensor(t, whole), live);
	*bytes = 4 * *flops;
}

static void sum_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	cost_of(t, n->in[0], live, flops, bytes);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	cost_of(t, n->out[0], live, flops, bytes);
}

static const struct op sum_back = { .name = "sum_parts_back", .cost = back_cost, .forward = back_forward };

static void sum_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct sum_attr attr = *(const struct sum_attr *)n.attr;
	uint32_t dy = tape_grad(t, n.out[0]), dx = tape_grad_target(t, n.in[0], &attr.accumulate);

	tape_emit(t, &sum_back, &dy, 1, &dx, 1, &attr, sizeof(attr));
}

static uint32_t sum_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C, r; } cases[] = {
		{ 1, 1, 1 }, { 33, 70, 16 }, { 40, 24, 8 }, { 5, 9, 9 },
	};

	batch_sample(b, rng, cases[i].N, 50);
	return op_sum_parts(t, tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].C }), cases[i].r);
}

const struct op op_row_sum_parts = {
	.name = "sum_parts",
	.shape = sum_shape,
	.cost = sum_cost,
	.forward = sum_forward,
	.backward = sum_backward,
	.sample = sum_sample,
	.sample_count = 4,
};

uint32_t op_sum_parts(struct tape *t, uint32_t x, size_t r)
{
	struct sum_attr attr = { .r = r };

	return tape_record(t, &op_row_sum_parts, &x, 1, &attr, sizeof(attr));
}
