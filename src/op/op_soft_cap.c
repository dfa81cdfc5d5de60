/* soft_cap: y = c·tanh(x/c), elementwise: numbers of any size come to lie between −c and c, small ones stay nearly
 * what they are (Gemma 2's logits; Bello et al. 2016).      x, y (N,C)
 *
 *     dx = dy·(1 − (y/c)²)        from y, which is kept: x may go */
#include "op/ops.h"

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_soft_cap;

struct cap_attr { float cap; };
struct cap_work { const struct kernels *k; const float *a, *b; float *to; float cap; };

static int cap_shape(struct tape *t, struct node *n, struct err *e)
{
	float cap = ((const struct cap_attr *)n->attr)->cap;

	if (!(cap > 0))
		return err_set(e, "a cap of %g, one above 0 is wanted", (double)cap);
	pointwise_output(t, n, "capped");
	return 0;
}

static struct cap_work work_of(struct run *r, const struct node *n)
{
	return (struct cap_work){ r->kernels, run_f32(r, n->in[0]), run_f32(r, n->in[1]), run_f32(r, n->out[0]),
		                  ((const struct cap_attr *)n->attr)->cap };
}

static void cap_piece(void *ctx, size_t at, size_t n)
{
	const struct cap_work *w = ctx;

	w->k->soft_cap(w->to + at, w->a + at, w->cap, n);
}

static void cap_forward(struct run *r, const struct node *n)
{
	struct cap_work w = work_of(r, n);

	pointwise_pieces(r, n->out[0], cap_piece, &w);
}

static void back_piece(void *ctx, size_t at, size_t n)
{
	const struct cap_work *w = ctx;

	w->k->soft_cap_back(w->to + at, w->a + at, w->b + at, w->cap, n);
}

/* in: dy, y */
static void back_forward(struct run *r, const struct node *n)
{
	struct cap_work w = work_of(r, n);

	pointwise_pieces(r, n->out[0], back_piece, &w);
}

/* An exponential counts as eight. */
static void cap_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 16 * tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = *flops / 2;
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 4 * tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = 3 * *flops;
}

static const struct op cap_back = {
	.name = "soft_cap_back", .cost = back_cost, .forward = back_forward, .inplace = 1
};

static void cap_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];

	pointwise_backward(t, i, &cap_back, 1, n.out, 1, n.attr, sizeof(struct cap_attr));
}

static uint32_t cap_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C; float cap; } cases[] = { { 1, 1, 30 }, { 70, 300, 0.5F } };

	batch_sample(b, rng, cases[i].N, 50);
	return op_soft_cap(t, tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].C }), cases[i].cap);
}

const struct op op_row_soft_cap = {
	.name = "soft_cap", .shape = cap_shape, .cost = cap_cost, .forward = cap_forward, .backward = cap_backward,
	.saves = SAVES_OUT(0), .inplace = 1, .sample = cap_sample, .sample_count = 2,
};

uint32_t op_soft_cap(struct tape *t, uint32_t x, float cap)
{
	struct cap_attr attr = { cap };

	return tape_record(t, &op_row_soft_cap, &x, 1, &attr, sizeof(attr));
}
