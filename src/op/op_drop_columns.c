/* drop_columns: y = x∘m, one m for all rows of a micro-batch: a column is 0 with probability p, all of them are with
 * probability q. Scaled, what is left is divided by the share of columns that is left.      x, y (N,C), m (C)
 *
 * What PEFT's rank_dropout and module_dropout do to an update of a weight: rows of it, or the whole, are left out of a
 * forward. As in dropout the mask is a function of (seed, step, micro-batch, site, column), drawn again whenever it is
 * wanted.      dx = dy∘m */
#include "op/ops.h"

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/pointwise.h"
#include "op/run.h"

struct drop_attr {
	float p, q;
	bool scaled;
	uint32_t site;
};

struct drop_work {
	const struct drop_attr *attr;
	const struct batch *b;
	const float *x;
	float *y, scale;
	size_t C;
};

static int drop_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct drop_attr *attr = n->attr;

	if (!(attr->p >= 0 && attr->p < 1 && attr->q >= 0 && attr->q < 1))
		return err_set(e, "probabilities of %g and %g, 0 to below 1 is wanted", (double)attr->p,
		               (double)attr->q);
	pointwise_output(t, n, "dropped");
	return 0;
}

static bool is_kept(const struct drop_work *w, uint32_t number, float p)
{
	struct rng_key key = { .seed = w->b->seed, .purpose = RNG_DROPOUT };
	uint32_t word[4];

	rng_words(key, (uint64_t)w->b->step << 32 | number, w->b->micro, w->attr->site, word);
	return word[0] >= (uint32_t)((double)p * 4294967296.0);
}

/* What a column that is left is multiplied by: 0 where the whole is left out. */
static float scale_of(const struct drop_work *w)
{
	size_t kept = 0;

	if (!is_kept(w, UINT32_MAX, w->attr->q))
		return 0;
	for (size_t j = 0; j < w->C && w->attr->scaled; j++)
		kept += is_kept(w, (uint32_t)j, w->attr->p);
	return kept ? (float)w->C / (float)kept : 1;
}

static void drop_piece(void *ctx, size_t begin, size_t n)
{
	const struct drop_work *w = ctx;
	size_t first = begin % w->C, columns = MIN(n, w->C);

	for (size_t k = 0; k < columns; k++) { /* of the piece's rows those columns */
		size_t j = (first + k) % w->C;
		float by = is_kept(w, (uint32_t)j, w->attr->p) ? w->scale : 0;
		for (size_t i = begin + k; i < begin + n; i += w->C)
			w->y[i] = by * w->x[i];
	}
}

static void drop_forward(struct run *r, const struct node *n)
{
	struct drop_work w = { .attr = n->attr, .b = r->batch, .x = run_f32(r, n->in[0]),
		               .y = run_f32(r, n->out[0]), .C = run_tensor(r, n->in[0])->dim[1] };

	w.scale = scale_of(&w);
	pointwise_pieces(r, n->out[0], drop_piece, &w);
}

static const struct op drop_back = { .name = "drop_columns_back", .cost = pointwise_cost, .forward = drop_forward,
                                     .inplace = 1 };

static void drop_backward(struct tape *t, uint32_t i)
{
	pointwise_backward(t, i, &drop_back, 1, NULL, 0, t->nodes[i].attr, sizeof(struct drop_attr));
}

static uint32_t drop_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct {
		int N;
		size_t C;
		struct drop_columns d;
	} cases[] = { { 1, 3, { 0.5F, 0, true } }, { 31, 65, { 0.2F, 0.1F, false } }, { 7, 33, { 0, 0.9F, true } } };
	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ (size_t)cases[i].N, cases[i].C });
	return op_drop_columns(t, x, cases[i].d, (uint32_t)i);
}

const struct op op_row_drop_columns = {
	.name = "drop_columns",
	.shape = drop_shape,
	.cost = pointwise_cost,
	.forward = drop_forward,
	.backward = drop_backward,
	.inplace = 1,
	.cheap = true,
	.sample = drop_sample,
	.sample_count = 3,
};

uint32_t op_drop_columns(struct tape *t, uint32_t x, struct drop_columns d, uint32_t site)
{
	struct drop_attr attr = { .p = d.column, .q = d.all, .scaled = d.scaled, .site = site };

	return d.column == 0 && d.all == 0 ? x : tape_record(t, &op_row_drop_columns, &x, 1, &attr, sizeof(attr));
}
