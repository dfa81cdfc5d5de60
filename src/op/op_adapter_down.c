/* adapter_down: u(i) = A_a·x(i), a the adapter of row i: each row pays for the rank of its own.
 *
 *     x (N,I), (R,I)    u (N,2 + most r)    A (Σr + spare,I): block a, from number first[a]·I on, is A_aᵀ [I][r_a]
 *
 * u is parted (kernel/gemm.h): a row begins with two i32, where its adapter's columns begin among all and how many they
 * are, then come its sums. So whoever multiplies u with the factors B of all, one below the other, meets those of the
 * row's adapter alone; a row of none, or before the place where its adapter is invoked, meets nothing. As in S-LoRA
 * (Sheng et al. 2023) and Punica (Chen et al. 2023) rows are not sorted, only looked at.
 *
 * Neighbours of one adapter are multiplied together, as a prompt's rows are; rows that stand alone, as those of growing
 * answers, a few at once, each with a matrix of its own (kernels.sums_apart). Either way a sum is one chain over
 * ascending k, that of a product with A_a alone.
 *
 * With experts a row is k slots, each with the block of its expert's matrix. Without A the columns are there already
 * and are picked. No gradient. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/gemm.h"
#include "op/adapter_columns.h"
#include "op/run.h"
#include "quant/panels.h"

enum { IN_X, IN_A, IN_CHOSEN };
enum { ITEM_ROWS = 8, SUMS = 32 };

struct down_attr {
	struct adapter_columns columns;
	size_t k;               /* slots of a row */
	bool shared;            /* that have one x */
};

struct down {
	const struct run *r;
	const struct node *n;
	const struct down_attr *attr;
	const int32_t *targets, *chosen; /* or NULL */
	const float *x;
	float *u;
	size_t rows, I, width;
	struct sum_apart sums[SUMS];     /* of an item */
	size_t n_sums;
};

size_t adapter_spare(size_t columns)
{
	return (GEMM_BESIDE + columns - 1) / columns;
}

static size_t most_columns(const struct adapter_columns *c)
{
	size_t most = 0;

	for (size_t a = 0; a < c->n; a++)
		most = MAX(most, (size_t)(c->first[a + 1] - c->first[a]));
	return most;
}

static int down_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct down_attr *attr = n->attr;
	const struct tensor *x = tape_tensor(t, n->in[IN_X]);
	const struct tensor *a = n->in[IN_A] ? tape_tensor(t, n->in[IN_A]) : NULL;
	size_t all = attr->columns.first[attr->columns.n], I = x->dim[1] / (attr->shared ? 1 : attr->k);
	int at = n->in[IN_CHOSEN] ? 1 : 0;
	bool fits = a ? a->n_dims == 2 + at && a->dim[at] == all + adapter_spare(I) && a->dim[at + 1] == I : I == all;

	if (x->n_dims != 2 || x->axis == AXIS_LABELS || !fits)
		return err_set(e, "%s: rows for the %zu columns of all adapters are wanted", x->name, all);
	size_t dim[] = { x->dim[0], attr->k * (GEMM_TAG + most_columns(&attr->columns)) };
	uint32_t u = tape_output(t, n, 0, "down", x->axis, 2, dim);
	t->tensors[u].parted = true;
	return 0;
}

/* --- forward --- */

static void do_sums(struct down *d)
{
	if (d->n_sums)
		d->r->kernels->sums_apart(d->n_sums, d->I, d->sums);
	d->n_sums = 0;
}

/* A slot's numbers `begin` … of columns `n`, by itself. */
static void add_sums(struct down *d, const float *x, const float *block, size_t n, float *u)
{
	for (size_t j = 0; j < n; j += PANEL_ROWS) {
		d->sums[d->n_sums++] = (struct sum_apart){ x, block + j, n, MIN(n - j, (size_t)PANEL_ROWS), u + j };
		if (d->n_sums == SUMS)
			do_sums(d);
	}
}

/* m rows of one adapter. */
static void neighbours(const struct down *d, const float *x, size_t m, const float *block, size_t n, float *u)
{
	const struct kernels *k = d->r->kernels;
	size_t nr = (size_t)k->nr, mr = (size_t)k->mr;

	for (size_t i = 0; i < m; i += mr)
		for (size_t j = 0; j < n; j += nr)
			k->tile_in_place(MIN(mr, m - i), MIN(nr, n - j), d->I, x + i * d->I, d->I, 1, block + j, n,
			                 PANEL_ROWS, u + i * d->width + j, d->width, false);
}

/* The block of a slot's adapter, or NULL where the columns are there already. */
static const float *block_of(const struct down *d, size_t slot, size_t begin)
{
	uint32_t a = d->n->in[IN_A];

	if (!a)
		return NULL;
	if (d->chosen)
		a = run_tensor(d->r, a)->parts[d->chosen[slot]];
	return run_f32(d->r, a) + begin * d->I;
}

/* m rows from i on, all of whose columns are the same. */
static void rows_down(struct down *d, size_t i, size_t m, size_t begin, size_t n)
{
	size_t k = d->attr->k;

	if (!d->chosen && d->n->in[IN_A] && m > KERNEL_FEW) {
		neighbours(d, d->x + i * d->I, m, block_of(d, i, begin), n, d->u + i * d->width + GEMM_TAG);
		return;
	}
	for (size_t s = i * k; s < (i + m) * k; s++) {
		const float *x = d->x + (d->attr->shared ? s / k : s) * d->I, *block = block_of(d, s, begin);
		float *u = d->u + s * d->width + GEMM_TAG;
		if (block)
			add_sums(d, x, block, n, u);
		else
			memcpy(u, x + begin, n * sizeof(*u));
	}
}

/* What stands before the numbers of row i's slots, which begin as zeros. */
static void begin_row(const struct down *d, size_t i, size_t begin, size_t n)
{
	int32_t tag[GEMM_TAG] = { (int32_t)begin, (int32_t)n };

	for (size_t s = i * d->attr->k; s < (i + 1) * d->attr->k; s++) {
		memset(d->u + s * d->width, 0, d->width * sizeof(*d->u));
		memcpy(d->u + s * d->width, tag, sizeof(tag));
	}
}

static void down_item(void *ctx, size_t item, int thread)
{
	struct down d = *(const struct down *)ctx;
	const struct batch *b = d.r->batch;
	size_t from = item * ITEM_ROWS, end = MIN(d.rows, from + ITEM_ROWS);
	size_t begin[ITEM_ROWS], n[ITEM_ROWS];
	const struct segment *s =
		b->segments + batch_segment_of(b, d.targets ? d.targets[from] : (int32_t)from);
	(void)thread;

	for (size_t i = from; i < end; i++) {
		size_t *at = &begin[i - from], to;
		adapter_columns_of(&d.attr->columns, b, d.targets ? d.targets[i] : (int32_t)i, &s, at, &to);
		n[i - from] = to - *at;
		begin_row(&d, i, *at, to - *at);
	}
	for (size_t i = from, m = 1; i < end; i += m, m = 1) {
		while (i + m < end && begin[i + m - from] == begin[i - from] && n[i + m - from] == n[i - from])
			m++;
		if (n[i - from])
			rows_down(&d, i, m, begin[i - from], n[i - from]);
	}
	do_sums(&d);
}

static void down_forward(struct run *r, const struct node *n)
{
	const struct tensor *x = run_tensor(r, n->in[IN_X]), *u = run_tensor(r, n->out[0]);
	const struct down_attr *attr = n->attr;
	struct down d = { .r = r,
		          .n = n,
		          .attr = attr,
		          .targets = x->axis == AXIS_TARGETS ? r->batch->target_row : NULL,
		          .chosen = run_i32(r, n->in[IN_CHOSEN]),
		          .x = run_f32(r, n->in[IN_X]),
		          .u = run_f32(r, n->out[0]),
		          .rows = run_rows(r, n->out[0]),
		          .I = x->dim[1] / (attr->shared ? 1 : attr->k),
		          .width = u->dim[1] / attr->k };

	pool_run(r->pool, (d.rows + ITEM_ROWS - 1) / ITEM_ROWS, down_item, &d);
}

static void down_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                      double *bytes)
{
	const struct down_attr *attr = n->attr;
	const struct tensor *x = tape_tensor(t, n->in[IN_X]);
	double in = tensor_live(x, live), out = tensor_live(tape_tensor(t, n->out[0]), live);
	double rows = in / (double)x->dim[1], I = (double)x->dim[1] / (double)(attr->shared ? 1 : attr->k);
	double numbers = rows * (double)attr->k * (double)most_columns(&attr->columns);

	*flops = n->in[IN_A] ? 2 * numbers * I : 0;
	*bytes = 4 * ((n->in[IN_A] ? numbers * I : numbers) + in + out);
}

const struct op op_row_adapter_down = {
	.name = "adapter_down", .shape = down_shape, .cost = down_cost, .forward = down_forward, .guides = true
};

uint32_t op_adapter_down(struct tape *t, uint32_t x, uint32_t a, const struct routing *to, const size_t *first,
                         size_t n)
{
	struct down_attr attr = { .columns = adapter_columns_make(first, n), .k = to ? (size_t)to->k : 1 };

	if (t->err.msg[0])
		return TENSOR_NONE;
	attr.shared = to && a && tape_tensor(t, x)->dim[1] == tape_tensor(t, a)->dim[2];
	return tape_record(t, &op_row_adapter_down, (uint32_t[]){ x, a, to ? to->chosen : TENSOR_NONE }, 3, &attr,
	                   sizeof(attr));
}
