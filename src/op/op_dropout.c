/* dropout: y = x·mask/(1 − p), mask 0 with probability p (Srivastava et al. 2014), elementwise.      x, y (N,C)
 *
 * The mask of element e is a function of (seed, step, micro-batch, site, e): four elements share one Philox block.
 * Nothing is kept: backward, recomputation and a resumed run draw the same mask again.      dx = dy·mask/(1 − p) */
#include "op/ops.h"

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

struct dropout_attr {
	float p;
	uint32_t site;
};

struct dropout_work {
	const struct dropout_attr *attr;
	const struct batch *b;
	const float *x;
	float *y;
};

static int dropout_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct dropout_attr *attr = n->attr;

	if (!(attr->p > 0 && attr->p < 1))
		return err_set(e, "a probability of %g, between 0 and 1 is wanted", (double)attr->p);
	pointwise_output(t, n, "dropout");
	return 0;
}

static void dropout_piece(void *ctx, size_t begin, size_t n)
{
	const struct dropout_work *w = ctx;
	size_t end = begin + n;
	struct rng_key key = { .seed = w->b->seed, .purpose = RNG_DROPOUT };
	uint32_t word[4], least = (uint32_t)((double)w->attr->p * 4294967296.0);
	float scale = 1 / (1 - w->attr->p);

	for (size_t i = begin; i < end; i += 4) {
		rng_words(key, (uint64_t)w->b->step << 32 | i / 4, w->b->micro, w->attr->site, word);
		for (size_t j = 0; j < 4 && i + j < end; j++)
			w->y[i + j] = word[j] >= least ? w->x[i + j] * scale : 0;
	}
}

static void dropout_forward(struct run *r, const struct node *n)
{
	struct dropout_work w = { .attr = n->attr, .b = r->batch, .x = run_f32(r, n->in[0]),
		                  .y = run_f32(r, n->out[0]) };

	pointwise_pieces(r, n->out[0], dropout_piece, &w);
}

static const struct op dropout_back = { .name = "dropout_back", .cost = pointwise_cost, .forward = dropout_forward,
                                        .inplace = 1 };

static void dropout_backward(struct tape *t, uint32_t i)
{
	pointwise_backward(t, i, &dropout_back, 1, NULL, 0, t->nodes[i].attr, sizeof(struct dropout_attr));
}

static uint32_t dropout_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct {
		int N;
		size_t C;
		float p;
	} cases[] = { { 1, 3, 0.5F }, { 31, 65, 0.1F }, { 7, 33, 0.9F } };
	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].C });
	return op_dropout(t, x, cases[i].p, (uint32_t)i);
}

const struct op op_row_dropout = {
	.name = "dropout",
	.shape = dropout_shape,
	.cost = pointwise_cost,
	.forward = dropout_forward,
	.backward = dropout_backward,
	.inplace = 1,
	.cheap = true,
	.sample = dropout_sample,
	.sample_count = 3,
};

/* p = 0 changes nothing and records nothing. */
uint32_t op_dropout(struct tape *t, uint32_t x, float p, uint32_t site)
{
	struct dropout_attr attr = { .p = p, .site = site };
	return p == 0 ? x : tape_record(t, &op_row_dropout, &x, 1, &attr, sizeof(attr));
}
