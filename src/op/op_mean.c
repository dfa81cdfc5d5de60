/* mean: y[r] = the mean of x over the segment that holds target_row[r]: of a text that shares nothing with others, the
 * mean over its tokens.      x (N,C), y (R,C)
 *
 *     dx[row] = Σ dy[r] / length     over the targets r of the row's segment
 *
 * Each segment's rows are written by one item. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/run.h"

extern const struct op op_row_mean;

struct mean_attr { bool accumulate; };

struct mean_work {
	const struct batch *b;
	size_t C;
	const float *src;
	float *dst;
	bool accumulate;
};

static int mean_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]);

	if (x->n_dims != 2 || x->dtype != DTYPE_F32)
		return err_set(e, "%s is no matrix of floats", x->name);
	tape_output(t, n, 0, "means", AXIS_TARGETS, 2, (size_t[]){ (size_t)t->cap.targets, x->dim[1] });
	return 0;
}

/* The first target whose row is ≥ row. */
static int32_t target_from(const struct batch *b, int32_t row)
{
	int32_t lo = 0, hi = b->n_targets;

	while (lo < hi) {
		int32_t mid = lo + (hi - lo) / 2;
		if (b->target_row[mid] < row)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* A segment's mean, to each of its targets. */
static void mean_segment(void *ctx, size_t item, int thread)
{
	const struct mean_work *w = ctx;
	const struct segment *s = &w->b->segments[item];
	int32_t first = target_from(w->b, s->start), end = target_from(w->b, s->start + s->len);
	float *y = w->dst + (size_t)first * w->C;
	(void)thread;

	if (first == end)
		return;
	memcpy(y, w->src + (size_t)s->start * w->C, w->C * sizeof(*y));
	for (int32_t i = 1; i < s->len; i++)
		for (size_t c = 0; c < w->C; c++)
			y[c] += w->src[(size_t)(s->start + i) * w->C + c];
	for (size_t c = 0; c < w->C; c++)
		y[c] /= (float)s->len;
	for (int32_t r = first + 1; r < end; r++)
		memcpy(w->dst + (size_t)r * w->C, y, w->C * sizeof(*y));
}

static void mean_forward(struct run *r, const struct node *n)
{
	struct mean_work w = { .b = r->batch, .C = run_tensor(r, n->in[0])->dim[1], .src = run_f32(r, n->in[0]),
		               .dst = run_f32(r, n->out[0]) };

	pool_run(r->pool, (size_t)r->batch->n_segments, mean_segment, &w);
}

static void mean_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = tensor_live(tape_tensor(t, n->in[0]), live);
	*bytes = 4 * *flops + 4 * tensor_live(tape_tensor(t, n->out[0]), live);
}

/* --- backward --- */

static void spread_segment(void *ctx, size_t item, int thread)
{
	const struct mean_work *w = ctx;
	const struct segment *s = &w->b->segments[item];
	int32_t first = target_from(w->b, s->start), end = target_from(w->b, s->start + s->len);
	float *dx = w->dst + (size_t)s->start * w->C;
	(void)thread;

	if (!w->accumulate)
		memset(dx, 0, (size_t)s->len * w->C * sizeof(*dx));
	for (int32_t r = first; r < end; r++)
		for (int32_t i = 0; i < s->len; i++)
			for (size_t c = 0; c < w->C; c++)
				dx[(size_t)i * w->C + c] += w->src[(size_t)r * w->C + c] / (float)s->len;
}

static void mean_back_forward(struct run *r, const struct node *n)
{
	struct mean_work w = { .b = r->batch, .C = run_tensor(r, n->out[0])->dim[1], .src = run_f32(r, n->in[0]),
		               .dst = run_f32(r, n->out[0]),
		               .accumulate = ((const struct mean_attr *)n->attr)->accumulate };

	pool_run(r->pool, (size_t)r->batch->n_segments, spread_segment, &w);
}

static void mean_back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                           double *bytes)
{
	*flops = 2 * tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = 4 * *flops + 4 * tensor_live(tape_tensor(t, n->in[0]), live);
}

static const struct op mean_back = { .name = "mean_back", .cost = mean_back_cost, .forward = mean_back_forward };

static void mean_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct mean_attr attr;
	uint32_t dy = tape_grad(t, n.out[0]);
	uint32_t dx = tape_grad_target(t, n.in[0], &attr.accumulate);

	tape_emit(t, &mean_back, &dy, 1, &dx, 1, &attr, sizeof(attr));
}

static uint32_t mean_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C; } cases[] = { { 1, 3 }, { 31, 7 }, { 96, 18 } };

	batch_sample(b, rng, cases[i].N, 50);
	return op_mean(t, tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].C }));
}

const struct op op_row_mean = {
	.name = "mean",
	.shape = mean_shape,
	.cost = mean_cost,
	.forward = mean_forward,
	.backward = mean_backward,
	.sample = mean_sample,
	.sample_count = 3,
};

uint32_t op_mean(struct tape *t, uint32_t x)
{
	return tape_record(t, &op_row_mean, &x, 1, NULL, 0);
}
