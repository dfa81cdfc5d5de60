/* linear_parts: each of the parts that a row is, times one matrix.      x (N,c·d)      w (b,d)      y (N,c·b)
 *
 *     y(n, j·b + p) = scale·Σ_q w(p,q)·x(n, j·d + q)      j < c
 *
 *     dx = scale·dy·w    dw = scale·Σ over rows and parts dyᵀ·x
 *
 * A product of c rows for each row. With op_mix_parts it is a Kronecker product times x. */
#include "op/ops.h"

#include "base/mem.h"
#include "kernel/gemm.h"
#include "op/batch_sample.h"
#include "op/run.h"

extern const struct op op_row_linear_parts;

struct parts_attr { float scale; bool accumulate; };

static int parts_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *w = tape_tensor(t, n->in[1]);

	if (x->n_dims != 2 || w->n_dims != 2 || x->dim[1] % w->dim[1])
		return err_set(e, "%s: rows of %zu numbers are no parts of %zu", x->name, x->dim[1], w->dim[1]);
	tape_output(t, n, 0, "linear_parts", x->axis, 2,
	            (size_t[]){ x->dim[0], x->dim[1] / w->dim[1] * w->dim[0] });
	return 0;
}

/* A tensor of rows as a matrix of parts. */
static struct matrix parts_of(const struct run *r, uint32_t x, size_t width)
{
	return (struct matrix){ .dtype = DTYPE_F32,
		                .data = run_f32(r, x),
		                .rows = run_rows(r, x) * (run_tensor(r, x)->dim[1] / width),
		                .cols = width,
		                .row_bytes = width * sizeof(float) };
}

/* in: x, w (b,d), or backward dy, w: then what comes out is dy·w */
static void product(struct run *r, const struct node *n, bool back)
{
	const struct parts_attr *attr = n->attr;
	struct matrix w = run_matrix(r, n->in[1]);
	size_t in = back ? w.rows : w.cols, out = back ? w.cols : w.rows;
	struct gemm g = { .m = parts_of(r, n->in[0], in).rows,
		          .n = out,
		          .c = run_f32(r, n->out[0]),
		          .ldc = out,
		          .n_terms = 1,
		          .accumulate = attr->accumulate,
		          .free = back };

	g.term[0] = (struct gemm_term){ .a = run_f32(r, n->in[0]), .a_row = in, .a_col = 1, .b = w,
		                        .transposed = !back, .k = in, .scale = attr->scale };
	gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
}

static void parts_forward(struct run *r, const struct node *n) { product(r, n, false); }
static void dx_forward(struct run *r, const struct node *n) { product(r, n, true); }

/* in: dy, x; out: dw */
static void dw_forward(struct run *r, const struct node *n)
{
	const struct parts_attr *attr = n->attr;
	const struct tensor *dw = run_tensor(r, n->out[0]);
	struct matrix x = parts_of(r, n->in[1], dw->dim[1]);
	struct gemm g = { .m = dw->dim[0],
		          .n = dw->dim[1],
		          .c = run_f32(r, n->out[0]),
		          .ldc = dw->dim[1],
		          .n_terms = 1,
		          .accumulate = attr->accumulate,
		          .free = true };

	g.term[0] = (struct gemm_term){ .a = run_f32(r, n->in[0]), .a_row = 1, .a_col = dw->dim[0], .b = x,
		                        .k = x.rows, .scale = attr->scale };
	gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
}

static void cost_by(const struct tape *t, uint32_t of, uint32_t other, double depth, const struct live *live,
                    double *flops, double *bytes)
{
	double n = tensor_live(tape_tensor(t, of), live);

	*flops = 2 * n * depth;
	*bytes = 4 * (n + tensor_live(tape_tensor(t, other), live));
}

static void parts_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	cost_by(t, n->out[0], n->in[0], (double)tape_tensor(t, n->in[1])->dim[1], live, flops, bytes);
}

static void dx_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	cost_by(t, n->in[0], n->out[0], (double)tape_tensor(t, n->in[1])->dim[1], live, flops, bytes);
}

static void dw_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	cost_by(t, n->in[0], n->in[1], (double)tape_tensor(t, n->out[0])->dim[1], live, flops, bytes);
}

static size_t scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)t, (void)n;
	return gemm_scratch_bytes(k);
}

static const struct op parts_dx = {
	.name = "linear_parts_dx", .cost = dx_cost, .forward = dx_forward, .scratch = scratch
};
static const struct op parts_dw = {
	.name = "linear_parts_dw", .cost = dw_cost, .forward = dw_forward, .scratch = scratch
};

static void parts_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct parts_attr attr = *(const struct parts_attr *)n.attr;
	uint32_t dy = tape_grad(t, n.out[0]);

	if (tape_wants(t, n.in[0])) {
		uint32_t dx = tape_grad_target(t, n.in[0], &attr.accumulate);
		tape_emit(t, &parts_dx, (uint32_t[]){ dy, n.in[1] }, 2, &dx, 1, &attr, sizeof(attr));
	}
	if (tape_wants(t, n.in[1])) {
		uint32_t dw = tape_grad_target(t, n.in[1], &attr.accumulate);
		tape_emit(t, &parts_dw, (uint32_t[]){ dy, n.in[0] }, 2, &dw, 1, &attr, sizeof(attr));
	}
}

static uint32_t parts_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t c, d, b; float scale; bool frozen; } cases[] = {
		{ 1, 1, 1, 1, 1, false }, { 33, 3, 20, 7, 0.5F, false }, { 21, 8, 5, 40, 2, true },
	};
	size_t w[2] = { cases[i].b, cases[i].d };

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].c * cases[i].d });
	return op_linear_parts(t, x, cases[i].frozen ? tape_weight(t, "w", DTYPE_F32, 2, w) : tape_param(t, "w", 2, w),
	                       cases[i].scale);
}

const struct op op_row_linear_parts = {
	.name = "linear_parts",
	.shape = parts_shape,
	.cost = parts_cost,
	.forward = parts_forward,
	.backward = parts_backward,
	.saves = 3,
	.scratch = scratch,
	.sample = parts_sample,
	.sample_count = 3,
};

uint32_t op_linear_parts(struct tape *t, uint32_t x, uint32_t w, float scale)
{
	struct parts_attr attr = { .scale = scale };

	return tape_record(t, &op_row_linear_parts, (uint32_t[]){ x, w }, 2, &attr, sizeof(attr));
}
