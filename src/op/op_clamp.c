/* clamp: y = min(max(x, −c), c), elementwise (OLMoE's q, k and v, where a model clips them).      x, y (N,C)
 *
 *     dx = dy where −c ≤ x ≤ c, else 0        PyTorch's: the edges pass */
#include "op/ops.h"

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_clamp;

struct clamp_attr { float most; };
struct clamp_work { const float *a, *b; float *to, most; };

static int clamp_shape(struct tape *t, struct node *n, struct err *e)
{
	float most = ((const struct clamp_attr *)n->attr)->most;

	if (!(most > 0))
		return err_set(e, "numbers clamped at %g, one above 0 is wanted", (double)most);
	pointwise_output(t, n, "clamped");
	return 0;
}

static struct clamp_work work_of(struct run *r, const struct node *n)
{
	return (struct clamp_work){ run_f32(r, n->in[0]), run_f32(r, n->in[1]), run_f32(r, n->out[0]),
		                    ((const struct clamp_attr *)n->attr)->most };
}

static void clamp_piece(void *ctx, size_t at, size_t n)
{
	const struct clamp_work *w = ctx;
	const float *x = w->a + at, most = w->most;
	float *y = w->to + at;

	for (size_t i = 0; i < n; i++) {
		float low = x[i] < -most ? -most : x[i];
		y[i] = low > most ? most : low;
	}
}

static void clamp_forward(struct run *r, const struct node *n)
{
	struct clamp_work w = work_of(r, n);

	pointwise_pieces(r, n->out[0], clamp_piece, &w);
}

/* in: dy, x */
static void back_piece(void *ctx, size_t at, size_t n)
{
	const struct clamp_work *w = ctx;
	const float *dy = w->a + at, *x = w->b + at;

	for (size_t i = 0; i < n; i++)
		w->to[at + i] = x[i] < -w->most || x[i] > w->most ? 0 : dy[i];
}

static void back_forward(struct run *r, const struct node *n)
{
	struct clamp_work w = work_of(r, n);

	pointwise_pieces(r, n->out[0], back_piece, &w);
}

static const struct op clamp_back = {
	.name = "clamp_back", .cost = pointwise_cost, .forward = back_forward, .inplace = 1
};

static void clamp_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];

	pointwise_backward(t, i, &clamp_back, 1, n.in, 1, n.attr, sizeof(struct clamp_attr));
}

/* Numbers that differences do not take across the edge. */
static uint32_t clamp_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C; float most; } cases[] = { { 1, 1, 400 }, { 70, 300, 30 } };
	size_t dim[2] = { (size_t)cases[i].N, cases[i].C };

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t apart = op_scale(t, tape_weight(t, "apart", DTYPE_F32, 2, dim), 100);
	return op_clamp(t, op_add(t, op_scale(t, tape_param(t, "x", 2, dim), 0.01F), apart), cases[i].most);
}

const struct op op_row_clamp = {
	.name = "clamp", .shape = clamp_shape, .cost = pointwise_cost, .forward = clamp_forward,
	.backward = clamp_backward, .saves = 1, .cheap = true, .sample = clamp_sample, .sample_count = 2,
};

uint32_t op_clamp(struct tape *t, uint32_t x, float most)
{
	struct clamp_attr attr = { most };

	return tape_record(t, &op_row_clamp, &x, 1, &attr, sizeof(attr));
}
