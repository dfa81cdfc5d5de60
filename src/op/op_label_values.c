/* label_values: a number of each label beside a number of its target row: log-probability and value.
 *
 *     x (M), v (R,1)      y (M,2) = x[p], v[target of p]
 *
 * Backward: dx[p] (+)= dy[p][0], dv[r] (+)= Σ over the labels p of r of dy[p][1]. It is as long as the labels, and
 * runs on one thread. */
#include "op/ops.h"

#include "op/batch_sample.h"
#include "op/run.h"

struct attr { bool add_x, add_v; };

static int shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *v = tape_tensor(t, n->in[1]);

	if (x->n_dims != 1 || v->n_dims != 2 || v->dim[1] != 1)
		return err_set(e, "%s and %s are no number of a label and one of a row", x->name, v->name);
	tape_output(t, n, 0, "label_values", AXIS_LABELS, 2, (size_t[]){ (size_t)t->cap.labels, 2 });
	return 0;
}

static void forward(struct run *r, const struct node *n)
{
	const float *x = run_f32(r, n->in[0]), *v = run_f32(r, n->in[1]);
	float *y = run_f32(r, n->out[0]);

	for (int32_t p = 0; p < r->batch->n_labels; p++) {
		y[2 * p] = x[p];
		y[2 * p + 1] = v[r->batch->label_target[p]];
	}
}

static void back_forward(struct run *r, const struct node *n)
{
	const struct attr *attr = n->attr;
	const struct batch *b = r->batch;
	const float *dy = run_f32(r, n->in[0]);
	float *dx = run_f32(r, n->out[0]), *dv = run_f32(r, n->out[1]);

	for (int32_t i = 0; dv && !attr->add_v && i < b->n_targets; i++)
		dv[i] = 0;
	for (int32_t p = 0; p < b->n_labels; p++) {
		if (dx)
			dx[p] = (attr->add_x ? dx[p] : 0) + dy[2 * p];
		if (dv)
			dv[b->label_target[p]] += dy[2 * p + 1];
	}
}

static void cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	(void)t;
	(void)n;
	*flops = 2 * live->labels;
	*bytes = 16 * live->labels;
}

static const struct op label_values_back = { .name = "label_values_back", .cost = cost, .forward = back_forward };

static void backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct attr attr = { false, false };
	uint32_t dy = tape_grad(t, n.out[0]), out[2] = { TENSOR_NONE, TENSOR_NONE };

	if (tape_wants(t, n.in[0]))
		out[0] = tape_grad_target(t, n.in[0], &attr.add_x);
	if (tape_wants(t, n.in[1]))
		out[1] = tape_grad_target(t, n.in[1], &attr.add_v);
	tape_emit(t, &label_values_back, &dy, 1, out, 2, &attr, sizeof(attr));
}

static uint32_t sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const int rows[] = { 1, 40, 90 };

	batch_sample(b, rng, rows[i], 20);
	return op_label_values(t, tape_param(t, "x", 1, (size_t[]){ (size_t)b->n_labels }),
	                       tape_param(t, "v", 2, (size_t[]){ (size_t)b->n_targets, 1 }));
}

const struct op op_row_label_values = {
	.name = "label_values",
	.shape = shape,
	.cost = cost,
	.forward = forward,
	.backward = backward,
	.sample = sample,
	.sample_count = 3,
};

uint32_t op_label_values(struct tape *t, uint32_t x, uint32_t v)
{
	return tape_record(t, &op_row_label_values, (uint32_t[]){ x, v }, 2, NULL, 0);
}
