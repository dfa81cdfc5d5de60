/* token_logprob_from_above: the log-probabilities of token_logprob for a loss that stands on them: the gradient
 * d logp_p arrives from above instead of being −w_p.
 *
 *     logp_p = z_r,token_p − m_r − log L_r        m_r and L_r (R,2) are kept, nothing of the logits is
 *     G_rv = −(Σ_{p of r} d logp_p)·exp(z_rv − m_r)/L_r + Σ_{p of r, token_p = v} d logp_p
 *     dx, dW, du, dU, dbias from G as in op_token_logprob.c
 *
 * That is token_logprob's gradient with weights w_p = −d logp_p, so labels' own weights play no part. Backward
 * rebuilds the logits tile by tile: 2·C·V FLOPs a row forward, 4·C·V backward and 2·C·V more with dW. Since m and
 * L are known then, a tile's e is never rescaled, and its share of dW is taken at once. */
#include "op/logprob.h"

#include "base/mem.h"

static int shape(struct tape *t, struct node *n, struct err *e)
{
	bool gradient = false;

	if (logprob_check(t, n, e) < 0)
		return -1;
	for (int i = 0; i <= IN_BIAS; i++)
		gradient |= tape_wants(t, n->in[i]);
	size_t stat[2] = { tape_tensor(t, n->in[IN_X])->dim[0], 2 };
	tape_output(t, n, OUT_LOGP, "logprob", AXIS_LABELS, 1, (size_t[]){ (size_t)t->cap.labels });
	if (gradient)
		tape_output(t, n, OUT_STAT, "logprob_stat", tape_tensor(t, n->in[IN_X])->axis, 2, stat);
	logprob_block(t, n, n, false, 0);
	return 0;
}

static void forward(struct run *r, const struct node *n)
{
	struct logprob w = logprob_of(r, n, false, 0);

	w.own = run_f32(r, n->out[OUT_LOGP]);
	w.stat = run_f32(r, n->out[OUT_STAT]);
	logprob_forward(&w);
}

/* --- backward --- */

static void begin_row(void *ctx, size_t row, int thread)
{
	const struct logprob *w = ctx;
	const float *stat = w->stat + 2 * (w->first + row);
	size_t begin;
	double weight;
	(void)thread;

	logprob_labels(w, row, &begin, &weight);
	w->row_top[row] = stat[0];
	w->row_scale[row] = (float)(weight / (double)stat[1]);
	for (size_t i = 0; i < w->ranges; i++)
		w->largest[row * LOGPROB_RANGES + i] = stat[0];
}

static void back_range(void *ctx, size_t range, int thread)
{
	const struct logprob *w = ctx;
	const struct kernels *k = w->r->kernels;
	size_t from = w->tiles * range / w->ranges, to = w->tiles * (range + 1) / w->ranges, ld = LOGPROB_TILE_LD;
	float *z = logprob_tile(w, thread), sum;

	for (size_t tile = from; tile < to; tile++) {
		size_t v = tile * LOGPROB_TILE, n = MIN(w->V - v, (size_t)LOGPROB_TILE);
		logprob_logits(w, v, n, z, ld, thread);
		for (size_t i = 0; i < w->rows; i++)
			k->exp_sum(z + i * ld, z + i * ld, w->row_top[i], n, &sum);
		logprob_tile_slope(w, n, z, ld, thread);
		logprob_tile_rows(w, range, tile == from, v, n, z, ld, thread);
		if (logprob_wants_matrices(w))
			logprob_tile_matrices(w, v, n, z, ld, w->row_top, 1, thread);
	}
}

static void finish_row(void *ctx, size_t row, int thread)
{
	const struct logprob *w = ctx;
	size_t begin, end;
	double weight;

	end = logprob_labels(w, row, &begin, &weight);
	logprob_row(w, row, begin, end, weight, thread);
}

static void back_forward(struct run *r, const struct node *n)
{
	struct logprob w = logprob_of(r, n, false, (size_t)r->plan->cap.labels);

	w.logp = run_f32(r, n->in[IN_LOGP]);
	w.stat = run_f32(r, n->in[IN_STAT]);
	r->kernels->scale(w.negated, run_f32(r, n->in[IN_D_LOGP]), -1, (size_t)w.b->n_labels);
	w.weight = w.negated;
	while (logprob_next(&w)) {
		pool_run(r->pool, w.rows, begin_row, &w);
		pool_run(r->pool, w.ranges, back_range, &w);
		pool_run(r->pool, w.rows, finish_row, &w);
	}
	if (w.b->n_targets == 0)
		logprob_zero(&w);
}

static const struct op token_logprob_back = {
	.name = "token_logprob_back",
	.cost = logprob_cost,
	.forward = back_forward,
	.scratch = logprob_scratch,
	.int8 = logprob_int8,
	.in_f32 = logprob_in_f32,
};

static void backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct logprob_attr attr = *(const struct logprob_attr *)n.attr;
	uint32_t in[N_IN];

	for (int j = 0; j < N_IN; j++)
		in[j] = n.in[j];
	in[IN_D_LOGP] = tape_grad(t, n.out[OUT_LOGP]);
	in[IN_LOGP] = n.out[OUT_LOGP];
	in[IN_STAT] = n.out[OUT_STAT];
	logprob_gradients(t, &n, &made, &attr);
	logprob_block(t, &n, &made, false, (size_t)t->cap.labels);
	tape_emit(t, &token_logprob_back, in, N_IN, made.out, N_OUT, &attr, sizeof(attr));
	logprob_pass(t, &n, &made);
}

static uint32_t sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	float cap;
	struct linear l = logprob_sample(t, b, rng, i, &cap);

	return op_token_logprob_from_above(t, &l, cap);
}

const struct op op_row_token_logprob_from_above = {
	.name = "token_logprob_from_above",
	.shape = shape,
	.cost = logprob_cost,
	.forward = forward,
	.backward = backward,
	.saves = LOGPROB_SAVES_ROWS | SAVES_OUT(OUT_LOGP) | SAVES_OUT(OUT_STAT),
	.scratch = logprob_scratch,
	.int8 = logprob_int8,
	.in_f32 = logprob_in_f32,
	.sample = sample,
	.sample_count = LOGPROB_SAMPLES,
};

uint32_t op_token_logprob_from_above(struct tape *t, const struct linear *l, float cap)
{
	struct logprob_attr attr = logprob_attr_of(l, cap);
	uint32_t in[N_IN];

	logprob_inputs(t, l, in);
	return tape_record(t, &op_row_token_logprob_from_above, in, N_IN, &attr, sizeof(attr));
}
