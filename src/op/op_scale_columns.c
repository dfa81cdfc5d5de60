/* scale_columns: y(i,j) = s(j)·(x(i,j) + b(j)) + r(i,j), each of s, b and r if there is one.
 *
 *     x, r, y (N,C) or (R,C) of the target rows, or (C) alone      s, b (C), or s one number for all columns
 *
 *     dx = s∘dy    ds = Σ rows dy∘(x + b), of one number over the columns too    db = s∘Σ rows dy    dr = dy
 *
 * What an adapter does to a product's columns ((IA)3, Liu et al. 2022), and the bias and the residual that wait for it.
 * The sums over rows go up in the order of the rows. Backward reads x where s is trained. */
#include "op/ops.h"

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

enum { IN_X, IN_S, IN_B, IN_R, N_IN, SUM_COLUMNS = 64 };

static int check_vector(const struct tape *t, uint32_t id, size_t C, struct err *e)
{
	const struct tensor *x = id ? tape_tensor(t, id) : NULL;

	if (x && tensor_count(x) != C)
		return err_set(e, "%s: %zu numbers, %zu are wanted", x->name, tensor_count(x), C);
	return 0;
}

/* A vector is one row. */
static size_t columns(const struct tensor *x) { return x->dim[x->n_dims - 1]; }
static size_t rows(const struct run *r, uint32_t id)
{
	return run_tensor(r, id)->n_dims == 1 ? 1 : run_rows(r, id);
}

static int scale_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor like = *tape_tensor(t, n->in[IN_X]);
	const struct tensor *r = n->in[IN_R] ? tape_tensor(t, n->in[IN_R]) : NULL;

	if (like.n_dims > 2)
		return err_set(e, "%s is neither matrix nor vector", like.name);
	bool one = n->in[IN_S] && tensor_count(tape_tensor(t, n->in[IN_S])) == 1;
	if ((!one && check_vector(t, n->in[IN_S], columns(&like), e) < 0) ||
	    check_vector(t, n->in[IN_B], columns(&like), e) < 0)
		return -1;
	if (r && (r->axis != like.axis || tensor_count(r) != tensor_count(&like)))
		return err_set(e, "%s and %s differ in shape", like.name, r->name);
	tape_output(t, n, 0, "scaled", like.axis, like.n_dims, like.dim);
	return 0;
}

struct work {
	const float *x, *s, *b, *r;    /* s, b, r or NULL */
	float *y;
	size_t rows, C, piece;         /* rows of a piece */
	size_t step;                   /* from one number of s to the next: 0 where it is one */
};

static void scale_row(const struct work *w, size_t at)
{
	const float *x = w->x + at, *r = w->r ? w->r + at : NULL;
	float *y = w->y + at;

	for (size_t j = 0; j < w->C; j++) {
		float v = w->b ? x[j] + w->b[j] : x[j];
		v = w->s ? w->s[j * w->step] * v : v;
		y[j] = r ? v + r[j] : v;
	}
}

static void scale_piece(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t end = MIN(w->rows, (item + 1) * w->piece);
	(void)thread;

	for (size_t i = item * w->piece; i < end; i++)
		scale_row(w, i * w->C);
}

/* 0 where the vector is one number for all columns, else 1. */
static size_t step_of(const struct run *r, uint32_t id)
{
	return !id || tensor_count(run_tensor(r, id)) > 1;
}

static void scale_forward(struct run *r, const struct node *n)
{
	size_t C = columns(run_tensor(r, n->out[0]));
	struct work w = { .x = run_f32(r, n->in[IN_X]),
		          .s = run_f32(r, n->in[IN_S]),
		          .b = run_f32(r, n->in[IN_B]),
		          .r = run_f32(r, n->in[IN_R]),
		          .y = run_f32(r, n->out[0]),
		          .rows = rows(r, n->out[0]),
		          .C = C,
		          .step = step_of(r, n->in[IN_S]),
		          .piece = MAX((size_t)POINTWISE_PIECE / C, (size_t)1) };

	pool_run(r->pool, (w.rows + w.piece - 1) / w.piece, scale_piece, &w);
}

/* --- backward --- */

struct sum_attr { bool accumulate; };

struct sum_work {
	const float *dy, *x, *b, *s;   /* x: of ds; s: of db; or NULL */
	float *out;
	size_t rows, C;
	size_t step;                   /* of s */
	bool accumulate;
};

/* Of the n columns from `first` on. */
static void sum_columns(const struct sum_work *w, size_t first, size_t n, float *sum)
{
	for (size_t i = 0, at = first; i < w->rows; i++, at += w->C)
		for (size_t j = 0; j < n; j++) {
			float v = w->x ? w->x[at + j] : 1;
			sum[j] += w->dy[at + j] * (w->b ? v + w->b[first + j] : v);
		}
}

static void sum_piece(void *ctx, size_t item, int thread)
{
	const struct sum_work *w = ctx;
	size_t first = item * SUM_COLUMNS, n = MIN(w->C - first, (size_t)SUM_COLUMNS);
	float sum[SUM_COLUMNS] = { 0 };
	(void)thread;

	sum_columns(w, first, n, sum);
	for (size_t j = 0; j < n; j++) {
		float v = w->s ? sum[j] * w->s[(first + j) * w->step] : sum[j];
		w->out[first + j] = w->accumulate ? w->out[first + j] + v : v;
	}
}

/* The one number of all columns. */
static void sum_all(void *ctx, size_t item, int thread)
{
	const struct sum_work *w = ctx;
	double all = w->accumulate ? (double)w->out[0] : 0;
	(void)item;
	(void)thread;

	for (size_t first = 0; first < w->C; first += SUM_COLUMNS) {
		size_t n = MIN(w->C - first, (size_t)SUM_COLUMNS);
		float sum[SUM_COLUMNS] = { 0 };
		sum_columns(w, first, n, sum);
		for (size_t j = 0; j < n; j++)
			all += (double)sum[j];
	}
	w->out[0] = (float)all;
}

/* in: dy, then x and b (or none) for ds; dy, none, none, then s (or none) for db */
static void sum_forward(struct run *r, const struct node *n)
{
	struct sum_work w = { .dy = run_f32(r, n->in[0]),
		              .x = run_f32(r, n->in[1]),
		              .b = run_f32(r, n->in[2]),
		              .s = run_f32(r, n->in[3]),
		              .out = run_f32(r, n->out[0]),
		              .rows = rows(r, n->in[0]),
		              .C = columns(run_tensor(r, n->in[0])),
		              .step = step_of(r, n->in[3]),
		              .accumulate = ((const struct sum_attr *)n->attr)->accumulate };

	if (w.C > 1 && tensor_count(run_tensor(r, n->out[0])) == 1)
		pool_run(r->pool, 1, sum_all, &w);
	else
		pool_run(r->pool, (w.C + SUM_COLUMNS - 1) / SUM_COLUMNS, sum_piece, &w);
}

static void sum_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 2 * tensor_live(tape_tensor(t, n->in[0]), live);
	*bytes = (n->in[1] ? 4 : 2) * *flops;
}

static const struct op scale_back = {
	.name = "scale_columns_back", .cost = pointwise_cost, .forward = scale_forward, .inplace = 1U << IN_X
};
static const struct op scale_sum = { .name = "scale_columns_sum", .cost = sum_cost, .forward = sum_forward };

static void emit_sum(struct tape *t, uint32_t of, const uint32_t in[4])
{
	struct sum_attr attr;

	if (!tape_wants(t, of))
		return;
	uint32_t out = tape_grad_target(t, of, &attr.accumulate);
	tape_emit(t, &scale_sum, in, 4, &out, 1, &attr, sizeof(attr));
}

/* The gradient that x and r share is one tensor for r, and a copy for x. */
static uint32_t emit_dx(struct tape *t, const struct node *n, uint32_t dy)
{
	struct tensor like = *tape_tensor(t, n->in[IN_X]);
	struct node made = { 0 };

	if (!n->in[IN_S] && !tape_wants(t, n->in[IN_R]))
		return dy;
	uint32_t dx = tape_output(t, &made, 0, "d_scaled", like.axis, like.n_dims, like.dim);
	tape_emit(t, &scale_back, (uint32_t[]){ dy, n->in[IN_S] }, 2, &dx, 1, NULL, 0);
	return dx;
}

static void scale_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	uint32_t dy = tape_grad(t, n.out[0]);

	emit_sum(t, n.in[IN_S], (uint32_t[]){ dy, n.in[IN_X], n.in[IN_B], TENSOR_NONE });
	emit_sum(t, n.in[IN_B], (uint32_t[]){ dy, TENSOR_NONE, TENSOR_NONE, n.in[IN_S] });
	if (tape_wants(t, n.in[IN_X]))
		tape_grad_pass(t, n.in[IN_X], emit_dx(t, &n, dy));
	if (tape_wants(t, n.in[IN_R]))
		tape_grad_pass(t, n.in[IN_R], dy);
}

static uint32_t scale_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	/* N 0: a vector */
	static const struct { int N; size_t C; bool s, b, r, targets, one; } cases[] = {
		{ 1, 1, true, false, false, false, false }, { 33, 70, true, true, true, false, false },
		{ 70, 300, false, true, true, false, false }, { 21, 65, true, false, true, true, false },
		{ 9, 5, false, false, true, false, false }, { 40, 130, true, true, true, false, true },
		{ 0, 70, true, true, false, false, false },
	};
	size_t C = cases[i].C, dim[2] = { (size_t)cases[i].N, C }, scales = cases[i].one ? 1 : C;
	bool vector = !cases[i].N;

	batch_sample(b, rng, MAX(cases[i].N, 1), 50);
	uint32_t x = vector ? tape_param(t, "x", 1, &C) : tape_param(t, "x", 2, dim);
	uint32_t r = cases[i].r ? tape_param(t, "r", 2, dim) : TENSOR_NONE;
	return op_scale_columns(t, cases[i].targets ? op_gather(t, x) : x,
	                        cases[i].s ? tape_param(t, "s", 1, &scales) : TENSOR_NONE,
	                        cases[i].b ? tape_param(t, "b", 1, &C) : TENSOR_NONE,
	                        cases[i].targets && r ? op_gather(t, r) : r);
}

const struct op op_row_scale_columns = {
	.name = "scale_columns",
	.shape = scale_shape,
	.cost = pointwise_cost,
	.forward = scale_forward,
	.backward = scale_backward,
	.saves = 1U << IN_X | 1U << IN_S | 1U << IN_B,
	.inplace = 1U << IN_X | 1U << IN_R,
	.cheap = true,
	.sample = scale_sample,
	.sample_count = 7,
};

uint32_t op_scale_columns(struct tape *t, uint32_t x, uint32_t scale, uint32_t bias, uint32_t residual)
{
	return tape_record(t, &op_row_scale_columns, (uint32_t[N_IN]){ x, scale, bias, residual }, N_IN, NULL, 0);
}
