/* embed: y[i] = table[s[i]], s the tokens, types or positions of the batch's rows.      table (V,C) any dtype, y (N,C)
 *        y[i] = rows[k − 1] where k = slot[s[i]] is above 0                             slot (V) f32, rows (K,C) f32
 *
 * The rows that are asked for are dequantized as they are read. Backward, for a trainable table (f32):
 *
 *     dtable[v] (+)= Σ over rows i with s[i] = v, ascending, of dy[i]
 *     drows[k − 1]   the same of those with slot[s[i]] = k, which dtable is without
 *
 * Columns are dealt out in fixed blocks, each walks all rows in order: no two items meet, and the sum's order is that
 * of the rows. The node that stores zeroes the whole gradient first. A token outside the table is a mistake of the
 * caller, not of the world; but for `spare` numbers after the table's, whose rows are zeros that others fill in
 * (op_virtual_rows.c). */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/run.h"
#include "quant/panels.h"

enum { EMBED_ROWS = 32, EMBED_COLS = 64, EMBED_ZERO_ROWS = 1024 };

enum { IN_TABLE, IN_SLOT, IN_ROWS };

struct embed_attr {
	enum embed_source source;
	size_t spare;
	bool accumulate; /* of the gradient */
	bool of_rows;    /* that of rows, not of the table */
};

struct embed_work {
	const struct run *r;
	const int32_t *index;      /* [N] */
	int32_t first;             /* is added to each */
	size_t N, V, C, row_bytes;
	enum dtype dtype;
	const char *table;
	bool panels;
	const float *slot, *rows;  /* or NULL */
	bool of_rows;
	float *y, *dtable;
	const float *dy;
};

static int embed_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *table = tape_tensor(t, n->in[0]);
	size_t bytes;

	if (table->n_dims != 2)
		return err_set(e, "the table %s has %d dimensions, 2 are wanted", table->name, table->n_dims);
	if (!dtypes[table->dtype].to_float)
		return err_set(e, "the table %s is of %s, which holds no floats", table->name,
		               dtypes[table->dtype].name);
	if (dtype_bytes(table->dtype, table->dim[1], &bytes, e) < 0)
		return err_prefix(e, "%s", table->name);
	tape_output(t, n, 0, "embed", AXIS_ROWS, 2, (size_t[]){ (size_t)t->cap.rows, table->dim[1] });
	return 0;
}

static size_t row_of(const struct embed_work *w, size_t i)
{
	return (size_t)(w->index[i] + w->first);
}

static struct embed_work embed_work(const struct run *r, const struct embed_attr *attr, uint32_t table)
{
	enum embed_source source = attr->source;
	const struct tensor *x = run_tensor(r, table);
	const struct batch *b = r->batch;
	struct embed_work w = {
		.r = r, .N = (size_t)b->n_rows, .V = x->dim[0], .C = x->dim[1], .dtype = x->dtype, .panels = x->panels
	};

	w.index = source == EMBED_IDS ? b->ids : source == EMBED_TYPES ? b->type : b->pos;
	w.first = source > EMBED_POSITIONS ? (int32_t)source - EMBED_POSITIONS : 0;
	w.row_bytes = tensor_row_bytes(x);
	return w;
}

static void check_indices(const struct embed_work *w, const struct tensor *x, size_t spare)
{
	for (size_t i = 0; i < w->N; i++)
		if (w->index[i] < 0 || row_of(w, i) >= w->V + spare)
			BUG("row %zu asks for row %zu of %s, which has %zu", i, row_of(w, i), x->name, w->V);
}

/* Which of `rows` stands for what row i asks for, from 1; 0: none. */
static size_t slot_of(const struct embed_work *w, size_t i)
{
	return w->slot && w->slot[row_of(w, i)] >= 1 ? (size_t)w->slot[row_of(w, i)] : 0;
}

static void embed_rows(void *ctx, size_t item, int thread)
{
	const struct embed_work *w = ctx;
	size_t end = MIN(w->N, (item + 1) * EMBED_ROWS);
	(void)thread;
	for (size_t i = item * EMBED_ROWS; i < end; i++)
		if (row_of(w, i) >= w->V)
			memset(w->y + i * w->C, 0, w->C * sizeof(float));
		else if (slot_of(w, i))
			memcpy(w->y + i * w->C, w->rows + (slot_of(w, i) - 1) * w->C, w->C * sizeof(float));
		else if (w->panels)
			panels_row(w->dtype, w->table, row_of(w, i), w->C, w->y + i * w->C);
		else
			dtypes[w->dtype].to_float(w->table + row_of(w, i) * w->row_bytes, w->y + i * w->C, w->C);
}

static void embed_forward(struct run *r, const struct node *n)
{
	const struct embed_attr *attr = n->attr;
	struct embed_work w = embed_work(r, attr, n->in[IN_TABLE]);

	check_indices(&w, run_tensor(r, n->in[IN_TABLE]), attr->spare);
	w.table = r->data[n->in[IN_TABLE]];
	w.slot = run_f32(r, n->in[IN_SLOT]);
	w.rows = run_f32(r, n->in[IN_ROWS]);
	w.y = run_f32(r, n->out[0]);
	pool_run(r->pool, (w.N + EMBED_ROWS - 1) / EMBED_ROWS, embed_rows, &w);
}

static void embed_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	*flops = 0;
	*bytes = 8 * tensor_live(tape_tensor(t, n->out[0]), live);
}

/* --- backward --- */

static void embed_zero(void *ctx, size_t item, int thread)
{
	const struct embed_work *w = ctx;
	size_t begin = item * EMBED_ZERO_ROWS, rows = MIN(w->V - begin, (size_t)EMBED_ZERO_ROWS);
	(void)thread;
	memset(w->dtable + begin * w->C, 0, rows * w->C * sizeof(float));
}

static void embed_scatter(void *ctx, size_t item, int thread)
{
	const struct embed_work *w = ctx;
	size_t begin = item * EMBED_COLS, n = MIN(w->C - begin, (size_t)EMBED_COLS);
	(void)thread;
	for (size_t i = 0; i < w->N; i++) {
		size_t slot = slot_of(w, i), row = slot ? slot - 1 : row_of(w, i);
		float *d = w->dtable + row * w->C + begin;
		if (w->of_rows == (slot > 0) && row < w->V)
			w->r->kernels->add(d, d, w->dy + i * w->C + begin, n);
	}
}

static void embed_back_forward(struct run *r, const struct node *n)
{
	const struct embed_attr *attr = n->attr;
	struct embed_work w = embed_work(r, attr, n->out[0]);

	w.dtable = run_f32(r, n->out[0]);
	w.dy = run_f32(r, n->in[0]);
	w.slot = run_f32(r, n->in[1]);
	w.of_rows = attr->of_rows;
	if (!attr->accumulate)
		pool_run(r->pool, (w.V + EMBED_ZERO_ROWS - 1) / EMBED_ZERO_ROWS, embed_zero, &w);
	pool_run(r->pool, (w.C + EMBED_COLS - 1) / EMBED_COLS, embed_scatter, &w);
}

static void embed_back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                            double *bytes)
{
	const struct embed_attr *attr = n->attr;
	*flops = tensor_live(tape_tensor(t, n->in[0]), live);
	*bytes = 12 * *flops + (attr->accumulate ? 0 : 4 * tensor_live(tape_tensor(t, n->out[0]), live));
}

static const struct op embed_back = { .name = "embed_back", .cost = embed_back_cost, .forward = embed_back_forward };

static void emit_back(struct tape *t, const struct node *n, int of)
{
	struct embed_attr attr = *(const struct embed_attr *)n->attr;
	uint32_t in[] = { tape_grad(t, n->out[0]), n->in[IN_SLOT] };

	if (!tape_wants(t, n->in[of]))
		return;
	uint32_t out = tape_grad_target(t, n->in[of], &attr.accumulate);
	attr.of_rows = of == IN_ROWS;
	tape_emit(t, &embed_back, in, 2, &out, 1, &attr, sizeof(attr));
}

static void embed_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];

	emit_back(t, &n, IN_TABLE);
	emit_back(t, &n, IN_ROWS);
}

static uint32_t embed_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t V, C; int source; size_t spare; } cases[] = {
		{ 1, 3, 5, EMBED_IDS, 0 },    { 37, 11, 70, EMBED_IDS, 0 },           { 65, 97, 7, EMBED_IDS, 0 },
		{ 65, 2, 7, EMBED_TYPES, 0 }, { 65, 69, 7, EMBED_POSITIONS + 2, 0 }, { 65, 9, 7, EMBED_IDS, 5 },
	};
	batch_sample(b, rng, cases[i].N, (int)(cases[i].V + cases[i].spare));
	uint32_t table = tape_param(t, "table", 2, (size_t[]){ cases[i].V, cases[i].C });
	return op_embed_some(t, table, TENSOR_NONE, TENSOR_NONE, (enum embed_source)cases[i].source, cases[i].spare);
}

const struct op op_row_embed = {
	.name = "embed", .shape = embed_shape, .cost = embed_cost, .forward = embed_forward, .backward = embed_backward,
	.saves = 1U << IN_SLOT, .sample = embed_sample, .sample_count = 6,
};

uint32_t op_embed(struct tape *t, uint32_t table, enum embed_source source)
{
	return op_embed_some(t, table, TENSOR_NONE, TENSOR_NONE, source, 0);
}

uint32_t op_embed_some(struct tape *t, uint32_t table, uint32_t slot, uint32_t rows, enum embed_source source,
                       size_t spare)
{
	struct embed_attr attr = { .source = source, .spare = spare };
	return tape_record(t, &op_row_embed, (uint32_t[]){ table, slot, rows }, 3, &attr, sizeof(attr));
}
