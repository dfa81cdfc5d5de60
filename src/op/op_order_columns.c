/* order_columns: the numbers of every row in another order.      x, y (N,C)      y(n,i) = x(n, from(i))
 *
 *     dx(n, from(i)) = dy(n,i)
 *
 * For who makes outputs of a linear in one order of its rows while the model's file has another. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

extern const struct op op_row_order_columns;

enum { ORDER_ROWS = 32 };

struct order_attr {
	const uint32_t *from;          /* [C], the tape's */
	bool back, accumulate;
};

static int order_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]);

	if (x->n_dims != 2)
		return err_set(e, "%s is no matrix", x->name);
	pointwise_output(t, n, "order_columns");
	return 0;
}

struct order_work { const float *x; float *y; size_t N, C; struct order_attr attr; };

static void order_piece(void *ctx, size_t item, int thread)
{
	const struct order_work *w = ctx;
	const uint32_t *from = w->attr.from;
	size_t end = MIN(w->N, (item + 1) * ORDER_ROWS);
	(void)thread;

	for (size_t n = item * ORDER_ROWS; n < end; n++) {
		const float *x = w->x + n * w->C;
		float *y = w->y + n * w->C;
		for (size_t i = 0; i < w->C; i++) {
			size_t to = w->attr.back ? from[i] : i, at = w->attr.back ? i : from[i];
			y[to] = w->attr.accumulate ? y[to] + x[at] : x[at];
		}
	}
}

static void order_forward(struct run *r, const struct node *n)
{
	struct order_work w = { .x = run_f32(r, n->in[0]),
		                .y = run_f32(r, n->out[0]),
		                .N = run_rows(r, n->out[0]),
		                .C = run_tensor(r, n->out[0])->dim[1],
		                .attr = *(const struct order_attr *)n->attr };

	pool_run(r->pool, (w.N + ORDER_ROWS - 1) / ORDER_ROWS, order_piece, &w);
}

static const struct op order_back = { .name = "order_columns_back", .cost = pointwise_cost, .forward = order_forward };

static void order_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct order_attr attr = *(const struct order_attr *)n.attr;
	uint32_t dy = tape_grad(t, n.out[0]);

	attr.back = true;
	uint32_t dx = tape_grad_target(t, n.in[0], &attr.accumulate);
	tape_emit(t, &order_back, &dy, 1, &dx, 1, &attr, sizeof(attr));
}

static uint32_t order_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C; } cases[] = { { 1, 1 }, { 70, 33 } };
	uint32_t from[33];

	for (size_t k = 0; k < cases[i].C; k++)
		from[k] = (uint32_t)((k * 5 + 2) % cases[i].C);
	batch_sample(b, rng, cases[i].N, 50);
	return op_order_columns(t, tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].C }), from);
}

const struct op op_row_order_columns = {
	.name = "order_columns",
	.shape = order_shape,
	.cost = pointwise_cost,
	.forward = order_forward,
	.backward = order_backward,
	.sample = order_sample,
	.sample_count = 2,
};

uint32_t op_order_columns(struct tape *t, uint32_t x, const uint32_t *from)
{
	size_t C = x ? tape_tensor(t, x)->dim[1] : 0;
	uint32_t *own = arena_array(&t->mem, C, sizeof(*own));
	struct order_attr attr = { .from = own };

	if (C)
		memcpy(own, from, C * sizeof(*own));
	return tape_record(t, &op_row_order_columns, &x, 1, &attr, sizeof(attr));
}
