/* virtual_rows: what an adapter's virtual tokens are, in the place of what the model made of their rows.
 *
 *     y[i] = p[s[i] − first][column … column + C)    where first ≤ s[i] < first + n, s the tokens of the rows
 *     y[i] = x[i]                                    else                               x, y (N,C), p (n,P) f32
 *
 *     dp[v] (+)= Σ over rows i with s[i] = first + v, ascending, of dy[i], in those columns alone
 *     dx[i] = 0 where it was p's, else dy[i]
 *
 * Soft prompts (Lester et al. 2021) are such rows of the embedding; prefixes (Li and Liang 2021) such keys and values,
 * of which p has all layers' beside each other. Other adapters' virtual tokens have other numbers, each a node of its
 * own. The node that stores dp zeroes all of it first. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

enum { ITEM_ROWS = 64, ITEM_COLUMNS = 64 };

struct virtual_attr {
	int32_t first;
	size_t column;
	bool accumulate;           /* of the gradient */
};

struct work {
	const struct run *r;
	const int32_t *ids;
	int32_t first;
	size_t N, C, n, P;         /* n, P: p's dimensions */
	const float *x, *p;        /* p: at its first column; NULL: zeros */
	float *y;                  /* or p's gradient, at its first column */
};

static int virtual_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *p = tape_tensor(t, n->in[1]);
	const struct virtual_attr *a = n->attr;

	if (x->n_dims != 2 || p->n_dims != 2 || p->dtype != DTYPE_F32)
		return err_set(e, "%s and %s are no matrices of floats", x->name, p->name);
	if (a->column + x->dim[1] > p->dim[1])
		return err_set(e, "%s has %zu columns, %zu from %zu on are wanted", p->name, p->dim[1], x->dim[1],
		               a->column);
	pointwise_output(t, n, "virtual");
	return 0;
}

static struct work work_of(const struct run *r, const struct virtual_attr *a, uint32_t rows, uint32_t p)
{
	const struct tensor *table = run_tensor(r, p);

	return (struct work){ .r = r, .ids = r->batch->ids, .first = a->first, .N = (size_t)r->batch->n_rows,
		              .C = run_tensor(r, rows)->dim[1], .n = table->dim[0], .P = table->dim[1] };
}

static bool is_virtual(const struct work *w, size_t i)
{
	return w->ids[i] >= w->first && (size_t)(w->ids[i] - w->first) < w->n;
}

static void put_rows(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t end = MIN(w->N, (item + 1) * ITEM_ROWS), bytes = w->C * sizeof(float);
	(void)thread;

	for (size_t i = item * ITEM_ROWS; i < end; i++) {
		float *y = w->y + i * w->C;
		if (is_virtual(w, i) && w->p)
			memcpy(y, w->p + (size_t)(w->ids[i] - w->first) * w->P, bytes);
		else if (is_virtual(w, i))
			memset(y, 0, bytes);
		else if (y != w->x + i * w->C)
			memcpy(y, w->x + i * w->C, bytes);
	}
}

static void virtual_forward(struct run *r, const struct node *n)
{
	const struct virtual_attr *a = n->attr;
	struct work w = work_of(r, a, n->in[0], n->in[1]);

	w.x = run_f32(r, n->in[0]);
	w.y = run_f32(r, n->out[0]);
	w.p = run_f32(r, n->in[1]) + a->column;
	pool_run(r->pool, (w.N + ITEM_ROWS - 1) / ITEM_ROWS, put_rows, &w);
}

/* --- backward --- */

static void zero_table(void *ctx, size_t row, int thread)
{
	const struct work *w = ctx;
	(void)thread;

	memset(w->y + row * w->P, 0, w->P * sizeof(float));
}

static void sum_rows(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t begin = item * ITEM_COLUMNS, n = MIN(w->C - begin, (size_t)ITEM_COLUMNS);
	(void)thread;

	for (size_t i = 0; i < w->N; i++) {
		if (!is_virtual(w, i))
			continue;
		float *d = w->y + (size_t)(w->ids[i] - w->first) * w->P + begin;
		w->r->kernels->add(d, d, w->x + i * w->C + begin, n);
	}
}

/* dp; in: dy */
static void sum_forward(struct run *r, const struct node *n)
{
	const struct virtual_attr *a = n->attr;
	struct work w = work_of(r, a, n->in[0], n->out[0]);

	w.x = run_f32(r, n->in[0]);
	w.y = run_f32(r, n->out[0]);
	if (!a->accumulate)
		pool_run(r->pool, w.n, zero_table, &w);
	w.y += a->column;
	pool_run(r->pool, (w.C + ITEM_COLUMNS - 1) / ITEM_COLUMNS, sum_rows, &w);
}

/* dx; in: dy, p */
static void clear_forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n->attr, n->in[0], n->in[1]);

	w.x = run_f32(r, n->in[0]);
	w.y = run_f32(r, n->out[0]);
	pool_run(r->pool, (w.N + ITEM_ROWS - 1) / ITEM_ROWS, put_rows, &w);
}

static void virtual_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                         double *bytes)
{
	*flops = 0;
	*bytes = 8 * tensor_live(tape_tensor(t, n->in[0]), live);
}

static const struct op virtual_sum = { .name = "virtual_rows_sum", .cost = virtual_cost, .forward = sum_forward };
static const struct op virtual_clear = { .name = "virtual_rows_clear", .cost = virtual_cost, .forward = clear_forward,
	                                 .inplace = 1U << 0 };

static void virtual_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct virtual_attr attr = *(const struct virtual_attr *)n.attr;
	uint32_t dy = tape_grad(t, n.out[0]);

	if (tape_wants(t, n.in[1])) {
		uint32_t dp = tape_grad_target(t, n.in[1], &attr.accumulate);
		tape_emit(t, &virtual_sum, &dy, 1, &dp, 1, &attr, sizeof(attr));
	}
	if (!tape_wants(t, n.in[0]))
		return;
	struct tensor like = *tape_tensor(t, n.in[0]);
	uint32_t dx = tape_output(t, &made, 0, "d_virtual", like.axis, like.n_dims, like.dim);
	tape_emit(t, &virtual_clear, (uint32_t[]){ dy, n.in[1] }, 2, &dx, 1, &attr, sizeof(attr));
	tape_grad_pass(t, n.in[0], dx);
}

static uint32_t virtual_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N, V; size_t n, C, P, column; bool twice; } cases[] = {
		{ 1, 1, 3, 5, 5, 0, false }, { 65, 4, 7, 70, 70, 0, false }, { 37, 9, 5, 6, 20, 7, true },
	};
	size_t C = cases[i].C, dim[2] = { (size_t)cases[i].N, C };

	batch_sample(b, rng, cases[i].N, cases[i].V + (int)cases[i].n + 2); /* two are another's */
	uint32_t p = tape_param(t, "p", 2, (size_t[]){ cases[i].n, cases[i].P });
	uint32_t y = op_virtual_rows(t, tape_param(t, "x", 2, dim), p, cases[i].V, cases[i].column);
	if (!cases[i].twice)
		return y;
	return op_add(t, y, op_virtual_rows(t, tape_param(t, "z", 2, dim), p, cases[i].V, cases[i].P - C));
}

const struct op op_row_virtual_rows = {
	.name = "virtual_rows",
	.shape = virtual_shape,
	.cost = virtual_cost,
	.forward = virtual_forward,
	.backward = virtual_backward,
	.saves = 1U << 1,
	.inplace = 1U << 0,
	.cheap = true,
	.sample = virtual_sample,
	.sample_count = 3,
};

uint32_t op_virtual_rows(struct tape *t, uint32_t x, uint32_t p, int32_t first, size_t column)
{
	struct virtual_attr attr = { .first = first, .column = column };

	return tape_record(t, &op_row_virtual_rows, (uint32_t[]){ x, p }, 2, &attr, sizeof(attr));
}
