/* token_logprob: head and loss in one op: logp[p] = log softmax(W·x_r)[token_p] for every pair p of target row r.
 *
 *     x (R,C) target rows      W (V,C) any dtype      logp (M)
 *     logits z = x·Wᵀ, never more of them than a strip (≤ 128 rows, V)
 *
 * A row of the strip, in place: m = max z; e = exp(z − m) and L = Σ e, in fixed pieces of the vocabulary whose sums are
 * added in double in order; logp_p = (z_token − m) − log L. Logits are computed once a row, whatever the number of its
 * pairs.
 *
 * With a gradient the loss is −Σ_p w_p·logp_p, and since w is data the gradient is taken while the strip is there:
 *
 *     −logp_p = log L + m − z_token   ⇒   G_rv = d loss/d z_rv = (Σ_{p of r} w_p)·e_rv/L_r − Σ_{p of r, token_p = v} w_p
 *     dx_r = Σ_v G_rv·W_v        dW_v (+)= Σ_r G_rv·x_r        (dW only where the head is trained)
 *
 * 4·C·V FLOPs a row and 2·C·V more with dW, against 6·C·V if the strip were rebuilt in backward (Liger does likewise).
 * So dx and dW are outputs of the forward node; backward only hands dx over, and what arrives from above is not asked
 * for: this op starts the gradient. dW adds up strip after strip, strips being 128 rows whatever the capacity. */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/gemm.h"
#include "op/batch_sample.h"
#include "op/run.h"

enum { STRIP_ROWS = 128, VOCABULARY_PIECE = 4096, ZERO_PIECE = 65536 };
enum { OUT_LOGP, OUT_STRIP, OUT_DX, OUT_DW };

struct logprob_attr { bool accumulate; /* dW is added to what is there */ };

struct logprob {
	const struct run *r;
	const struct batch *b;
	size_t V, C;
	size_t first;               /* target row where the strip begins */
	bool gradient;
	const float *x;
	float *strip, *logp, *dx, *dw;
	struct matrix head;
};

static int logprob_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor x = *tape_tensor(t, n->in[0]), head = *tape_tensor(t, n->in[1]);
	struct logprob_attr *attr = (struct logprob_attr *)n->attr; /* the tape's copy, ours to complete */

	if (x.n_dims != 2 || head.n_dims != 2 || x.dim[1] != head.dim[1])
		return err_set(e, "%s has rows of %zu, the head %s of %zu", x.name, x.dim[x.n_dims - 1], head.name,
		               head.dim[head.n_dims - 1]);
	tape_output(t, n, OUT_LOGP, "logprob", AXIS_PAIRS, 1, (size_t[]){ (size_t)t->cap.pairs });
	tape_scratch(t, n, OUT_STRIP, "logits", (size_t)MIN(t->cap.targets, (int32_t)STRIP_ROWS) * head.dim[0]);
	if (tape_wants(t, n->in[0]))
		tape_output(t, n, OUT_DX, "d_targets", x.axis, 2, x.dim);
	if (tape_wants(t, n->in[1]))
		n->out[OUT_DW] = tape_grad_target(t, n->in[1], &attr->accumulate);
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
	float *z = w->strip + item * w->V, max = w->r->kernels->max(z, w->V);
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

/* The gradients that a finished strip of `rows` rows gives. */
static void strip_gradient(const struct logprob *w, size_t rows, bool add_dw)
{
	const struct run *r = w->r;
	const float *x = w->x + w->first * w->C;

	if (w->dx) {
		struct gemm g = { .m = rows, .n = w->C, .n_terms = 1, .c = w->dx + w->first * w->C, .ldc = w->C };
		g.term[0] = (struct gemm_term){ .a = w->strip, .a_row = w->V, .a_col = 1, .b = w->head, .k = w->V, .scale = 1 };
		gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
	}
	if (w->dw) {
		struct gemm g = { .m = w->V, .n = w->C, .n_terms = 1, .c = w->dw, .ldc = w->C, .accumulate = add_dw };
		struct matrix rows_of_x = { .dtype = DTYPE_F32, .data = x, .rows = rows, .cols = w->C,
		                            .row_bytes = w->C * sizeof(float) };
		g.term[0] = (struct gemm_term){ .a = w->strip, .a_row = 1, .a_col = w->V, .b = rows_of_x, .k = rows, .scale = 1 };
		gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
	}
}

static void strip_logits(const struct logprob *w, size_t rows)
{
	struct gemm g = { .m = rows, .n = w->V, .n_terms = 1, .c = w->strip, .ldc = w->V };
	g.term[0] = (struct gemm_term){ .a = w->x + w->first * w->C, .a_row = w->C, .a_col = 1, .b = w->head,
	                                .transposed = true, .k = w->C, .scale = 1 };
	gemm_run(w->r->kernels, w->r->pool, &g, run_scratch(w->r, 0));
}

static void zero_piece(void *ctx, size_t item, int thread)
{
	const struct logprob *w = ctx;
	size_t begin = item * ZERO_PIECE, n = MIN(w->V * w->C - begin, (size_t)ZERO_PIECE);
	(void)thread;
	memset(w->dw + begin, 0, n * sizeof(float));
}

static struct logprob logprob_of(struct run *r, const struct node *n)
{
	const struct tensor *head = run_tensor(r, n->in[1]);
	struct logprob w = { .r = r, .b = r->batch, .V = head->dim[0], .C = head->dim[1] };

	w.x = run_f32(r, n->in[0]);
	w.logp = run_f32(r, n->out[OUT_LOGP]);
	w.strip = run_f32(r, n->out[OUT_STRIP]);
	w.dx = run_f32(r, n->out[OUT_DX]);
	w.dw = run_f32(r, n->out[OUT_DW]);
	w.gradient = w.dx || w.dw;
	w.head = (struct matrix){ .dtype = head->dtype, .data = r->data[n->in[1]], .rows = w.V, .cols = w.C };
	w.head.row_bytes = w.C / dtypes[head->dtype].block * dtypes[head->dtype].bytes;
	return w;
}

static void logprob_forward(struct run *r, const struct node *n)
{
	const struct logprob_attr *attr = n->attr;
	struct logprob w = logprob_of(r, n);
	size_t R = (size_t)w.b->n_targets;

	for (; w.first < R; w.first += STRIP_ROWS) {
		size_t rows = MIN(R - w.first, (size_t)STRIP_ROWS);
		strip_logits(&w, rows);
		pool_run(r->pool, rows, logprob_row, &w);
		strip_gradient(&w, rows, attr->accumulate || w.first > 0);
	}
	if (R == 0 && w.dw && !attr->accumulate) /* the first writer stores, also nothing */
		pool_run(r->pool, (w.V * w.C + ZERO_PIECE - 1) / ZERO_PIECE, zero_piece, &w);
}

static void logprob_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct tensor *head = tape_tensor(t, n->in[1]);
	double products = 1 + (n->out[OUT_DX] != TENSOR_NONE) + (n->out[OUT_DW] != TENSOR_NONE);
	double V = (double)head->dim[0], C = (double)head->dim[1];
	double stored = V * C / dtypes[head->dtype].block * dtypes[head->dtype].bytes;
	double strips = ceil(live->targets / STRIP_ROWS);

	*flops = 2 * products * live->targets * V * C;
	*bytes = strips * products * stored + 4 * live->targets * (V * (2 + products) + 2 * C);
}

static void logprob_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	if (n.out[OUT_DX])
		tape_grad_pass(t, n.in[0], n.out[OUT_DX]);
}

static uint32_t logprob_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t V, C; bool frozen; } cases[] = {
		{ 1, 2, 3, false }, { 33, 67, 5, false }, { 96, 31, 9, true },
	};
	size_t dim[2] = { cases[i].V, cases[i].C };

	batch_sample(b, rng, cases[i].N, (int)cases[i].V);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ (size_t)b->n_targets, cases[i].C });
	return op_token_logprob(t, x, cases[i].frozen ? tape_weight(t, "head", DTYPE_F32, 2, dim) : tape_param(t, "head", 2, dim));
}

const struct op op_row_token_logprob = {
	.name = "token_logprob", .shape = logprob_shape, .cost = logprob_cost, .forward = logprob_forward,
	.backward = logprob_backward, .saves = 1U << (8 + OUT_DX), .starts_gradient = true, .scratch = logprob_scratch, .sample = logprob_sample, .sample_count = 3,
};

uint32_t op_token_logprob(struct tape *t, uint32_t x, uint32_t head)
{
	struct logprob_attr attr = { 0 };
	return tape_record(t, &op_row_token_logprob, (uint32_t[]){ x, head }, 2, &attr, sizeof(attr));
}
