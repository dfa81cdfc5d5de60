/* sparse: a product with a matrix of which few numbers are not zero, added to what is there.
 *
 *     y[n][o] = r[n][o] + Σ over k with row[k] = o, ascending, of v[k]·x[n][col[k]]
 *
 * x (N,I), v (K) f32; at (2,K) f32, whole numbers: first the rows, below O, then the columns, below I; r (N,O).
 *
 *     dx[n][col[k]] += v[k]·dy[n][row[k]]    dv[k] (+)= Σ_n dy[n][row[k]]·x[n][col[k]]    dr = dy
 *
 * Rows are taken in blocks of 64 and turned, so that each of the K numbers meets 64 of them that lie together; a
 * block's sums go up in the order of k, and those of dv over the blocks in theirs, so no bit depends on threads. One
 * kernel multiplies any number of rows, so that a row's bits do not depend on how many stand beside it; fewer than
 * FEW are multiplied as FEW, the others zeros: whole vectors, which are quicker than a part of one. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/run.h"

enum { BLOCK = 64, SUM_PIECE = 4096, FEW = 8 };
enum { IN_X, IN_V, IN_AT, IN_R };

struct sparse_attr { size_t O; bool accumulate; };

struct sparse_work {
	const struct run *r;
	const float *x, *v, *row, *col, *residual, *dy;
	float *out, *partial;      /* partial: [blocks][K] */
	size_t N, I, O, K, blocks;
	bool accumulate;
};

static int sparse_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[IN_X]), *v = tape_tensor(t, n->in[IN_V]),
	                    *at = tape_tensor(t, n->in[IN_AT]), *r = n->in[IN_R] ? tape_tensor(t, n->in[IN_R]) : NULL;
	size_t O = ((const struct sparse_attr *)n->attr)->O;

	if (x->n_dims != 2 || v->n_dims != 1 || at->n_dims != 2 || at->dim[0] != 2 || at->dim[1] != v->dim[0])
		return err_set(e, "%s, %s and %s do not fit a sparse product", x->name, v->name, at->name);
	if (r && (r->axis != x->axis || r->dim[1] != O))
		return err_set(e, "%s is not like what %s becomes, %zu wide", r->name, x->name, O);
	tape_output(t, n, 0, "sparse", x->axis, 2, (size_t[]){ x->dim[0], O });
	return 0;
}

static void sparse_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                        double *bytes)
{
	const struct tensor *x = tape_tensor(t, n->in[IN_X]);
	double rows = tensor_live(x, live) / (double)x->dim[1];
	double K = (double)tape_tensor(t, n->in[IN_V])->dim[0];

	*flops = 2 * rows * K;
	*bytes = 12 * K + 4 * tensor_live(x, live) + 4 * tensor_live(tape_tensor(t, n->out[0]), live);
}

/* Two blocks of turned rows. */
static size_t block_scratch(size_t I, size_t O) { return (I + O) * BLOCK * sizeof(float); }

static size_t sparse_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)k;
	return block_scratch(tape_tensor(t, n->in[IN_X])->dim[1], ((const struct sparse_attr *)n->attr)->O);
}

/* to [width][BLOCK] of n rows of x, those up to FEW that are not there 0. */
static void turn(float *to, const float *x, size_t n, size_t width)
{
	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < width; c++)
			to[c * BLOCK + i] = x[i * width + c];
	for (size_t c = 0; n < FEW && c < width; c++)
		memset(to + c * BLOCK + n, 0, (FEW - n) * sizeof(*to));
}

/* A random place of the sample's may be no place: it is the first then. */
static size_t index_of(float at, size_t n) { return at >= 0 && at < (float)n ? (size_t)at : 0; }

/* to[a[k]] += v[k]·from[b[k]], n numbers each. */
static void products(const struct sparse_work *w, float *to, const float *a, size_t n_a, const float *from,
                     const float *b, size_t n_b, size_t n)
{
	for (size_t k = 0; k < w->K; k++) {
		const float *x = from + index_of(b[k], n_b) * BLOCK;
		w->r->kernels->axpy(to + index_of(a[k], n_a) * BLOCK, w->v[k], x, MAX(n, (size_t)FEW));
	}
}

static void forward_block(void *ctx, size_t item, int thread)
{
	const struct sparse_work *w = ctx;
	size_t first = item * BLOCK, n = MIN(w->N - first, (size_t)BLOCK);
	float *x = run_scratch(w->r, thread), *y = x + w->I * BLOCK;

	turn(x, w->x + first * w->I, n, w->I);
	if (w->residual)
		turn(y, w->residual + first * w->O, n, w->O);
	else
		memset(y, 0, w->O * BLOCK * sizeof(*y));
	products(w, y, w->row, w->O, x, w->col, w->I, n);
	for (size_t i = 0; i < n; i++)
		for (size_t o = 0; o < w->O; o++)
			w->out[(first + i) * w->O + o] = y[o * BLOCK + i];
}

static struct sparse_work work_of(const struct run *r, uint32_t rows, uint32_t at)
{
	size_t K = run_tensor(r, at)->dim[1], N = run_rows(r, rows);

	return (struct sparse_work){ .r = r, .row = run_f32(r, at), .col = run_f32(r, at) + K, .K = K, .N = N,
		                     .blocks = (N + BLOCK - 1) / BLOCK };
}

static void sparse_forward(struct run *r, const struct node *n)
{
	struct sparse_work w = work_of(r, n->in[IN_X], n->in[IN_AT]);

	w.x = run_f32(r, n->in[IN_X]);
	w.v = run_f32(r, n->in[IN_V]);
	w.residual = run_f32(r, n->in[IN_R]);
	w.out = run_f32(r, n->out[0]);
	w.I = run_tensor(r, n->in[IN_X])->dim[1];
	w.O = ((const struct sparse_attr *)n->attr)->O;
	pool_run(r->pool, w.blocks, forward_block, &w);
}

/* --- backward --- */

/* dx; in: dy, v, at */
static void dx_block(void *ctx, size_t item, int thread)
{
	const struct sparse_work *w = ctx;
	size_t first = item * BLOCK, n = MIN(w->N - first, (size_t)BLOCK);
	float *x = run_scratch(w->r, thread), *y = x + w->I * BLOCK;

	turn(y, w->dy + first * w->O, n, w->O);
	memset(x, 0, w->I * BLOCK * sizeof(*x));
	products(w, x, w->col, w->I, y, w->row, w->O, n);
	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < w->I; c++)
			w->out[(first + i) * w->I + c] = x[c * BLOCK + i];
}

static void dx_forward(struct run *r, const struct node *n)
{
	struct sparse_work w = work_of(r, n->in[0], n->in[2]);

	w.dy = run_f32(r, n->in[0]);
	w.v = run_f32(r, n->in[1]);
	w.out = run_f32(r, n->out[0]);
	w.O = run_tensor(r, n->in[0])->dim[1];
	w.I = run_tensor(r, n->out[0])->dim[1];
	pool_run(r->pool, w.blocks, dx_block, &w);
}

/* dv; in: dy, x, at; out: dv, a block's share of it */
static void dv_block(void *ctx, size_t item, int thread)
{
	const struct sparse_work *w = ctx;
	size_t first = item * BLOCK, n = MIN(w->N - first, (size_t)BLOCK);
	float *x = run_scratch(w->r, thread), *y = x + w->I * BLOCK;

	turn(x, w->x + first * w->I, n, w->I);
	turn(y, w->dy + first * w->O, n, w->O);
	for (size_t k = 0; k < w->K; k++)
		w->partial[item * w->K + k] = w->r->kernels->dot(y + index_of(w->row[k], w->O) * BLOCK,
		                                                 x + index_of(w->col[k], w->I) * BLOCK, n);
}

static void dv_sum(void *ctx, size_t item, int thread)
{
	const struct sparse_work *w = ctx;
	size_t first = item * SUM_PIECE, n = MIN(w->K - first, (size_t)SUM_PIECE);
	float *out = w->out + first;
	(void)thread;

	if (!w->accumulate)
		memset(out, 0, n * sizeof(*out));
	for (size_t b = 0; b < w->blocks; b++)
		w->r->kernels->add(out, out, w->partial + b * w->K + first, n);
}

static void dv_forward(struct run *r, const struct node *n)
{
	struct sparse_work w = work_of(r, n->in[0], n->in[2]);

	w.dy = run_f32(r, n->in[0]);
	w.x = run_f32(r, n->in[1]);
	w.out = run_f32(r, n->out[0]);
	w.partial = run_f32(r, n->out[1]);
	w.O = run_tensor(r, n->in[0])->dim[1];
	w.I = run_tensor(r, n->in[1])->dim[1];
	w.accumulate = ((const struct sparse_attr *)n->attr)->accumulate;
	pool_run(r->pool, w.blocks, dv_block, &w);
	pool_run(r->pool, (w.K + SUM_PIECE - 1) / SUM_PIECE, dv_sum, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct tensor *dy = tape_tensor(t, n->in[0]);
	double rows = tensor_live(dy, live) / (double)dy->dim[1], K = (double)tape_tensor(t, n->in[2])->dim[1];

	*flops = 2 * rows * K;
	*bytes = 12 * K + 8 * tensor_live(dy, live);
}

static size_t dx_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)k;
	return block_scratch(tape_tensor(t, n->out[0])->dim[1], tape_tensor(t, n->in[0])->dim[1]);
}

static size_t dv_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)k;
	return block_scratch(tape_tensor(t, n->in[1])->dim[1], tape_tensor(t, n->in[0])->dim[1]);
}

static const struct op sparse_dx = { .name = "sparse_dx", .cost = back_cost, .forward = dx_forward,
	                             .scratch = dx_scratch };
static const struct op sparse_dv = { .name = "sparse_dv", .cost = back_cost, .forward = dv_forward,
	                             .scratch = dv_scratch };

static void emit_dx(struct tape *t, const struct node *n, uint32_t dy)
{
	struct tensor like = *tape_tensor(t, n->in[IN_X]);
	struct node made = { 0 };
	uint32_t dx = tape_output(t, &made, 0, "d_sparse", like.axis, like.n_dims, like.dim);

	tape_emit(t, &sparse_dx, (uint32_t[]){ dy, n->in[IN_V], n->in[IN_AT] }, 3, &dx, 1, NULL, 0);
	tape_grad_pass(t, n->in[IN_X], dx);
}

static void emit_dv(struct tape *t, const struct node *n, uint32_t dy)
{
	struct sparse_attr attr = *(const struct sparse_attr *)n->attr;
	size_t blocks = (tape_tensor(t, n->in[IN_X])->dim[0] + BLOCK - 1) / BLOCK;
	struct node made = { 0 };
	uint32_t out[2] = { tape_grad_target(t, n->in[IN_V], &attr.accumulate) };

	out[1] = tape_scratch(t, &made, 1, "sparse_partials", blocks * tape_tensor(t, n->in[IN_V])->dim[0]);
	tape_emit(t, &sparse_dv, (uint32_t[]){ dy, n->in[IN_X], n->in[IN_AT] }, 3, out, 2, &attr, sizeof(attr));
}

static void sparse_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	uint32_t dy = tape_grad(t, n.out[0]);

	if (tape_wants(t, n.in[IN_V]))
		emit_dv(t, &n, dy);
	if (tape_wants(t, n.in[IN_X]))
		emit_dx(t, &n, dy);
	if (tape_wants(t, n.in[IN_R]))
		tape_grad_pass(t, n.in[IN_R], dy);
}

static uint32_t sparse_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t I, O, K; bool residual; } cases[] = {
		{ 1, 1, 1, 1, false }, { 37, 5, 9, 11, true }, { 70, 66, 3, 40, true }, { 9, 4, 4, 5, false },
	};
	size_t I = cases[i].I, O = cases[i].O, K = cases[i].K, N = (size_t)cases[i].N;

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t r = cases[i].residual ? tape_param(t, "r", 2, (size_t[]){ N, O }) : TENSOR_NONE;
	return op_sparse(t, tape_param(t, "x", 2, (size_t[]){ N, I }), tape_param(t, "v", 1, &K),
	                 tape_weight(t, "at", DTYPE_F32, 2, (size_t[]){ 2, K }), O, r);
}

const struct op op_row_sparse = {
	.name = "sparse", .shape = sparse_shape, .cost = sparse_cost, .forward = sparse_forward,
	.backward = sparse_backward, .scratch = sparse_scratch, .saves = 1U << IN_X | 1U << IN_V | 1U << IN_AT,
	.sample = sparse_sample, .sample_count = 4,
};

uint32_t op_sparse(struct tape *t, uint32_t x, uint32_t v, uint32_t at, size_t O, uint32_t residual)
{
	struct sparse_attr attr = { .O = O };

	return tape_record(t, &op_row_sparse, (uint32_t[]){ x, v, at, residual }, 4, &attr, sizeof(attr));
}
