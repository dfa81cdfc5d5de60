/* adapter_rows: y(i) = a(i) where the row's segment goes through one adapter, b(i) elsewhere.
 *
 *     a, b, y (N,C), or (R,C) of the target rows
 *
 *     da = dy in the rows of that adapter, else 0      db = dy in the others, else 0
 *
 * Of several adapters in one batch each row's is chosen so where what they do cannot be masked (op_adapter_mask): bits
 * are moved, not computed, so a row has those that it has with its adapter alone. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

struct rows_attr { int32_t adapter; };

static int rows_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *a = tape_tensor(t, n->in[0]), *b = tape_tensor(t, n->in[1]);

	if (a->axis != b->axis || a->n_dims != 2 || tensor_count(a) != tensor_count(b))
		return err_set(e, "%s and %s differ in shape", a->name, b->name);
	pointwise_output(t, n, "chosen");
	return 0;
}

/* Into y and z (or NULL) what is the adapter's of a and what is not of b, 0 elsewhere; with one output, both. */
static void choose(struct run *r, const struct node *n, const float *a, const float *b, float *y, float *z)
{
	const struct rows_attr *attr = n->attr;
	const struct batch *x = r->batch;
	const struct tensor *like = run_tensor(r, n->out[0]);
	size_t rows = run_rows(r, n->out[0]), C = like->dim[1], bytes = C * sizeof(float);
	const struct segment *s = x->segments;

	for (size_t i = 0; i < rows; i++, a += C, b += C) {
		int32_t row = like->axis == AXIS_TARGETS ? x->target_row[i] : (int32_t)i;
		while (row >= s->start + s->len)
			s++;
		bool own = s->adapter == attr->adapter;
		if (!z) {
			memmove(y + i * C, own ? a : b, bytes);
			continue;
		}
		memmove((own ? y : z) + i * C, own ? a : b, bytes);
		memset((own ? z : y) + i * C, 0, bytes);
	}
}

static void rows_forward(struct run *r, const struct node *n)
{
	choose(r, n, run_f32(r, n->in[0]), run_f32(r, n->in[1]), run_f32(r, n->out[0]), NULL);
}

/* in: dy; out: da, db */
static void back_forward(struct run *r, const struct node *n)
{
	const float *dy = run_f32(r, n->in[0]);

	choose(r, n, dy, dy, run_f32(r, n->out[0]), run_f32(r, n->out[1]));
}

static const struct op rows_back = { .name = "adapter_rows_back", .cost = pointwise_cost, .forward = back_forward };

static void rows_backward(struct tape *t, uint32_t i)
{
	pointwise_backward(t, i, &rows_back, 2, NULL, 0, t->nodes[i].attr, sizeof(struct rows_attr));
}

static uint32_t rows_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	batch_sample(b, rng, 31, 50);
	for (int32_t s = 0; s < b->n_segments; s++)
		b->segments[s].adapter = s % 3 - 1;
	size_t dim[2] = { 31, 5 };
	uint32_t x = tape_param(t, "x", 2, dim), y = tape_param(t, "y", 2, dim);
	return i ? op_adapter_rows(t, op_gather(t, x), op_gather(t, y), 1) : op_adapter_rows(t, x, y, 0);
}

const struct op op_row_adapter_rows = {
	.name = "adapter_rows",
	.shape = rows_shape,
	.cost = pointwise_cost,
	.forward = rows_forward,
	.backward = rows_backward,
	.inplace = 1,
	.cheap = true,
	.sample = rows_sample,
	.sample_count = 2,
};

uint32_t op_adapter_rows(struct tape *t, uint32_t a, uint32_t b, int adapter)
{
	struct rows_attr attr = { adapter };

	return tape_record(t, &op_row_adapter_rows, (uint32_t[]){ a, b }, 2, &attr, sizeof(attr));
}
