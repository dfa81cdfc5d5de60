/* scale: y = c·x with a constant c, elementwise (an embedding's √C, a residual's factor).      x, y (N,C)
 *
 *     dx = c·dy */
#include "op/ops.h"

#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_scale;

struct scale_attr { float by; };
struct scale_work { const struct kernels *k; const float *x; float *y; float by; };

static int scale_shape(struct tape *t, struct node *n, struct err *e)
{
	(void)e;
	pointwise_output(t, n, "scale");
	return 0;
}

static void scale_piece(void *ctx, size_t at, size_t n)
{
	const struct scale_work *w = ctx;

	w->k->scale(w->y + at, w->x + at, w->by, n);
}

static void scale_forward(struct run *r, const struct node *n)
{
	struct scale_work w = { r->kernels, run_f32(r, n->in[0]), run_f32(r, n->out[0]),
		                ((const struct scale_attr *)n->attr)->by };

	pointwise_pieces(r, n->out[0], scale_piece, &w);
}

static void scale_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	*flops = tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = 8 * *flops;
}

static const struct op scale_back = {
	.name = "scale_back", .cost = scale_cost, .forward = scale_forward, .inplace = 1
};

static void scale_backward(struct tape *t, uint32_t i)
{
	pointwise_backward(t, i, &scale_back, 1, NULL, 0, t->nodes[i].attr, sizeof(struct scale_attr));
}

static uint32_t scale_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C; float by; } cases[] = { { 1, 1, 3 }, { 70, 300, -0.5F } };

	batch_sample(b, rng, cases[i].N, 50);
	return op_scale(t, tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].C }), cases[i].by);
}

const struct op op_row_scale = {
	.name = "scale", .shape = scale_shape, .cost = scale_cost, .forward = scale_forward, .backward = scale_backward,
	.inplace = 1, .cheap = true, .sample = scale_sample, .sample_count = 2,
};

/* By 1 changes nothing and records nothing. */
uint32_t op_scale(struct tape *t, uint32_t x, float by)
{
	struct scale_attr attr = { by };

	return by == 1 ? x : tape_record(t, &op_row_scale, &x, 1, &attr, sizeof(attr));
}
