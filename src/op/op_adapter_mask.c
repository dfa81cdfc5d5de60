/* adapter_mask: y(i,j) = x(i,j) where column j belongs to the adapter of row i, else 0.
 *
 *     x, y (N,C), or (R,C) of the target rows
 *
 * Columns first[a] … first[a+1]−1 are adapter a's; a row's adapter is that of its segment, −1 has no columns. So
 * one product with the low-rank factors of many adapters laid side by side gives each row that of its own: what is 0
 * adds nothing, exactly, as terms keep their order.
 *
 * A row before the place where its segment's adapter is invoked belongs to none. With n = 0 all columns are those of
 * whatever adapter there is: only that place is asked.
 *
 * A row that is several parts alike, as many numbers each (a row's experts), is masked part by part.
 *
 *     dx(i,j) = dy(i,j) in the same places */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/adapter_columns.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

static int mask_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor like = *tape_tensor(t, n->in[0]);
	const struct adapter_columns *attr = n->attr;

	if (like.n_dims != 2 || like.axis == AXIS_LABELS || !attr->first[attr->n] ||
	    like.dim[1] % attr->first[attr->n])
		return err_set(e, "%s: rows of %u numbers are wanted", like.name, attr->first[attr->n]);
	pointwise_output(t, n, "masked");
	return 0;
}

struct adapter_columns adapter_columns_make(const size_t *first, size_t n)
{
	struct adapter_columns c = { .n = n };

	if (n > ADAPTERS_MOST)
		BUG("%zu adapters, at most %d", n, ADAPTERS_MOST);
	for (size_t i = 0; i <= n; i++)
		c.first[i] = (uint32_t)first[i];
	return c;
}

void adapter_columns_of(const struct adapter_columns *c, const struct batch *b, int32_t row, const struct segment **s,
                        size_t *begin, size_t *end)
{
	while (row >= (*s)->start + (*s)->len)
		++*s;
	bool acts = b->pos[row] >= (*s)->invoked && (!c->n || (*s)->adapter >= 0);

	*begin = acts && c->n ? c->first[(*s)->adapter] : 0;
	*end = !acts ? 0 : c->first[c->n ? (*s)->adapter + 1 : 0];
}

/* Segments, rows and target rows ascend together. */
static void mask_forward(struct run *r, const struct node *n)
{
	const struct adapter_columns *attr = n->attr;
	const struct batch *b = r->batch;
	size_t rows = run_rows(r, n->out[0]), C = attr->first[attr->n],
	       parts = run_tensor(r, n->out[0])->dim[1] / C;
	const float *x = run_f32(r, n->in[0]);
	float *y = run_f32(r, n->out[0]);
	const struct segment *s = b->segments;

	for (size_t i = 0; i < rows; i++) {
		int32_t row = run_tensor(r, n->out[0])->axis == AXIS_TARGETS ? b->target_row[i] : (int32_t)i;
		size_t begin, end;
		adapter_columns_of(attr, b, row, &s, &begin, &end);
		for (size_t j = 0; j < parts; j++, x += C, y += C) {
			memmove(y + begin, x + begin, (end - begin) * sizeof(*y));
			memset(y, 0, begin * sizeof(*y));
			memset(y + end, 0, (C - end) * sizeof(*y));
		}
	}
}

static const struct op mask_back = {
	.name = "adapter_mask_back", .cost = pointwise_cost, .forward = mask_forward, .inplace = 1
};

static void mask_backward(struct tape *t, uint32_t i)
{
	pointwise_backward(t, i, &mask_back, 1, NULL, 0, t->nodes[i].attr,
	                   sizeof(struct adapter_columns));
}

static uint32_t mask_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; bool targets; size_t n, first[4], parts; } cases[] = {
		{ 1, false, 1, { 0, 3 }, 1 }, { 31, false, 3, { 0, 4, 4, 33 }, 1 }, { 7, true, 2, { 0, 8, 9 }, 1 },
		{ 31, false, 3, { 0, 4, 6, 7 }, 3 }, { 31, true, 0, { 5 }, 1 },
	};
	batch_sample(b, rng, cases[i].N, 50);
	for (int32_t s = 0; s < b->n_segments; s++) {
		b->segments[s].adapter = s % ((int32_t)cases[i].n + 1) - 1;
		b->segments[s].invoked = s % 3 == 2 ? b->segments[s].pos0 + b->segments[s].len / 2 : 0;
	}
	size_t dim[2] = { (size_t)cases[i].N, cases[i].first[cases[i].n] * cases[i].parts };
	uint32_t x = tape_param(t, "x", 2, dim);
	return op_adapter_mask(t, cases[i].targets ? op_gather(t, x) : x, cases[i].first, cases[i].n);
}

const struct op op_row_adapter_mask = {
	.name = "adapter_mask",
	.shape = mask_shape,
	.cost = pointwise_cost,
	.forward = mask_forward,
	.backward = mask_backward,
	.inplace = 1,
	.cheap = true,
	.sample = mask_sample,
	.sample_count = 5,
};

uint32_t op_adapter_mask(struct tape *t, uint32_t x, const size_t *first, size_t n)
{
	struct adapter_columns attr = adapter_columns_make(first, n);

	return tape_record(t, &op_row_adapter_mask, &x, 1, &attr, sizeof(attr));
}
