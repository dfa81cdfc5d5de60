/* add: z = a + b, elementwise over the live rows.      a, b, z (N,C)
 *
 * da = dz and db = dz: the first that needs one takes dz over as its gradient, the second gets a copy (or adds it
 * up). */
#include "op/ops.h"

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/accumulate.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_add;

static int add_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *a = tape_tensor(t, n->in[0]), *b = tape_tensor(t, n->in[1]);
	if (a->axis != b->axis || tensor_count(a) != tensor_count(b))
		return err_set(e, "%s and %s differ in shape", a->name, b->name);
	pointwise_output(t, n, "sum");
	return 0;
}

static void add_forward(struct run *r, const struct node *n)
{
	pointwise_run(r, n, r->kernels->add);
}

static void add_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	uint32_t dz = tape_grad(t, n.out[0]);
	bool accumulate;

	if (tape_wants(t, n.in[1]) && tape_wants(t, n.in[0])) {
		uint32_t db = tape_grad_target(t, n.in[1], &accumulate);
		accumulate_emit(t, db, dz, accumulate);
		tape_grad_pass(t, n.in[0], dz);
	} else {
		tape_grad_pass(t, tape_wants(t, n.in[0]) ? n.in[0] : n.in[1], dz);
	}
}

static uint32_t add_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	size_t dim[2] = { 3 + 4 * (size_t)i, 7 };
	(void)b, (void)rng;
	return op_add(t, tape_param(t, "a", 2, dim), tape_param(t, "b", 2, dim));
}

uint32_t op_add(struct tape *t, uint32_t a, uint32_t b)
{
	return tape_record(t, &op_row_add, (uint32_t[]){ a, b }, 2, NULL, 0);
}

/* --- accumulate: what the tape itself needs to sum gradients --- */

struct accumulate_attr { bool accumulate; };

struct accumulate_run { const struct run *r; const float *src; float *dst; bool accumulate; };

static void accumulate_piece(void *ctx, size_t begin, size_t n)
{
	const struct accumulate_run *a = ctx;

	if (a->accumulate)
		a->r->kernels->add(a->dst + begin, a->dst + begin, a->src + begin, n);
	else
		a->r->kernels->scale(a->dst + begin, a->src + begin, 1.0F, n);
}

static void accumulate_forward(struct run *r, const struct node *n)
{
	const struct accumulate_attr *attr = n->attr;
	struct accumulate_run a = { r, run_f32(r, n->in[0]), run_f32(r, n->out[0]), attr->accumulate };

	pointwise_pieces(r, n->out[0], accumulate_piece, &a);
}

static const struct op accumulate_row = { .name = "accumulate", .cost = pointwise_cost, .forward = accumulate_forward };

void accumulate_emit(struct tape *t, uint32_t dst, uint32_t src, bool accumulate)
{
	struct accumulate_attr attr = { accumulate };
	tape_emit(t, &accumulate_row, &src, 1, &dst, 1, &attr, sizeof(attr));
}

const struct op op_row_add = {
	.name = "add", .shape = add_shape, .cost = pointwise_cost, .forward = add_forward, .backward = add_backward,
	.inplace = 1 | 2, .cheap = true, .sample = add_sample, .sample_count = 3,
};
