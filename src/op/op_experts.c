/* experts: each row times the matrices of its own experts.      x (N,I) or (N,k·I)  W: E times (O,I), any dtype
 *
 *     y[s] = scale·x[s]·W_eᵀ + Σ u[s]·U_eᵀ + bias_e      s a slot, e its expert (op_route.c)      y (N,k·O)
 *
 * A slot n·k + j is a part of row n, so every tensor lies in the order of the rows, and what depends on a row's place
 * (dropout, adapters of some rows) needs no line here. An expert's product picks its slots by number out of x and puts
 * its sums where they belong (kernel/gemm.h): the work is that of the chosen experts, a matrix that nobody chose is not
 * read, and a slot's bits are those of its row alone, whoever else is in the batch.
 *
 *     dx[s] = scale·dy[s]·W_e      dW_e = scale·Σ_s dy[s]ᵀ·x[s]      du, dU likewise      dbias_e = Σ_s dy[s]
 *
 * s over the expert's slots, ascending. Where the experts of a row share x, dx goes up in the order of the experts, one
 * after the other. In int8 the rows are quantized once, in the order of the slots' list. */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/gemm_int8.h"
#include "op/batch_sample.h"
#include "op/run.h"
#include "quant/panels.h"

extern const struct op op_row_experts;

enum { IN_X, IN_W, IN_U, IN_UP, IN_BIAS = IN_U + 2 * LINEAR_TERMS, IN_SLOTS, IN_ROWS, IN_FIRST, IN_WT, N_IN };

struct experts_attr {
	size_t k;
	float scale;
	bool int8;
	bool shared;            /* the slots of a row have one x */
	bool accumulate;        /* backward */
};

/* An expert's slots, and the rows of x that they read. */
struct list {
	size_t n, first;
	const int32_t *slots, *x_rows;
};

/* The three lists of a routing, from input `at` on: slots, rows, first. */
static struct list list_of(const struct run *r, const struct node *n, int at, size_t e)
{
	const struct experts_attr *attr = n->attr;
	const int32_t *first = run_i32(r, n->in[at + 2]);
	struct list l = { .n = (size_t)(first[e + 1] - first[e]), .first = (size_t)first[e] };

	l.slots = run_i32(r, n->in[at]) + first[e];
	l.x_rows = attr->shared ? run_i32(r, n->in[at + 1]) + first[e] : l.slots;
	return l;
}

static size_t n_experts(const struct run *r, uint32_t first) { return run_tensor(r, first)->dim[0] - 1; }

static uint32_t part_of(const struct run *r, uint32_t stack, size_t e) { return run_tensor(r, stack)->parts[e]; }

/* --- shapes --- */

static int want_stack(const struct tensor *w, size_t E, size_t cols, struct err *e)
{
	if (!w->parts || w->n_dims != 3 || w->dim[0] != E || w->dim[2] != cols)
		return err_set(e, "%s: matrices of %zu experts for rows of %zu numbers are wanted", w->name, E, cols);
	return 0;
}

static int check_terms(const struct tape *t, const struct node *n, size_t E, size_t O, struct err *e)
{
	size_t k = ((const struct experts_attr *)n->attr)->k;

	for (int i = 0; i < LINEAR_TERMS && n->in[IN_U + 2 * i]; i++) {
		const struct tensor *u = tape_tensor(t, n->in[IN_U + 2 * i]);
		const struct tensor *up = tape_tensor(t, n->in[IN_UP + 2 * i]);
		size_t across = u->parted ? O : u->dim[1] / k, down = u->parted ? up->dim[1] : O;
		if (u->parted && t->gradients)
			return err_set(e, "%s: what adapters of several rows add has no gradient", u->name);
		if (want_stack(up, E, across, e) < 0)
			return -1;
		if (up->dim[1] != down)
			return err_set(e, "%s: %zu rows, %zu are wanted", up->name, up->dim[1], down);
	}
	return 0;
}

static bool all_panels(const struct tape *t, const struct tensor *w)
{
	for (size_t e = 0; e < w->dim[0]; e++)
		if (!w->parts[e] || !tape_tensor(t, w->parts[e])->panels)
			return false;
	return true;
}

static int experts_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct experts_attr *attr = n->attr;
	const struct tensor *x = tape_tensor(t, n->in[IN_X]), *w = tape_tensor(t, n->in[IN_W]);
	size_t E = tape_tensor(t, n->in[IN_FIRST])->dim[0] - 1, I = x->dim[1] / (attr->shared ? 1 : attr->k);
	size_t N = x->dim[0], O = w->dim[1];
	enum axis axis = x->axis;

	if (x->n_dims != 2 || x->dim[0] != tape_tensor(t, n->in[IN_SLOTS])->dim[0])
		return err_set(e, "%s: a row for each row of the batch is wanted", x->name);
	if (want_stack(w, E, I, e) < 0 || check_terms(t, n, E, O, e) < 0)
		return -1;
	if (n->in[IN_BIAS] && tensor_count(tape_tensor(t, n->in[IN_BIAS])) != E * O)
		return err_set(e, "%s: %zu numbers, %zu are wanted", tape_tensor(t, n->in[IN_BIAS])->name,
		               tensor_count(tape_tensor(t, n->in[IN_BIAS])), E * O);
	if (attr->int8 && (!all_panels(t, w) || I % PANEL_BLOCK))
		return err_set(e, "%s is not in panels, as int8 arithmetic wants", w->name);
	tape_output(t, n, 0, "experts", axis, 2, (size_t[]){ N, attr->k * O });
	if (attr->int8)
		tape_scratch(t, n, 1, "int8_rows", gemm_int8_rows_bytes(N * attr->k, I) / sizeof(float));
	return 0;
}

/* --- products, as many together as gemm takes --- */

struct products {
	const struct run *r;
	struct gemm g[GEMM_TOGETHER];
	int n;
};

static void run_products(struct products *p)
{
	if (p->n)
		gemm_run_all(p->r->kernels, p->r->pool, p->g, p->n, run_scratch(p->r, 0));
	p->n = 0;
}

static void add_product(struct products *p, const struct gemm *g)
{
	p->g[p->n++] = *g;
	if (p->n == GEMM_TOGETHER)
		run_products(p);
}

struct int8_products {
	const struct run *r;
	struct gemm_int8 g[GEMM_TOGETHER];
	int n;
};

static void run_int8_products(struct int8_products *p)
{
	if (p->n)
		gemm_int8_products(p->r->kernels, p->r->pool, p->g, p->n);
	p->n = 0;
}

static void add_int8_product(struct int8_products *p, const struct gemm_int8 *g)
{
	p->g[p->n++] = *g;
	if (p->n == GEMM_TOGETHER)
		run_int8_products(p);
}

/* Rows `rows` of a, of a matrix of the stack in its first or its second dimension. */
static struct gemm_term term_of(const struct run *r, const float *a, const int32_t *rows, uint32_t w, bool transposed,
                                float scale)
{
	struct matrix B = run_matrix(r, w);
	size_t k = transposed ? B.cols : B.rows;

	return (struct gemm_term){ .a = a, .a_row = k, .a_col = 1, .b = B, .transposed = transposed, .k = k,
		                   .scale = scale, .a_rows = rows };
}

/* --- forward --- */

static void add_terms(const struct run *r, const struct node *n, const struct list *l, size_t e, struct gemm *g)
{
	const struct experts_attr *attr = n->attr;

	for (int i = 0; i < LINEAR_TERMS && n->in[IN_U + 2 * i]; i++) {
		uint32_t up = part_of(r, n->in[IN_UP + 2 * i], e);
		const struct tensor *u = run_tensor(r, n->in[IN_U + 2 * i]);
		struct gemm_term *term = &g->term[g->n_terms];
		if (!up)
			continue;
		*term = term_of(r, run_f32(r, n->in[IN_U + 2 * i]), l->slots, up, !u->parted, 1);
		term->a_row = u->dim[1] / attr->k;
		term->parted = u->parted;
		g->n_terms++;
	}
}

static struct gemm gemm_of(const struct run *r, uint32_t out, size_t cols, const struct list *l)
{
	return (struct gemm){ .m = l->n, .n = cols, .c = run_f32(r, out), .ldc = cols, .c_rows = l->slots };
}

static void experts_f32(struct run *r, const struct node *n, size_t E, size_t O)
{
	const struct experts_attr *attr = n->attr;
	const float *bias = run_f32(r, n->in[IN_BIAS]);
	struct products p = { .r = r };

	for (size_t e = 0; e < E; e++) {
		struct list l = list_of(r, n, IN_SLOTS, e);
		struct gemm g = gemm_of(r, n->out[0], O, &l);
		uint32_t w = part_of(r, n->in[IN_W], e);
		if (!l.n)
			continue;
		if (w)
			g.term[g.n_terms++] = term_of(r, run_f32(r, n->in[IN_X]), l.x_rows, w, true, attr->scale);
		add_terms(r, n, &l, e, &g);
		g.bias = bias ? bias + e * O : NULL;
		add_product(&p, &g);
	}
	run_products(&p);
}

static struct gemm_int8 int8_of(const struct run *r, uint32_t w, uint32_t rows, const struct list *l)
{
	const struct tensor *W = run_tensor(r, w);

	return (struct gemm_int8){ .m = l->n, .n = W->dim[0], .k = W->dim[1], .dtype = W->dtype, .panels = r->data[w],
		                   .rows = (uint8_t *)r->data[rows] + gemm_int8_rows_bytes(l->first, W->dim[1]),
		                   .c_rows = l->slots };
}

/* Rows of x, or of dy, in the order of the list, as bytes. */
static void quantize(const struct run *r, const float *x, const int32_t *rows, size_t n, size_t width, uint32_t out)
{
	gemm_int8_quantize(r->kernels, r->pool, x, rows, n, width, r->data[out]);
}

static void experts_int8(struct run *r, const struct node *n, size_t E, size_t O)
{
	const struct experts_attr *attr = n->attr;
	const float *bias = run_f32(r, n->in[IN_BIAS]);
	struct int8_products p = { .r = r };
	struct products up = { .r = r };

	quantize(r, run_f32(r, n->in[IN_X]), list_of(r, n, IN_SLOTS, 0).x_rows, run_rows(r, n->in[IN_X]) * attr->k,
	         run_tensor(r, n->in[IN_W])->dim[2], n->out[1]);
	for (size_t e = 0; e < E; e++) {
		struct list l = list_of(r, n, IN_SLOTS, e);
		struct gemm_int8 g = int8_of(r, part_of(r, n->in[IN_W], e), n->out[1], &l);
		g.c = run_f32(r, n->out[0]);
		g.bias = bias ? bias + e * O : NULL;
		if (l.n)
			add_int8_product(&p, &g);
	}
	run_int8_products(&p);
	for (size_t e = 0; e < E && n->in[IN_U]; e++) {
		struct list l = list_of(r, n, IN_SLOTS, e);
		struct gemm g = gemm_of(r, n->out[0], O, &l);
		g.accumulate = true;
		add_terms(r, n, &l, e, &g);
		if (l.n && g.n_terms)
			add_product(&up, &g);
	}
	run_products(&up);
}

static void experts_forward(struct run *r, const struct node *n)
{
	size_t E = n_experts(r, n->in[IN_FIRST]), O = run_tensor(r, n->in[IN_W])->dim[1];

	if (((const struct experts_attr *)n->attr)->int8)
		experts_int8(r, n, E, O);
	else
		experts_f32(r, n, E, O);
}

/* What is read of a stack by so many slots that they may all have another expert. */
static double stack_bytes(const struct tape *t, const struct tensor *w, double slots)
{
	double bytes = 0;

	for (size_t e = 0; e < w->dim[0]; e++)
		bytes += w->parts[e] ? (double)tensor_bytes(tape_tensor(t, w->parts[e])) : 0;
	return bytes * fmin(1, slots / (double)w->dim[0]);
}

static double slots_of(const struct tape *t, const struct node *n, const struct live *live, uint32_t x)
{
	return tensor_live(tape_tensor(t, x), live) / (double)tape_tensor(t, x)->dim[1] *
	       (double)((const struct experts_attr *)n->attr)->k;
}

static double rank_sum(const struct tape *t, const struct node *n)
{
	size_t k = ((const struct experts_attr *)n->attr)->k;
	double sum = 0;

	for (int i = 0; i < LINEAR_TERMS && n->in[IN_U + 2 * i]; i++) {
		const struct tensor *u = tape_tensor(t, n->in[IN_U + 2 * i]);
		sum += (double)(u->dim[1] / k - (u->parted ? GEMM_TAG : 0));
	}
	return sum;
}

static void experts_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                         double *bytes)
{
	const struct tensor *w = tape_tensor(t, n->in[IN_W]);
	double out = tensor_live(tape_tensor(t, n->out[0]), live);

	*flops = 2 * out * ((double)w->dim[2] + rank_sum(t, n));
	*bytes = stack_bytes(t, w, slots_of(t, n, live, n->in[IN_X])) +
	         4 * (out + tensor_live(tape_tensor(t, n->in[IN_X]), live));
}

static double experts_in_f32(const struct tape *t, const struct node *n, const struct live *live)
{
	return 2 * tensor_live(tape_tensor(t, n->out[0]), live) * rank_sum(t, n);
}

static bool experts_int8_row(const struct node *n) { return ((const struct experts_attr *)n->attr)->int8; }

static size_t experts_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)t, (void)n;
	return gemm_scratch_bytes(k);
}

/* --- backward --- */

/* in: dy (N,k·O), the stack that is multiplied with or x, slots, rows, first */
enum { BACK_DY, BACK_OTHER, BACK_SLOTS, BACK_ROWS, BACK_FIRST, N_BACK };

/* dx of a row is a sum over its experts: one product after the other then. */
static void dx_forward(struct run *r, const struct node *n)
{
	const struct experts_attr *attr = n->attr;
	size_t I = run_tensor(r, n->in[BACK_OTHER])->dim[2], E = n_experts(r, n->in[BACK_FIRST]);
	struct products p = { .r = r };

	if (attr->shared && !attr->accumulate)
		memset(run_f32(r, n->out[0]), 0, run_rows(r, n->out[0]) * I * sizeof(float));
	for (size_t e = 0; e < E; e++) {
		struct list l = list_of(r, n, BACK_SLOTS, e);
		struct gemm g = gemm_of(r, n->out[0], I, &l);
		uint32_t w = part_of(r, n->in[BACK_OTHER], e);
		if (!l.n || (!w && (attr->shared || attr->accumulate)))
			continue;
		g.c_rows = l.x_rows;
		g.accumulate = attr->shared || attr->accumulate;
		g.free = true;
		if (w)
			g.term[g.n_terms++] = term_of(r, run_f32(r, n->in[BACK_DY]), l.slots, w, false, attr->scale);
		add_product(&p, &g);
		if (attr->shared)
			run_products(&p);
	}
	run_products(&p);
}

/* The same from Wᵀ, I,O; out[1]: dy's quantized rows. */
static void dx_int8(struct run *r, const struct node *n)
{
	const struct experts_attr *attr = n->attr;
	size_t I = run_tensor(r, n->in[BACK_OTHER])->dim[1], E = n_experts(r, n->in[BACK_FIRST]);
	struct int8_products p = { .r = r };

	quantize(r, run_f32(r, n->in[BACK_DY]), run_i32(r, n->in[BACK_SLOTS]), run_rows(r, n->in[BACK_DY]) * attr->k,
	         run_tensor(r, n->in[BACK_OTHER])->dim[2], n->out[1]);
	if (attr->shared && !attr->accumulate)
		memset(run_f32(r, n->out[0]), 0, run_rows(r, n->out[0]) * I * sizeof(float));
	for (size_t e = 0; e < E; e++) {
		struct list l = list_of(r, n, BACK_SLOTS, e);
		struct gemm_int8 g = int8_of(r, part_of(r, n->in[BACK_OTHER], e), n->out[1], &l);
		if (!l.n)
			continue;
		g.c = run_f32(r, n->out[0]);
		g.c_rows = l.x_rows;
		g.accumulate = attr->shared || attr->accumulate;
		add_int8_product(&p, &g);
		if (attr->shared)
			run_int8_products(&p);
	}
	run_int8_products(&p);
}

static void any_dx(struct run *r, const struct node *n)
{
	if (((const struct experts_attr *)n->attr)->int8)
		dx_int8(r, n);
	else
		dx_forward(r, n);
}

/* An expert that nobody chose has a gradient of zeros. */
static void dw_forward(struct run *r, const struct node *n)
{
	const struct experts_attr *attr = n->attr;
	const struct tensor *dw = run_tensor(r, n->out[0]);
	size_t O = dw->dim[1], I = dw->dim[2];
	struct products p = { .r = r };

	for (size_t e = 0; e < dw->dim[0]; e++) {
		struct list l = list_of(r, n, BACK_SLOTS, e);
		struct gemm g = { .m = O, .n = I, .ldc = I, .accumulate = attr->accumulate, .free = true };
		if (!dw->parts[e] || (!l.n && attr->accumulate))
			continue;
		g.c = run_f32(r, dw->parts[e]);
		struct matrix x = { DTYPE_F32, run_f32(r, n->in[BACK_OTHER]), l.n, I, I * sizeof(float), 0 };
		g.term[0] = (struct gemm_term){ .a = run_f32(r, n->in[BACK_DY]), .a_row = 1, .a_col = O, .b = x,
			                        .k = l.n, .scale = attr->scale, .a_ks = l.slots,
			                        .b_ks = l.x_rows };
		g.n_terms = l.n > 0;
		add_product(&p, &g);
	}
	run_products(&p);
}

struct bias_work {
	struct run *r;
	const struct node *n;
};

static void bias_item(void *ctx, size_t e, int thread)
{
	const struct bias_work *w = ctx;
	const struct experts_attr *attr = w->n->attr;
	struct list l = list_of(w->r, w->n, BACK_SLOTS, e);
	size_t O = run_tensor(w->r, w->n->in[BACK_DY])->dim[1] / attr->k;
	float *db = run_f32(w->r, w->n->out[0]) + e * O;
	const float *dy = run_f32(w->r, w->n->in[BACK_DY]);
	(void)thread;

	if (!attr->accumulate)
		memset(db, 0, O * sizeof(*db));
	for (size_t i = 0; i < l.n; i++)
		w->r->kernels->add(db, db, dy + (size_t)l.slots[i] * O, O);
}

/* in: dy, none, slots, rows, first; out: dbias (E,O) */
static void db_forward(struct run *r, const struct node *n)
{
	struct bias_work w = { r, n };

	pool_run(r->pool, n_experts(r, n->in[BACK_FIRST]), bias_item, &w);
}

static void dx_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct tensor *w = tape_tensor(t, n->in[BACK_OTHER]);
	bool turned = ((const struct experts_attr *)n->attr)->int8;
	double dy = tensor_live(tape_tensor(t, n->in[BACK_DY]), live);

	*flops = 2 * dy * (double)w->dim[turned ? 1 : 2];
	*bytes = stack_bytes(t, w, slots_of(t, n, live, n->in[BACK_DY])) +
	         4 * (dy + tensor_live(tape_tensor(t, n->out[0]), live));
}

static void dw_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct tensor *dw = tape_tensor(t, n->out[0]);
	double dy = tensor_live(tape_tensor(t, n->in[BACK_DY]), live);

	*flops = 2 * dy * (double)dw->dim[2];
	*bytes = stack_bytes(t, dw, (double)dw->dim[0]) +
	         4 * (dy + tensor_live(tape_tensor(t, n->in[BACK_OTHER]), live));
}

static void db_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = tensor_live(tape_tensor(t, n->in[BACK_DY]), live);
	*bytes = 4 * *flops;
}

static const struct op experts_dx = { .name = "experts_dx", .cost = dx_cost, .forward = any_dx,
	                              .scratch = experts_scratch, .int8 = experts_int8_row };
static const struct op experts_dw = {
	.name = "experts_dw", .cost = dw_cost, .forward = dw_forward, .scratch = experts_scratch
};
static const struct op experts_db = { .name = "experts_db", .cost = db_cost, .forward = db_forward };

static void emit(struct tape *t, const struct op *op, const struct node *n, uint32_t dy, uint32_t other, uint32_t out,
                 struct experts_attr attr)
{
	uint32_t in[N_BACK] = { dy, other, n->in[IN_SLOTS], n->in[IN_ROWS], n->in[IN_FIRST] };

	tape_emit(t, op, in, N_BACK, &out, 1, &attr, sizeof(attr));
}

/* dW or dU: `of` is a stack, x what it was multiplied with. */
static void emit_dw(struct tape *t, const struct node *n, uint32_t dy, uint32_t x, uint32_t of,
                    struct experts_attr attr)
{
	if (!tape_wants(t, of))
		return;
	uint32_t grads = tape_grad_stack(t, of, &attr.accumulate);
	attr.int8 = false;
	emit(t, &experts_dw, n, dy, x, grads, attr);
}

static void emit_dx(struct tape *t, const struct node *n, uint32_t dy, uint32_t w, uint32_t of,
                    struct experts_attr attr)
{
	if (!tape_wants(t, of))
		return;
	uint32_t dx = tape_grad_target(t, of, &attr.accumulate);
	attr.int8 = false;
	emit(t, &experts_dx, n, dy, w, dx, attr);
}

static void emit_int8(struct tape *t, const struct node *n, uint32_t dy, struct experts_attr attr)
{
	uint32_t in[N_BACK] = { dy, n->in[IN_WT], n->in[IN_SLOTS], n->in[IN_ROWS], n->in[IN_FIRST] }, out[2];
	const struct tensor *d = tape_tensor(t, dy);
	size_t rows = gemm_int8_rows_bytes(d->dim[0] * attr.k, d->dim[1] / attr.k);
	struct node made = { 0 };

	if (!tape_wants(t, n->in[IN_X]))
		return;
	out[0] = tape_grad_target(t, n->in[IN_X], &attr.accumulate);
	out[1] = tape_scratch(t, &made, 1, "int8_rows", rows / sizeof(float));
	tape_emit(t, &experts_dx, in, N_BACK, out, 2, &attr, sizeof(attr));
}

static void experts_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct experts_attr attr = *(const struct experts_attr *)n.attr, own = attr;
	uint32_t dy = tape_grad(t, n.out[0]);

	own.scale = 1;
	own.shared = false;
	if (tape_wants(t, n.in[IN_BIAS])) {
		uint32_t db = tape_grad_target(t, n.in[IN_BIAS], &own.accumulate);
		emit(t, &experts_db, &n, dy, TENSOR_NONE, db, own);
	}
	for (int k = 0; k < LINEAR_TERMS && n.in[IN_U + 2 * k]; k++) {
		emit_dw(t, &n, dy, n.in[IN_U + 2 * k], n.in[IN_UP + 2 * k], own);
		emit_dx(t, &n, dy, n.in[IN_UP + 2 * k], n.in[IN_U + 2 * k], own);
	}
	emit_dw(t, &n, dy, n.in[IN_X], n.in[IN_W], attr);
	if (n.in[IN_WT])
		emit_int8(t, &n, dy, attr);
	else
		emit_dx(t, &n, dy, n.in[IN_W], n.in[IN_X], attr);
}

/* --- samples --- */

static uint32_t stack_sample(struct tape *t, const char *name, size_t E, size_t rows, size_t cols, bool frozen,
                             bool gap)
{
	uint32_t parts[8] = { 0 };

	for (size_t e = gap ? 1 : 0; e < E; e++)
		parts[e] = frozen ? tape_weight(t, name, DTYPE_F32, 2, (size_t[]){ rows, cols }) :
		                    tape_param(t, name, 2, (size_t[]){ rows, cols });
	return tape_stack(t, name, parts, E);
}

static uint32_t experts_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct {
		int N, k;
		size_t E, I, O, r;
		bool own, bias, frozen, gap;
		float scale;
	} cases[] = {
		{ 1, 1, 1, 1, 1, 0, false, false, false, false, 0 },
		{ 33, 2, 4, 70, 67, 0, false, true, false, false, 0 },
		{ 40, 3, 5, 48, 33, 3, true, false, false, true, 0.5F },
		{ 70, 2, 8, 21, 17, 4, false, true, true, false, 0 },
		{ 9, 4, 6, 300, 129, 0, true, false, false, false, 0 },
	};
	size_t N = (size_t)cases[i].N, k = (size_t)cases[i].k, E = cases[i].E, I = cases[i].I, O = cases[i].O;
	struct experts l = { .scale = cases[i].scale };

	batch_sample(b, rng, cases[i].N, 50);
	op_route(t, tape_weight(t, "logits", DTYPE_F32, 2, (size_t[]){ N, E }), (struct route_spec){ cases[i].k, true },
	         &l.to);
	l.x = tape_param(t, "x", 2, (size_t[]){ N, I * (cases[i].own ? k : 1) });
	l.w = stack_sample(t, "w", E, O, I, cases[i].frozen, false);
	if (cases[i].bias)
		l.bias = tape_param(t, "bias", 2, (size_t[]){ E, O });
	if (cases[i].r)
		l.term[0] = (struct linear_term){ tape_param(t, "u", 2, (size_t[]){ N, k * cases[i].r }),
			                          stack_sample(t, "up", E, O, cases[i].r, false, cases[i].gap) };
	return op_experts(t, &l);
}

const struct op op_row_experts = {
	.name = "experts",
	.shape = experts_shape,
	.cost = experts_cost,
	.forward = experts_forward,
	.backward = experts_backward,
	.saves = ((1U << IN_BIAS) - 1) | 1U << IN_SLOTS | 1U << IN_ROWS | 1U << IN_FIRST,
	.scratch = experts_scratch,
	.int8 = experts_int8_row,
	.in_f32 = experts_in_f32,
	.sample = experts_sample,
	.sample_count = 5,
};

uint32_t op_experts(struct tape *t, const struct experts *l)
{
	struct experts_attr attr = { .k = (size_t)l->to.k, .scale = l->scale == 0 ? 1 : l->scale, .int8 = l->int8 };
	uint32_t in[N_IN] = { [IN_X] = l->x, [IN_W] = l->w, [IN_BIAS] = l->bias, [IN_SLOTS] = l->to.slots,
		              [IN_ROWS] = l->to.rows, [IN_FIRST] = l->to.first, [IN_WT] = l->wt };

	if (t->err.msg[0])
		return TENSOR_NONE;
	attr.shared = tape_tensor(t, l->x)->dim[1] == tape_tensor(t, l->w)->dim[2];
	for (int k = 0; k < LINEAR_TERMS && l->term[k].u; k++) {
		in[IN_U + 2 * k] = l->term[k].u;
		in[IN_UP + 2 * k] = l->term[k].up;
	}
	return tape_record(t, &op_row_experts, in, N_IN, &attr, sizeof(attr));
}
