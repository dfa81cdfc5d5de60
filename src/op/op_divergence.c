/* divergence: how far the distributions of two heads are from each other, row by row, with the gradient of one of
 * them.
 *
 *     p = softmax of the base's logits at a target row, q = softmax of the tuned model's
 *     D_r = KL(p ‖ q) = Σ_v p_v·(log p_v − log q_v)          (Kullback and Leibler 1951)
 *     out_p = −D_r for every label p of row r                so that −Σ_p w_p·out_p is a loss
 *
 * Both logits are what op_token_logprob.c says, the base's from rows x0 (R,C) that the caller brings and its own
 * matrix. Neither is ever there but for a tile a thread: each head is met once for its largest logit m and L = Σ
 * exp(z − m), and once more, tile by tile side by side, for
 *
 *     D_r = Σ_v p_v·(z0_v − z_v) + (m + log L) − (m0 + log L0)
 *     G_rv = d loss/d z_rv = (Σ_{p of r} w_p)·(q_v − p_v)
 *
 * and dx, dW, du, dU, dbias follow from G as there, with no label's share. Equal heads on equal rows give exactly 0,
 * and a gradient of exactly 0. A loss starts here, with the batch's own weights: what arrives from above is not asked
 * for. 8·C·V FLOPs a row, 2·C·V more for dx, 2·C·V for dW. */
#include <math.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/logprob.h"

/* Behind the inputs and outputs of a head, the base's. */
enum { IN_X0 = N_IN, IN_W0, IN_BIAS0, ALL_IN };
enum { OUT_BLOCK0 = N_OUT, OUT_ROWS, ALL_OUT };
_Static_assert((int)ALL_IN <= (int)NODE_INPUTS && (int)ALL_OUT <= (int)NODE_OUTPUTS, "two heads in a node");

struct attr { struct logprob_attr tuned, base; };

/* Of a row of the block; behind all of them D's sums of each tile. */
struct row { float weight, sum, base_sum; };
enum { ROW_FLOATS = 3 };

struct work {
	struct logprob tuned, base;    /* of the batch without labels */
	struct logprob labelled;       /* the tuned one, with them */
	struct batch bare;
	struct row *row;               /* [BLOCK] */
	float *part;                   /* [BLOCK][tiles] */
	float *out;                    /* [labels] */
};

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
	size_t tiles;

	if (logprob_check(t, n, e) < 0 || logprob_check(t, &base, e) < 0 || check_sides(t, n, e) < 0)
		return -1;
	tiles = (tape_tensor(t, n->in[IN_W])->dim[0] + LOGPROB_TILE - 1) / LOGPROB_TILE;
	tape_output(t, n, OUT_LOGP, "divergence", AXIS_LABELS, 1, (size_t[]){ (size_t)t->cap.labels });
	logprob_gradients(t, n, n, &attr->tuned);
	logprob_block(t, n, n, false, 0);
	logprob_block(t, &base, &base, false, 0);
	n->out[OUT_BLOCK0] = base.out[OUT_BLOCK];
	tape_scratch(t, n, OUT_ROWS, "divergence_rows", LOGPROB_BLOCK * (ROW_FLOATS + tiles));
	return 0;
}

/* --- a block --- */

/* m, L and Σ w of a row; from now on its gradient is of G as it stands. */
static void begin_row(void *ctx, size_t i, int thread)
{
	const struct work *w = ctx;
	const struct logprob *t = &w->tuned;
	double weight;
	size_t begin;
	(void)thread;

	logprob_labels(&w->labelled, i, &begin, &weight);
	w->row[i] = (struct row){ (float)weight, t->row_scale[i], w->base.row_scale[i] };
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

/* Logits of a row's tile, whose share of D is returned; z becomes G. */
static float meet(const struct work *w, size_t i, float *z, float *z0, size_t n)
{
	const struct kernels *k = w->tuned.r->kernels;
	const struct row *row = &w->row[i];
	float far[LOGPROB_TILE], ignored;

	for (size_t v = 0; v < n; v++)
		far[v] = z0[v] - z[v];
	k->exp_sum(z0, z0, w->base.row_top[i], n, &ignored);
	k->exp_sum(z, z, w->tuned.row_top[i], n, &ignored);
	k->scale(z0, z0, 1 / row->base_sum, n);
	k->scale(z, z, 1 / row->sum, n);
	k->axpy(z, -1, z0, n);
	k->scale(z, z, row->weight, n);
	return k->dot(z0, far, n);
}

static void meet_range(void *ctx, size_t range, int thread)
{
	const struct work *w = ctx;
	const struct logprob *t = &w->tuned;
	size_t from = t->tiles * range / t->ranges, to = t->tiles * (range + 1) / t->ranges, ld = LOGPROB_TILE_LD;
	float *z = logprob_tile(t, thread), *z0 = base_tile(t->r, thread);

	for (size_t tile = from; tile < to; tile++) {
		size_t v = tile * LOGPROB_TILE, n = MIN(t->V - v, (size_t)LOGPROB_TILE);
		logprob_logits(&w->base, v, n, z0, ld, thread);
		logprob_logits(t, v, n, z, ld, thread);
		for (size_t i = 0; i < t->rows; i++)
			w->part[i * t->tiles + tile] = meet(w, i, z + i * ld, z0 + i * ld, n);
		logprob_tile_slope(t, n, z, ld, thread);
		logprob_tile_rows(t, range, tile == from, v, n, z, ld, thread);
		if (logprob_wants_matrices(t))
			logprob_tile_matrices(t, v, n, z, ld, t->row_top, 1, thread);
	}
}

static void finish_row(void *ctx, size_t i, int thread)
{
	const struct work *w = ctx;
	const struct logprob *t = &w->tuned;
	double sum = (double)t->row_top[i] - (double)w->base.row_top[i] +
	             log((double)w->row[i].sum / (double)w->row[i].base_sum), weight;
	size_t begin, end = logprob_labels(&w->labelled, i, &begin, &weight);

	for (size_t k = 0; k < t->tiles; k++)
		sum += (double)w->part[i * t->tiles + k];
	for (size_t p = begin; p < end; p++)
		w->out[p] = -(float)fmax(sum, 0); /* below it is rounding */
	logprob_row(t, i, 0, 0, 0, thread);
}

static void forward(struct run *r, const struct node *n)
{
	struct node base = base_node(n);
	struct work w = { .tuned = logprob_of(r, n, false, 0), .base = logprob_of(r, &base, false, 0),
		          .bare = *r->batch, .row = (struct row *)run_f32(r, n->out[OUT_ROWS]),
		          .out = run_f32(r, n->out[OUT_LOGP]) };

	w.bare.n_labels = 0;
	w.part = (float *)(w.row + LOGPROB_BLOCK);
	w.tuned.b = w.base.b = &w.bare;
	while (logprob_next(&w.tuned) && logprob_next(&w.base)) {
		logprob_sums(&w.base);
		logprob_sums(&w.tuned);
		w.labelled = w.tuned;
		w.labelled.b = r->batch;
		pool_run(r->pool, w.tuned.rows, begin_row, &w);
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
	*flops += 2 * f[0] + f[1];
	*bytes += 2 * b[0] + b[1];
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
	static const struct { int N; size_t V, C, r; bool frozen, bias; float scale, cap; } cases[] = {
		{ 1, 2, 3, 0, false, false, 0 },      { 33, 67, 5, 0, false, false, 0 },
		{ 96, 31, 9, 0, true, false, 0 },     { 90, 41, 5, 3, true, true, 0.5F },
		{ 40, 30, 6, 2, false, true, 1.5F, 2 },
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
	return op_divergence(t, &l, &base, cases[i].cap);
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
	.sample_count = 5,
};

uint32_t op_divergence(struct tape *t, const struct linear *tuned, const struct linear *base, float cap)
{
	struct attr attr = { logprob_attr_of(tuned, cap), logprob_attr_of(base, cap) };
	uint32_t in[ALL_IN];

	logprob_inputs(t, tuned, in);
	in[IN_X0] = base->x;
	in[IN_W0] = base->w;
	in[IN_BIAS0] = base->bias;
	return tape_record(t, &op_row_divergence, in, ALL_IN, &attr, sizeof(attr));
}
