/* watch: see watch.h. Its one output is a number that nobody reads. */
#include "op/watch.h"

#include "base/err.h"

enum { IN_X, IN_ORDER, IN_FIRST };

struct watch_attr {
	struct watch watch;
	size_t cols;
};

static int watch_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct watch_attr *attr = n->attr;
	const struct tensor *x = tape_tensor(t, n->in[IN_X]);

	if (x->dtype != DTYPE_F32 || x->n_dims != 2 || x->dim[1] % attr->cols)
		return err_set(e, "%s: rows of %zu numbers are wanted", x->name, attr->cols);
	tape_output(t, n, 0, "watched", AXIS_FIXED, 1, (size_t[]){ 1 });
	return 0;
}

static void watch_forward(struct run *r, const struct node *n)
{
	const struct watch_attr *attr = n->attr;
	const struct tensor *x = run_tensor(r, n->in[IN_X]);
	struct watched w = { .x = run_f32(r, n->in[IN_X]), .cols = attr->cols,
	                     .batch = r->batch, .parts = 1 };

	w.rows = tensor_live_rows(x, r->batch) * (x->dim[1] / attr->cols);
	if (n->in[IN_FIRST]) {
		w.order = run_i32(r, n->in[IN_ORDER]);
		w.first = run_i32(r, n->in[IN_FIRST]);
		w.parts = run_tensor(r, n->in[IN_FIRST])->dim[0] - 1;
	}
	attr->watch.see(attr->watch.ctx, r->pool, &w);
	*run_f32(r, n->out[0]) = 0;
}

static void watch_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	*flops = 2 * tensor_live(tape_tensor(t, n->in[IN_X]), live);
	*bytes = 2 * *flops;
}

static const struct op watch = { .name = "watch", .shape = watch_shape, .cost = watch_cost, .forward = watch_forward };

void op_watch(struct tape *t, uint32_t x, uint32_t order, uint32_t first, size_t cols, const struct watch *w)
{
	struct watch_attr attr = { *w, cols };

	tape_record(t, &watch, (uint32_t[]){ x, order, first }, 3, &attr, sizeof(attr));
}
