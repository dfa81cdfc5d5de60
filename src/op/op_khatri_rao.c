/* khatri_rao: the products of two matrices' numbers, each of one with each of the other, by rows or by columns:
 *
 *     rows      a (O,r), b (O,s), y (O,r·s)      y(o, i·s + j) = a(o,i)·b(o,j)
 *     across    a (r,I), b (s,I), y (r·s,I)      y(i·s + j, c) = a(i,c)·b(j,c)
 *
 *     da = Σ_j dy∘b    db = Σ_i dy∘a
 *
 * With it the elementwise product of two matrices of low rank is one of low rank (Khatri and Rao 1968):
 *
 *     (A₁·B₁)∘(A₂·B₂) = rows(A₁, A₂)·across(B₁, B₂)
 *
 * so that it goes up in two small products and is never there as a whole. Sums go up in order; a piece of the work is
 * an output row. */
#include "op/ops.h"

#include <string.h>

#include "op/batch_sample.h"
#include "op/run.h"

extern const struct op op_row_khatri_rao;

struct khatri_attr {
	bool across;
	bool second, accumulate;       /* backward: of b, not of a */
};

static int khatri_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *a = tape_tensor(t, n->in[0]), *b = tape_tensor(t, n->in[1]);
	bool across = ((const struct khatri_attr *)n->attr)->across;
	size_t r = a->dim[!across], s = b->dim[!across], same = a->dim[across];

	if (a->n_dims != 2 || b->n_dims != 2 || a->axis != AXIS_FIXED || b->axis != AXIS_FIXED ||
	    same != b->dim[across])
		return err_set(e, "%s and %s are no matrices of as many %s", a->name, b->name,
		               across ? "columns" : "rows");
	tape_output(t, n, 0, "khatri_rao", AXIS_FIXED, 2,
	            (size_t[]){ across ? r * s : same, across ? same : r * s });
	return 0;
}

struct khatri_work {
	const float *dy, *a, *b;       /* forward: dy is not there */
	float *out;
	size_t r, s, same;             /* r, s: numbers of a and b that meet; same: rows (across: columns) */
	struct khatri_attr attr;
};

static void multiply(float *y, const float *x, const float *by, size_t n, bool add)
{
	if (!add)
		memset(y, 0, n * sizeof(*y));
	for (size_t i = 0; i < n; i++)
		y[i] += x[i] * by[i];
}

/* One row of a and of b: every product. */
static void forward_row(void *ctx, size_t row, int thread)
{
	const struct khatri_work *w = ctx;
	const float *a = w->a + row * w->r, *b = w->b + row * w->s;
	float *y = w->out + row * w->r * w->s;
	(void)thread;

	for (size_t i = 0; i < w->r; i++)
		for (size_t j = 0; j < w->s; j++)
			y[i * w->s + j] = a[i] * b[j];
}

static void forward_across(void *ctx, size_t item, int thread)
{
	const struct khatri_work *w = ctx;
	size_t n = w->same;
	(void)thread;

	multiply(w->out + item * n, w->a + item / w->s * n, w->b + item % w->s * n, n, false);
}

/* One row of da or db: dy's row is r × s. */
static void back_row(void *ctx, size_t row, int thread)
{
	const struct khatri_work *w = ctx;
	bool second = w->attr.second;
	size_t n = second ? w->s : w->r, m = second ? w->r : w->s;
	const float *dy = w->dy + row * w->r * w->s, *other = (second ? w->a : w->b) + row * m;
	float *out = w->out + row * n;
	(void)thread;

	for (size_t i = 0; i < n; i++) {
		float sum = w->attr.accumulate ? out[i] : 0;
		for (size_t j = 0; j < m; j++)
			sum += dy[second ? j * n + i : i * m + j] * other[j];
		out[i] = sum;
	}
}

static void back_across(void *ctx, size_t item, int thread)
{
	const struct khatri_work *w = ctx;
	bool second = w->attr.second;
	size_t m = second ? w->r : w->s, n = w->same;
	const float *other = second ? w->a : w->b;
	(void)thread;

	for (size_t j = 0; j < m; j++)
		multiply(w->out + item * n, w->dy + (second ? j * w->s + item : item * w->s + j) * n, other + j * n, n,
		         j > 0 || w->attr.accumulate);
}

/* a and b where a row of them both is, or a column. */
static struct khatri_work work_of(const struct run *r, const struct node *n, uint32_t a, uint32_t b)
{
	const struct tensor *A = run_tensor(r, a), *B = run_tensor(r, b);
	struct khatri_attr attr = *(const struct khatri_attr *)n->attr;

	return (struct khatri_work){ .a = run_f32(r, a),
		                     .b = run_f32(r, b),
		                     .out = run_f32(r, n->out[0]),
		                     .r = A->dim[!attr.across],
		                     .s = B->dim[!attr.across],
		                     .same = A->dim[attr.across],
		                     .attr = attr };
}

static void khatri_forward(struct run *r, const struct node *n)
{
	struct khatri_work w = work_of(r, n, n->in[0], n->in[1]);

	pool_run(r->pool, w.attr.across ? w.r * w.s : w.same, w.attr.across ? forward_across : forward_row, &w);
}

/* in: dy, a, b; out: da or db */
static void back_forward(struct run *r, const struct node *n)
{
	struct khatri_work w = work_of(r, n, n->in[1], n->in[2]);

	w.dy = run_f32(r, n->in[0]);
	if (w.attr.across)
		pool_run(r->pool, w.attr.second ? w.s : w.r, back_across, &w);
	else
		pool_run(r->pool, w.same, back_row, &w);
}

static void khatri_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                        double *bytes)
{
	(void)live;
	*flops = (double)tensor_count(tape_tensor(t, n->out[0]));
	*bytes = 4 * *flops;
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	(void)live;
	*bytes = 4 * (double)tensor_count(tape_tensor(t, n->in[0]));
	*flops = *bytes / 2;
}

static const struct op khatri_rao_back = { .name = "khatri_rao_back", .cost = back_cost, .forward = back_forward };

static void khatri_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct khatri_attr attr = *(const struct khatri_attr *)n.attr;
	uint32_t dy = tape_grad(t, n.out[0]);

	for (int k = 0; k < 2; k++) {
		if (!tape_wants(t, n.in[k]))
			continue;
		attr.second = k;
		uint32_t out = tape_grad_target(t, n.in[k], &attr.accumulate);
		tape_emit(t, &khatri_rao_back, (uint32_t[]){ dy, n.in[0], n.in[1] }, 3, &out, 1, &attr, sizeof(attr));
	}
}

static uint32_t khatri_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { size_t r, s, same; bool across, frozen; } cases[] = {
		{ 1, 1, 1, false, false }, { 3, 5, 70, false, false }, { 8, 8, 33, false, true },
		{ 1, 1, 1, true, false },  { 3, 5, 70, true, false },  { 4, 2, 300, true, true },
	};
	bool across = cases[i].across;
	size_t a[2] = { across ? cases[i].r : cases[i].same, across ? cases[i].same : cases[i].r };
	size_t c[2] = { across ? cases[i].s : cases[i].same, across ? cases[i].same : cases[i].s };

	batch_sample(b, rng, 4, 50);
	uint32_t first = cases[i].frozen ? tape_weight(t, "a", DTYPE_F32, 2, a) : tape_param(t, "a", 2, a);
	return op_khatri_rao(t, first, tape_param(t, "b", 2, c), across);
}

const struct op op_row_khatri_rao = {
	.name = "khatri_rao",
	.shape = khatri_shape,
	.cost = khatri_cost,
	.forward = khatri_forward,
	.backward = khatri_backward,
	.saves = 3,
	.cheap = true,
	.sample = khatri_sample,
	.sample_count = 6,
};

uint32_t op_khatri_rao(struct tape *t, uint32_t a, uint32_t b, bool across)
{
	struct khatri_attr attr = { .across = across };

	return tape_record(t, &op_row_khatri_rao, (uint32_t[]){ a, b }, 2, &attr, sizeof(attr));
}
