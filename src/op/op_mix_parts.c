/* mix_parts: new parts of a row, each a sum of the old ones.      x (N,c·b)      w (a,c)      y (N,a·b)
 *
 *     y(n, i·b + p) = Σ_j w(i,j)·x(n, j·b + p)
 *
 *     dx(n, j·b + p) = Σ_i w(i,j)·dy(n, i·b + p)    dw(i,j) = Σ over rows and p dy(n, i·b + p)·x(n, j·b + p)
 *
 * Of each row a small product of matrices, w (a,c) times its parts (c,b), and an item of the pool is a few rows; of dw
 * it is a few of its rows, for which all rows of the batch go up in order. With op_linear_parts it is a Kronecker
 * product times x: (w1 ⊗ w2)·x = mix_parts(linear_parts(x, w2), w1). */
#include "op/ops.h"

#include "base/mem.h"
#include "kernel/gemm.h"
#include "op/batch_sample.h"
#include "op/run.h"

extern const struct op op_row_mix_parts;

enum { MIX_ROWS = 8, MIX_OUT = 8 };

struct mix_attr { bool back, accumulate; };

static int mix_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *w = tape_tensor(t, n->in[1]);

	if (x->n_dims != 2 || w->n_dims != 2 || x->dim[1] % w->dim[1])
		return err_set(e, "%s: rows of %zu numbers are no %zu parts", x->name, x->dim[1], w->dim[1]);
	tape_output(t, n, 0, "mix_parts", x->axis, 2, (size_t[]){ x->dim[0], x->dim[1] / w->dim[1] * w->dim[0] });
	return 0;
}

struct mix_work {
	struct run *r;
	const float *x, *dy, *w;       /* dy: of dw; w: of the others */
	float *out;
	size_t N, a, c, b;
	struct mix_attr attr;
};

static struct matrix rows_of(const float *x, size_t rows, size_t cols)
{
	return (struct matrix){
		.dtype = DTYPE_F32, .data = x, .rows = rows, .cols = cols, .row_bytes = cols * sizeof(float)
	};
}

/* Rows of y, or of dx. */
static void mix_piece(void *ctx, size_t item, int thread)
{
	const struct mix_work *w = ctx;
	bool back = w->attr.back;
	size_t from = back ? w->a : w->c, to = back ? w->c : w->a, end = MIN(w->N, (item + 1) * MIX_ROWS);

	for (size_t n = item * MIX_ROWS; n < end; n++) {
		struct gemm g = { .m = to,
			          .n = w->b,
			          .c = w->out + n * to * w->b,
			          .ldc = w->b,
			          .n_terms = 1,
			          .accumulate = w->attr.accumulate };
		g.term[0] = (struct gemm_term){ .a = w->w,
			                        .a_row = back ? 1 : w->c,
			                        .a_col = back ? w->c : 1,
			                        .b = rows_of(w->x + n * from * w->b, from, w->b),
			                        .k = from,
			                        .scale = 1 };
		gemm_serial(w->r->kernels, &g, run_scratch(w->r, thread));
	}
}

/* Rows of dw. */
static void sum_piece(void *ctx, size_t item, int thread)
{
	const struct mix_work *w = ctx;
	size_t first = item * MIX_OUT, m = MIN(w->a - first, (size_t)MIX_OUT);

	for (size_t n = 0; n < w->N; n++) {
		struct gemm g = { .m = m,
			          .n = w->c,
			          .c = w->out + first * w->c,
			          .ldc = w->c,
			          .n_terms = 1,
			          .accumulate = n > 0 || w->attr.accumulate };
		g.term[0] = (struct gemm_term){ .a = w->dy + (n * w->a + first) * w->b,
			                        .a_row = w->b,
			                        .a_col = 1,
			                        .b = rows_of(w->x + n * w->c * w->b, w->c, w->b),
			                        .transposed = true,
			                        .k = w->b,
			                        .scale = 1 };
		gemm_serial(w->r->kernels, &g, run_scratch(w->r, thread));
	}
}

/* in: x, w; backward dy, w */
static void mix_forward(struct run *r, const struct node *n)
{
	const struct tensor *w = run_tensor(r, n->in[1]);
	struct mix_work work = { .r = r,
		                 .x = run_f32(r, n->in[0]),
		                 .w = run_f32(r, n->in[1]),
		                 .out = run_f32(r, n->out[0]),
		                 .N = run_rows(r, n->out[0]),
		                 .a = w->dim[0],
		                 .c = w->dim[1],
		                 .attr = *(const struct mix_attr *)n->attr };

	work.b = run_tensor(r, n->in[0])->dim[1] / (work.attr.back ? work.a : work.c);
	pool_run(r->pool, (work.N + MIX_ROWS - 1) / MIX_ROWS, mix_piece, &work);
}

/* in: dy, x; out: dw */
static void dw_forward(struct run *r, const struct node *n)
{
	const struct tensor *dw = run_tensor(r, n->out[0]);
	struct mix_work work = { .r = r,
		                 .dy = run_f32(r, n->in[0]),
		                 .x = run_f32(r, n->in[1]),
		                 .out = run_f32(r, n->out[0]),
		                 .N = run_rows(r, n->in[0]),
		                 .a = dw->dim[0],
		                 .c = dw->dim[1],
		                 .b = run_tensor(r, n->in[0])->dim[1] / dw->dim[0],
		                 .attr = *(const struct mix_attr *)n->attr };

	pool_run(r->pool, (work.a + MIX_OUT - 1) / MIX_OUT, sum_piece, &work);
}

/* Every number of the wider side meets as many of w as it has parts. */
static void cost_of(const struct tape *t, const struct node *n, size_t parts, const struct live *live, double *flops,
                    double *bytes)
{
	double x = tensor_live(tape_tensor(t, n->in[0]), live);

	*flops = 2 * x * (double)parts;
	*bytes = 8 * x;
}

static void mix_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	bool back = ((const struct mix_attr *)n->attr)->back;

	cost_of(t, n, tape_tensor(t, n->in[1])->dim[back], live, flops, bytes);
}

static void dw_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	cost_of(t, n, tape_tensor(t, n->out[0])->dim[1], live, flops, bytes);
}

static size_t scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)t, (void)n;
	return gemm_scratch_bytes(k);
}

static const struct op mix_dx = {
	.name = "mix_parts_dx", .cost = mix_cost, .forward = mix_forward, .scratch = scratch
};
static const struct op mix_dw = { .name = "mix_parts_dw", .cost = dw_cost, .forward = dw_forward, .scratch = scratch };

static void mix_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct mix_attr attr = { .back = true };
	uint32_t dy = tape_grad(t, n.out[0]);

	if (tape_wants(t, n.in[0])) {
		uint32_t dx = tape_grad_target(t, n.in[0], &attr.accumulate);
		tape_emit(t, &mix_dx, (uint32_t[]){ dy, n.in[1] }, 2, &dx, 1, &attr, sizeof(attr));
	}
	if (tape_wants(t, n.in[1])) {
		uint32_t dw = tape_grad_target(t, n.in[1], &attr.accumulate);
		tape_emit(t, &mix_dw, (uint32_t[]){ dy, n.in[0] }, 2, &dw, 1, &attr, sizeof(attr));
	}
}

static uint32_t mix_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t c, b, a; bool frozen; } cases[] = {
		{ 1, 1, 1, 1, false }, { 33, 3, 20, 17, false }, { 21, 8, 5, 4, true },
	};
	size_t w[2] = { cases[i].a, cases[i].c };

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].c * cases[i].b });
	return op_mix_parts(t, x, cases[i].frozen ? tape_weight(t, "w", DTYPE_F32, 2, w) : tape_param(t, "w", 2, w));
}

const struct op op_row_mix_parts = {
	.name = "mix_parts",
	.shape = mix_shape,
	.cost = mix_cost,
	.forward = mix_forward,
	.backward = mix_backward,
	.saves = 3,
	.scratch = scratch,
	.sample = mix_sample,
	.sample_count = 3,
};

uint32_t op_mix_parts(struct tape *t, uint32_t x, uint32_t w)
{
	struct mix_attr attr = { 0 };

	return tape_record(t, &op_row_mix_parts, (uint32_t[]){ x, w }, 2, &attr, sizeof(attr));
}
