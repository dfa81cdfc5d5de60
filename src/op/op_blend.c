/* blend: y = a + (b − a)∘σ(g): from a to b, by as much as a gate says.      a, b, g, y alike
 *
 *     s = σ(g)      da = dy∘(1 − s)      db = dy∘s      dg = dy∘(b − a)∘s∘(1 − s) */
#include "op/ops.h"

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

enum { IN_A, IN_B, IN_GATE, N_IN };

static int blend_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *a = tape_tensor(t, n->in[IN_A]);

	for (int i = IN_B; i < N_IN; i++) {
		const struct tensor *x = tape_tensor(t, n->in[i]);
		if (x->axis != a->axis || x->n_dims != a->n_dims || tensor_count(x) != tensor_count(a))
			return err_set(e, "%s and %s differ in shape", a->name, x->name);
	}
	pointwise_output(t, n, "blend");
	return 0;
}

struct work {
	const struct kernels *k;
	const float *dy, *a, *b, *g;
	float *y, *da, *db, *dg;
};

static void blend_piece(void *ctx, size_t at, size_t n)
{
	const struct work *w = ctx;
	const float *a = w->a + at, *b = w->b + at;
	float *y = w->y + at;

	w->k->act[ACT_SIGMOID].f(y, w->g + at, n);
	for (size_t i = 0; i < n; i++)
		y[i] = a[i] + (b[i] - a[i]) * y[i];
}

static void blend_forward(struct run *r, const struct node *n)
{
	struct work w = { .k = r->kernels,
		          .a = run_f32(r, n->in[IN_A]),
		          .b = run_f32(r, n->in[IN_B]),
		          .g = run_f32(r, n->in[IN_GATE]),
		          .y = run_f32(r, n->out[0]) };

	pointwise_pieces(r, n->out[0], blend_piece, &w);
}

static void blend_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	*flops = 13 * tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = 16 * tensor_live(tape_tensor(t, n->out[0]), live);
}

/* --- backward. in: dy, a, b, g; out: da, db, dg --- */

static void back_piece(void *ctx, size_t at, size_t n)
{
	const struct work *w = ctx;
	const float *dy = w->dy + at, *a = w->a + at, *b = w->b + at;
	float *da = w->da + at, *db = w->db + at, *dg = w->dg + at;

	w->k->act[ACT_SIGMOID].f(dg, w->g + at, n);
	for (size_t i = 0; i < n; i++) {
		float s = dg[i];
		da[i] = dy[i] * (1 - s);
		db[i] = dy[i] * s;
		dg[i] = dy[i] * (b[i] - a[i]) * s * (1 - s);
	}
}

static void back_forward(struct run *r, const struct node *n)
{
	struct work w = { .k = r->kernels,
		          .dy = run_f32(r, n->in[0]),
		          .a = run_f32(r, n->in[1 + IN_A]),
		          .b = run_f32(r, n->in[1 + IN_B]),
		          .g = run_f32(r, n->in[1 + IN_GATE]),
		          .da = run_f32(r, n->out[IN_A]),
		          .db = run_f32(r, n->out[IN_B]),
		          .dg = run_f32(r, n->out[IN_GATE]) };

	pointwise_pieces(r, n->out[0], back_piece, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                      double *bytes)
{
	*flops = 17 * tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = 28 * tensor_live(tape_tensor(t, n->out[0]), live);
}

static const struct op blend_back = { .name = "blend_back", .cost = back_cost, .forward = back_forward };

static void blend_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];

	pointwise_backward(t, i, &blend_back, N_IN, n.in, N_IN, NULL, 0);
}

static uint32_t blend_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C; } cases[] = { { 1, 1 }, { 70, 300 } };
	size_t dim[2] = { (size_t)cases[i].N, cases[i].C };

	batch_sample(b, rng, cases[i].N, 50);
	return op_blend(t, tape_param(t, "a", 2, dim), tape_param(t, "b", 2, dim), tape_param(t, "gate", 2, dim));
}

const struct op op_row_blend = {
	.name = "blend",
	.shape = blend_shape,
	.cost = blend_cost,
	.forward = blend_forward,
	.backward = blend_backward,
	.saves = 1U << IN_A | 1U << IN_B | 1U << IN_GATE,
	.cheap = true,
	.sample = blend_sample,
	.sample_count = 2,
};

uint32_t op_blend(struct tape *t, uint32_t a, uint32_t b, uint32_t gate)
{
	return tape_record(t, &op_row_blend, (uint32_t[N_IN]){ a, b, gate }, N_IN, NULL, 0);
}
