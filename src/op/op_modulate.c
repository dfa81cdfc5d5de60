/* modulate: a matrix times a product of low rank, number by number, and itself added where it is asked for.
 *
 *     w (O,I) any dtype      b (O,r)      a (r,I)      y (O,I)
 *
 *     y = w∘(b·a)    or    y = w + w∘(b·a)
 *
 *     g = dy∘w    db = g·aᵀ    da = bᵀ·g    dw = dy∘(b·a), where w is added + dy
 *
 * What HiRA does to a weight (adapt/adapter_hira.c). w is read from the form in which it is stored, rows or panels; y
 * is cheap beside a product with it and is made again in backward, so that it is there while its linear works. */
#include "op/ops.h"

#include "base/mem.h"
#include "kernel/gemm.h"
#include "op/batch_sample.h"
#include "op/run.h"

extern const struct op op_row_modulate;

enum { IN_W, IN_B, IN_A, SLICE = 256, PIECE = 4096 };

struct modulate_attr {
	bool plus;                     /* w itself is added */
	bool accumulate;
};

static int modulate_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *w = tape_tensor(t, n->in[IN_W]), *b = tape_tensor(t, n->in[IN_B]);
	const struct tensor *a = tape_tensor(t, n->in[IN_A]);

	if (w->n_dims != 2 || b->n_dims != 2 || a->n_dims != 2 || w->axis != AXIS_FIXED || b->dim[0] != w->dim[0] ||
	    a->dim[1] != w->dim[1] || a->dim[0] != b->dim[1])
		return err_set(e, "%s, %s and %s are no matrix and its factors", w->name, b->name, a->name);
	tape_output(t, n, 0, "modulate", AXIS_FIXED, 2, w->dim);
	return 0;
}

/* y = b·a */
static void low_rank(struct run *r, uint32_t b, uint32_t a, float *y)
{
	struct matrix A = run_matrix(r, a);
	size_t rank = A.rows;
	struct gemm g = { .m = run_tensor(r, b)->dim[0], .n = A.cols, .c = y, .ldc = A.cols, .n_terms = 1 };

	g.term[0] = (struct gemm_term){
		.a = run_f32(r, b), .a_row = rank, .a_col = 1, .b = A, .k = rank, .scale = 1
	};
	gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
}

struct times_work {
	const struct run *r;
	struct gemm_term w;
	const float *by;               /* [O,I], may be y */
	float *y;
	size_t O, I;
	float plus;
};

/* y = by∘w + plus·w, for as many rows as a panel has. */
static void times_piece(void *ctx, size_t item, int thread)
{
	const struct times_work *x = ctx;
	const struct kernels *k = x->r->kernels;
	size_t nr = (size_t)k->nr, first = item * nr, n = MIN(x->O - first, nr);
	float *panel = run_scratch(x->r, thread);

	for (size_t k0 = 0; k0 < x->I; k0 += SLICE) {
		size_t some = MIN(x->I - k0, (size_t)SLICE);
		gemm_pack(k, &x->w, first, n, k0, some, panel);
		for (size_t j = 0; j < n; j++) {
			size_t at = (first + j) * x->I + k0;
			for (size_t i = 0; i < some; i++)
				x->y[at + i] = (x->by[at + i] + x->plus) * panel[i * nr + j];
		}
	}
}

static void times(struct run *r, uint32_t w, const float *by, float *y, float plus)
{
	struct matrix W = run_matrix(r, w);
	const struct tensor *like = run_tensor(r, w);
	struct times_work x = { .r = r, .by = by, .y = y, .O = like->dim[0], .I = like->dim[1], .plus = plus };

	x.w = (struct gemm_term){ .b = W, .transposed = true, .k = x.I, .scale = 1 };
	pool_run(r->pool, (x.O + (size_t)r->kernels->nr - 1) / (size_t)r->kernels->nr, times_piece, &x);
}

static void modulate_forward(struct run *r, const struct node *n)
{
	const struct modulate_attr *attr = n->attr;
	float *y = run_f32(r, n->out[0]);

	low_rank(r, n->in[IN_B], n->in[IN_A], y);
	times(r, n->in[IN_W], y, y, attr->plus ? 1 : 0);
}

/* in: dy, w; out: g */
static void g_forward(struct run *r, const struct node *n)
{
	times(r, n->in[1], run_f32(r, n->in[0]), run_f32(r, n->out[0]), 0);
}

/* in: g, a; out: db */
static void db_forward(struct run *r, const struct node *n)
{
	struct matrix a = run_matrix(r, n->in[1]);
	struct gemm g = { .m = run_tensor(r, n->in[0])->dim[0], .n = a.rows, .c = run_f32(r, n->out[0]),
		          .ldc = a.rows, .n_terms = 1, .free = true,
		          .accumulate = ((const struct modulate_attr *)n->attr)->accumulate };

	g.term[0] = (struct gemm_term){ .a = run_f32(r, n->in[0]), .a_row = a.cols, .a_col = 1, .b = a,
		                        .transposed = true, .k = a.cols, .scale = 1 };
	gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
}

/* in: g, b; out: da */
static void da_forward(struct run *r, const struct node *n)
{
	struct matrix m = run_matrix(r, n->in[0]);
	size_t rank = run_tensor(r, n->in[1])->dim[1];
	struct gemm g = { .m = rank, .n = m.cols, .c = run_f32(r, n->out[0]), .ldc = m.cols, .n_terms = 1,
		          .free = true,
		          .accumulate = ((const struct modulate_attr *)n->attr)->accumulate };

	g.term[0] = (struct gemm_term){
		.a = run_f32(r, n->in[1]), .a_row = 1, .a_col = rank, .b = m, .k = m.rows, .scale = 1
	};
	gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
}

struct dw_work { const float *dy; float *dw, *low; size_t n; float plus; bool accumulate; };

static void dw_piece(void *ctx, size_t item, int thread)
{
	const struct dw_work *w = ctx;
	size_t end = MIN(w->n, (item + 1) * PIECE);
	(void)thread;

	for (size_t i = item * PIECE; i < end; i++) {
		float v = w->dy[i] * (w->low[i] + w->plus);
		w->dw[i] = w->accumulate ? w->dw[i] + v : v;
	}
}

/* in: dy, b, a; out: dw, and b·a beside it */
static void dw_forward(struct run *r, const struct node *n)
{
	const struct modulate_attr *attr = n->attr;
	struct dw_work w = { .dy = run_f32(r, n->in[0]), .dw = run_f32(r, n->out[0]), .low = run_f32(r, n->out[1]),
		             .n = tensor_count(run_tensor(r, n->out[0])), .plus = attr->plus ? 1 : 0,
		             .accumulate = attr->accumulate };

	low_rank(r, n->in[1], n->in[2], w.low);
	pool_run(r->pool, (w.n + PIECE - 1) / PIECE, dw_piece, &w);
}

/* The products of low rank are what counts. */
static void low_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct tensor *first = tape_tensor(t, n->in[0]), *last = tape_tensor(t, n->in[1]);
	double rank = (double)MIN(last->dim[0], last->dim[1]);
	(void)live;

	*flops = 2 * (double)tensor_count(first) * rank;
	*bytes = 8 * (double)tensor_count(first);
}

static void g_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	(void)live;
	*flops = (double)tensor_count(tape_tensor(t, n->in[0]));
	*bytes = 12 * *flops;
}

static size_t scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)t, (void)n;
	return MAX(gemm_scratch_bytes(k), (size_t)SLICE * KERNEL_NR_MAX * sizeof(float));
}

static const struct op modulate_g = {
	.name = "modulate_g", .cost = g_cost, .forward = g_forward, .scratch = scratch
};
static const struct op modulate_db = {
	.name = "modulate_db", .cost = low_cost, .forward = db_forward, .scratch = scratch
};
static const struct op modulate_da = {
	.name = "modulate_da", .cost = low_cost, .forward = da_forward, .scratch = scratch
};
static const struct op modulate_dw = {
	.name = "modulate_dw", .cost = low_cost, .forward = dw_forward, .scratch = scratch
};

static void modulate_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct modulate_attr attr = *(const struct modulate_attr *)n.attr;
	const struct tensor like = *tape_tensor(t, n.out[0]);
	uint32_t dy = tape_grad(t, n.out[0]);

	if (tape_wants(t, n.in[IN_W])) {
		uint32_t out[2] = { tape_grad_target(t, n.in[IN_W], &attr.accumulate) };
		out[1] = tape_scratch(t, &made, 1, "low_rank", tensor_count(&like));
		tape_emit(t, &modulate_dw, (uint32_t[]){ dy, n.in[IN_B], n.in[IN_A] }, 3, out, 2, &attr, sizeof(attr));
	}
	if (!tape_wants(t, n.in[IN_B]) && !tape_wants(t, n.in[IN_A]))
		return;
	uint32_t g = tape_output(t, &made, 0, "d_modulate", AXIS_FIXED, 2, like.dim);
	tape_emit(t, &modulate_g, (uint32_t[]){ dy, n.in[IN_W] }, 2, &g, 1, &attr, sizeof(attr));
	if (tape_wants(t, n.in[IN_B])) {
		uint32_t db = tape_grad_target(t, n.in[IN_B], &attr.accumulate);
		tape_emit(t, &modulate_db, (uint32_t[]){ g, n.in[IN_A] }, 2, &db, 1, &attr, sizeof(attr));
	}
	if (tape_wants(t, n.in[IN_A])) {
		uint32_t da = tape_grad_target(t, n.in[IN_A], &attr.accumulate);
		tape_emit(t, &modulate_da, (uint32_t[]){ g, n.in[IN_B] }, 2, &da, 1, &attr, sizeof(attr));
	}
}

static uint32_t modulate_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { size_t O, I, r; bool plus, frozen; } cases[] = {
		{ 1, 1, 1, false, false }, { 67, 70, 3, true, false }, { 33, 300, 8, false, true },
		{ 40, 9, 2, true, true },
	};
	size_t w[2] = { cases[i].O, cases[i].I };

	batch_sample(b, rng, 4, 50);
	return op_modulate(t, cases[i].frozen ? tape_weight(t, "w", DTYPE_F32, 2, w) : tape_param(t, "w", 2, w),
	                   tape_param(t, "b", 2, (size_t[]){ cases[i].O, cases[i].r }),
	                   tape_param(t, "a", 2, (size_t[]){ cases[i].r, cases[i].I }), cases[i].plus);
}

const struct op op_row_modulate = {
	.name = "modulate",
	.shape = modulate_shape,
	.cost = low_cost,
	.forward = modulate_forward,
	.backward = modulate_backward,
	.saves = 1U << IN_W | 1U << IN_B | 1U << IN_A,
	.cheap = true,
	.scratch = scratch,
	.sample = modulate_sample,
	.sample_count = 4,
};

uint32_t op_modulate(struct tape *t, uint32_t w, uint32_t b, uint32_t a, bool plus)
{
	struct modulate_attr attr = { .plus = plus };

	return tape_record(t, &op_row_modulate, (uint32_t[]){ w, b, a }, 3, &attr, sizeof(attr));
}
