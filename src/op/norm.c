/* norm: RMSNorm's and LayerNorm's walk over rows, forward and backward. See norm.h for the nodes and the order of sums.
 *
 * A row of x is `groups` parts of as many numbers as w has; each part is normed by itself, with the same w. What is one
 * row of numbers to the arithmetic is therefore a part, and there are rows·groups of them; a strip is STRIP rows of x,
 * with all their parts. */
#include "op/norm.h"

#include <string.h>

#include "base/mem.h"

enum { STRIP = 64, COLUMNS = 64 };
enum { IN_X, IN_W, IN_B };
enum { BACK_DY, BACK_X, BACK_W, BACK_STAT };
enum { OUT_DX, OUT_DW, OUT_DB, OUT_PARTIAL };

static size_t width_of(const struct tape *t, const struct node *n) { return tensor_count(tape_tensor(t, n->in[IN_W])); }

static int want_weight(const struct tensor *w, size_t C, struct err *e)
{
	size_t n = tensor_count(w);

	if (w->dtype != DTYPE_F32 || n == 0 || C % n)
		return err_set(e, "%s: %zu numbers of %s, %zu of F32 are wanted, or a part of as many", w->name, n,
		               dtypes[w->dtype].name, C);
	return 0;
}

static int want_bias(const struct tensor *b, const struct tensor *w, struct err *e)
{
	if (b->dtype != DTYPE_F32 || tensor_count(b) != tensor_count(w))
		return err_set(e, "%s: %zu numbers of %s, %zu of F32 are wanted, as %s has", b->name, tensor_count(b),
		               dtypes[b->dtype].name, tensor_count(w), w->name);
	return 0;
}

int norm_shape(struct tape *t, struct node *n, int n_stats, struct err *e)
{
	struct tensor x = *tape_tensor(t, n->in[IN_X]);

	if (x.n_dims != 2)
		return err_set(e, "%s: %d dimensions, 2 are wanted", x.name, x.n_dims);
	if (want_weight(tape_tensor(t, n->in[IN_W]), x.dim[1], e) < 0 ||
	    (n->in[IN_B] && want_bias(tape_tensor(t, n->in[IN_B]), tape_tensor(t, n->in[IN_W]), e) < 0))
		return -1;
	size_t stat[2] = { x.dim[0], x.dim[1] / width_of(t, n) };
	tape_output(t, n, 0, "norm", x.axis, 2, x.dim);
	for (int i = 1; i <= n_stats; i++)
		tape_output(t, n, i, "norm_stat", x.axis, 2, stat);
	return 0;
}

struct work {
	struct norm_row row;        /* of the first part of row 0 */
	void (*f)(const struct norm_row *row);
	struct run *r;
	size_t N, groups;
	bool scratch_dx;
	float *partial;             /* [strips][2][C]: dw, db */
};

static float *at(const float *base, size_t offset)
{
	return base ? (float *)(uintptr_t)base + offset : NULL;
}

static void strip_run(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t C = w->row.C, end = MIN(w->N, (item + 1) * STRIP) * w->groups;
	float *own = at(w->partial, item * 2 * C);

	if (own)
		memset(own, 0, 2 * C * sizeof(float));
	for (size_t i = item * STRIP * w->groups; i < end; i++) {
		struct norm_row row = w->row;
		row.x += i * C;
		row.dy = at(row.dy, i * C);
		row.y = at(row.y, i * C);
		row.dx = w->scratch_dx ? run_scratch(w->r, thread) : at(row.dx, i * C);
		row.dw = own;
		row.db = at(own, C);
		row.stat[0] = at(row.stat[0], i);
		row.stat[1] = at(row.stat[1], i);
		w->f(&row);
	}
}

static size_t strips_of(size_t rows)
{
	return (rows + STRIP - 1) / STRIP;
}

static void set_width(struct work *w, const struct tensor *x, const struct tensor *weight)
{
	w->row.C = tensor_count(weight);
	w->groups = x->dim[1] / w->row.C;
}

void norm_forward(struct run *r, const struct node *n, void (*f)(const struct norm_row *row))
{
	struct work w = { .f = f, .r = r, .N = run_rows(r, n->in[IN_X]) };

	w.row = (struct norm_row){ .k = r->kernels,
		                   .attr = n->attr,
		                   .x = run_f32(r, n->in[IN_X]),
		                   .w = run_f32(r, n->in[IN_W]),
		                   .b = run_f32(r, n->in[IN_B]),
		                   .y = run_f32(r, n->out[0]),
		                   .stat = { run_f32(r, n->out[1]), run_f32(r, n->out[2]) } };
	set_width(&w, run_tensor(r, n->in[IN_X]), run_tensor(r, n->in[IN_W]));
	pool_run(r->pool, strips_of(w.N), strip_run, &w);
}

/* --- backward --- */

struct sums {
	const struct kernels *k;
	const float *partial;       /* of one kind; strips are 2·C apart */
	float *to;
	size_t strips, C;
	bool accumulate;
};

static void sum_columns(void *ctx, size_t item, int thread)
{
	const struct sums *s = ctx;
	size_t j = item * COLUMNS, n = MIN(s->C - j, (size_t)COLUMNS);
	float sum[COLUMNS] = { 0 };
	(void)thread;

	for (size_t i = 0; i < s->strips; i++)
		s->k->add(sum, sum, s->partial + i * 2 * s->C + j, n);
	if (s->accumulate)
		s->k->add(s->to + j, s->to + j, sum, n);
	else
		memcpy(s->to + j, sum, n * sizeof(float));
}

static void sum_partials(struct run *r, const struct work *w, const float *partial, float *to, bool accumulate)
{
	struct sums s = { r->kernels, partial, to, strips_of(w->N), w->row.C, accumulate };

	if (to)
		pool_run(r->pool, (s.C + COLUMNS - 1) / COLUMNS, sum_columns, &s);
}

void norm_back_forward(struct run *r, const struct node *n, void (*f)(const struct norm_row *row))
{
	const struct norm_attr *attr = n->attr;
	struct work w = { .f = f, .r = r, .N = run_rows(r, n->in[BACK_X]), .partial = run_f32(r, n->out[OUT_PARTIAL]) };

	w.row = (struct norm_row){ .k = r->kernels,
		                   .attr = attr,
		                   .dy = run_f32(r, n->in[BACK_DY]),
		                   .x = run_f32(r, n->in[BACK_X]),
		                   .w = run_f32(r, n->in[BACK_W]),
		                   .dx = run_f32(r, n->out[OUT_DX]),
		                   .stat = { run_f32(r, n->in[BACK_STAT]), run_f32(r, n->in[BACK_STAT + 1]) } };
	set_width(&w, run_tensor(r, n->in[BACK_X]), run_tensor(r, n->in[BACK_W]));
	w.scratch_dx = !w.row.dx;
	pool_run(r->pool, strips_of(w.N), strip_run, &w);
	sum_partials(r, &w, w.partial, run_f32(r, n->out[OUT_DW]), attr->add_w);
	sum_partials(r, &w, at(w.partial, w.row.C), run_f32(r, n->out[OUT_DB]), attr->add_b);
}

void norm_backward(struct tape *t, uint32_t i, const struct op *back)
{
	struct node n = t->nodes[i], made = { 0 };
	struct norm_attr attr = { .eps = ((const struct norm_attr *)n.attr)->eps };
	struct tensor x = *tape_tensor(t, n.in[IN_X]);
	uint32_t in[5] = { tape_grad(t, n.out[0]), n.in[IN_X], n.in[IN_W], n.out[1], n.out[2] }, out[4] = { 0 };

	if (tape_wants(t, n.in[IN_W]))
		out[OUT_DW] = tape_grad_target(t, n.in[IN_W], &attr.add_w);
	if (tape_wants(t, n.in[IN_B]))
		out[OUT_DB] = tape_grad_target(t, n.in[IN_B], &attr.add_b);
	if (out[OUT_DW] || out[OUT_DB])
		out[OUT_PARTIAL] =
			tape_scratch(t, &made, OUT_PARTIAL, "norm_partials", strips_of(x.dim[0]) * 2 * width_of(t, &n));
	if (tape_wants(t, n.in[IN_X]))
		out[OUT_DX] = tape_grad_target(t, n.in[IN_X], &attr.add_x);
	tape_emit(t, back, in, 5, out, 4, &attr, sizeof(attr));
}

/* --- costs --- */

void norm_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->in[IN_X]), live);

	*flops = 6 * numbers;
	*bytes = 8 * numbers;
}

void norm_back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->in[BACK_X]), live);

	*flops = 12 * numbers;
	*bytes = 16 * numbers;
}

size_t norm_back_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	(void)k;
	return n->out[OUT_DX] ? 0 : tensor_count(tape_tensor(t, n->in[BACK_W])) * sizeof(float);
}
