/* linear: y = scale·x·Wᵀ + Σ u·Uᵀ + bias + residual.
 *
 *     x (N,I)      W (O,I), any dtype      u (N,r)      U (O,r)      y (N,O)
 *
 * The terms are how adapters add up in the same pass over y: for LoRA u = s·drop(x)·Aᵀ, another linear, and U = B.
 *
 *     du = dy·U    dU = dyᵀ·u    dx = scale·dy·W    dW = scale·dyᵀ·x    dbias = Σ rows dy    dresidual = dy
 *
 * A parted u (op_adapter_down.c) meets rows of U of its own, which is (ranks of all,O) then; so may x be. Such ones
 * have no gradient.
 *
 * Terms that are inside W already, which then is a form of W + Σ U·A that fewer bits hold, are not added but learn as
 * if they were: what rounds is taken for the identity (straight-through, Bengio et al. 2013).
 *
 * Where u is a linear of the very same x and nobody else reads it, its s·du·A is one more term of dy·W: one pass
 * over dx (not in int8).
 *
 * W is multiplied from the form in which it is stored, forward and backward. The sums over rows go up in the order of
 * the rows.
 *
 * In int8 arithmetic a scale is one of x, which is quantized in blocks of 32 along I as it comes, x·Wᵀ and bias and
 * residual are one pass (kernel/gemm_int8.h), to which u·Uᵀ, in f32, is added while it is near. dy·W sums over O,
 * where the scales of W's blocks differ, so it has a copy of Wᵀ of its own, quantized along O. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/linear.h"
#include "quant/panels.h"

/* --- forward --- */

static int want_matrix(const struct tensor *x, size_t cols, const char *what, struct err *e)
{
	if (x->n_dims != 2 || x->dim[1] != cols)
		return err_set(e, "%s: rows of %zu numbers, %zu are wanted by %s", x->name,
		               x->n_dims == 2 ? x->dim[1] : 0, cols, what);
	return 0;
}

static int n_terms(const struct node *n)
{
	int k = 0;

	while (k < LINEAR_TERMS && n->in[IN_U + 2 * k])
		k++;
	return k;
}

static int want_no_gradient(const struct tape *t, const struct tensor *u, struct err *e)
{
	return t->gradients ? err_set(e, "%s: what adapters of several rows add has no gradient", u->name) : 0;
}

/* How many numbers of a row are multiplied, at most. */
static size_t depth_of(const struct tensor *x)
{
	return x->dim[1] - (x->parted ? GEMM_TAG : 0);
}

static int check_terms(const struct tape *t, const struct node *n, size_t O, struct err *e)
{
	for (int k = 0; k < n_terms(n); k++) {
		const struct tensor *u = tape_tensor(t, n->in[IN_U + 2 * k]);
		const struct tensor *up = tape_tensor(t, n->in[IN_UP + 2 * k]);
		if (up->n_dims != 2 || up->dim[u->parted] != O)
			return err_set(e, "%s: %zu numbers, %zu are wanted", up->name, up->dim[u->parted], O);
		if (u->parted ? want_no_gradient(t, u, e) < 0 : want_matrix(u, up->dim[1], up->name, e) < 0)
			return -1;
	}
	return 0;
}

/* The ranks of all terms that are added. */
static double rank_sum(const struct tape *t, const struct node *n)
{
	const struct linear_attr *attr = n->attr;
	double sum = 0;

	if (attr && attr->inside)
		return 0;
	for (int k = 0; k < n_terms(n); k++)
		sum += (double)depth_of(tape_tensor(t, n->in[IN_U + 2 * k]));
	return sum;
}

static int linear_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[IN_X]), *w = tape_tensor(t, n->in[IN_W]);
	const struct linear_attr *attr = n->attr;
	enum axis axis = x->axis;
	size_t dim[2] = { x->dim[0], w->dim[x->parted] };

	if (w->n_dims != 2)
		return err_set(e, "%s is no matrix", w->name);
	if (x->parted ? want_no_gradient(t, x, e) < 0 : want_matrix(x, w->dim[1], w->name, e) < 0)
		return -1;
	if (n->in[IN_BIAS] && tensor_count(tape_tensor(t, n->in[IN_BIAS])) != dim[1])
		return err_set(e, "%s: %zu numbers, %zu are wanted", tape_tensor(t, n->in[IN_BIAS])->name,
		               tensor_count(tape_tensor(t, n->in[IN_BIAS])), dim[1]);
	if (check_terms(t, n, dim[1], e) < 0)
		return -1;
	if (n->in[IN_RESIDUAL] && want_matrix(tape_tensor(t, n->in[IN_RESIDUAL]), dim[1], "the residual", e) < 0)
		return -1;
	if (attr->int8 && (!w->panels || x->dim[1] % PANEL_BLOCK))
		return err_set(e, "%s is not in panels, as int8 arithmetic wants", w->name);
	size_t rows = gemm_int8_rows_bytes(x->dim[0], x->dim[1]);
	tape_output(t, n, 0, "linear", axis, 2, dim);
	if (attr->int8)
		tape_scratch(t, n, 1, "int8_rows", rows / sizeof(float));
	return 0;
}

/* A·B with A's rows as they lie (m × k). */
static struct gemm_term term_of(const struct run *r, uint32_t a, uint32_t b, bool transposed, float scale)
{
	const struct tensor *A = run_tensor(r, a);

	return (struct gemm_term){ .a = run_f32(r, a), .a_row = A->dim[1], .a_col = 1, .b = run_matrix(r, b),
		                   .transposed = transposed && !A->parted, .k = depth_of(A), .scale = scale,
		                   .parted = A->parted };
}

/* c (+)= a·Wᵀ (+ bias + residual), W in panels. */
static struct gemm_int8 int8_of(const struct run *r, uint32_t a, uint32_t w, uint32_t out, uint32_t rows)
{
	const struct tensor *W = run_tensor(r, w);

	return (struct gemm_int8){ .m = run_rows(r, out),
		                   .n = W->dim[0],
		                   .k = W->dim[1],
		                   .a = run_f32(r, a),
		                   .dtype = W->dtype,
		                   .panels = r->data[w],
		                   .rows = r->data[rows],
		                   .c = run_f32(r, out) };
}

_Static_assert((int)LINEAR_TERMS <= (int)GEMM_INT8_UP, "a linear's terms are one pass in int8");

/* The terms u·Uᵀ. */
static int terms_of(const struct run *r, const uint32_t in[N_IN], struct gemm_term t[LINEAR_TERMS])
{
	int k = 0;

	for (; k < LINEAR_TERMS && in[IN_U + 2 * k]; k++)
		t[k] = term_of(r, in[IN_U + 2 * k], in[IN_UP + 2 * k], true, 1);
	return k;
}

struct gemm_int8 linear_gemm_int8(const struct run *r, const uint32_t in[N_IN], uint32_t out, uint32_t rows)
{
	struct gemm_int8 g = int8_of(r, in[IN_X], in[IN_W], out, rows);

	g.bias = run_f32(r, in[IN_BIAS]);
	g.residual = run_f32(r, in[IN_RESIDUAL]);
	g.n_up = terms_of(r, in, g.up);
	g.scratch = run_scratch(r, 0);
	return g;
}

static struct gemm gemm_of(const struct run *r, uint32_t out)
{
	size_t O = run_tensor(r, out)->dim[1];

	return (struct gemm){ .m = run_rows(r, out), .n = O, .c = run_f32(r, out), .ldc = O, .n_terms = 1 };
}

struct gemm linear_gemm(const struct run *r, const uint32_t in[N_IN], uint32_t out, float scale)
{
	struct gemm g = gemm_of(r, out);

	g.bias = run_f32(r, in[IN_BIAS]);
	g.residual = run_f32(r, in[IN_RESIDUAL]);
	g.term[0] = term_of(r, in[IN_X], in[IN_W], true, scale);
	g.n_terms += terms_of(r, in, g.term + 1);
	return g;
}

/* The product that a node computes, without terms that its matrix has already. */
static struct gemm node_gemm(const struct run *r, const struct node *n)
{
	const struct linear_attr *attr = n->attr;
	uint32_t in[N_IN];

	memcpy(in, n->in, sizeof(in));
	if (attr->inside)
		memset(in + IN_U, 0, 2 * LINEAR_TERMS * sizeof(*in));
	return linear_gemm(r, in, n->out[0], attr->scale);
}

static void linear_forward(struct run *r, const struct node *n)
{
	const struct linear_attr *attr = n->attr;

	if (attr->int8) {
		struct gemm_int8 q = linear_gemm_int8(r, n->in, n->out[0], n->out[1]);
		gemm_int8_run(r->kernels, r->pool, &q);
		return;
	}
	struct gemm g = node_gemm(r, n);
	gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
}

static int linear_products(const struct run *r, const struct node *n, struct gemm *out)
{
	const struct linear_attr *attr = n->attr;

	if (!attr->int8)
		*out = node_gemm(r, n);
	return !attr->int8;
}

static double stored_bytes(const struct tensor *x)
{
	return (double)tensor_count(x) / dtypes[x->dtype].block * dtypes[x->dtype].bytes;
}

void linear_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct tensor *w = tape_tensor(t, n->in[IN_W]);
	double out = tensor_live(tape_tensor(t, n->out[0]), live);
	double depth = (double)depth_of(tape_tensor(t, n->in[IN_X])) + rank_sum(t, n);

	*flops = 2 * out * depth;
	*bytes = stored_bytes(w) + 4 * (out + tensor_live(tape_tensor(t, n->in[IN_X]), live));
}

/* The terms u·Uᵀ are never done in int8. */
static double linear_in_f32(const struct tape *t, const struct node *n, const struct live *live)
{
	return 2 * tensor_live(tape_tensor(t, n->out[0]), live) * rank_sum(t, n);
}

static bool linear_int8(const struct node *n) { return ((const struct linear_attr *)n->attr)->int8; }

size_t linear_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)t, (void)n;
	return gemm_scratch_bytes(k);
}

/* --- backward: three small ops --- */

struct gemm_term linear_dx_term(const struct run *r, uint32_t dy, uint32_t w, float scale)
{
	return term_of(r, dy, w, false, scale);
}

static struct gemm dx_gemm(const struct run *r, const struct node *n)
{
	const struct linear_back_attr *attr = n->attr;
	struct gemm g = gemm_of(r, n->out[0]);

	g.free = true;
	g.accumulate = attr->accumulate;
	for (g.n_terms = 0; g.n_terms < DX_PAIRS && n->in[2 * g.n_terms]; g.n_terms++)
		g.term[g.n_terms] = linear_dx_term(r, n->in[2 * g.n_terms], n->in[2 * g.n_terms + 1],
		                                   attr->scale[g.n_terms]);
	return g;
}

/* in: dy (N,O), W (O,I) or, in int8, Wᵀ (I,O), and perhaps du (N,r), A (r,I) of terms; out: dx (N,I), in int8 dy's
 * quantized rows */
static void dx_forward(struct run *r, const struct node *n)
{
	const struct linear_back_attr *attr = n->attr;

	if (attr->int8) {
		struct gemm_int8 q = int8_of(r, n->in[0], n->in[1], n->out[0], n->out[1]);
		q.accumulate = attr->accumulate;
		gemm_int8_run(r->kernels, r->pool, &q);
		return;
	}
	struct gemm g = dx_gemm(r, n);
	gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
}

static int dx_products(const struct run *r, const struct node *n, struct gemm *out)
{
	bool int8 = ((const struct linear_back_attr *)n->attr)->int8;

	if (!int8)
		*out = dx_gemm(r, n);
	return !int8;
}

/* in: dy (N,O), x (N,I); out: dW (O,I) */
static void dw_forward(struct run *r, const struct node *n)
{
	const struct linear_back_attr *attr = n->attr;
	size_t O = run_tensor(r, n->out[0])->dim[0], I = run_tensor(r, n->out[0])->dim[1];
	struct gemm g = {
		.m = O, .n = I, .c = run_f32(r, n->out[0]), .ldc = I, .n_terms = 1, .accumulate = attr->accumulate,
		.free = true
	};

	g.term[0] = (struct gemm_term){ .a = run_f32(r, n->in[0]), .a_row = 1, .a_col = O, .b = run_matrix(r, n->in[1]),
	                                .k = run_rows(r, n->in[0]), .scale = attr->scale[0] };
	gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
}

/* The other side of a product costs what the product did. */
void linear_product_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                         double *bytes)
{
	const struct tensor *b = tape_tensor(t, n->in[1]), *out = tape_tensor(t, n->out[0]);
	double dy = tensor_live(tape_tensor(t, n->in[0]), live);

	*flops = 2 * dy * (double)out->dim[1];
	for (int k = 1; k < DX_PAIRS && n->in[2 * k]; k++)
		*flops += 2 * tensor_live(tape_tensor(t, n->in[2 * k]), live) * (double)out->dim[1];
	*bytes = 4 * (dy + tensor_live(out, live)) +
	         (b->axis == AXIS_FIXED ? stored_bytes(b) : 4 * tensor_live(b, live));
}

static bool dx_int8(const struct node *n) { return ((const struct linear_back_attr *)n->attr)->int8; }

const struct op op_linear_dx = { .name = "linear_dx",
	                         .cost = linear_product_cost,
	                         .forward = dx_forward,
	                         .scratch = linear_scratch,
	                         .int8 = dx_int8,
	                         .products = dx_products };
static const struct op linear_dw = {
	.name = "linear_dw", .cost = linear_product_cost, .forward = dw_forward, .scratch = linear_scratch
};

enum { BIAS_COLUMNS = 64 };

struct bias_work {
	const struct kernels *k;
	const float *dy;
	float *db;
	size_t N, O;
	bool accumulate;
};

static void bias_piece(void *ctx, size_t item, int thread)
{
	const struct bias_work *w = ctx;
	size_t j = item * BIAS_COLUMNS, n = MIN(w->O - j, (size_t)BIAS_COLUMNS);
	float sum[BIAS_COLUMNS] = { 0 };
	(void)thread;

	for (size_t i = 0; i < w->N; i++)
		w->k->add(sum, sum, w->dy + i * w->O + j, n);
	if (w->accumulate)
		w->k->add(w->db + j, w->db + j, sum, n);
	else
		memcpy(w->db + j, sum, n * sizeof(float));
}

/* in: dy (N,O); out: dbias (O) */
static void db_forward(struct run *r, const struct node *n)
{
	const struct linear_back_attr *attr = n->attr;
	struct bias_work w = { r->kernels,
		               run_f32(r, n->in[0]),
		               run_f32(r, n->out[0]),
		               run_rows(r, n->in[0]),
		               run_tensor(r, n->in[0])->dim[1],
		               attr->accumulate };

	pool_run(r->pool, (w.O + BIAS_COLUMNS - 1) / BIAS_COLUMNS, bias_piece, &w);
}

static void db_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = tensor_live(tape_tensor(t, n->in[0]), live);
	*bytes = 4 * *flops;
}

static const struct op linear_db = { .name = "linear_db", .cost = db_cost, .forward = db_forward };

/* Appends op(dy, other) → the gradient of x, if x wants one. */
static void emit_gradient(struct tape *t, const struct op *op, uint32_t x, uint32_t dy, uint32_t other, float scale)
{
	struct linear_back_attr attr = { .scale = { scale } };

	if (!tape_wants(t, x))
		return;
	uint32_t dx = tape_grad_target(t, x, &attr.accumulate);
	tape_emit(t, op, (uint32_t[]){ dy, other }, other ? 2 : 1, &dx, 1, &attr, sizeof(attr));
}

/* dx in int8 arithmetic, from Wᵀ. */
static void emit_int8(struct tape *t, uint32_t x, uint32_t dy, uint32_t wt)
{
	struct linear_back_attr attr = { .scale = { 1 }, .int8 = true };
	const struct tensor *d = tape_tensor(t, dy);
	size_t rows = gemm_int8_rows_bytes(d->dim[0], d->dim[1]);
	struct node made = { 0 };
	uint32_t out[2];

	if (!tape_wants(t, x))
		return;
	out[0] = tape_grad_target(t, x, &attr.accumulate);
	out[1] = tape_scratch(t, &made, 1, "int8_rows", rows / sizeof(float));
	tape_emit(t, &op_linear_dx, (uint32_t[]){ dy, wt }, 2, out, 2, &attr, sizeof(attr));
}

static bool read_once(const struct tape *t, uint32_t x)
{
	int readers = 0;

	for (uint32_t i = 0; i < t->n_nodes; i++)
		for (int j = 0; j < NODE_INPUTS; j++)
			readers += t->nodes[i].phase == PHASE_FORWARD && t->nodes[i].in[j] == x;
	return readers == 1;
}

/* The linear that makes u of term k from x and a bound A alone, when u's whole gradient comes from node n; or NULL. */
static const struct node *inner_linear(const struct tape *t, const struct node *n, int k)
{
	uint32_t made = tape_tensor(t, n->in[IN_U + 2 * k])->producer;
	const struct node *u = made ? &t->nodes[made - 1] : NULL;

	if (!u || u->op != &op_row_linear || u->in[IN_X] != n->in[IN_X] || u->in[IN_U] || u->in[IN_WT] ||
	    n->in[IN_WT] || tape_tensor(t, u->in[IN_W])->producer || !read_once(t, n->in[IN_U + 2 * k]))
		return NULL;
	return u;
}

/* dx from dy·W and, where there are such inner linears, s·du·A. */
static void emit_dx(struct tape *t, const struct node *n, uint32_t dy)
{
	const struct linear_attr *attr = n->attr;
	struct linear_back_attr back = { .scale = { attr->scale } };
	uint32_t in[2 * DX_PAIRS] = { dy, n->in[IN_W] }, x = n->in[IN_X];
	int pairs = 1;

	if (attr->dx_given || !tape_wants(t, x))
		return;
	for (int k = 0; k < n_terms(n) && !attr->inside; k++) {
		const struct node *inner = inner_linear(t, n, k);
		if (!inner || !tape_grad(t, n->in[IN_U + 2 * k]))
			continue;
		/* the tape's copy, an op's to complete */
		struct linear_attr *theirs = (struct linear_attr *)(uintptr_t)inner->attr;
		theirs->dx_given = true;
		back.scale[pairs] = theirs->scale;
		in[2 * pairs] = tape_grad(t, n->in[IN_U + 2 * k]);
		in[2 * pairs++ + 1] = inner->in[IN_W];
	}
	uint32_t dx = tape_grad_target(t, x, &back.accumulate);
	tape_emit(t, &op_linear_dx, in, 2 * pairs, &dx, 1, &back, sizeof(back));
}

static void linear_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	float scale = ((const struct linear_attr *)n.attr)->scale;
	uint32_t dy = tape_grad(t, n.out[0]);

	emit_gradient(t, &linear_db, n.in[IN_BIAS], dy, TENSOR_NONE, 1);
	for (int k = 0; k < n_terms(&n); k++) {
		emit_gradient(t, &linear_dw, n.in[IN_UP + 2 * k], dy, n.in[IN_U + 2 * k], 1);
		emit_gradient(t, &op_linear_dx, n.in[IN_U + 2 * k], dy, n.in[IN_UP + 2 * k], 1);
	}
	emit_gradient(t, &linear_dw, n.in[IN_W], dy, n.in[IN_X], scale);
	if (n.in[IN_WT])
		emit_int8(t, n.in[IN_X], dy, n.in[IN_WT]);
	else
		emit_dx(t, &n, dy);
	if (tape_wants(t, n.in[IN_RESIDUAL]))
		tape_grad_pass(t, n.in[IN_RESIDUAL], dy);
}

static uint32_t linear_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct {
		int N;
		size_t I, O, r[LINEAR_TERMS];
		bool bias, residual, frozen;
		float scale;
	} cases[] = {
		{ 1, 1, 1, { 0 }, false, false, false, 0 }, { 33, 70, 67, { 0 }, true, true, false, 0 },
		{ 65, 48, 65, { 3 }, false, true, true, 0 }, { 7, 300, 129, { 8 }, true, false, false, 0.5F },
		{ 19, 21, 17, { 3, 1, 4 }, true, true, false, 0 },
	};
	size_t I = cases[i].I, O = cases[i].O;
	batch_sample(b, rng, cases[i].N, 50);
	size_t N = (size_t)cases[i].N;
	struct linear l = { .x = tape_param(t, "x", 2, (size_t[]){ N, I }), .scale = cases[i].scale };

	l.w = cases[i].frozen ? tape_weight(t, "w", DTYPE_F32, 2, (size_t[]){ O, I }) :
	                        tape_param(t, "w", 2, (size_t[]){ O, I });
	if (cases[i].bias)
		l.bias = tape_param(t, "bias", 1, &O);
	if (cases[i].residual)
		l.residual = tape_param(t, "residual", 2, (size_t[]){ N, O });
	for (int k = 0; k < LINEAR_TERMS && cases[i].r[k]; k++)
		l.term[k] = (struct linear_term){ tape_param(t, "u", 2, (size_t[]){ N, cases[i].r[k] }),
			                          tape_param(t, "up", 2, (size_t[]){ O, cases[i].r[k] }) };
	return op_linear(t, &l);
}

const struct op op_row_linear = {
	.name = "linear",
	.shape = linear_shape,
	.cost = linear_cost,
	.forward = linear_forward,
	.backward = linear_backward,
	.saves = (1U << IN_BIAS) - 1, /* x, W and the terms */
	.inplace = 1U << IN_RESIDUAL,
	.scratch = linear_scratch,
	.int8 = linear_int8,
	.products = linear_products,
	.in_f32 = linear_in_f32,
	.sample = linear_sample,
	.sample_count = 5,
};

uint32_t op_linear(struct tape *t, const struct linear *l)
{
	struct linear_attr attr = { .scale = l->scale == 0 ? 1 : l->scale, .int8 = l->int8,
		                    .inside = l->inside && l->term[0].u, .dx_given = l->x_constant };
	uint32_t in[N_IN] = { [IN_X] = l->x, [IN_W] = l->w, [IN_BIAS] = l->bias, [IN_RESIDUAL] = l->residual,
		              [IN_WT] = l->wt };

	if (l->int8 && attr.scale != 1) {
		in[IN_X] = op_scale(t, l->x, attr.scale);
		attr.scale = 1;
	}
	for (int k = 0; k < LINEAR_TERMS && l->term[k].u; k++) {
		in[IN_U + 2 * k] = l->term[k].u;
		in[IN_UP + 2 * k] = l->term[k].up;
	}
	return tape_record(t, &op_row_linear, in, N_IN, &attr, sizeof(attr));
}
