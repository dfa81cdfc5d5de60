/* split: the columns of x in n parts, each a tensor of its own.      x (N, g·Σ size)      part p (N, g·size_p)
 *
 * The row is g groups alike, each with its share of every part: one group is plain cutting (Q, K and V side by side, of
 * unequal size or not), as many as heads is a row in which each head has its own q, k and v (GPT-NeoX).
 *
 * dx is the parts' gradients side by side; a part that passes none back has zeros there. */
#include "op/ops.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/run.h"

extern const struct op op_row_split;

enum { SPLIT_ROWS = 32 };

struct split_attr {
	int parts;
	size_t groups, size[SPLIT_PARTS];
	bool accumulate;         /* backward */
};

static size_t group_size(const struct split_attr *a)
{
	size_t n = 0;

	for (int p = 0; p < a->parts; p++)
		n += a->size[p];
	return n;
}

static int split_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct split_attr *attr = n->attr;
	struct tensor x = *tape_tensor(t, n->in[0]);
	char name[16];

	if (x.n_dims != 2 || x.dim[1] != attr->groups * group_size(attr))
		return err_set(e, "%s: rows of %zu numbers, %zu times %zu are wanted", x.name, x.dim[1], attr->groups,
		               group_size(attr));
	for (int i = 0; i < attr->parts; i++) {
		snprintf(name, sizeof(name), "part%d", i);
		x.dim[1] = attr->groups * attr->size[i];
		tape_output(t, n, i, name, x.axis, 2, x.dim);
	}
	return 0;
}

struct split_work {
	const struct kernels *k;
	const struct split_attr *attr;
	float *whole, *part[SPLIT_PARTS];
	size_t N;
};

/* One group's share of a part: in the whole and in the part, or NULL there. */
static void cut(const struct split_work *w, float *whole, float *part, size_t n)
{
	(void)w;
	memcpy(part, whole, n * sizeof(float));
}

static void join(const struct split_work *w, float *whole, float *part, size_t n)
{
	if (w->attr->accumulate && part)
		w->k->add(whole, whole, part, n);
	else if (part)
		memcpy(whole, part, n * sizeof(float));
	else if (!w->attr->accumulate)
		memset(whole, 0, n * sizeof(float));
}

static void each_share(const struct split_work *w, size_t item,
                       void (*f)(const struct split_work *w, float *whole, float *part, size_t n))
{
	const struct split_attr *a = w->attr;
	size_t end = MIN(w->N, (item + 1) * SPLIT_ROWS) * a->groups, row = group_size(a);

	for (size_t i = item * SPLIT_ROWS * a->groups; i < end; i++) {
		float *whole = w->whole + i * row;
		for (int p = 0; p < a->parts; whole += a->size[p++])
			f(w, whole, w->part[p] ? w->part[p] + i * a->size[p] : NULL, a->size[p]);
	}
}

static void split_rows(void *ctx, size_t item, int thread)
{
	(void)thread;
	each_share(ctx, item, cut);
}

static void join_rows(void *ctx, size_t item, int thread)
{
	(void)thread;
	each_share(ctx, item, join);
}

static void run_rows_of(struct run *r, const struct node *n, uint32_t whole, const uint32_t *part,
                        void (*f)(void *ctx, size_t item, int thread))
{
	struct split_work w = {
		.k = r->kernels, .attr = n->attr, .whole = run_f32(r, whole), .N = run_rows(r, whole)
	};

	for (int p = 0; p < w.attr->parts; p++)
		w.part[p] = run_f32(r, part[p]);
	pool_run(r->pool, (w.N + SPLIT_ROWS - 1) / SPLIT_ROWS, f, &w);
}

static void split_forward(struct run *r, const struct node *n)
{
	run_rows_of(r, n, n->in[0], n->out, split_rows);
}

/* in: the parts' gradients, some absent; out: dx */
static void join_forward(struct run *r, const struct node *n)
{
	run_rows_of(r, n, n->out[0], n->in, join_rows);
}

/* Every number of the whole is read and written once. */
static void split_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	*flops = 0;
	*bytes = 8 * tensor_live(tape_tensor(t, n->in[0]), live);
}

static void join_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 0;
	*bytes = 8 * tensor_live(tape_tensor(t, n->out[0]), live);
}

static const struct op split_back = { .name = "split_back", .cost = join_cost, .forward = join_forward };

static void split_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct split_attr attr = *(const struct split_attr *)n.attr;
	uint32_t dy[SPLIT_PARTS];

	for (int p = 0; p < attr.parts; p++)
		dy[p] = tape_grad(t, n.out[p]);
	uint32_t dx = tape_grad_target(t, n.in[0], &attr.accumulate);
	tape_emit(t, &split_back, dy, attr.parts, &dx, 1, &attr, sizeof(attr));
}

static uint32_t split_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N, groups; size_t size[3]; int parts; } cases[] = {
		{ 1, 1, { 3, 3, 3 }, 3 },
		{ 33, 1, { 5, 5 }, 2 },
		{ 70, 1, { 17, 17, 4 }, 3 },
		{ 33, 3, { 6, 2, 6 }, 3 },
	};
	uint32_t part[SPLIT_PARTS];
	size_t row = 0;

	batch_sample(b, rng, cases[i].N, 50);
	for (int p = 0; p < cases[i].parts; p++)
		row += (size_t)cases[i].groups * cases[i].size[p];
	op_split(t, tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, row }), cases[i].groups, cases[i].parts,
	         cases[i].size, part);
	return i == 0 ? part[1] : op_add(t, part[0], part[i == 3 ? 2 : 1]);
}

const struct op op_row_split = {
	.name = "split",
	.shape = split_shape,
	.cost = split_cost,
	.forward = split_forward,
	.backward = split_backward,
	.sample = split_sample,
	.sample_count = 4,
};

void op_split(struct tape *t, uint32_t x, int groups, int parts, const size_t *size, uint32_t *out)
{
	struct split_attr attr = { .parts = parts, .groups = (size_t)groups };

	if (groups < 1 || parts < 1 || parts > SPLIT_PARTS)
		BUG("%d groups of %d parts", groups, parts);
	memcpy(attr.size, size, (size_t)parts * sizeof(*size));
	memset(out, 0, (size_t)parts * sizeof(*out));
	if (tape_record(t, &op_row_split, &x, 1, &attr, sizeof(attr)))
		memcpy(out, t->nodes[t->n_nodes - 1].out, (size_t)parts * sizeof(*out));
}
