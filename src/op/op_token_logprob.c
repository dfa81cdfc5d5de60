/* token_logprob: head and loss in one op: logp[p] = log softmax(W·x_r)[token_p] for every pair p of target row r.
 *
 *     x (R,C) target rows      W (V,C) any dtype      u (R,r), U (V,r) what an adapter adds, or none      logp (M)
 *     logits z = x·Wᵀ + u·Uᵀ, never more of them than a strip (≤ 256 rows, V)
 *
 * A row of the strip, in place: m = max z; e = exp(z − m) and L = Σ e, in fixed pieces of the vocabulary whose sums are
 * added in double in order; logp_p = (z_token − m) − log L. Logits are computed once a row, whatever the number of its
 * pairs.
 *
 * With a gradient the loss is −Σ_p w_p·logp_p, and since w is data the gradient is taken while the strip is there:
 *
 *     −logp_p = log L + m − z_token   ⇒   G_rv = d loss/d z_rv = (Σ_{p of r} w_p)·e_rv/L_r − Σ_{p of r, token_p = v} w_p
 *     dx_r = Σ_v G_rv·W_v        dW_v (+)= Σ_r G_rv·x_r        (dW only where the head is trained)
 *     du_r = Σ_v G_rv·U_v        dU_v (+)= Σ_r G_rv·u_r
 *
 * 4·C·V FLOPs a row and 2·C·V more with dW, against 6·C·V if the strip were rebuilt in backward (Liger does likewise).
 * So the gradients are outputs of the forward node; backward only hands dx and du over, and what arrives from above is not asked
 * for: this op starts the gradient. dW and dU add up strip after strip, strips being 256 rows whatever the capacity. */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/gemm.h"
#include "op/batch_sample.h"
#include "op/run.h"
#include "quant/panels.h"

enum { STRIP_ROWS = 256, VOCABULARY_PIECE = 4096, ZERO_PIECE = 65536 };
enum { LINE = 16, SET_PERIOD = 1024 }; /* floats a cache line and until its set comes round again */
enum { IN_X, IN_W, IN_U, IN_UP, N_IN };
enum { OUT_LOGP, OUT_STRIP, OUT_DX, OUT_DW, OUT_DU, OUT_DUP };

struct logprob_attr { bool add_dw, add_dup; /* are added to what is there */ };

/* A factor of the logits: rows·matrixᵀ, and its gradients where they are wanted. */
struct factor {
	const float *rows;          /* R,k; NULL: there is none */
	struct matrix matrix;       /* V,k */
	float *d_rows, *d_matrix;
	bool add;                   /* to d_matrix */
};

struct logprob {
	const struct run *r;
	const struct batch *b;
	size_t V, ld;               /* the strip's rows are ld apart */
	size_t first;               /* target row where the strip begins */
	bool gradient;
	float *strip, *logp;
	struct factor factor[2];    /* x and W, u and U */
};

/* Rows a multiple of 4 KB apart would fall into one set of the nearest cache, which holds fewer lines than a micro-tile has rows. */
static size_t strip_ld(size_t V)
{
	return V % SET_PERIOD ? V : V + LINE;
}

static int check_adapter(const struct tape *t, const struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[IN_X]), *head = tape_tensor(t, n->in[IN_W]);
	const struct tensor *u = tape_tensor(t, n->in[IN_U]), *up = tape_tensor(t, n->in[IN_UP]);

	if (u->n_dims != 2 || up->n_dims != 2 || u->dim[0] != x->dim[0] || up->dim[0] != head->dim[0] || u->dim[1] != up->dim[1])
		return err_set(e, "%s (%zu×%zu) and %s (%zu×%zu) do not add to %s", u->name, u->dim[0], u->dim[1], up->name, up->dim[0], up->dim[1], head->name);
	return 0;
}

static int logprob_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor x = *tape_tensor(t, n->in[IN_X]), head = *tape_tensor(t, n->in[IN_W]);
	struct logprob_attr *attr = (struct logprob_attr *)n->attr; /* the tape's copy, ours to complete */

	if (x.n_dims != 2 || head.n_dims != 2 || x.dim[1] != head.dim[1])
		return err_set(e, "%s has rows of %zu, the head %s of %zu", x.name, x.dim[x.n_dims - 1], head.name,
		               head.dim[head.n_dims - 1]);
	if (n->in[IN_U] && check_adapter(t, n, e) < 0)
		return -1;
	tape_output(t, n, OUT_LOGP, "logprob", AXIS_PAIRS, 1, (size_t[]){ (size_t)t->cap.pairs });
	tape_scratch(t, n, OUT_STRIP, "logits", (size_t)MIN(t->cap.targets, (int32_t)STRIP_ROWS) * strip_ld(head.dim[0]));
	if (tape_wants(t, n->in[IN_X]))
		tape_output(t, n, OUT_DX, "d_targets", x.axis, 2, x.dim);
	if (tape_wants(t, n->in[IN_W]))
		n->out[OUT_DW] = tape_grad_target(t, n->in[IN_W], &attr->add_dw);
	if (tape_wants(t, n->in[IN_U])) {
		struct tensor u = *tape_tensor(t, n->in[IN_U]);
		tape_output(t, n, OUT_DU, "d_targets_low", u.axis, 2, u.dim);
	}
	if (tape_wants(t, n->in[IN_UP]))
		n->out[OUT_DUP] = tape_grad_target(t, n->in[IN_UP], &attr->add_dup);
	return 0;
}

static size_t logprob_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)t, (void)n;
	return gemm_scratch_bytes(k);
}

/* The first pair of target row `target`. */
static size_t pair_from(const struct batch *b, size_t target)
{
	size_t lo = 0, hi = (size_t)b->n_pairs;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if ((size_t)b->pair_target[mid] < target)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* z becomes exp(z − max); returns Σ. */
static double row_exp(const struct kernels *k, float *z, size_t V, float max)
{
	double total = 0;
	for (size_t v = 0; v < V; v += VOCABULARY_PIECE) {
		float sum;
		k->exp_sum(z + v, z + v, max, MIN(V - v, (size_t)VOCABULARY_PIECE), &sum);
		total += sum;
	}
	return total;
}

/* One row of the strip: log-probabilities of its pairs, and with a gradient G in place of the logits. */
static void logprob_row(void *ctx, size_t item, int thread)
{
	const struct logprob *w = ctx;
	const struct batch *b = w->b;
	size_t target = w->first + item, begin = pair_from(b, target), end = begin;
	float *z = w->strip + item * w->ld, max = w->r->kernels->max(z, w->V);
	double weight = 0;
	(void)thread;

	for (; end < (size_t)b->n_pairs && (size_t)b->pair_target[end] == target; end++) {
		if (b->pair_token[end] < 0 || (size_t)b->pair_token[end] >= w->V)
			BUG("pair %zu predicts token %d of %zu", end, b->pair_token[end], w->V);
		w->logp[end] = z[b->pair_token[end]];
		weight += b->pair_weight[end];
	}
	double sum = row_exp(w->r->kernels, z, w->V, max), log_sum = log(sum);
	for (size_t p = begin; p < end; p++)
		w->logp[p] = (float)((double)w->logp[p] - max - log_sum);
	if (!w->gradient)
		return;
	w->r->kernels->scale(z, z, (float)(weight / sum), w->V);
	for (size_t p = begin; p < end; p++)
		z[b->pair_token[p]] -= b->pair_weight[p];
}

/* What a finished strip of `rows` rows gives to a factor's gradients. */
static void strip_gradient(const struct logprob *w, const struct factor *f, size_t rows)
{
	const struct run *r = w->r;
	size_t k = f->matrix.cols;

	if (f->d_rows) {
		struct gemm g = { .m = rows, .n = k, .n_terms = 1, .c = f->d_rows + w->first * k, .ldc = k };
		g.term[0] = (struct gemm_term){ .a = w->strip, .a_row = w->ld, .a_col = 1, .b = f->matrix, .k = w->V, .scale = 1 };
		gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
	}
	if (f->d_matrix) {
		struct gemm g = { .m = w->V, .n = k, .n_terms = 1, .c = f->d_matrix, .ldc = k, .accumulate = f->add || w->first > 0 };
		struct matrix strip_rows = { .dtype = DTYPE_F32, .data = f->rows + w->first * k, .rows = rows, .cols = k, .row_bytes = k * sizeof(float) };
		g.term[0] = (struct gemm_term){ .a = w->strip, .a_row = 1, .a_col = w->ld, .b = strip_rows, .k = rows, .scale = 1 };
		gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
	}
}

static void strip_logits(const struct logprob *w, size_t rows)
{
	struct gemm g = { .m = rows, .n = w->V, .c = w->strip, .ldc = w->ld };

	for (size_t i = 0; i < ARRAY_LEN(w->factor) && w->factor[i].rows; i++) {
		const struct factor *f = &w->factor[i];
		size_t k = f->matrix.cols;
		g.term[g.n_terms++] = (struct gemm_term){ .a = f->rows + w->first * k, .a_row = k, .a_col = 1, .b = f->matrix, .transposed = true, .k = k, .scale = 1 };
	}
	gemm_run(w->r->kernels, w->r->pool, &g, run_scratch(w->r, 0));
}

static void zero_piece(void *ctx, size_t item, int thread)
{
	const struct factor *f = ctx;
	size_t begin = item * ZERO_PIECE, n = MIN(f->matrix.rows * f->matrix.cols - begin, (size_t)ZERO_PIECE);
	(void)thread;
	memset(f->d_matrix + begin, 0, n * sizeof(float));
}

static struct factor factor_of(const struct run *r, const struct node *n, int in, int out, bool add)
{
	if (!n->in[in])
		return (struct factor){ 0 };
	const struct tensor *matrix = run_tensor(r, n->in[in + 1]);
	const struct dtype_info *d = &dtypes[matrix->dtype];
	return (struct factor){
		.rows = run_f32(r, n->in[in]), .d_rows = run_f32(r, n->out[out]), .d_matrix = run_f32(r, n->out[out + 1]), .add = add,
		.matrix = { .dtype = matrix->dtype, .data = r->data[n->in[in + 1]], .rows = matrix->dim[0], .cols = matrix->dim[1],
		            .row_bytes = matrix->dim[1] / d->block * d->bytes, .panel_bytes = matrix->panels ? panel_bytes(matrix->dtype, matrix->dim[1]) : 0 },
	};
}

static struct logprob logprob_of(struct run *r, const struct node *n)
{
	const struct logprob_attr *attr = n->attr;
	struct logprob w = { .r = r, .b = r->batch, .V = run_tensor(r, n->in[IN_W])->dim[0] };

	w.ld = strip_ld(w.V);
	w.logp = run_f32(r, n->out[OUT_LOGP]);
	w.strip = run_f32(r, n->out[OUT_STRIP]);
	w.factor[0] = factor_of(r, n, IN_X, OUT_DX, attr->add_dw);
	w.factor[1] = factor_of(r, n, IN_U, OUT_DU, attr->add_dup);
	for (size_t i = 0; i < ARRAY_LEN(w.factor); i++)
		w.gradient |= w.factor[i].d_rows || w.factor[i].d_matrix;
	return w;
}

static void logprob_forward(struct run *r, const struct node *n)
{
	struct logprob w = logprob_of(r, n);
	size_t R = (size_t)w.b->n_targets;

	for (; w.first < R; w.first += STRIP_ROWS) {
		size_t rows = MIN(R - w.first, (size_t)STRIP_ROWS);
		strip_logits(&w, rows);
		pool_run(r->pool, rows, logprob_row, &w);
		for (size_t i = 0; i < ARRAY_LEN(w.factor); i++)
			strip_gradient(&w, &w.factor[i], rows);
	}
	for (size_t i = 0; i < ARRAY_LEN(w.factor) && R == 0; i++) /* the first writer stores, also nothing */
		if (w.factor[i].d_matrix && !w.factor[i].add)
			pool_run(r->pool, (w.V * w.factor[i].matrix.cols + ZERO_PIECE - 1) / ZERO_PIECE, zero_piece, &w.factor[i]);
}

/* Of one factor, the strips' own traffic left out. */
static void factor_cost(const struct tape *t, const struct node *n, int in, int out, const struct live *live, double *flops, double *bytes)
{
	const struct tensor *matrix = tape_tensor(t, n->in[in + 1]);
	double products = 1 + (n->out[out] != TENSOR_NONE) + (n->out[out + 1] != TENSOR_NONE);
	double V = (double)matrix->dim[0], k = (double)matrix->dim[1];
	double stored = V * k / dtypes[matrix->dtype].block * dtypes[matrix->dtype].bytes;

	*flops += 2 * products * live->targets * V * k;
	*bytes += ceil(live->targets / STRIP_ROWS) * products * stored + 4 * live->targets * (V * products + 2 * k);
}

static void logprob_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 0;
	*bytes = 8 * live->targets * (double)tape_tensor(t, n->in[IN_W])->dim[0];
	factor_cost(t, n, IN_X, OUT_DX, live, flops, bytes);
	if (n->in[IN_U])
		factor_cost(t, n, IN_U, OUT_DU, live, flops, bytes);
}

static void logprob_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	if (n.out[OUT_DX])
		tape_grad_pass(t, n.in[IN_X], n.out[OUT_DX]);
	if (n.out[OUT_DU])
		tape_grad_pass(t, n.in[IN_U], n.out[OUT_DU]);
}

static uint32_t logprob_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t V, C, r; bool frozen; } cases[] = {
		{ 1, 2, 3, 0, false }, { 33, 67, 5, 0, false }, { 96, 31, 9, 0, true }, { 90, 41, 5, 3, true }, { 21, 19, 4, 6, false },
	};
	size_t dim[2] = { cases[i].V, cases[i].C };

	batch_sample(b, rng, cases[i].N, (int)cases[i].V);
	size_t R = (size_t)b->n_targets;
	struct linear l = { .x = tape_param(t, "x", 2, (size_t[]){ R, cases[i].C }) };
	l.w = cases[i].frozen ? tape_weight(t, "head", DTYPE_F32, 2, dim) : tape_param(t, "head", 2, dim);
	if (cases[i].r) {
		l.u = tape_param(t, "u", 2, (size_t[]){ R, cases[i].r });
		l.up = tape_param(t, "up", 2, (size_t[]){ cases[i].V, cases[i].r });
	}
	return op_token_logprob(t, &l);
}

const struct op op_row_token_logprob = {
	.name = "token_logprob", .shape = logprob_shape, .cost = logprob_cost, .forward = logprob_forward, .backward = logprob_backward,
	.saves = 1U << (8 + OUT_DX) | 1U << (8 + OUT_DU), .starts_gradient = true, .scratch = logprob_scratch, .sample = logprob_sample, .sample_count = 5,
};

uint32_t op_token_logprob(struct tape *t, const struct linear *l)
{
	struct logprob_attr attr = { 0 };
	return tape_record(t, &op_row_token_logprob, (uint32_t[N_IN]){ l->x, l->w, l->u, l->up }, N_IN, &attr, sizeof(attr));
}
