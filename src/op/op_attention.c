/* attention: softmax(scale·Q·Kᵀ + mask)·V for H query heads on G key-value heads, over the forest of op/batch.h.
 *
 *     q, o (N, H·D)      k, v (keys, G·D): this batch's rows, or a cache of a session in any dtype      lse (N,H), where a gradient is needed
 *
 *     s_ij = scale·q_i·k_j      P_ij = exp(s_ij − lse_i) where j ≤ key_i < vis_end_j, else 0      o_i = Σ_j P_ij·v_j
 *
 * Forward: online softmax (Milakov & Gimelshein 2018; Dao et al. 2022) over tiles of 64 rows × 64 keys: with m the
 * largest score so far, l = Σ exp(s − m), and o and l are rescaled when m grows. At the end o /= l and lse = m + log l.
 * A work item is a tile of rows with one key-value head: its H/G query heads share the packed keys, the packed values
 * and the mask. The mask of a tile is one 64-bit word a row; tiles that nobody sees are skipped, tiles that everybody
 * sees need none. Key tiles begin at multiples of 64 keys and are always 64 scores wide, so a row's bits do not depend
 * on the rows beside it: token by token equals all at once.
 *
 * Backward, with do_i given, P rebuilt from lse:
 *
 *     Δ_i = Σ_j P_ij·(do_i·v_j) = do_i·o_i
 *     dv_j = Σ_i P_ij·do_i
 *     dS_ij = scale·P_ij·(do_i·v_j − Δ_i)            (softmax: ds = P∘(dP − Σ P∘dP))
 *     dq_i = Σ_j dS_ij·k_j        dk_j = Σ_i dS_ij·q_i
 *
 * five products a tile. The sums over i run over all rows that see j, which is how the gradients of all children of a
 * shared prefix come together in it. A work item is a tree of the forest with one query head, sequential inside: key
 * tiles outside, row tiles inside. With H > G every query head has dk, dv of its own, which are then added up in the
 * order of the heads. So nothing depends on threads.
 *
 * FLOPs are counted for visible (row, key) pairs only: 2·D a product and head, 2 products forward, up to 5 backward. */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "kernel/vecmath.h"
#include "op/batch_sample.h"
#include "op/run.h"
#include "quant/quant.h"

enum { TILE = KERNEL_SCORES, SUM_ROWS = 32 };

#define NO_SCORE (-1e30F) /* the largest score of a row before its first */

struct attention_attr {
	size_t H, G, D;
	float scale;
	bool add_q, add_k, add_v; /* backward: gradients that are added to what is there */
};

struct rows { enum dtype dtype; const char *data; size_t bytes; }; /* of a matrix; bytes from one to the next */

struct attention {
	const struct kernels *kernels;
	const struct batch *b;
	const struct attention_attr *attr;
	const struct run *r;
	size_t N, D, q_ld, kv_ld;
	const float *q;
	struct rows k, v;
	float *o, *lse;             /* lse: NULL where nobody wants it */
	const float *out, *d_o;     /* backward */
	float *dq, *dk, *dv;        /* NULL: not wanted */
	float *partial_k, *partial_v; /* [H][N at capacity][D], or NULL: heads write into dk and dv themselves */
	size_t partial_head;
};

/* --- products of small tiles from packed panels --- */

/* What part of a tile is not all zero: of rows (or, across, keys) i·mr … those numbers from[i] … to[i]−1. */
struct extent { uint8_t from[TILE], to[TILE]; };

/* C[m,TILE] = A[m,K]·B, B in panels of nr columns, [K][nr] each; of C only columns that an extent reaches. */
static void product_scores(const struct kernels *k, size_t m, size_t K, const float *a, size_t a_row, const float *panels, float *c,
                           const struct extent *e)
{
	size_t mr = (size_t)k->mr, nr = (size_t)k->nr;
	for (size_t j = 0; j < TILE; j += nr)
		for (size_t i = 0; i < m; i += mr)
			if (e->from[i / mr] < j + nr && e->to[i / mr] > j)
				k->gemm_tile(MIN(mr, m - i), MIN(nr, ROUND_UP(e->to[i / mr] - j, (size_t)16)), K, a + i * a_row, a_row, 1,
				             panels + j * K, c + i * TILE + j, TILE, false);
}

/* C[m,D] += A[m,K]·B, over the K of an extent. */
static void product_add(const struct kernels *k, size_t m, size_t D, size_t K, const float *a, size_t a_row, size_t a_col, const float *panels,
                        float *c, size_t ldc, const struct extent *e)
{
	size_t mr = (size_t)k->mr, nr = (size_t)k->nr;
	for (size_t j = 0; j < D; j += nr)
		for (size_t i = 0; i < m; i += mr) {
			size_t from = e->from[i / mr], to = e->to[i / mr];
			if (from < to)
				k->gemm_tile(MIN(mr, m - i), MIN(nr, D - j), to - from, a + i * a_row + from * a_col, a_row, a_col,
				             panels + j * K + from * nr, c + i * ldc + j, ldc, true);
		}
}

static struct rows rows_of(const float *x, size_t ld)
{
	return (struct rows){ DTYPE_F32, (const char *)x, ld * sizeof(*x) };
}

/* Panels of Wᵀ: B(d,j) = w[at + j][c + d], for n rows. */
static void pack_across(const struct kernels *k, struct rows w, size_t at, size_t c, size_t n, size_t D, float *out)
{
	size_t nr = (size_t)k->nr;
	for (size_t j = 0; j < n; j += nr)
		k->pack_rows(w.dtype, w.data + (at + j) * w.bytes, w.bytes, MIN(nr, n - j), c, D, out + j * D);
}

/* Panels of W: B(j,d) = w[at + j][c + d]. */
static void pack_along(const struct kernels *k, struct rows w, size_t at, size_t c, size_t n, size_t D, float *out)
{
	size_t nr = (size_t)k->nr;
	for (size_t d = 0; d < D; d += nr, out += n * nr)
		k->pack_cols(w.dtype, w.data + at * w.bytes, w.bytes, n, c + d, MIN(nr, D - d), out);
}

static size_t panel_floats(const struct kernels *k, size_t D)
{
	size_t nr = (size_t)k->nr;
	return MAX(ROUND_UP((size_t)TILE, nr) * D, TILE * ROUND_UP(D, nr));
}

/* --- the mask --- */

enum sight { SIGHT_NONE, SIGHT_SOME, SIGHT_ALL };

static uint64_t bits_below(size_t n)
{
	return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
}

/* What rows i0..i1-1 see of keys j0..j1-1 (at most TILE of each); unless it is nothing, bit j of word[i] says whether
 * row i0+i sees key j0+j. Neighbouring keys mostly end together, so a row is a few masks, not 64 comparisons. */
static enum sight tile_sight(const struct batch *b, size_t i0, size_t i1, size_t j0, size_t j1, uint64_t word[TILE])
{
	uint64_t mask[TILE];
	int32_t end[TILE], least = INT32_MAX, most = 0;
	size_t runs = 0;

	for (size_t j = j0; j < j1; j++) {
		if (runs == 0 || end[runs - 1] != b->vis_end[j]) {
			end[runs] = b->vis_end[j];
			mask[runs++] = 0;
			least = MIN(least, b->vis_end[j]);
			most = MAX(most, b->vis_end[j]);
		}
		mask[runs - 1] |= (uint64_t)1 << (j - j0);
	}
	if (most <= b->key[i0] || (size_t)b->key[i1 - 1] < j0)
		return SIGHT_NONE;
	bool all = least > b->key[i1 - 1] && (size_t)b->key[i0] + 1 >= j1;
	for (size_t i = i0; i < i1; i++) {
		size_t key = (size_t)b->key[i];
		uint64_t w = 0;
		for (size_t n = 0; n < runs; n++)
			w |= end[n] > b->key[i] ? mask[n] : 0;
		word[i - i0] = key < j0 ? 0 : w & bits_below(key - j0 + 1);
	}
	return all ? SIGHT_ALL : SIGHT_SOME;
}

/* What keys each mr rows see, together. */
static void extent_of_rows(const struct kernels *k, const uint64_t *word, size_t rows, struct extent *e)
{
	size_t mr = (size_t)k->mr;

	for (size_t i = 0; i < rows; i += mr) {
		uint64_t any = 0;
		for (size_t r = i; r < MIN(i + mr, rows); r++)
			any |= word[r];
		e->from[i / mr] = (uint8_t)(any ? __builtin_ctzll(any) : 0);
		e->to[i / mr] = (uint8_t)(any ? 64 - __builtin_clzll(any) : 0);
	}
}

/* What rows see any of each mr keys. */
static void extent_of_keys(const struct kernels *k, const uint64_t *word, size_t rows, size_t keys, struct extent *e)
{
	size_t mr = (size_t)k->mr;

	for (size_t j = 0; j < keys; j += mr) {
		uint64_t mask = bits_below(j + mr) & ~bits_below(j);
		size_t from = 0, to = rows;
		for (; from < to && !(word[from] & mask); from++)
			;
		for (; to > from && !(word[to - 1] & mask); to--)
			;
		e->from[j / mr] = (uint8_t)from;
		e->to[j / mr] = (uint8_t)to;
	}
}

/* --- forward --- */

static int attention_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *q = tape_tensor(t, n->in[0]), *k = tape_tensor(t, n->in[1]), *v = tape_tensor(t, n->in[2]);
	const struct attention_attr *a = n->attr;
	bool gradient = tape_wants(t, n->in[0]) || tape_wants(t, n->in[1]) || tape_wants(t, n->in[2]);

	if (q->n_dims != 2 || k->n_dims != 2 || v->n_dims != 2)
		return err_set(e, "%s, %s and %s must be matrices", q->name, k->name, v->name);
	if (a->H < 1 || a->G < 1 || a->H % a->G || q->dim[1] % a->H || a->D % 2)
		return err_set(e, "%s has rows of %zu, %zu query heads on %zu key-value heads do not fit it", q->name,
		               q->dim[1], a->H, a->G);
	if (k->dim[1] != a->G * a->D || v->dim[1] != k->dim[1] || k->dim[0] != v->dim[0])
		return err_set(e, "%s and %s must have rows of %zu heads of %zu, they have %zu and %zu", k->name, v->name, a->G,
		               a->D, k->dim[1], v->dim[1]);
	if (gradient && (k->role == ROLE_STATE || v->role == ROLE_STATE))
		return err_set(e, "%s is a cache, which passes no gradient back", k->name);
	if ((dtypes[k->dtype].block > 1 || dtypes[v->dtype].block > 1) && a->D % QUANT_RUN)
		return err_set(e, "keys and values in blocks want heads of a multiple of %d numbers, these have %zu", QUANT_RUN, a->D);
	struct tensor like = *q;
	tape_output(t, n, 0, "attention", like.axis, 2, like.dim);
	if (gradient)
		tape_output(t, n, 1, "lse", like.axis, 2, (size_t[]){ like.dim[0], a->H });
	return 0;
}

/* Where one thread's scratch has what. */
struct forward_scratch {
	float *k, *v, *s;           /* panels; scores [TILE][TILE] */
	float *m;                   /* [H/G][TILE] largest score so far */
	double *l;                  /* [H/G][TILE] */
};

static size_t forward_scratch_at(struct forward_scratch *f, char *base, const struct attention_attr *a, const struct kernels *k)
{
	size_t panel = panel_floats(k, a->D) * sizeof(float), tile = (size_t)TILE * TILE * sizeof(float), rows = a->H / a->G * TILE;
	f->k = (float *)(void *)base;
	f->v = (float *)(void *)(base + panel);
	f->s = (float *)(void *)(base + 2 * panel);
	f->l = (double *)(void *)(base + 2 * panel + tile);
	f->m = (float *)(void *)(base + 2 * panel + tile + rows * sizeof(double));
	return 2 * panel + tile + rows * (sizeof(double) + sizeof(float));
}

static size_t attention_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	static char origin[64]; /* only its address, to measure */
	struct forward_scratch f;
	(void)t;
	return forward_scratch_at(&f, origin, n->attr, k);
}

/* o = O/l and lse = m + log l for one head's rows. */
static void finish_rows(const struct attention *a, size_t h, size_t i0, size_t i1, const float *m, const double *l)
{
	for (size_t i = i0; i < i1; i++) {
		float *o = a->o + i * a->q_ld + h * a->D;
		if (l[i - i0] == 0 && m[i - i0] == -INFINITY) /* scores that overflowed, and NaN, go through: the loss will show it */
			BUG("row %zu of %zu sees no key", i, a->N);
		a->kernels->scale(o, o, (float)(1 / l[i - i0]), a->D);
		if (a->lse)
			a->lse[i * a->attr->H + h] = (float)((double)m[i - i0] + log(l[i - i0]));
	}
}

/* One row's query heads, at most TILE, which follow each other: they are the rows of one product. */
static void forward_heads(const struct attention *a, const struct forward_scratch *f, size_t at, size_t heads, size_t keys, uint64_t word, float *m, double *l)
{
	const struct kernels *k = a->kernels;
	float most[TILE];
	double sum[TILE];
	uint64_t words[TILE];
	struct extent e;

	for (size_t n = 0; n < heads; n++) {
		words[n] = word;
		most[n] = m[n * TILE];
		sum[n] = l[n * TILE];
	}
	extent_of_rows(k, words, heads, &e);
	product_scores(k, heads, a->D, a->q + at, a->D, f->k, f->s, &e);
	k->soften(heads, f->s, words, a->attr->scale, most, sum, a->o + at, a->D, a->D);
	product_add(k, heads, a->D, keys, f->s, TILE, 1, f->v, a->o + at, a->D, &e);
	for (size_t n = 0; n < heads; n++) {
		m[n * TILE] = most[n];
		l[n * TILE] = sum[n];
	}
}

/* One query head; the first of its rows at `at`. */
static void forward_rows(const struct attention *a, const struct forward_scratch *f, size_t at, size_t rows, size_t keys, const uint64_t *word,
                         const struct extent *e, float *m, double *l)
{
	const struct kernels *k = a->kernels;

	product_scores(k, rows, a->D, a->q + at, a->q_ld, f->k, f->s, e);
	k->soften(rows, f->s, word, a->attr->scale, m, l, a->o + at, a->q_ld, a->D);
	product_add(k, rows, a->D, keys, f->s, TILE, 1, f->v, a->o + at, a->q_ld, e);
}

/* Rows first..end-1 of the tile at i0 (those between which all lie that see anything) against one tile of keys, for the query heads of key-value head g. */
static void forward_tile(const struct attention *a, const struct forward_scratch *f, size_t g, size_t i0, size_t first, size_t end,
                         size_t j0, size_t keys, const uint64_t *word)
{
	size_t D = a->D, group = a->attr->H / a->attr->G, at = (i0 + first) * a->q_ld + g * group * D;
	struct extent e;

	pack_across(a->kernels, a->k, j0, g * D, keys, D, f->k);
	pack_along(a->kernels, a->v, j0, g * D, keys, D, f->v);
	if (end - first == 1) {
		for (size_t n = 0; n < group; n += TILE)
			forward_heads(a, f, at + n * D, MIN(TILE, group - n), keys, word[first], f->m + n * TILE + first, f->l + n * TILE + first);
		return;
	}
	extent_of_rows(a->kernels, word + first, end - first, &e);
	for (size_t n = 0; n < group; n++)
		forward_rows(a, f, at + n * D, end - first, keys, word + first, &e, f->m + n * TILE + first, f->l + n * TILE + first);
}

static void forward_item(void *ctx, size_t item, int thread)
{
	const struct attention *a = ctx;
	size_t G = a->attr->G, group = a->attr->H / G, g = item % G;
	size_t tiles = (a->N + TILE - 1) / TILE, i0 = (tiles - 1 - item / G) * TILE; /* the last rows see most: they begin */
	size_t i1 = MIN(i0 + TILE, a->N), keys = (size_t)a->b->key[i1 - 1] + 1;
	struct forward_scratch f;
	uint64_t word[TILE] = { 0 };

	forward_scratch_at(&f, run_scratch(a->r, thread), a->attr, a->kernels);
	for (size_t n = 0; n < group * TILE; n++) {
		f.m[n] = NO_SCORE;
		f.l[n] = 0;
	}
	for (size_t i = i0; i < i1; i++)
		memset(a->o + i * a->q_ld + g * group * a->D, 0, group * a->D * sizeof(float));
	for (size_t j0 = 0; j0 < keys; j0 += TILE) {
		size_t j1 = MIN(j0 + TILE, keys), first = 0, end = i1 - i0;
		if (tile_sight(a->b, i0, i1, j0, j1, word) == SIGHT_NONE)
			continue;
		for (; first < end && !word[first]; first++)
			;
		for (; end > first && !word[end - 1]; end--)
			;
		if (first < end)
			forward_tile(a, &f, g, i0, first, end, j0, j1 - j0, word);
	}
	for (size_t n = 0; n < group; n++)
		finish_rows(a, g * group + n, i0, i1, f.m + n * TILE, f.l + n * TILE);
}

static struct rows stored_rows(const struct run *r, uint32_t id)
{
	const struct tensor *x = run_tensor(r, id);
	return (struct rows){ x->dtype, r->data[id], tensor_row_bytes(x) };
}

static struct attention attention_of(const struct run *r, const struct node *n)
{
	const struct attention_attr *attr = n->attr;
	const struct batch *b = r->batch;
	struct attention a = { .kernels = r->kernels, .b = b, .attr = attr, .r = r, .N = (size_t)b->n_rows, .D = attr->D };

	a.q_ld = attr->H * attr->D;
	a.kv_ld = attr->G * attr->D;
	a.q = run_f32(r, n->in[0]);
	a.k = stored_rows(r, n->in[1]);
	a.v = stored_rows(r, n->in[2]);
	if ((size_t)b->n_keys > run_tensor(r, n->in[1])->dim[0])
		BUG("%d keys, %s has %zu", b->n_keys, run_tensor(r, n->in[1])->name, run_tensor(r, n->in[1])->dim[0]);
	if (a.N && (b->key[0] < 0 || b->key[a.N - 1] >= b->n_keys))
		BUG("rows have keys %d to %d of %d", b->key[0], b->key[a.N - 1], b->n_keys);
	return a;
}

static void attention_forward(struct run *r, const struct node *n)
{
	struct attention a = attention_of(r, n);
	a.o = run_f32(r, n->out[0]);
	a.lse = run_f32(r, n->out[1]);
	pool_run(r->pool, (a.N + TILE - 1) / TILE * a.attr->G, forward_item, &a);
}

static void attention_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct attention_attr *a = n->attr;
	const struct tensor *k = tape_tensor(t, n->in[1]), *v = tape_tensor(t, n->in[2]);

	*flops = 4 * live->visible * (double)(a->H * a->D);
	*bytes = 8 * live->rows * (double)((a->H + a->G) * a->D);
	if (k->role == ROLE_STATE) /* rows of a tile share what they read of a cache */
		*bytes += live->visible / fmin(fmax(live->rows, 1), TILE) * (double)(tensor_row_bytes(k) + tensor_row_bytes(v));
}

/* --- backward --- */

struct backward_scratch {
	float *k_across, *v_across, *k_along, *q_along, *do_along; /* panels */
	float *p, *ds;              /* [TILE][TILE] */
	float *delta;               /* [N] */
};

static size_t backward_scratch_at(struct backward_scratch *f, char *base, const struct attention_attr *a,
                                  const struct kernels *k, size_t N)
{
	size_t panel = panel_floats(k, a->D), at = 0;
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

static struct head_grad head_grad(const struct attention *a, float *partial, float *d, size_t h)
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
static void backward_tile(const struct attention *a, const struct backward_scratch *f, size_t h, size_t i0, size_t rows,
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
	k->soften_back(rows, f->p, word, a->attr->scale, a->lse + i0 * a->attr->H + h, a->attr->H, down ? f->ds : NULL, f->delta + i0);
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

static void pack_keys(const struct attention *a, const struct backward_scratch *f, size_t h, size_t j0, size_t keys)
{
	const struct kernels *k = a->kernels;
	size_t D = a->D, c = h / (a->attr->H / a->attr->G) * D;

	pack_across(k, a->k, j0, c, keys, D, f->k_across);
	if (a->dq)
		pack_along(k, a->k, j0, c, keys, D, f->k_along);
	if (a->dq || a->dk)
		pack_across(k, a->v, j0, c, keys, D, f->v_across);
}

/* One tree, one query head. */
static void backward_item(void *ctx, size_t item, int thread)
{
	const struct attention *a = ctx;
	size_t H = a->attr->H, D = a->D, h = item % H;
	size_t begin = (size_t)a->b->tree[item / H], end = (size_t)a->b->tree[item / H + 1];
	struct head_grad dk = head_grad(a, a->partial_k, a->dk, h), dv = head_grad(a, a->partial_v, a->dv, h);
	struct backward_scratch f;
	uint64_t word[TILE] = { 0 };

	backward_scratch_at(&f, run_scratch(a->r, thread), a->attr, a->kernels, (size_t)a->r->plan->cap.rows);
	for (size_t i = begin; i < end; i++)
		f.delta[i] = a->kernels->dot(a->d_o + i * a->q_ld + h * D, a->out + i * a->q_ld + h * D, D);
	if (a->dq && !a->attr->add_q)
		zero_rows(a->dq + h * D, a->q_ld, begin, end, D);
	if (dk.x && (a->partial_k || !a->attr->add_k))
		zero_rows(dk.x, dk.ld, begin, end, D);
	if (dv.x && (a->partial_v || !a->attr->add_v))
		zero_rows(dv.x, dv.ld, begin, end, D);
	for (size_t j0 = begin; j0 < end; j0 += TILE) {
		size_t j1 = MIN(j0 + TILE, end);
		pack_keys(a, &f, h, j0, j1 - j0);
		for (size_t i0 = j0; i0 < end; i0 += TILE) {
			size_t i1 = MIN(i0 + TILE, end);
			if (tile_sight(a->b, i0, i1, j0, j1, word) != SIGHT_NONE)
				backward_tile(a, &f, h, i0, i1 - i0, j0, j1 - j0, word, dk, dv);
		}
	}
}

/* d[i][g] (+)= Σ over the heads of group g, in order. */
static void sum_heads(const struct attention *a, const float *partial, float *d, bool accumulate, size_t i, size_t g)
{
	size_t D = a->D, group = a->attr->H / a->attr->G;
	float *y = d + i * a->kv_ld + g * D;

	for (size_t h = g * group; h < (g + 1) * group; h++, accumulate = true) {
		const float *x = partial + h * a->partial_head + i * D;
		if (accumulate)
			a->kernels->add(y, y, x, D);
		else
			memcpy(y, x, D * sizeof(float));
	}
}

static void sum_item(void *ctx, size_t item, int thread)
{
	const struct attention *a = ctx;
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
	struct attention a = attention_of(r, n);

	if (a.b->n_keys != a.b->n_rows || (a.N && (size_t)a.b->key[a.N - 1] != a.N - 1))
		BUG("the gradient of attention wants the batch's own rows as keys: %d rows, %d keys", a.b->n_rows, a.b->n_keys);
	a.out = run_f32(r, n->in[3]);
	a.lse = run_f32(r, n->in[4]);
	a.d_o = run_f32(r, n->in[5]);
	a.dq = run_f32(r, n->out[0]);
	a.dk = run_f32(r, n->out[1]);
	a.dv = run_f32(r, n->out[2]);
	if (n->out[3]) {
		a.partial_head = (size_t)r->plan->cap.rows * a.D;
		a.partial_k = run_f32(r, n->out[3]);
		a.partial_v = a.partial_k + (a.dk ? a.attr->H * a.partial_head : 0);
	}
	pool_run(r->pool, (size_t)a.b->n_trees * a.attr->H, backward_item, &a);
	if (n->out[3])
		pool_run(r->pool, (a.N + SUM_ROWS - 1) / SUM_ROWS, sum_item, &a);
}

static void attention_back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct attention_attr *a = n->attr;
	bool dq = n->out[0], dk = n->out[1], dv = n->out[2];
	double products = 1 + (dq || dk) + dq + dk + dv;
	(void)t;
	*flops = 2 * products * live->visible * (double)(a->H * a->D);
	*bytes = 4 * live->rows * (double)((4 * a->H + 4 * a->G) * a->D);
}

static const struct op attention_back = {
	.name = "attention_back", .cost = attention_back_cost, .forward = attention_back_forward, .scratch = attention_back_scratch,
};

static void attention_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct attention_attr attr = *(const struct attention_attr *)n.attr;
	uint32_t in[6] = { n.in[0], n.in[1], n.in[2], n.out[0], n.out[1], tape_grad(t, n.out[0]) }, out[4] = { 0 };
	bool *add[3] = { &attr.add_q, &attr.add_k, &attr.add_v };

	for (int j = 0; j < 3; j++)
		if (tape_wants(t, n.in[j]))
			out[j] = tape_grad_target(t, n.in[j], add[j]);
	size_t sums = attr.H == attr.G ? 0 : (out[1] != TENSOR_NONE) + (size_t)(out[2] != TENSOR_NONE);
	if (sums)
		out[3] = tape_scratch(t, &made, 3, "head_sums", sums * attr.H * (size_t)t->cap.rows * attr.D);
	tape_emit(t, &attention_back, in, 6, out, 4, &attr, sizeof(attr));
}

static uint32_t attention_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N, H, G; size_t D; } cases[] = {
		{ 1, 1, 1, 2 }, { 13, 2, 2, 6 }, { 31, 4, 2, 8 }, { 70, 3, 1, 4 },
	};
	size_t N = (size_t)cases[i].N, H = (size_t)cases[i].H, G = (size_t)cases[i].G, D = cases[i].D;

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t q = tape_param(t, "q", 2, (size_t[]){ N, H * D });
	uint32_t k = tape_param(t, "k", 2, (size_t[]){ N, G * D });
	uint32_t v = tape_param(t, "v", 2, (size_t[]){ N, G * D });
	return op_attention(t, q, k, v, cases[i].H, cases[i].G, 1.0F / sqrtf((float)D));
}

const struct op op_row_attention = {
	.name = "attention", .shape = attention_shape, .cost = attention_cost, .forward = attention_forward,
	.backward = attention_backward, .saves = 1 | 2 | 4 | 1 << 8 | 1 << 9, .scratch = attention_scratch, .sample = attention_sample, .sample_count = 4,
};

uint32_t op_attention(struct tape *t, uint32_t q, uint32_t k, uint32_t v, int H, int G, float scale)
{
	struct attention_attr attr = { .H = H > 0 ? (size_t)H : 0, .G = G > 0 ? (size_t)G : 0, .scale = scale };
	if (q != TENSOR_NONE && H > 0)
		attr.D = tape_tensor(t, q)->dim[1] / (size_t)H;
	return tape_record(t, &op_row_attention, (uint32_t[]){ q, k, v }, 3, &attr, sizeof(attr));
}
