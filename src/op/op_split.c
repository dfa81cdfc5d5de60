/* split: the columns of x in n equal parts, each a tensor of its own.      x (N, n·C)      parts (N,C)
 *
 * dx is the parts' gradients side by side; a part that passes none back has zeros there. n ≤ 4. */
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
	bool accumulate;         /* backward */
};

static int split_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct split_attr *attr = n->attr;
	struct tensor x = *tape_tensor(t, n->in[0]);
	char name[16];

	if (x.n_dims != 2 || x.dim[1] % (size_t)attr->parts)
		return err_set(e, "%s: rows of %zu numbers cannot be cut into %d parts", x.name, x.dim[1], attr->parts);
	x.dim[1] /= (size_t)attr->parts;
	for (int i = 0; i < attr->parts; i++) {
		snprintf(name, sizeof(name), "part%d", i);
		tape_output(t, n, i, name, x.axis, 2, x.dim);
	}
	return 0;
}

struct split_work {
	const struct kernels *k;
	float *whole, *part[NODE_OUTPUTS];
	int parts;
	bool accumulate;
	size_t N, C;             /* C: of a part */
};

static void split_rows(void *ctx, size_t item, int thread)
{
	const struct split_work *w = ctx;
	size_t end = MIN(w->N, (item + 1) * SPLIT_ROWS);
	(void)thread;

	for (size_t i = item * SPLIT_ROWS; i < end; i++)
		for (int p = 0; p < w->parts; p++)
			memcpy(w->part[p] + i * w->C, w->whole + (i * (size_t)w->parts + (size_t)p) * w->C,
			       w->C * sizeof(float));
}

static void split_forward(struct run *r, const struct node *n)
{
	const struct split_attr *attr = n->attr;
	struct split_work w = { .whole = run_f32(r, n->in[0]),
		                .parts = attr->parts,
		                .N = run_rows(r, n->in[0]),
		                .C = run_tensor(r, n->out[0])->dim[1] };

	for (int p = 0; p < w.parts; p++)
		w.part[p] = run_f32(r, n->out[p]);
	pool_run(r->pool, (w.N + SPLIT_ROWS - 1) / SPLIT_ROWS, split_rows, &w);
}

static void join_part(const struct split_work *w, float *to, const float *part)
{
	if (w->accumulate && part)
		w->k->add(to, to, part, w->C);
	else if (part)
		memcpy(to, part, w->C * sizeof(float));
	else if (!w->accumulate)
		memset(to, 0, w->C * sizeof(float));
}

static void join_rows(void *ctx, size_t item, int thread)
{
	const struct split_work *w = ctx;
	size_t end = MIN(w->N, (item + 1) * SPLIT_ROWS);
	(void)thread;

	for (size_t i = item * SPLIT_ROWS; i < end; i++)
		for (int p = 0; p < w->parts; p++)
			join_part(w, w->whole + (i * (size_t)w->parts + (size_t)p) * w->C,
			          w->part[p] ? w->part[p] + i * w->C : NULL);
}

/* in: the parts' gradients, some absent; out: dx */
static void join_forward(struct run *r, const struct node *n)
{
	const struct split_attr *attr = n->attr;
	struct split_work w = { .k = r->kernels,
		                .whole = run_f32(r, n->out[0]),
		                .parts = attr->parts,
		                .accumulate = attr->accumulate,
		                .N = run_rows(r, n->out[0]) };

	w.C = run_tensor(r, n->out[0])->dim[1] / (size_t)attr->parts;
	for (int p = 0; p < w.parts; p++)
		w.part[p] = run_f32(r, n->in[p]);
	pool_run(r->pool, (w.N + SPLIT_ROWS - 1) / SPLIT_ROWS, join_rows, &w);
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
	uint32_t dy[NODE_OUTPUTS];

	for (int p = 0; p < attr.parts; p++)
		dy[p] = tape_grad(t, n.out[p]);
	uint32_t dx = tape_grad_target(t, n.in[0], &attr.accumulate);
	tape_emit(t, &split_back, dy, attr.parts, &dx, 1, &attr, sizeof(attr));
}

static uint32_t split_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C; int parts; } cases[] = { { 1, 3, 3 }, { 33, 5, 2 }, { 70, 17, 3 } };
	uint32_t part[NODE_OUTPUTS];

	batch_sample(b, rng, cases[i].N, 50);
	op_split(t, tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].C * (size_t)cases[i].parts }),
	         cases[i].parts, part);
	return i == 0 ? part[1] : op_add(t, part[0], part[1]);
}

const struct op op_row_split = {
	.name = "split", .shape = split_shape, .cost = split_cost, .forward = split_forward, .backward = split_backward,
	.sample = split_sample, .sample_count = 3,
};

void op_split(struct tape *t, uint32_t x, int parts, uint32_t *out)
{
	struct split_attr attr = { .parts = parts };

	if (parts < 1 || parts > NODE_OUTPUTS)
		BUG("%d parts", parts);
	memset(out, 0, (size_t)parts * sizeof(*out));
	if (tape_record(t, &op_row_split, &x, 1, &attr, sizeof(attr)))
		memcpy(out, t->nodes[t->n_nodes - 1].out, (size_t)parts * sizeof(*out));
}
