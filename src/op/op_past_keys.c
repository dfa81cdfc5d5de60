/* past_keys: keys, or values, of tokens that are no rows of the batch, before those of its rows.
 *
 *     y[j] = past[j]        j < P            past (P,W) f32, never trained; x, of the batch's rows, (N,W)
 *     y[P + i] = x[i]       i < N            y (P + N,W): what batch.n_keys counts
 *
 *     dx[i] (+)= dy[P + i] */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/run.h"

enum { ITEM_ROWS = 64 };

struct past_attr { bool accumulate; /* of the gradient */ };

struct work { const struct run *r; const float *from; float *to; size_t N, W; bool accumulate; };

static int past_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *past = tape_tensor(t, n->in[0]), *x = tape_tensor(t, n->in[1]);

	if (past->n_dims != 2 || x->n_dims != 2 || past->dim[1] != x->dim[1] || past->dtype != DTYPE_F32)
		return err_set(e, "%s and %s are no matrices of floats of one width", past->name, x->name);
	tape_output(t, n, 0, "past_keys", AXIS_FIXED, 2, (size_t[]){ past->dim[0] + x->dim[0], x->dim[1] });
	return 0;
}

static void copy_item(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t at = item * ITEM_ROWS * w->W, n = MIN((size_t)ITEM_ROWS, w->N - item * ITEM_ROWS) * w->W;
	(void)thread;

	if (w->accumulate)
		w->r->kernels->add(w->to + at, w->to + at, w->from + at, n);
	else
		memcpy(w->to + at, w->from + at, n * sizeof(float));
}

static void copy_rows(struct work w)
{
	pool_run(w.r->pool, (w.N + ITEM_ROWS - 1) / ITEM_ROWS, copy_item, &w);
}

static void past_forward(struct run *r, const struct node *n)
{
	const struct tensor *past = run_tensor(r, n->in[0]);
	size_t P = past->dim[0], W = past->dim[1];
	float *y = run_f32(r, n->out[0]);

	memcpy(y, run_f32(r, n->in[0]), P * W * sizeof(*y));
	copy_rows((struct work){ r, run_f32(r, n->in[1]), y + P * W, run_rows(r, n->in[1]), W, false });
}

/* in: dy, past; out: dx */
static void back_forward(struct run *r, const struct node *n)
{
	const struct tensor *past = run_tensor(r, n->in[1]);
	const struct past_attr *a = n->attr;
	size_t P = past->dim[0], W = past->dim[1];

	copy_rows((struct work){ r, run_f32(r, n->in[0]) + P * W, run_f32(r, n->out[0]), run_rows(r, n->out[0]), W,
		                 a->accumulate });
}

static void past_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 0;
	*bytes = 8 * (double)tensor_count(tape_tensor(t, n->in[0])) + 8 * tensor_live(tape_tensor(t, n->in[1]), live);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 0;
	*bytes = 8 * tensor_live(tape_tensor(t, n->out[0]), live);
}

static const struct op past_back = { .name = "past_keys_back", .cost = back_cost, .forward = back_forward };

static void past_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct past_attr attr = { false };

	if (!tape_wants(t, n.in[1]))
		return;
	uint32_t dx = tape_grad_target(t, n.in[1], &attr.accumulate);
	tape_emit(t, &past_back, (uint32_t[]){ tape_grad(t, n.out[0]), n.in[0] }, 2, &dx, 1, &attr, sizeof(attr));
}

/* Every row sees P more keys than it has seen. */
static void put_past(struct batch *b, int32_t P)
{
	b->n_keys = P + b->n_rows;
	for (int32_t j = b->n_keys - 1; j >= 0; j--) {
		b->vis_end[j] = j < P ? b->n_keys : P + b->vis_end[j - P];
		b->vis_from[j] = j < P ? 0 : P + b->vis_from[j - P];
		b->key_pos[j] = j < P ? j : P + b->key_pos[j - P];
	}
	for (int32_t i = 0; i < b->n_rows; i++) {
		b->key[i] += P;
		b->pos[i] += P;
	}
	for (int32_t s = 0; s < b->n_segments; s++)
		b->segments[s].pos0 += P;
}

/* What it is for. */
static uint32_t past_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N, P; size_t D; struct attention_spec a; } cases[] = {
		{ 1, 1, 4, { 1, 1 } }, { 31, 5, 6, { 2, 2 } }, { 20, 70, 8, { 4, 2 } },
		{ 65, 30, 4, { 2, 1, .window = 9, .cap = 2 } },
	};
	struct attention_spec a = cases[i].a;
	size_t N = (size_t)cases[i].N, P = (size_t)cases[i].P, D = cases[i].D, kv = (size_t)a.G * D;

	batch_sample(b, rng, cases[i].N, 50);
	put_past(b, cases[i].P);
	a.scale = 0.5F;
	uint32_t q = tape_param(t, "q", 2, (size_t[]){ N, (size_t)a.H * D });
	uint32_t k = tape_param(t, "k", 2, (size_t[]){ N, kv }), v = tape_param(t, "v", 2, (size_t[]){ N, kv });
	uint32_t past_k = tape_weight(t, "past_k", DTYPE_F32, 2, (size_t[]){ P, kv });
	uint32_t past_v = tape_weight(t, "past_v", DTYPE_F32, 2, (size_t[]){ P, kv });
	return op_attention(t, q, op_past_keys(t, past_k, k), op_past_keys(t, past_v, v), a);
}

const struct op op_row_past_keys = {
	.name = "past_keys",
	.shape = past_shape,
	.cost = past_cost,
	.forward = past_forward,
	.backward = past_backward,
	.saves = 1 << 0,
	.cheap = true,
	.sample = past_sample,
	.sample_count = 4,
};

uint32_t op_past_keys(struct tape *t, uint32_t past, uint32_t x)
{
	return tape_record(t, &op_row_past_keys, (uint32_t[]){ past, x }, 2, NULL, 0);
}
