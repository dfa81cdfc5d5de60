/* loss: where a gradient starts that no op of its own computes: a function of the batch and of one tensor, as an
 * objective writes it (train/objective.h), which gives the loss and its gradient in that tensor.
 *
 *     x (M), or any other f32      loss (1) = f(batch, x)      dx (M) = d loss / dx
 *
 * Backward hands dx over, as token_logprob does. f runs on one thread, so its bits depend on none; what it reads is as
 * long as the labels of a micro-batch, little beside what led to them. */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "op/batch_sample.h"
#include "op/run.h"

enum { OUT_LOSS, OUT_DX };

static int loss_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor like = *tape_tensor(t, n->in[0]);
	(void)e;
	tape_output(t, n, OUT_LOSS, "loss", AXIS_FIXED, 1, (size_t[]){ 1 });
	tape_output(t, n, OUT_DX, "d_loss", like.axis, like.n_dims, like.dim);
	return 0;
}

static void loss_forward(struct run *r, const struct node *n)
{
	const struct loss *l = n->attr;

	*run_f32(r, n->out[OUT_LOSS]) =
		(float)l->of(l->ctx, r->batch, run_f32(r, n->in[0]), run_f32(r, n->out[OUT_DX]));
}

/* Some exponentials a number. */
static void loss_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->in[0]), live);

	*flops = 32 * numbers;
	*bytes = 16 * numbers;
}

static void loss_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];

	tape_grad_pass(t, n.in[0], n.out[OUT_DX]);
}

/* Σ over groups of log(1 + exp(−Σ of its labels' x)), so that every label matters to every other of its group. */
static double sample_of(const void *ctx, const struct batch *b, const float *x, float *dx)
{
	double sum[SAMPLE_LABELS] = { 0 }, loss = 0;
	(void)ctx;

	for (int32_t i = 0; i < b->n_labels; i++)
		sum[b->doc_group[b->label_doc[i]]] += (double)x[i];
	for (int32_t g = 0; g < b->n_groups; g++)
		loss += log1p(exp(-sum[g]));
	for (int32_t i = 0; i < b->n_labels; i++)
		dx[i] = (float)(-1 / (1 + exp(sum[b->doc_group[b->label_doc[i]]])));
	return loss;
}

static uint32_t loss_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const int rows[] = { 1, 40, 90 };

	batch_sample(b, rng, rows[i], 20);
	b->label_weight[0] = -1; /* the tests' loss is −Σ weight·output, ours is the output */
	return op_loss(t, tape_param(t, "x", 1, (size_t[]){ (size_t)b->n_labels }), &(struct loss){ .of = sample_of });
}

const struct op op_row_loss = {
	.name = "loss",
	.shape = loss_shape,
	.cost = loss_cost,
	.forward = loss_forward,
	.backward = loss_backward,
	.saves = SAVES_OUT(OUT_DX),
	.starts_gradient = true,
	.sample = loss_sample,
	.sample_count = 3,
};

uint32_t op_loss(struct tape *t, uint32_t x, const struct loss *l)
{
	return tape_record(t, &op_row_loss, &x, 1, l, sizeof(*l));
}
