/* divergence: how far the distributions of two heads are from each other, row by row, with the gradient of one of
 * them.
 *
 *     p = softmax of the base's logits at a target row, q = softmax of the tuned model's, both at a temperature T
 *     D_r = KL(p ‖ q) = Σ_v p_v·(log p_v − log q_v)          (Kullback and Leibler 1951)
 *     or KL(q ‖ p), or, with m = (1 − β)·q + β·p,
 *     β·KL(p ‖ m) + (1 − β)·KL(q ‖ m), the generalized Jensen-Shannon divergence of TRL's GKDTrainer
 *     (Agarwal et al. 2023, On-Policy Distillation); struct divergence_kind
 *     out_l = −s·D_r + (1 − s)·log q_token for every label l of row r      so that −Σ_l w_l·out_l is a loss
 *
 * Both logits are what op_token_logprob.c says, the base's from rows x0 (R,C0) that the caller brings and its own
 * matrix. Neither is ever there but for a tile a thread: each head is met once for its largest logit m and L = Σ
 * exp(z − m), and once more, tile by tile side by side, for
 *
 *     KL(p ‖ q) = Σ_v p_v·(z0_v − z_v) + (m + log L) − (m0 + log L0)      d KL/d z_v = q_v − p_v
 *     KL(q ‖ p) likewise                                  d KL/d z_v = q_v·((z_v − z0_v) − Σ q·(z − z0))
 *     the mixture                    (1 − β)·q_v·(log(q_v/m_v) − KL(q ‖ m))
 *     G_rv = s·(Σ_{l of r} w_l)·dD/dz_v / T + (1 − s)·Σ_l w_l·(q'_v − [v = token_l])     q': q at T 1
 *
 * where all but the first want a sum over all tokens before the gradient of one, so tiles are met once more. Of the top
 * k alone (top_tokens.h) the two walks for L bring all that is wanted of the base. dx, dW, du, dU, dbias follow from G
 * as there, with no label's share. Equal heads on equal rows give exactly 0, and a gradient of exactly 0. A loss starts
 * here, with the batch's own weights: what arrives from above is not asked for. FLOPs a row, C·V each: 8, 4 more for
 * the sums before the gradient (of the top k 2 less), 2 for q' where T is not 1, 2 for dx, 2 for dW. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/logprob.h"
#include "op/top_tokens.h"

/* Behind the inputs and outputs of a head, the base's. */
enum { IN_X0 = N_IN, IN_W0, IN_BIAS0, ALL_IN };
enum { OUT_BLOCK0 = N_OUT, OUT_ROWS, OUT_PARTS, OUT_TOP, ALL_OUT };
_Static_assert((int)ALL_IN <= (int)NODE_INPUTS && (int)ALL_OUT <= (int)NODE_OUTPUTS, "two heads in a node");

const struct divergence_kind divergence_kl = { .temperature = 1, .ratio = 1 };

struct attr { struct logprob_attr tuned, base; struct divergence_kind kind; };

/* Of a row of the block. */
struct row {
	float weight;                  /* of dD/dz in G */
	float sum, base_sum;           /* L */
	float token_weight, token_top, token_sum; /* (1 − s)·Σ w; m and L at temperature 1 */
	/* what is subtracted from a token's slope; of the top k what the others have */
	float mean;
	float divergence;              /* of the top k */
};
enum { ROW_FLOATS = sizeof(struct row) / sizeof(float) };

struct work {
	const struct divergence_kind *kind;
	struct logprob tuned, base;    /* of the batch without labels */
	struct logprob labelled;       /* the tuned one, with them */
	struct batch bare;
	struct row *row;               /* [BLOCK] */
	float *part, *own_part;        /* [BLOCK][tiles] of p's sum (of KL the only one), of q's */
	struct top_tokens top;
	float *out;                    /* [labels] */
};

static bool mixes(const struct divergence_kind *k) { return k->beta > 0 && k->beta < 1; }
/* A sum over all tokens is wanted before the gradient of one. */
static bool looks_first(const struct divergence_kind *k) { return k->beta > 0 && !k->top_k; }
static bool has_token(const struct divergence_kind *k) { return k->ratio < 1; }

/* The base's head as a node by itself. */
static struct node base_node(const struct node *n)
{
	struct node base = { .op = n->op, .attr = &((const struct attr *)n->attr)->base };

	base.in[IN_X] = n->in[IN_X0];
	base.in[IN_W] = n->in[IN_W0];
	base.in[IN_BIAS] = n->in[IN_BIAS0];
	base.out[OUT_BLOCK] = n->out[OUT_BLOCK0];
	return base;
}

static int check_kind(const struct divergence_kind *k, size_t V, struct err *e)
{
	if (!(k->beta >= 0 && k->beta <= 1 && k->temperature > 0 && k->ratio >= 0 && k->ratio <= 1))
		return err_set(e, "a divergence of β %g, temperature %g, ratio %g", (double)k->beta,
		               (double)k->temperature, (double)k->ratio);
	if (k->top_k < 0 || (size_t)k->top_k > V)
		return err_set(e, "the top %d of %zu tokens", k->top_k, V);
	return 0;
}

static int check_sides(const struct tape *t, const struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[IN_X]), *x0 = tape_tensor(t, n->in[IN_X0]);
	const struct tensor *w = tape_tensor(t, n->in[IN_W]), *w0 = tape_tensor(t, n->in[IN_W0]);

	if (x->dim[0] != x0->dim[0] || w->dim[0] != w0->dim[0])
		return err_set(e, "%zu rows of %zu tokens beside the base's %zu of %zu", x->dim[0], w->dim[0],
		               x0->dim[0], w0->dim[0]);
	return 0;
}

static int shape(struct tape *t, struct node *n, struct err *e)
{
	struct attr *attr = (struct attr *)n->attr; /* the tape's copy, ours to complete */
	struct node base = base_node(n);

	if (logprob_check(t, n, e) < 0 || logprob_check(t, &base, e) < 0 || check_sides(t, n, e) < 0)
		return -1;
	size_t V = tape_tensor(t, n->in[IN_W])->dim[0], tiles = (V + LOGPROB_TILE - 1) / LOGPROB_TILE;
	if (check_kind(&attr->kind, V, e) < 0)
		return -1;
	tape_output(t, n, OUT_LOGP, "divergence", AXIS_LABELS, 1, (size_t[]){ (size_t)t->cap.labels });
	logprob_gradients(t, n, n, &attr->tuned);
	logprob_block(t, n, n, false, 0);
	logprob_block(t, &base, &base, false, 0);
	n->out[OUT_BLOCK0] = base.out[OUT_BLOCK];
	tape_scratch(t, n, OUT_ROWS, "divergence_rows", (size_t)LOGPROB_BLOCK * ROW_FLOATS);
	tape_scratch(t, n, OUT_PARTS, "divergence_parts", LOGPROB_BLOCK * tiles * (mixes(&attr->kind) ? 2 : 1));
	if (attr->kind.top_k)
		tape_scratch(t, n, OUT_TOP, "top_tokens",
		             top_tokens_floats((size_t)attr->kind.top_k, LOGPROB_RANGES, LOGPROB_BLOCK));
	return 0;
}

/* --- sums of a side --- */

static void select_range(void *ctx, size_t range, size_t v, size_t n, const float *z, size_t ld)
{
	struct work *w = ctx;

	for (size_t i = 0; i < w->tuned.rows; i++)
		top_tokens_see(&w->top, i, range, v, n, z + i * ld);
}

static void pick_range(void *ctx, size_t range, size_t v, size_t n, const float *z, size_t ld)
{
	struct work *w = ctx;
	(void)range;

	for (size_t i = 0; i < w->tuned.rows; i++)
		top_tokens_pick(&w->top, i, v, n, z + i * ld);
}

static void begin_top(void *ctx, size_t i, int thread)
{
	struct work *w = ctx;
	(void)thread;

	top_tokens_begin(&w->top, i);
}

static void end_top(void *ctx, size_t i, int thread)
{
	struct work *w = ctx;
	(void)thread;

	top_tokens_end(&w->top, i);
}

/* Of the top k the side that they are of goes first. */
static void side_sums(struct work *w)
{
	struct logprob *first = w->kind->of_tuned ? &w->tuned : &w->base,
	               *second = w->kind->of_tuned ? &w->base : &w->tuned;

	if (!w->kind->top_k) {
		logprob_sums(first);
		logprob_sums(second);
		return;
	}
	pool_run(w->tuned.r->pool, w->tuned.rows, begin_top, w);
	first->seen = select_range;
	second->seen = pick_range;
	first->seen_ctx = second->seen_ctx = w;
	logprob_sums(first);
	pool_run(w->tuned.r->pool, w->tuned.rows, end_top, w);
	logprob_sums(second);
}

static void keep_token_sums(void *ctx, size_t i, int thread)
{
	struct work *w = ctx;
	(void)thread;

	w->row[i].token_top = w->tuned.row_top[i];
	w->row[i].token_sum = w->tuned.row_scale[i];
}

/* m and L of both sides, and of q', into the rows. */
static void sums(struct work *w)
{
	float temperature = w->tuned.temperature;
	struct pool *pool = w->tuned.r->pool;

	if (has_token(w->kind) && temperature != 1) {
		w->tuned.temperature = 1;
		w->tuned.seen = NULL;
		logprob_sums(&w->tuned);
		pool_run(pool, w->tuned.rows, keep_token_sums, w);
		w->tuned.temperature = temperature;
	}
	side_sums(w);
	if (has_token(w->kind) && temperature == 1)
		pool_run(pool, w->tuned.rows, keep_token_sums, w);
}

/* --- a block --- */

static void divide_top(struct work *w, size_t i, const struct row *row)
{
	double rest, log_p = (double)w->base.row_top[i] + log((double)row->base_sum),
	       log_q = (double)w->tuned.row_top[i] + log((double)row->sum);

	w->row[i].divergence = (float)top_tokens_divergence(&w->top, i, w->kind, log_p, log_q, &rest);
	w->row[i].mean = (float)rest;
}

/* m, L and Σ w of a row; from now on its gradient is of G as it stands. */
static void begin_row(void *ctx, size_t i, int thread)
{
	struct work *w = ctx;
	const struct divergence_kind *kind = w->kind;
	struct logprob *t = &w->tuned;
	struct row *row = &w->row[i];
	double weight;
	size_t begin;
	(void)thread;

	logprob_labels(&w->labelled, i, &begin, &weight);
	row->weight = (float)(weight * (double)kind->ratio / (double)kind->temperature);
	row->token_weight = (float)(weight * (1 - (double)kind->ratio));
	row->sum = t->row_scale[i];
	row->base_sum = w->base.row_scale[i];
	row->mean = 0;
	if (kind->top_k)
		divide_top(w, i, row);
	t->row_scale[i] = 1;
	for (size_t k = 0; k < t->ranges; k++)
		t->largest[i * LOGPROB_RANGES + k] = t->row_top[i];
}

/* The tile of the base, at the end of a thread's room. */
static float *base_tile(const struct run *r, int thread)
{
	size_t at = r->plan->scratch_bytes - LOGPROB_BLOCK * LOGPROB_TILE_LD * sizeof(float);

	return (float *)((char *)run_scratch(r, thread) + at / 64 * 64);
}

/* z and z0 become q and p; far: z0 − z as they were. */
static void probabilities(const struct work *w, size_t i, float *z, float *z0, float *far, size_t n)
{
	const struct kernels *k = w->tuned.r->kernels;
	const struct row *row = &w->row[i];
	float ignored;

	for (size_t v = 0; v < n; v++)
		far[v] = z0[v] - z[v];
	k->exp_sum(z0, z0, w->base.row_top[i], n, &ignored);
	k->exp_sum(z, z, w->tuned.row_top[i], n, &ignored);
	k->scale(z0, z0, 1 / row->base_sum, n);
	k->scale(z, z, 1 / row->sum, n);
}

/* log(x/m), of x that is there at all */
static float log_share(float x, float q, float p, float beta) { return x > 0 ? logf(x / (q + beta * (p - q))) : 0; }

/* Sums of a tile that D is of, and *own, which a mixture has of q alone. */
static float look(const struct work *w, const float *q, const float *p, const float *far, size_t n, float *own)
{
	const struct kernels *k = w->tuned.r->kernels;
	float beta = w->kind->beta, of_p = 0, of_q = 0;

	if (!mixes(w->kind))
		return beta == 0 ? k->dot(p, far, n) : -k->dot(q, far, n);
	for (size_t v = 0; v < n; v++) {
		of_p += p[v] * log_share(p[v], q[v], p[v], beta);
		of_q += q[v] * log_share(q[v], q[v], p[v], beta);
	}
	*own = of_q;
	return of_p;
}

/* q becomes dD/dz, but for 1/T. */
static void slope(const struct work *w, const struct row *row, float *q, const float *p, const float *far, size_t n)
{
	float beta = w->kind->beta;

	if (beta == 0) {
		w->tuned.r->kernels->axpy(q, -1, p, n);
		return;
	}
	for (size_t v = 0; v < n; v++)
		q[v] *= beta == 1 ? -far[v] - row->mean :
		                    (1 - beta) * (log_share(q[v], q[v], p[v], beta) - row->mean);
}

static void top_slope(const struct work *w, size_t i, float *z, size_t v, size_t n)
{
	const struct kernels *k = w->tuned.r->kernels;
	const struct row *row = &w->row[i];
	const struct top_token *top = w->top.top + i * w->top.k;
	float ignored;

	k->exp_sum(z, z, w->tuned.row_top[i], n, &ignored);
	k->scale(z, z, row->mean / row->sum, n);
	for (size_t j = 0; j < w->top.k; j++)
		if ((size_t)top[j].token >= v && (size_t)top[j].token < v + n)
			z[(size_t)top[j].token - v] = top[j].other;
}

/* The labels' share: token is q' of the tile, whose logits they keep. */
static void add_tokens(const struct work *w, size_t i, float *z, float *token, size_t v, size_t n)
{
	const struct kernels *k = w->tuned.r->kernels;
	const struct row *row = &w->row[i];
	const struct batch *b = w->labelled.b;
	double weight;
	float ignored;
	size_t begin, end = logprob_labels(&w->labelled, i, &begin, &weight);

	for (size_t l = begin; l < end; l++) {
		size_t at = (size_t)b->label_token[l] - v;
		if ((size_t)b->label_token[l] < v || at >= n)
			continue;
		w->out[l] = token[at];
		z[at] -= (1 - w->kind->ratio) * w->labelled.weight[l];
	}
	k->exp_sum(token, token, row->token_top, n, &ignored);
	k->axpy(z, row->token_weight / row->token_sum, token, n);
}

/* Logits of a row's tile become G. */
static void meet(const struct work *w, size_t i, float *z, float *z0, size_t v, size_t n)
{
	const struct kernels *k = w->tuned.r->kernels;
	size_t at = i * w->tuned.tiles + v / LOGPROB_TILE;
	float far[LOGPROB_TILE], token[LOGPROB_TILE];

	if (has_token(w->kind))
		k->scale(token, z, w->kind->temperature, n);
	if (w->kind->top_k) {
		top_slope(w, i, z, v, n);
	} else {
		probabilities(w, i, z, z0, far, n);
		if (!looks_first(w->kind))
			w->part[at] = look(w, z, z0, far, n, NULL);
		slope(w, &w->row[i], z, z0, far, n);
	}
	k->scale(z, z, w->row[i].weight, n);
	if (has_token(w->kind))
		add_tokens(w, i, z, token, v, n);
}

static void meet_range(void *ctx, size_t range, int thread)
{
	const struct work *w = ctx;
	const struct logprob *t = &w->tuned;
	size_t from = t->tiles * range / t->ranges, to = t->tiles * (range + 1) / t->ranges, ld = LOGPROB_TILE_LD;
	float *z = logprob_tile(t, thread), *z0 = base_tile(t->r, thread);

	for (size_t tile = from; tile < to; tile++) {
		size_t v = tile * LOGPROB_TILE, n = MIN(t->V - v, (size_t)LOGPROB_TILE);
		if (!w->kind->top_k)
			logprob_logits(&w->base, v, n, z0, ld, thread);
		logprob_logits(t, v, n, z, ld, thread);
		for (size_t i = 0; i < t->rows; i++)
			meet(w, i, z + i * ld, z0 + i * ld, v, n);
		logprob_tile_slope(t, n, z, ld, thread);
		logprob_tile_rows(t, range, tile == from, v, n, z, ld, thread);
		if (logprob_wants_matrices(t))
			logprob_tile_matrices(t, v, n, z, ld, t->row_top, 1, thread);
	}
}

/* --- what is wanted before the gradient --- */

static void look_range(void *ctx, size_t range, int thread)
{
	const struct work *w = ctx;
	const struct logprob *t = &w->tuned;
	size_t from = t->tiles * range / t->ranges, to = t->tiles * (range + 1) / t->ranges, ld = LOGPROB_TILE_LD;
	float *z = logprob_tile(t, thread), *z0 = base_tile(t->r, thread), far[LOGPROB_TILE];

	for (size_t tile = from; tile < to; tile++) {
		size_t v = tile * LOGPROB_TILE, n = MIN(t->V - v, (size_t)LOGPROB_TILE);
		logprob_logits(&w->base, v, n, z0, ld, thread);
		logprob_logits(t, v, n, z, ld, thread);
		for (size_t i = 0; i < t->rows; i++) {
			size_t at = i * t->tiles + tile;
			probabilities(w, i, z + i * ld, z0 + i * ld, far, n);
			w->part[at] = look(w, z + i * ld, z0 + i * ld, far, n, w->own_part + at);
		}
	}
}

static double sum_of(const struct work *w, const float *part, size_t i, double sum)
{
	for (size_t k = 0; k < w->tuned.tiles; k++)
		sum += (double)part[i * w->tuned.tiles + k];
	return sum;
}

static void look_row(void *ctx, size_t i, int thread)
{
	struct work *w = ctx;
	(void)thread;

	w->row[i].mean = (float)sum_of(w, mixes(w->kind) ? w->own_part : w->part, i, 0);
}

/* --- the end of a row --- */

static double divergence_at(const struct work *w, size_t i)
{
	const struct logprob *t = &w->tuned;
	double far = (double)t->row_top[i] - (double)w->base.row_top[i] +
	             log((double)w->row[i].sum / (double)w->row[i].base_sum), beta = (double)w->kind->beta;

	if (w->kind->top_k)
		return (double)w->row[i].divergence;
	if (mixes(w->kind))
		return beta * sum_of(w, w->part, i, 0) + (1 - beta) * sum_of(w, w->own_part, i, 0);
	return sum_of(w, w->part, i, beta == 0 ? far : -far);
}

static void finish_row(void *ctx, size_t i, int thread)
{
	const struct work *w = ctx;
	const struct row *row = &w->row[i];
	double weight, ratio = (double)w->kind->ratio;
	size_t begin, end = logprob_labels(&w->labelled, i, &begin, &weight);
	float divergence = (float)fmax(divergence_at(w, i), 0); /* below it is rounding */

	for (size_t l = begin; l < end && !has_token(w->kind); l++)
		w->out[l] = -divergence;
	for (size_t l = begin; l < end && has_token(w->kind); l++)
		w->out[l] = (float)(-ratio * (double)divergence +
		                    (1 - ratio) * ((double)w->out[l] - (double)row->token_top -
		                                   log((double)row->token_sum)));
	logprob_row(&w->tuned, i, 0, 0, 0, thread);
}

static struct work work_of(struct run *r, const struct node *n)
{
	struct node base = base_node(n);
	struct work w = { .kind = &((const struct attr *)n->attr)->kind, .tuned = logprob_of(r, n, false, 0),
		          .base = logprob_of(r, &base, false, 0), .bare = *r->batch,
		          .row = (struct row *)run_f32(r, n->out[OUT_ROWS]), .part = run_f32(r, n->out[OUT_PARTS]),
		          .out = run_f32(r, n->out[OUT_LOGP]) };

	w.bare.n_labels = 0;
	w.own_part = w.part + LOGPROB_BLOCK * w.tuned.tiles;
	w.tuned.temperature = w.base.temperature = w.kind->temperature;
	if (w.kind->top_k)
		w.top = top_tokens_in(run_f32(r, n->out[OUT_TOP]), (size_t)w.kind->top_k, LOGPROB_RANGES,
		                      LOGPROB_BLOCK);
	return w;
}

static void forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n);

	w.tuned.b = w.base.b = &w.bare;
	while (logprob_next(&w.tuned) && logprob_next(&w.base)) {
		sums(&w);
		w.labelled = w.tuned;
		w.labelled.b = r->batch;
		pool_run(r->pool, w.tuned.rows, begin_row, &w);
		if (looks_first(w.kind)) {
			pool_run(r->pool, w.tuned.ranges, look_range, &w);
			pool_run(r->pool, w.tuned.rows, look_row, &w);
		}
		pool_run(r->pool, w.tuned.ranges, meet_range, &w);
		pool_run(r->pool, w.tuned.rows, finish_row, &w);
	}
	if (r->batch->n_targets == 0)
		logprob_zero(&w.tuned);
}

/* --- the row of the table --- */

static void cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	struct node base = base_node(n), again = base_node(n);
	double f[2], b[2];

	again.in[IN_X] = n->in[IN_X];
	again.in[IN_W] = n->in[IN_W];
	logprob_cost(t, n, live, flops, bytes);
	logprob_cost(t, &base, live, &f[0], &b[0]);
	logprob_cost(t, &again, live, &f[1], &b[1]);
	const struct divergence_kind *kind = &((const struct attr *)n->attr)->kind;
	double of_base = kind->top_k ? 1 : 2 + looks_first(kind),
	       of_tuned = 1 + looks_first(kind) + (has_token(kind) && kind->temperature != 1);
	*flops += of_base * f[0] + of_tuned * f[1];
	*bytes += of_base * b[0] + of_tuned * b[1];
}

static size_t scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	return logprob_scratch(t, n, k) + LOGPROB_BLOCK * LOGPROB_TILE_LD * sizeof(float) + 64;
}

static void backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];

	logprob_pass(t, &n, &n);
}

static uint32_t sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct {
		int N;
		size_t V, C, r;
		bool frozen, bias;
		float scale, cap;
		struct divergence_kind kind;
	} cases[] = {
		{ 1, 2, 3, 0, false, false, 0, 0, { .temperature = 1, .ratio = 1 } },
		{ 33, 67, 5, 0, false, false, 0, 0, { .temperature = 1, .ratio = 1 } },
		{ 96, 31, 9, 0, true, false, 0, 0, { .temperature = 1, .ratio = 1 } },
		{ 90, 41, 5, 3, true, true, 0.5F, 0, { .temperature = 1, .ratio = 1 } },
		{ 40, 30, 6, 2, false, true, 1.5F, 2, { .temperature = 1, .ratio = 1 } },
		{ 33, 67, 5, 0, true, false, 0, 0, { .beta = 1, .temperature = 2, .ratio = 1 } },
		{ 40, 30, 6, 2, false, true, 1.5F, 2, { .beta = 0.3F, .temperature = 0.7F, .ratio = 0.4F } },
		{ 33, 67, 5, 0, false, false, 0, 0, { .beta = 0.5F, .temperature = 1, .ratio = 0.5F, .top_k = 7,
		                                     .tail = true } },
	};
	size_t dim[2] = { cases[i].V, cases[i].C };

	batch_sample(b, rng, cases[i].N, (int)cases[i].V);
	size_t rows[2] = { (size_t)b->n_targets, cases[i].C };
	struct linear l = { .x = tape_param(t, "x", 2, rows), .scale = cases[i].scale };
	struct linear base = { .x = tape_weight(t, "x0", DTYPE_F32, 2, rows), .scale = cases[i].scale };
	l.w = cases[i].frozen ? tape_weight(t, "head", DTYPE_F32, 2, dim) : tape_param(t, "head", 2, dim);
	base.w = cases[i].frozen ? l.w : tape_weight(t, "head0", DTYPE_F32, 2, dim);
	if (cases[i].r) {
		l.term[0].u = tape_param(t, "u", 2, (size_t[]){ rows[0], cases[i].r });
		l.term[0].up = tape_param(t, "up", 2, (size_t[]){ cases[i].V, cases[i].r });
	}
	if (cases[i].bias) {
		l.bias = tape_param(t, "bias", 1, dim);
		base.bias = tape_weight(t, "bias0", DTYPE_F32, 1, dim);
	}
	return op_divergence(t, &l, cases[i].cap, &base, cases[i].cap, &cases[i].kind);
}

const struct op op_row_divergence = {
	.name = "divergence",
	.shape = shape,
	.cost = cost,
	.forward = forward,
	.backward = backward,
	.saves = LOGPROB_SAVES_D_ROWS,
	.starts_gradient = true,
	.scratch = scratch,
	.int8 = logprob_int8,
	.in_f32 = logprob_in_f32,
	.sample = sample,
	.sample_count = 8,
};

uint32_t op_divergence(struct tape *t, const struct linear *tuned, float cap, const struct linear *base, float base_cap,
                       const struct divergence_kind *kind)
{
	struct attr attr = { logprob_attr_of(tuned, cap), logprob_attr_of(base, base_cap), *kind };
	uint32_t in[ALL_IN];

	logprob_inputs(t, tuned, in);
	in[IN_X0] = base->x;
	in[IN_W0] = base->w;
	in[IN_BIAS0] = base->bias;
	return tape_record(t, &op_row_divergence, in, ALL_IN, &attr, sizeof(attr));
}
