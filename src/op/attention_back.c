/* attention_back: the gradient of attention, with do_i given and P rebuilt from lse:
 *
 *     Δ_i = Σ_j P_ij·(do_i·v_j) = do_i·o_i
 *     dv_j = Σ_i P_ij·do_i
 *     dS_ij = scale·P_ij·(do_i·v_j − Δ_i)            (softmax: ds = P∘(dP − Σ P∘dP))
 *     dq_i = Σ_j dS_ij·k_j        dk_j = Σ_i dS_ij·q_i        (with a cap dS is times 1 − (s/cap)²)
 *
 *     of a sink b: db = −Σ_i exp(b − lse_i)·Δ_i, rows ascending
 *
 * five products a tile. The sums over i run over all rows that see j, which is how the gradients of all children of a
 * shared prefix come together in it. A work item is a tree of the forest with one query head, sequential inside: key
 * tiles outside, row tiles inside. With H > G every query head has dk, dv of its own, which are then added up in the
 * order of the heads. So nothing depends on threads. Keys are this batch's rows, and before them those of `past` tokens
 * that are none (op_past_keys.c): all rows see them, and dk, dv of theirs are not written. A cache passes no gradient
 * back. */
#include "op/attention.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/vecmath.h"
#include "op/run.h"

enum { SUM_ROWS = 32 };

struct back {
	const struct kernels *kernels;
	const struct batch *b;
	const struct attention_attr *attr;
	const struct run *r;
	size_t N, D, q_ld, kv_ld;
	const float *q, *k, *v, *lse, *out, *d_o;
	float *dq, *dk, *dv;          /* NULL: not wanted */
	float *partial_k, *partial_v; /* [H][keys at capacity][D], or NULL: heads write into dk and dv themselves */
	size_t past;                  /* keys before those of the rows */
	size_t partial_head;
};

static size_t keys_most(const struct batch_cap *cap) { return (size_t)MAX(cap->rows, cap->keys); }

static struct rows rows_of(const float *x, size_t ld)
{
	return (struct rows){ DTYPE_F32, (const char *)x, ld * sizeof(*x) };
}

struct backward_scratch {
	float *k_across, *v_across, *k_along, *q_along, *do_along; /* panels */
	float *p, *ds;              /* [TILE][TILE] */
	float *delta;               /* [N] */
};

static size_t backward_scratch_at(struct backward_scratch *f, char *base, const struct attention_attr *a,
                                  const struct kernels *k, size_t N)
{
	size_t panel = panel_size(k, a->D), at = 0;
	float *x = (float *)(void *)base;
	float **panels[] = { &f->k_across, &f->v_across, &f->k_along, &f->q_along, &f->do_along };

	for (size_t i = 0; i < ARRAY_LEN(panels); i++, at += panel)
		*panels[i] = x + at;
	f->p = x + at;
	f->ds = x + at + TILE * TILE;
	f->delta = x + at + 2 * TILE * TILE;
	return (at + 2 * TILE * TILE + N) * sizeof(float);
}

static size_t attention_back_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	static char origin[64];
	struct backward_scratch f;
	return backward_scratch_at(&f, origin, n->attr, k, (size_t)t->cap.rows);
}

/* One query head's view of the gradient of k or v. */
struct head_grad { float *x; size_t ld; };

static struct head_grad head_grad(const struct back *a, float *partial, float *d, size_t h)
{
	if (!d)
		return (struct head_grad){ NULL, 0 };
	if (partial)
		return (struct head_grad){ partial + h * a->partial_head, a->D };
	return (struct head_grad){ d + h * a->D, a->kv_ld };
}

static void zero_rows(float *x, size_t ld, size_t begin, size_t end, size_t D)
{
	for (size_t i = begin; i < end; i++)
		memset(x + i * ld, 0, D * sizeof(float));
}

/* Rows i0.. against keys j0.. of one head: adds to dq, dk, dv. */
static void backward_tile(const struct back *a, const struct backward_scratch *f, size_t h, size_t i0, size_t rows,
                          size_t j0, size_t keys, const uint64_t *word, struct head_grad dk, struct head_grad dv)
{
	const struct kernels *k = a->kernels;
	size_t D = a->D, at = i0 * a->q_ld + h * D;
	bool down = a->dq || dk.x;
	struct extent of_rows, of_keys;

	extent_of_rows(k, word, rows, &of_rows);
	extent_of_keys(k, word, rows, keys, &of_keys);
	product_scores(k, rows, D, a->q + at, a->q_ld, f->k_across, f->p, &of_rows);
	if (down)
		product_scores(k, rows, D, a->d_o + at, a->q_ld, f->v_across, f->ds, &of_rows);
	k->soften_back(rows, f->p, word, a->attr->scale, a->attr->cap, a->lse + i0 * a->attr->H + h, a->attr->H,
	               down ? f->ds : NULL, f->delta + i0);
	if (dv.x) {
		pack_along(k, rows_of(a->d_o, a->q_ld), i0, h * D, rows, D, f->do_along);
		product_add(k, keys, D, rows, f->p, 1, TILE, f->do_along, dv.x + j0 * dv.ld, dv.ld, &of_keys);
	}
	if (a->dq)
		product_add(k, rows, D, keys, f->ds, TILE, 1, f->k_along, a->dq + at, a->q_ld, &of_rows);
	if (dk.x) {
		pack_along(k, rows_of(a->q, a->q_ld), i0, h * D, rows, D, f->q_along);
		product_add(k, keys, D, rows, f->ds, 1, TILE, f->q_along, dk.x + j0 * dk.ld, dk.ld, &of_keys);
	}
}

static void pack_keys(const struct back *a, const struct backward_scratch *f, size_t h, size_t j0, size_t keys)
{
	const struct kernels *k = a->kernels;
	size_t D = a->D, c = h / (a->attr->H / a->attr->G) * D;

	pack_across(k, rows_of(a->k, a->kv_ld), j0, c, keys, D, f->k_across);
	if (a->dq)
		pack_along(k, rows_of(a->k, a->kv_ld), j0, c, keys, D, f->k_along);
	if (a->dq || a->dk)
		pack_across(k, rows_of(a->v, a->kv_ld), j0, c, keys, D, f->v_across);
}

/* Keys j0 … j1−1 with the rows from i0 on. */
static void backward_keys(const struct back *a, const struct backward_scratch *f, size_t h, size_t i0, size_t end,
                          size_t j0, size_t j1, struct head_grad dk, struct head_grad dv)
{
	uint64_t word[TILE] = { 0 };

	pack_keys(a, f, h, j0, j1 - j0);
	for (; i0 < end; i0 += TILE) {
		size_t i1 = MIN(i0 + TILE, end);
		if (tile_mask(a->attr, a->b, i0, i1, j0, j1, word) != MASK_NONE)
			backward_tile(a, f, h, i0, i1 - i0, j0, j1 - j0, word, dk, dv);
	}
}

/* One tree, one query head. */
static void backward_item(void *ctx, size_t item, int thread)
{
	const struct back *a = ctx;
	size_t H = a->attr->H, D = a->D, h = item % H;
	size_t begin = (size_t)a->b->tree[item / H], end = (size_t)a->b->tree[item / H + 1];
	struct head_grad dk = head_grad(a, a->partial_k, a->dk, h), dv = head_grad(a, a->partial_v, a->dv, h);
	size_t first = a->past + begin, last = a->past + end;
	struct head_grad none = { NULL, 0 };
	struct backward_scratch f;

	backward_scratch_at(&f, run_scratch(a->r, thread), a->attr, a->kernels, (size_t)a->r->plan->cap.rows);
	for (size_t i = begin; i < end; i++)
		f.delta[i] = a->kernels->dot(a->d_o + i * a->q_ld + h * D, a->out + i * a->q_ld + h * D, D);
	if (a->dq && !a->attr->add_q)
		zero_rows(a->dq + h * D, a->q_ld, begin, end, D);
	if (dk.x && (a->partial_k || !a->attr->add_k))
		zero_rows(dk.x, dk.ld, first, last, D);
	if (dv.x && (a->partial_v || !a->attr->add_v))
		zero_rows(dv.x, dv.ld, first, last, D);
	for (size_t j0 = 0; j0 < a->past && a->dq; j0 += TILE)
		backward_keys(a, &f, h, begin, end, j0, MIN(j0 + TILE, a->past), none, none);
	for (size_t j0 = first; j0 < last; j0 += TILE)
		backward_keys(a, &f, h, a->attr->both_ways ? begin : j0 - a->past, end, j0, MIN(j0 + TILE, last), dk,
		              dv);
}

/* d[i][g] (+)= Σ over the heads of group g, in order. */
static void sum_heads(const struct back *a, const float *partial, float *d, bool accumulate, size_t i, size_t g)
{
	size_t D = a->D, group = a->attr->H / a->attr->G, key = a->past + i;
	float *y = d + key * a->kv_ld + g * D;

	for (size_t h = g * group; h < (g + 1) * group; h++, accumulate = true) {
		const float *x = partial + h * a->partial_head + key * D;
		if (accumulate)
			a->kernels->add(y, y, x, D);
		else
			memcpy(y, x, D * sizeof(float));
	}
}

static void sum_item(void *ctx, size_t item, int thread)
{
	const struct back *a = ctx;
	size_t end = MIN(a->N, (item + 1) * SUM_ROWS);
	(void)thread;
	for (size_t i = item * SUM_ROWS; i < end; i++)
		for (size_t g = 0; g < a->attr->G; g++) {
			if (a->dk)
				sum_heads(a, a->partial_k, a->dk, a->attr->add_k, i, g);
			if (a->dv)
				sum_heads(a, a->partial_v, a->dv, a->attr->add_v, i, g);
		}
}

/* in: q, k, v, o, lse, do      out: dq, dk, dv (any may be none), the heads' partial sums */
static void attention_back_forward(struct run *r, const struct node *n)
{
	const struct attention_attr *attr = n->attr;
	struct back a = {
		.kernels = r->kernels, .b = r->batch, .attr = attr, .r = r, .N = (size_t)r->batch->n_rows, .D = attr->D
	};

	a.q_ld = attr->H * attr->D;
	a.kv_ld = attr->G * attr->D;
	a.q = run_f32(r, n->in[0]);
	a.k = run_f32(r, n->in[1]);
	a.v = run_f32(r, n->in[2]);
	a.past = (size_t)(a.b->n_keys - a.b->n_rows);
	if (a.b->n_keys < a.b->n_rows || (a.N && (size_t)a.b->key[a.N - 1] != a.past + a.N - 1))
		BUG("the gradient of attention wants the batch's own rows as the last keys: %d rows, %d keys",
		    a.b->n_rows, a.b->n_keys);
	a.out = run_f32(r, n->in[3]);
	a.lse = run_f32(r, n->in[4]);
	a.d_o = run_f32(r, n->in[5]);
	a.dq = run_f32(r, n->out[0]);
	a.dk = run_f32(r, n->out[1]);
	a.dv = run_f32(r, n->out[2]);
	if (n->out[3]) {
		a.partial_head = keys_most(&r->plan->cap) * a.D;
		a.partial_k = run_f32(r, n->out[3]);
		a.partial_v = a.partial_k + (a.dk ? a.attr->H * a.partial_head : 0);
	}
	pool_run(r->pool, (size_t)a.b->n_trees * a.attr->H, backward_item, &a);
	if (n->out[3])
		pool_run(r->pool, (a.N + SUM_ROWS - 1) / SUM_ROWS, sum_item, &a);
}

static void attention_back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                                double *bytes)
{
	const struct attention_attr *a = n->attr;
	bool dq = n->out[0], dk = n->out[1], dv = n->out[2];
	double products = 1 + (dq || dk) + dq + dk + dv;
	(void)t;
	*flops = 2 * products * live_visible(live, a->window, a->both_ways) * (double)(a->H * a->D);
	*bytes = 4 * live->rows * (double)((4 * a->H + 4 * a->G) * a->D);
}

static const struct op attention_back = {
	.name = "attention_back",
	.cost = attention_back_cost,
	.forward = attention_back_forward,
	.scratch = attention_back_scratch,
};

struct sinks {
	const struct attention_attr *attr;
	const struct kernels *k;
	const float *o, *lse, *d_o, *sinks;
	float *d;
	size_t N;
};

static void sink_item(void *ctx, size_t h, int thread)
{
	const struct sinks *w = ctx;
	size_t H = w->attr->H, D = w->attr->D;
	double sum = w->attr->add_sinks ? (double)w->d[h] : 0;
	(void)thread;

	for (size_t i = 0; i < w->N; i++) {
		size_t at = (i * H + h) * D;
		sum -= (double)vec_expf(w->sinks[h] - w->lse[i * H + h]) *
		       (double)w->k->dot(w->d_o + at, w->o + at, D);
	}
	w->d[h] = (float)sum;
}

/* in: o, lse, do, sinks; out: their gradient */
static void sinks_forward(struct run *r, const struct node *n)
{
	struct sinks w = { n->attr,
		           r->kernels,
		           run_f32(r, n->in[0]),
		           run_f32(r, n->in[1]),
		           run_f32(r, n->in[2]),
		           run_f32(r, n->in[3]),
		           run_f32(r, n->out[0]),
		           (size_t)r->batch->n_rows };

	pool_run(r->pool, w.attr->H, sink_item, &w);
}

static void sinks_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	*flops = 2 * tensor_live(tape_tensor(t, n->in[0]), live);
	*bytes = 4 * *flops;
}

static const struct op attention_sinks_back = {
	.name = "attention_sinks_back", .cost = sinks_cost, .forward = sinks_forward
};

static void emit_sinks(struct tape *t, const struct node *n, struct attention_attr attr)
{
	uint32_t in[4] = { n->out[0], n->out[1], tape_grad(t, n->out[0]), n->in[3] };

	if (!tape_wants(t, n->in[3]))
		return;
	uint32_t d = tape_grad_target(t, n->in[3], &attr.add_sinks);
	tape_emit(t, &attention_sinks_back, in, 4, &d, 1, &attr, sizeof(attr));
}

void attention_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct attention_attr attr = *(const struct attention_attr *)n.attr;
	uint32_t in[6] = { n.in[0], n.in[1], n.in[2], n.out[0], n.out[1], tape_grad(t, n.out[0]) }, out[4] = { 0 };
	bool *add[3] = { &attr.add_q, &attr.add_k, &attr.add_v };

	emit_sinks(t, &n, attr);
	if (!tape_wants(t, n.in[0]) && !tape_wants(t, n.in[1]) && !tape_wants(t, n.in[2]))
		return;
	for (int j = 0; j < 3; j++)
		if (tape_wants(t, n.in[j]))
			out[j] = tape_grad_target(t, n.in[j], add[j]);
	size_t sums = attr.H == attr.G ? 0 : (out[1] != TENSOR_NONE) + (size_t)(out[2] != TENSOR_NONE);
	if (sums)
		out[3] = tape_scratch(t, &made, 3, "head_sums", sums * attr.H * keys_most(&t->cap) * attr.D);
	tape_emit(t, &attention_back, in, 6, out, 4, &attr, sizeof(attr));
}
