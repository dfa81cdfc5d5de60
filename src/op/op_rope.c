/* rope: rotary position embedding (Su et al. 2021), every head's vector by the row's position.
 *
 *     x, y (N, heads·D)      table (P,d) f32, d ≤ D
 *
 * The first d numbers of a head turn, the others stay (Black et al. 2022, GPT-NeoX: a part of the head). table[p] holds
 * d/2 cosines, then d/2 sines of the angles at position p. Pair m of a head is (x_m, x_{m+d/2}) or, interleaved,
 * (x_2m, x_2m+1):
 *
 *     y_a = x_a·cos_m − x_b·sin_m        y_b = x_b·cos_m + x_a·sin_m
 *
 * A rotation's gradient is the rotation back: dx = the same with −sin. So backward needs only positions. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

enum { ROPE_ROWS = 32 };

struct rope_attr {
	int heads;
	bool interleaved;
	float sign;
};

struct rope_work {
	const struct run *r;
	const struct rope_attr *attr;
	size_t N, D, turned;
	const float *x, *table;
	float *y;
};

static int rope_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *table = tape_tensor(t, n->in[1]);
	const struct rope_attr *attr = n->attr;

	if (x->n_dims != 2 || table->n_dims != 2 || x->dtype != DTYPE_F32 || table->dtype != DTYPE_F32)
		return err_set(e, "%s and %s must be matrices of floats", x->name, table->name);
	if (attr->heads < 1 || x->dim[1] % (size_t)attr->heads || x->dim[1] / (size_t)attr->heads < table->dim[1] ||
	    table->dim[1] % 2)
		return err_set(e, "%s has rows of %zu, %d heads of which an even %zu turn are wanted", x->name,
		               x->dim[1], attr->heads, table->dim[1]);
	struct tensor like = *x;
	tape_output(t, n, 0, "rope", like.axis, 2, like.dim);
	return 0;
}

static void rope_rows(void *ctx, size_t item, int thread)
{
	const struct rope_work *w = ctx;
	size_t end = MIN(w->N, (item + 1) * ROPE_ROWS), D = w->D, d = w->turned, heads = (size_t)w->attr->heads;
	(void)thread;
	for (size_t i = item * ROPE_ROWS; i < end; i++) {
		const float *cs = w->table + (size_t)w->r->batch->pos[i] * d, *x = w->x + i * heads * D;
		float *y = w->y + i * heads * D;
		for (size_t h = 0; h < heads; h++, x += D, y += D) {
			w->r->kernels->rope(y, x, cs, d, w->attr->interleaved, w->attr->sign);
			memmove(y + d, x + d, (D - d) * sizeof(float));
		}
	}
}

static void rope_forward(struct run *r, const struct node *n)
{
	const struct tensor *table = run_tensor(r, n->in[1]);
	const struct batch *b = r->batch;
	struct rope_work w = { .r = r, .attr = n->attr, .N = (size_t)b->n_rows, .turned = table->dim[1] };

	for (size_t i = 0; i < w.N; i++)
		if (b->pos[i] < 0 || (size_t)b->pos[i] >= table->dim[0])
			BUG("row %zu has position %d, the table has %zu", i, b->pos[i], table->dim[0]);
	w.D = run_tensor(r, n->in[0])->dim[1] / (size_t)w.attr->heads;
	w.x = run_f32(r, n->in[0]);
	w.table = run_f32(r, n->in[1]);
	w.y = run_f32(r, n->out[0]);
	pool_run(r->pool, (w.N + ROPE_ROWS - 1) / ROPE_ROWS, rope_rows, &w);
}

/* Four products and two sums a pair. */
static void rope_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double numbers = tensor_live(tape_tensor(t, n->out[0]), live);
	*flops = 3 * numbers;
	*bytes = 8 * numbers;
}

static const struct op rope_back = { .name = "rope_back", .cost = rope_cost, .forward = rope_forward, .inplace = 1 };

static void rope_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct rope_attr attr = *(const struct rope_attr *)n.attr;

	attr.sign = -attr.sign;
	pointwise_backward(t, i, &rope_back, 1, &n.in[1], 1, &attr, sizeof(attr));
}

static uint32_t rope_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N, heads; size_t D, turned; bool interleaved; } cases[] = {
		{ 1, 1, 2, 2, false },   { 33, 3, 6, 6, true },  { 65, 2, 16, 16, false },
		{ 17, 1, 18, 18, true }, { 33, 3, 7, 4, false }, { 40, 2, 20, 6, true },
	};
	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, (size_t)cases[i].heads * cases[i].D });
	uint32_t table = tape_weight(t, "table", DTYPE_F32, 2, (size_t[]){ SAMPLE_ROWS, cases[i].turned });
	return op_rope(t, x, table, cases[i].heads, cases[i].interleaved);
}

const struct op op_row_rope = {
	.name = "rope", .shape = rope_shape, .cost = rope_cost, .forward = rope_forward, .backward = rope_backward,
	.inplace = 1, .sample = rope_sample, .sample_count = 6,
};

uint32_t op_rope(struct tape *t, uint32_t x, uint32_t table, int heads, bool interleaved)
{
	struct rope_attr attr = { .heads = heads, .interleaved = interleaved, .sign = 1 };
	return tape_record(t, &op_row_rope, (uint32_t[]){ x, table }, 2, &attr, sizeof(attr));
}
