/* attention: softmax(scale·Q·Kᵀ + mask)·V for H query heads on G key-value heads, over the forest of op/batch.h.
 *
 *     q, o (N, H·D)      k, v: this batch's rows (N, G·D), with a past's before them (op_past_keys.c), or a session's
 *                        cache (op/kv_cache.h)
 *     lse (N,H), where a gradient is needed
 *
 *     s_ij = scale·q_i·k_j, or cap·tanh(scale·q_i·k_j/cap)
 *     P_ij = exp(s_ij − lse_i) where i sees j, else 0      o_i = Σ_j P_ij·v_j
 *
 * A head may have a sink (Xiao et al. 2023; gpt-oss): a score b that is in the softmax and has no value, so that a
 * row's P sum up to 1 − exp(b − lse_i), lse_i with it. It comes in where all keys have been summed up.
 *
 * The mask is an attribute of the node, so layers may differ. Row i sees key j
 *
 *     causal      where j ≤ key_i < vis_end_j: what lies before it on its document's path
 *     both ways   where vis_from_j ≤ key_i < vis_end_j: all of its document, which must share nothing with others and
 *                 lie in the batch itself (a cache has no rows that are to come)
 *     a window W  where besides |pos_i − key_pos_j| < W, counted in the document, whatever branches lie between
 *
 * Online softmax (Milakov & Gimelshein 2018; Dao et al. 2022) over tiles of 64 rows × 64 keys: with m the
 * largest score so far, l = Σ exp(s − m), and o and l are rescaled when m grows. At the end o /= l and lse = m + log
 * l. The mask of a tile is one 64-bit word a row; tiles that nobody sees are skipped, tiles that everybody
 * sees need none. Key tiles begin at multiples of 64 keys and are always 64 scores wide.
 *
 * Keys go by ranges of KV_RANGE, at multiples of it. A range begins anew, with m, l and o of its own, which are then
 * folded into those of the ranges before:
 *
 *     m = max(m_a, m_b)      l = l_a·exp(m_a − m) + l_b·exp(m_b − m)
 *     o = o_a·exp(m_a − m) + o_b·exp(m_b − m)
 *
 * So a row's bits depend neither on the rows beside it nor on who computes its ranges: token by token equals all at
 * once. Where there are many rows, a work item is a tile of rows with one key-value head, whose H/G query heads share
 * the packed keys, the packed values and the mask; it goes through the ranges. Where all rows are one tile, as in
 * decoding, an item is one range with one key-value head (Dao et al. 2023 call it flash-decoding), and the folding
 * comes afterwards. A row or two are multiplied with a cache as it is stored, the query heads of a group together:
 * nothing is packed.
 *
 * FLOPs are counted for visible (row, key) pairs only: 2·D a product and head, 2 products forward, up to 5 backward
 * (attention_back.c). */
#include "op/attention.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/vecmath.h"
#include "op/batch_sample.h"
#include "op/kv_cache.h"
#include "op/ops.h"
#include "op/run.h"

enum {
	/* a row's share of a range, beyond one for each range: what a few rows with a long context take */
	EXTRA_PARTS = 512,
	RANGE_TILES = KV_RANGE / TILE,
	LONE_ROWS = 2,              /* up to which rows are multiplied without packing */
	CACHE_LINE = 64,
	ITEM_HEADS = 64,            /* rows' heads that one item folds */
	CAP_FLOPS = 16,             /* a score's tanh */
};

#define NO_SCORE (-1e30F) /* the largest score of a row before its first */

/* What cells leave until it is folded: where one row saw one range. */
struct cell { uint32_t range, part, first, end; };    /* rows first … end−1 of the tile have parts part … */
struct parts {
	struct cell *cells;         /* [ranges] */
	double *l;                  /* [parts][H] */
	float *m;                   /* [parts][H] */
	float *o;                   /* [parts][H·D] */
	size_t n_cells, limit;
};

struct attention {
	const struct kernels *kernels;
	const struct batch *b;
	const struct attention_attr *attr;
	const struct run *r;
	size_t N, D, q_ld;
	const float *q;
	struct rows k, v;
	bool cached;
	const int32_t *place;       /* of ranges of keys, in the cache */
	const float *sinks;         /* [H] or NULL */
	float *o, *lse;             /* lse: NULL where nobody wants it */
	struct parts parts;
};

static bool is_cache(const struct tensor *x) { return x->role == ROLE_STATE; }

static size_t width_of(const struct tensor *x, const struct attention_attr *a)
{
	return is_cache(x) ? kv_width(x->dtype, a->G, a->D) : a->G * a->D;
}

/* Returns how many floats that is. */
static size_t parts_at(struct parts *p, float *base, const struct attention_attr *a, size_t ranges, size_t limit)
{
	size_t cells = ranges * sizeof(struct cell) / sizeof(float), l = limit * a->H * sizeof(double) / sizeof(float),
	       m = limit * a->H;

	if (p)
		*p = (struct parts){ .cells = (struct cell *)(void *)base,
			             .l = (double *)(void *)(base + cells),
			             .m = base + cells + l,
			             .o = base + cells + l + m,
			             .limit = limit };
	return cells + l + m + limit * a->H * a->D;
}

/* How many parts there is room for: one range is not folded with another. */
static size_t parts_limit(size_t ranges) { return ranges > 1 ? ranges + EXTRA_PARTS : 0; }

static int attention_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *q = tape_tensor(t, n->in[0]), *k = tape_tensor(t, n->in[1]), *v = tape_tensor(t, n->in[2]);
	const struct attention_attr *a = n->attr;
	bool gradient = tape_wants(t, n->in[0]) || tape_wants(t, n->in[1]) || tape_wants(t, n->in[2]) ||
	                tape_wants(t, n->in[3]);

	if (q->n_dims != 2 || k->n_dims != 2 || v->n_dims != 2)
		return err_set(e, "%s, %s and %s must be matrices", q->name, k->name, v->name);
	if (a->H < 1 || a->G < 1 || a->H % a->G || q->dim[1] % a->H || a->D % 2)
		return err_set(e, "%s has rows of %zu, %zu query heads on %zu key-value heads do not fit it", q->name,
		               q->dim[1], a->H, a->G);
	if (k->dim[1] != width_of(k, a) || v->dim[1] != width_of(v, a) || k->dim[0] != v->dim[0])
		return err_set(e, "%s and %s must have rows of %zu heads of %zu, they have %zu and %zu", k->name,
		               v->name, a->G, a->D, k->dim[1], v->dim[1]);
	if (n->in[3] && tensor_count(tape_tensor(t, n->in[3])) != a->H)
		return err_set(e, "%s has %zu numbers, a sink for each of %zu heads is wanted",
		               tape_tensor(t, n->in[3])->name, tensor_count(tape_tensor(t, n->in[3])), a->H);
	if (a->window < 0 || !(a->cap >= 0))
		return err_set(e, "a window of %d keys and a cap of %g; above 0 is wanted, or none", a->window,
		               (double)a->cap);
	if (a->both_ways && (is_cache(k) || is_cache(v)))
		return err_set(e, "%s is a cache, which has nothing of the rows that are to come", k->name);
	if (gradient && (k->role == ROLE_STATE || v->role == ROLE_STATE))
		return err_set(e, "%s is a cache, which passes no gradient back", k->name);
	struct tensor like = *q;
	tape_output(t, n, 0, "attention", like.axis, 2, like.dim);
	if (gradient)
		tape_output(t, n, 1, "lse", like.axis, 2, (size_t[]){ like.dim[0], a->H });
	if (is_cache(k) != is_cache(v) || (is_cache(k) && k->dim[0] % KV_RANGE))
		return err_set(e, "%s and %s are to be ranges of %d keys both, or neither", k->name, v->name, KV_RANGE);
	if (is_cache(k)) {
		size_t ranges = k->dim[0] / KV_RANGE;
		tape_scratch(t, n, 2, "ranges", parts_at(NULL, NULL, a, ranges, parts_limit(ranges)));
	}
	return 0;
}

/* Where one thread's scratch has what. */
struct forward_scratch {
	float *k, *v, *s;           /* panels; scores [TILE][TILE] */
	float *o;                   /* [TILE][H/G·D], of a range */
	float *m[2];                /* [H/G][TILE] largest score so far: of all ranges, of one */
	double *l[2];               /* [H/G][TILE] */
};

static size_t forward_scratch_at(struct forward_scratch *f, char *base, const struct attention_attr *a,
                                 const struct kernels *k)
{
	size_t panel = panel_size(k, a->D), group = a->H / a->G, rows = group * TILE, at = 0;
	float *x = (float *)(void *)base, **floats[] = { &f->k, &f->v, &f->s, &f->o, &f->m[0], &f->m[1] };
	size_t sizes[] = { panel, panel, TILE * TILE, rows * a->D, rows, rows };

	for (size_t i = 0; i < ARRAY_LEN(floats); at += sizes[i++])
		*floats[i] = x + at;
	at += at % 2;
	f->l[0] = (double *)(void *)(x + at);
	f->l[1] = f->l[0] + rows;
	return (at + 4 * rows) * sizeof(float);
}

static size_t attention_scratch(const struct tape *t, const struct node *n, const struct kernels *k)
{
	static char origin[64]; /* only its address, to measure */
	struct forward_scratch f;
	(void)t;
	return forward_scratch_at(&f, origin, n->attr, k);
}

/* --- one tile of keys --- */

/* Rows of a tile, one key-value head: what is summed up of their H/G query heads. */
/* row i, head n of the group: o[i·ld + n·D], m[n·TILE + i] */
struct sums { float *o; size_t ld; float *m; double *l; };

static size_t bits_from(uint64_t word) { return word ? (size_t)__builtin_ctzll(word) : 0; }
static size_t bits_to(uint64_t word) { return word ? 64 - (size_t)__builtin_clzll(word) : 0; }

/* A head's part of the cache that begins at key j. */
static struct rows cached_rows(const struct attention *a, struct rows x, size_t j, size_t g)
{
	size_t at = kv_at(kv_place(a->place, j), g, a->attr->G, x.bytes);
	return (struct rows){ x.dtype, x.data + at, x.bytes / a->attr->G };
}

/* Panels of keys from a cache's panels; of a head that ends within 32 numbers, which only plain types have, the last
 * are taken one by one. */
static void pack_cached_keys(const struct attention *a, struct rows k, size_t n, float *out)
{
	size_t nr = (size_t)a->kernels->nr, D = a->D,
	       whole = panel_plain_bytes(k.dtype) ? D / PANEL_BLOCK * PANEL_BLOCK : D, bytes = PANEL_ROWS * k.bytes;
	size_t line = PANEL_ROWS * panel_plain_bytes(k.dtype);

	for (size_t j = 0; j < n; j += nr, out += D * nr) {
		a->kernels->pack_panels(k.dtype, k.data + j / PANEL_ROWS * bytes, bytes, MIN(nr, n - j), 0, whole, out);
		for (size_t d = whole; d < D; d++)
			for (size_t p = 0; p < nr; p += PANEL_ROWS)
				dtypes[k.dtype].to_float(k.data + (j + p) / PANEL_ROWS * bytes + d * line,
				                         out + d * nr + p, PANEL_ROWS);
	}
}

static void pack_tile(const struct attention *a, const struct forward_scratch *f, size_t g, size_t j0, size_t keys)
{
	size_t D = a->D;

	if (a->cached) {
		pack_cached_keys(a, cached_rows(a, a->k, j0, g), keys, f->k);
		pack_along(a->kernels, cached_rows(a, a->v, j0, g), 0, 0, keys, D, f->v);
		return;
	}
	pack_across(a->kernels, a->k, j0, g * D, keys, D, f->k);
	pack_along(a->kernels, a->v, j0, g * D, keys, D, f->v);
}

/* One query head's rows, the first of them at q. */
static void packed_rows(const struct attention *a, const struct forward_scratch *f, const float *q, size_t rows,
                        size_t keys, const uint64_t *word, const struct extent *e, float *o, size_t ld, float *m,
                        double *l)
{
	const struct kernels *k = a->kernels;

	product_scores(k, rows, a->D, q, a->q_ld, f->k, f->s, e);
	k->soften(rows, f->s, word, a->attr->scale, a->attr->cap, m, l, o, ld, a->D);
	product_add(k, rows, a->D, keys, f->s, TILE, 1, f->v, o, ld, e);
}

/* The same where they are one row: heads are the rows of a product. */
static void packed_heads(const struct attention *a, const struct forward_scratch *f, const float *q, size_t heads,
                         size_t keys, uint64_t word, float *o, float *m, double *l)
{
	float most[TILE];
	double sum[TILE];
	uint64_t words[TILE];
	struct extent e;

	for (size_t n = 0; n < heads; n++) {
		words[n] = word;
		most[n] = m[n * TILE];
		sum[n] = l[n * TILE];
	}
	extent_of_rows(a->kernels, words, heads, &e);
	product_scores(a->kernels, heads, a->D, q, a->D, f->k, f->s, &e);
	a->kernels->soften(heads, f->s, words, a->attr->scale, a->attr->cap, most, sum, o, a->D, a->D);
	product_add(a->kernels, heads, a->D, keys, f->s, TILE, 1, f->v, o, a->D, &e);
	for (size_t n = 0; n < heads; n++) {
		m[n * TILE] = most[n];
		l[n * TILE] = sum[n];
	}
}

/* Rows i0 … of which those numbered first … end−1 see anything of a tile of keys, for the query heads of
 * key-value head g. */
static void forward_tile(const struct attention *a, const struct forward_scratch *f, size_t g, size_t i0, size_t first,
                         size_t end, size_t j0, size_t keys, const uint64_t *word, const struct sums *to)
{
	size_t D = a->D, group = a->attr->H / a->attr->G, rows = end - first;
	const float *q = a->q + (i0 + first) * a->q_ld + g * group * D;
	float *o = to->o + first * to->ld, *m = to->m + first;
	double *l = to->l + first;
	struct extent e;

	pack_tile(a, f, g, j0, keys);
	if (rows == 1) {
		for (size_t n = 0; n < group; n += TILE)
			packed_heads(a, f, q + n * D, MIN((size_t)TILE, group - n), keys, word[first], o + n * D,
			             m + n * TILE, l + n * TILE);
		return;
	}
	extent_of_rows(a->kernels, word + first, rows, &e);
	for (size_t n = 0; n < group; n++)
		packed_rows(a, f, q + n * D, rows, keys, word + first, &e, o + n * D, to->ld, m + n * TILE,
		            l + n * TILE);
}

/* --- a range of keys --- */

static void sums_begin(const struct attention *a, const struct sums *x, size_t first, size_t end)
{
	size_t group = a->attr->H / a->attr->G;

	for (size_t i = first; i < end; i++) {
		memset(x->o + i * x->ld, 0, group * a->D * sizeof(float));
		for (size_t n = 0; n < group; n++) {
			x->m[n * TILE + i] = NO_SCORE;
			x->l[n * TILE + i] = 0;
		}
	}
}

/* Two panels side by side are short streams, which the processor's own reading ahead does not learn: it is asked to. */
static void ask_for(struct rows x, size_t n)
{
	for (size_t at = 0; at < n * x.bytes; at += CACHE_LINE)
		__builtin_prefetch(x.data + at);
}

/* One row's query heads, at most KERNEL_FEW, which follow each other at q, with one head of a range of the cache as it
 * is stored: k and v begin with its first key. First all keys are read, then all values: two long streams. */
static void lone_heads(const struct attention *a, float *s, struct rows k, struct rows v, const float *q, size_t heads,
                       const uint64_t word[RANGE_TILES], float *o, float *m, double *l)
{
	const struct kernels *kernel = a->kernels;
	float most[KERNEL_FEW];
	double sum[KERNEL_FEW];

	for (size_t n = 0; n < heads; n++) {
		most[n] = m[n * TILE];
		sum[n] = l[n * TILE];
	}
	for (size_t t = 0; t < RANGE_TILES; t++) {
		bool more = t + 1 < RANGE_TILES && word[t + 1];
		if (!word[t])
			continue;
		ask_for(more ? (struct rows){ k.dtype, k.data + (t + 1) * TILE * k.bytes, k.bytes } : v,
		        bits_to(word[more ? t + 1 : 0]));
		kernel->panel_rows(k.dtype, heads, bits_to(word[t]), a->D, q, a->D, k.data + t * TILE * k.bytes,
		                   PANEL_ROWS * k.bytes, s + t * KERNEL_FEW * TILE, TILE);
	}
	for (size_t t = 0; t < RANGE_TILES; t++, s += KERNEL_FEW * TILE) {
		uint64_t words[KERNEL_FEW] = { word[t], word[t], word[t] };
		size_t from = bits_from(word[t]), at = t * TILE + from;
		if (!word[t])
			continue;
		kernel->soften(heads, s, words, a->attr->scale, a->attr->cap, most, sum, o, a->D, a->D);
		kernel->few_sums(v.dtype, heads, a->D, bits_to(word[t]) - from, s + from, TILE, v.data + at * v.bytes,
		                 v.bytes, o, a->D);
	}
	for (size_t n = 0; n < heads; n++) {
		m[n * TILE] = most[n];
		l[n * TILE] = sum[n];
	}
}

/* Row i, the first of `to`, with keys j0 … j1−1. */
static bool lone_range(const struct attention *a, const struct forward_scratch *f, size_t g, size_t i, size_t j0,
                       size_t j1, const struct sums *to)
{
	size_t D = a->D, group = a->attr->H / a->attr->G;
	uint64_t word[RANGE_TILES] = { 0 }, seen[TILE];
	bool any = false;

	for (size_t j = j0; j < j1; j += TILE)
		if (tile_mask(a->attr, a->b, i, i + 1, j, MIN(j + TILE, j1), seen) != MASK_NONE)
			any |= (word[(j - j0) / TILE] = seen[0]) != 0;
	if (!any)
		return false;
	struct rows k = cached_rows(a, a->k, j0, g), v = cached_rows(a, a->v, j0, g);
	sums_begin(a, to, 0, 1);
	for (size_t n = 0; n < group; n += KERNEL_FEW)
		lone_heads(a, f->s, k, v, a->q + i * a->q_ld + (g * group + n) * D, MIN((size_t)KERNEL_FEW, group - n),
		           word, to->o + n * D, to->m + n * TILE, to->l + n * TILE);
	return true;
}

/* Are so few rows multiplied with the cache as it is stored? */
static bool is_lone(const struct attention *a, size_t rows)
{
	return a->cached && rows <= LONE_ROWS && a->attr->H / a->attr->G <= 2 * KERNEL_FEW && a->D % PANEL_BLOCK == 0;
}

/* Rows i0 … i1−1 with keys j0 … j1−1 of one range. Returns whether any was seen: else nothing was touched. */
static bool forward_range(const struct attention *a, const struct forward_scratch *f, size_t g, size_t i0, size_t i1,
                          size_t j0, size_t j1, const struct sums *to)
{
	uint64_t word[TILE] = { 0 };
	bool begun = false;

	for (size_t j = j0; j < j1; j += TILE) {
		size_t last = MIN(j + TILE, j1), first = 0, end = i1 - i0;
		if (tile_mask(a->attr, a->b, i0, i1, j, last, word) == MASK_NONE)
			continue;
		for (; first < end && !word[first]; first++)
			;
		for (; end > first && !word[end - 1]; end--)
			;
		if (first == end)
			continue;
		if (!begun)
			sums_begin(a, to, 0, i1 - i0);
		begun = true;
		forward_tile(a, f, g, i0, first, end, j, last - j, word, to);
	}
	return begun;
}

/* The same, or as lone rows; one that sees nothing stays without a score. */
static bool rows_range(const struct attention *a, const struct forward_scratch *f, size_t g, size_t i0, size_t i1,
                       size_t j0, size_t j1, const struct sums *to)
{
	bool any = false;

	if (!is_lone(a, i1 - i0))
		return forward_range(a, f, g, i0, i1, j0, j1, to);
	for (size_t i = 0; i < i1 - i0; i++) {
		struct sums row = { to->o + i * to->ld, to->ld, to->m + i, to->l + i };
		bool seen = lone_range(a, f, g, i0 + i, j0, j1, &row);
		if (!seen)
			sums_begin(a, &row, 0, 1);
		any |= seen;
	}
	return any;
}

/* One row's head of a range, into that of the ranges before. A range that it does not see leaves no trace, the first
 * one stays as it is. */
static void fold(const struct kernels *k, size_t D, float *o, float *m, double *l, const float *o_range, float m_range,
                 double l_range)
{
	if (l_range == 0 && m_range == NO_SCORE)
		return;
	if (*l == 0 && *m == NO_SCORE) {
		memcpy(o, o_range, D * sizeof(*o));
		*m = m_range;
		*l = l_range;
		return;
	}
	if (m_range > *m) {
		float shrink = vec_expf(*m - m_range);
		k->scale(o, o, shrink, D);
		k->add(o, o, o_range, D);
		*l = *l * (double)shrink + l_range;
		*m = m_range;
		return;
	}
	float by = vec_expf(m_range - *m);
	k->axpy(o, by, o_range, D);
	*l += l_range * (double)by;
}

/* A sink of score b beside what is summed up: it may be the largest. */
static void add_sink(const struct attention *a, float *o, float *m, double *l, float b)
{
	if (b > *m) {
		float shrink = vec_expf(*m - b);
		a->kernels->scale(o, o, shrink, a->D);
		*l = *l * (double)shrink + 1;
		*m = b;
		return;
	}
	*l += (double)vec_expf(b - *m);
}

/* o = O/l and lse = m + log l of head h of row i. Scores that overflowed, and NaN, go through: the loss will show
 * it. */
static void finish(const struct attention *a, size_t i, size_t h, float m, double l)
{
	float *o = a->o + i * a->q_ld + h * a->D;

	if (a->sinks)
		add_sink(a, o, &m, &l, a->sinks[h]);
	a->kernels->scale(o, o, (float)(1 / l), a->D);
	if (a->lse)
		a->lse[i * a->attr->H + h] = (float)((double)m + log(l));
}

/* --- many rows: an item goes through all ranges --- */

/* After the last key that rows before i1 see. */
static size_t keys_of(const struct attention *a, size_t i1)
{
	int32_t key = a->b->key[i1 - 1];

	return (size_t)(a->attr->both_ways ? a->b->vis_end[key] : key + 1);
}

static void forward_item(void *ctx, size_t item, int thread)
{
	const struct attention *a = ctx;
	size_t G = a->attr->G, group = a->attr->H / G, g = item % G, D = a->D;
	/* the last rows see most: they begin */
	size_t tiles = (a->N + TILE - 1) / TILE, i0 = (tiles - 1 - item / G) * TILE;
	size_t i1 = MIN(i0 + TILE, a->N), keys = keys_of(a, i1);
	struct forward_scratch f;
	bool begun = false;

	forward_scratch_at(&f, run_scratch(a->r, thread), a->attr, a->kernels);
	struct sums all = { a->o + i0 * a->q_ld + g * group * D, a->q_ld, f.m[0], f.l[0] },
		    one = { f.o, group * D, f.m[1], f.l[1] };
	for (size_t j = 0; j < keys; j += KV_RANGE) {
		bool seen = rows_range(a, &f, g, i0, i1, j, MIN(j + KV_RANGE, keys), begun ? &one : &all);
		for (size_t n = 0; begun && seen && n < group; n++)
			for (size_t i = 0; i < i1 - i0; i++)
				fold(a->kernels, D, all.o + i * all.ld + n * D, &all.m[n * TILE + i],
				     &all.l[n * TILE + i], one.o + i * one.ld + n * D, one.m[n * TILE + i],
				     one.l[n * TILE + i]);
		begun |= seen;
	}
	if (!begun)
		BUG("rows from %zu see no key", i0);
	for (size_t n = 0; n < group; n++)
		for (size_t i = i0; i < i1; i++)
			finish(a, i, g * group + n, f.m[0][n * TILE + i - i0], f.l[0][n * TILE + i - i0]);
}

/* --- few rows: an item is a range, and folding comes afterwards --- */

static void cell_item(void *ctx, size_t item, int thread)
{
	const struct attention *a = ctx;
	const struct cell *c = &a->parts.cells[item / a->attr->G];
	size_t H = a->attr->H, group = H / a->attr->G, g = item % a->attr->G, j = (size_t)c->range * KV_RANGE;
	struct forward_scratch f;

	forward_scratch_at(&f, run_scratch(a->r, thread), a->attr, a->kernels);
	struct sums sums = { a->parts.o + c->part * H * a->D + g * group * a->D, H * a->D, f.m[0], f.l[0] };
	if (!rows_range(a, &f, g, c->first, c->end, j, MIN(j + KV_RANGE, (size_t)a->b->key[c->end - 1] + 1), &sums))
		BUG("rows %u to %u see nothing of range %u", c->first, c->end, c->range);
	for (size_t i = 0; i < c->end - c->first; i++)
		for (size_t n = 0; n < group; n++) {
			a->parts.m[(c->part + i) * H + g * group + n] = f.m[0][n * TILE + i];
			a->parts.l[(c->part + i) * H + g * group + n] = f.l[0][n * TILE + i];
		}
}

static void fold_head(const struct attention *a, size_t i, size_t h)
{
	const struct parts *p = &a->parts;
	float *o = a->o + i * a->q_ld + h * a->D, m = NO_SCORE;
	double l = 0;

	for (const struct cell *c = p->cells; c < p->cells + p->n_cells; c++)
		if (i >= c->first && i < c->end) {
			size_t at = (c->part + i - c->first) * a->attr->H + h;
			fold(a->kernels, a->D, o, &m, &l, p->o + at * a->D, p->m[at], p->l[at]);
		}
	finish(a, i, h, m, l);
}

static void fold_item(void *ctx, size_t item, int thread)
{
	const struct attention *a = ctx;
	size_t H = a->attr->H, end = MIN(a->N * H, (item + 1) * ITEM_HEADS);
	(void)thread;

	for (size_t i = item * ITEM_HEADS; i < end; i++)
		fold_head(a, i / H, i % H);
}

/* Which rows see anything of keys j0 … j1−1, from the first to the last. */
static struct cell seen_cell(const struct attention *a, size_t j0, size_t j1)
{
	struct cell c = { .range = (uint32_t)(j0 / KV_RANGE), .first = UINT32_MAX };
	uint64_t word[TILE];

	for (size_t j = j0; j < j1; j += TILE) {
		if (tile_mask(a->attr, a->b, 0, a->N, j, MIN(j + TILE, j1), word) == MASK_NONE)
			continue;
		for (uint32_t i = 0; i < a->N; i++)
			if (word[i]) {
				c.first = MIN(c.first, i);
				c.end = MAX(c.end, i + 1);
			}
	}
	return c;
}

/* Is there more than one range, and room for what each row makes of those that it sees? */
static bool find_cells(struct attention *a)
{
	size_t keys = (size_t)a->b->key[a->N - 1] + 1, parts = 0;
	struct parts *p = &a->parts;

	for (size_t j = 0; j < keys; j += KV_RANGE) {
		struct cell c = seen_cell(a, j, MIN(j + KV_RANGE, keys));
		if (c.first >= c.end)
			continue;
		c.part = (uint32_t)parts;
		parts += c.end - c.first;
		if (parts > p->limit)
			return false;
		p->cells[p->n_cells++] = c;
	}
	return p->n_cells > 1;
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
	const struct tensor *k = run_tensor(r, n->in[1]);
	struct attention a = { .kernels = r->kernels,
		               .b = b,
		               .attr = attr,
		               .r = r,
		               .N = (size_t)b->n_rows,
		               .D = attr->D,
		               .q_ld = attr->H * attr->D };

	a.q = run_f32(r, n->in[0]);
	a.k = stored_rows(r, n->in[1]);
	a.v = stored_rows(r, n->in[2]);
	a.cached = is_cache(k);
	a.sinks = run_f32(r, n->in[3]);
	a.o = run_f32(r, n->out[0]);
	a.lse = run_f32(r, n->out[1]);
	if (a.cached)
		a.place = batch_places(b, k->memory);
	if (a.cached)
		parts_at(&a.parts, run_f32(r, n->out[2]), attr, k->dim[0] / KV_RANGE,
		         parts_limit(k->dim[0] / KV_RANGE));
	if (a.cached ? b->n_keys > b->cap.keys || k->memory >= b->cap.memories : (size_t)b->n_keys > k->dim[0])
		BUG("%d keys, %s has %zu", b->n_keys, k->name, k->dim[0]);
	if (a.N && (b->key[0] < 0 || b->key[a.N - 1] >= b->n_keys))
		BUG("rows have keys %d to %d of %d", b->key[0], b->key[a.N - 1], b->n_keys);
	return a;
}

static void attention_forward(struct run *r, const struct node *n)
{
	struct attention a = attention_of(r, n);

	for (int32_t g = 0; a.attr->both_ways && g < r->batch->n_segments; g++)
		if (r->batch->segments[g].parent >= 0)
			BUG("attention both ways over documents that share their beginning");
	if (a.cached && a.N && a.N <= TILE && find_cells(&a)) {
		pool_run(r->pool, a.parts.n_cells * a.attr->G, cell_item, &a);
		pool_run(r->pool, (a.N * a.attr->H + ITEM_HEADS - 1) / ITEM_HEADS, fold_item, &a);
		return;
	}
	pool_run(r->pool, (a.N + TILE - 1) / TILE * a.attr->G, forward_item, &a);
}

static void attention_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                           double *bytes)
{
	const struct attention_attr *a = n->attr;
	const struct tensor *k = tape_tensor(t, n->in[1]), *v = tape_tensor(t, n->in[2]);

	double visible = live_visible(live, a->window, a->both_ways);

	*flops = 4 * visible * (double)(a->H * a->D) + (a->cap > 0 ? CAP_FLOPS * visible * (double)a->H : 0);
	*bytes = 8 * live->rows * (double)((a->H + a->G) * a->D);
	if (k->role == ROLE_STATE) /* rows of a tile share what they read of a cache */
		*bytes += visible / fmin(fmax(live->rows, 1), TILE) *
		          (double)(tensor_row_bytes(k) + tensor_row_bytes(v));
}

/* Documents that share nothing: what both ways is defined for. */
static void part_documents(struct batch *b)
{
	b->n_trees = 0;
	for (int32_t s = 0; s < b->n_segments; s++) {
		struct segment *g = &b->segments[s];
		g->parent = -1;
		g->pos0 = 0;
		g->end = g->start + g->len;
		b->tree[b->n_trees++] = g->start;
		for (int32_t i = g->start; i < g->end; i++) {
			b->pos[i] = b->key_pos[i] = i - g->start;
			b->vis_end[i] = g->end;
		}
	}
	b->tree[b->n_trees] = b->n_rows;
}

static uint32_t attention_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t D; struct attention_spec a; bool sinks; } cases[] = {
		{ 1, 2, { 1, 1 } },
		{ 13, 6, { 2, 2 } },
		{ 31, 8, { 4, 2 } },
		{ 70, 4, { 3, 1 } },
		{ 70, 4, { 2, 1, .window = 5 } },
		{ 40, 6, { 2, 2, .cap = 1.5F } },
		{ 90, 4, { 2, 1, .both_ways = true } },
		{ 90, 4, { 2, 1, .both_ways = true, .window = 3, .cap = 2 } },
		{ 70, 4, { 4, 2 }, true },
		{ 33, 6, { 2, 2, .window = 4 }, true },
	};
	struct attention_spec a = cases[i].a;
	size_t N = (size_t)cases[i].N, D = cases[i].D, kv = (size_t)a.G * D;

	batch_sample(b, rng, cases[i].N, 50);
	if (a.both_ways)
		part_documents(b);
	a.scale = 1.0F / sqrtf((float)D);
	uint32_t q = tape_param(t, "q", 2, (size_t[]){ N, (size_t)a.H * D });
	uint32_t k = tape_param(t, "k", 2, (size_t[]){ N, kv });
	uint32_t v = tape_param(t, "v", 2, (size_t[]){ N, kv });
	if (cases[i].sinks)
		a.sinks = tape_param(t, "sinks", 1, (size_t[]){ (size_t)a.H });
	return op_attention(t, q, k, v, a);
}

const struct op op_row_attention = {
	.name = "attention",
	.shape = attention_shape,
	.cost = attention_cost,
	.forward = attention_forward,
	.backward = attention_backward,
	.saves = 1 | 2 | 4 | SAVES_OUT(0) | SAVES_OUT(1),
	.exact = SAVES_OUT(1),
	.scratch = attention_scratch,
	.sample = attention_sample,
	.sample_count = 10,
};

uint32_t op_attention(struct tape *t, uint32_t q, uint32_t k, uint32_t v, struct attention_spec a)
{
	struct attention_attr attr = { .H = a.H > 0 ? (size_t)a.H : 0,
		                       .G = a.G > 0 ? (size_t)a.G : 0,
		                       .scale = a.scale,
		                       .cap = a.cap,
		                       .window = a.window,
		                       .both_ways = a.both_ways };

	if (q != TENSOR_NONE && a.H > 0)
		attr.D = tape_tensor(t, q)->dim[1] / (size_t)a.H;
	return tape_record(t, &op_row_attention, (uint32_t[]){ q, k, v, a.sinks }, 4, &attr, sizeof(attr));
}
