/* gemm: matrix products as items, panels and micro-tiles.
 *
 * C is cut into items of whole micro-tiles: at most ROWS × COLUMNS, and so that few threads, or many, finish together
 * (cut_make). An item walks K in slices; for each slice and each of its column panels it packs (dequantizes) the panel
 * into scratch, then runs all its row strips over it while the panel is in the nearest caches:
 *
 *     for slice of K: for panel of the item: pack B[slice, panel]; for strip: tile(A[strip, slice], panel)
 *
 * A panel that lies ready (F32 in panels of 16 rows) is not packed but read where it is.
 *
 * Partial sums between slices wait in C itself, or in scratch where C's old contents are still needed. The chain over k
 * goes through them unbroken (a tile starts from the stored sum), so neither slices nor items show in the result.
 * Epilogue: ((Σ + bias) + residual) + what C held.
 *
 * A is read in place through its strides: packing it first was slower in nearly every measurement, with either
 * instruction set. The exception is A transposed (dW = dyᵀ·x) where strips are short (several share a line) or where
 * steps of k are FAR apart: they fall into few sets of the nearest cache, so lines would be fetched anew for each
 * strip. Then A's slice is packed once an item, in higher and shorter slices, and items are as large as the threads
 * allow; so it is, in items like the others, where A's rows are picked by number.
 *
 * Where an item has so few rows that packing a panel costs more than multiplying it (dA = duᵀ·x of LoRA), B's rows
 * are read in place, a few at a time and in long runs. So are those of a parted term, of which each row of A has its
 * own: neighbours that have the same go together.
 *
 * Terms by parts (gemm_parts.c) add to the same sums, in items of their own size. */
#include "kernel/gemm.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "kernel/gemm_block.h"
#include "kernel/parts.h"

enum { ROWS = GEMM_ROWS, COLUMNS = 256, STRIPS_LEAST = 4, PACKING = 16, PACKING_PARTS = 32 };
/* the same where A is packed */
enum { ROWS_PACKED = 384, PACKING_PACKED = 40 };
/* largest slice of K, also where A is transposed, is packed, is few rows; slices begin at runs of blocks */
enum { SLICE = GEMM_SLICE, SLICE_ACROSS = 256, SLICE_PACKED = 192, SLICE_SKINNY = 32, RUN = 32 };
enum { SKINNY_STRIPS = 2, LINE = 16 /* floats a cache line */, FAR = 256 /* floats */, PACKED_RUN = 8 };
enum { MR_AVX2 = 6, MR_AVX512 = 14 }; /* whole strips of so many are copied as one */


struct cut {
	size_t mr;                    /* rows of a strip */
	bool parts;
	size_t strips, panels;        /* of the whole C */
	size_t row_items, column_items;
};

struct work {
	const struct kernels *k;
	const struct gemm *g;
	struct cut cut;
	char *scratch;
	size_t scratch_bytes;
	bool transposed;                  /* C is written transposed: see turn */
	struct gemm other;            /* then g */
};

/* A's slice: row i, which begins a strip, at a + i·next; then as a tile has it. */
struct left {
	const float *a;
	size_t next, row, col;
	bool strips;                  /* packed so, each of mr rows */
};

/* Floats of scratch: A's slice, a panel, and sums. */
static size_t packed_room(const struct kernels *k)
{
	size_t room = (size_t)SLICE_PACKED * (ROWS_PACKED + KERNEL_MR_MAX);

	return k->parts ? MAX(room, gemm_parts_room()) : room;
}

static size_t panel_room(const struct kernels *k)
{
	size_t room = (size_t)SLICE * (size_t)k->nr;

	return k->parts ? MAX(room, gemm_parts_panel_room()) : room;
}

static size_t sums_room(const struct kernels *k)
{
	return k->parts ? (size_t)PARTED_ROWS * PARTED_COLUMNS : (size_t)(ROWS + KERNEL_MR_MAX) * COLUMNS;
}

static size_t ceil_div(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

/* The time of items of one size, dealt out to so many threads; 0: summed over 2, 4 and 16, and with 16, many items even
 * out. */
static size_t rounds(size_t items, size_t threads)
{
	if (threads)
		return ROUND_UP(items, threads) + threads / 2;
	return (items + 1) / 2 * 2 + (items + 3) / 4 * 4 + MAX(items, (size_t)16);
}

/* The largest item, what packing costs in rows of product, threads as for rounds. */
struct limits {
	size_t rows, columns, packing, threads;
	bool parts;                   /* products by parts */
};

static size_t strip_of(const struct kernels *k, struct limits l)
{
	return l.parts ? 2 * PARTS_ROWS : (size_t)k->mr;
}

static struct limits parts_limits(size_t threads)
{
	return (struct limits){ PARTED_ROWS, PARTED_COLUMNS, PACKING_PARTS, threads, true };
}

/* The fewest and most even items that threads can share. Each item packs its panels anew and reads its rows anew, as
 * dear as PACKING rows or columns of product (rows of one strip are near anyway). The candidates are whole numbers of
 * strips and of panels an item. */
static struct cut cut_by(const struct kernels *k, size_t m, size_t n, struct limits l)
{
	size_t mr = strip_of(k, l), nr = (size_t)k->nr, best = SIZE_MAX;
	struct cut c = { .mr = mr, .parts = l.parts, .strips = ceil_div(m, mr), .panels = ceil_div(n, nr) };
	size_t again = l.parts ? l.packing : c.strips > 1 ? PACKING : 0;
	size_t room = l.parts ? (size_t)PARTED_ROWS * PARTED_COLUMNS : (size_t)ROWS * COLUMNS;

	for (size_t strips = MIN(c.strips, l.rows / mr), rows = 0; strips; strips--) {
		if (rows == ceil_div(c.strips, strips) || (rows && strips < STRIPS_LEAST))
			continue;
		rows = ceil_div(c.strips, strips);
		size_t most = MIN(l.columns, room / (strips * mr)) / nr;
		for (size_t panels = MIN(c.panels, most), columns = 0; panels; panels--) {
			if (columns == ceil_div(c.panels, panels))
				continue;
			columns = ceil_div(c.panels, panels);
			size_t time = rounds(rows * columns, l.threads) * (strips * mr + l.packing) *
			              (panels * nr + again);
			if (time >= best)
				continue;
			best = time;
			c.row_items = rows;
			c.column_items = columns;
		}
	}
	return c;
}

/* Part p of n things cut into `parts` as evenly as can be. */
static void share(size_t n, size_t parts, size_t p, size_t *from, size_t *to)
{
	*from = n * p / parts;
	*to = n * (p + 1) / parts;
}

static bool any_by_parts(const struct kernels *k, const struct gemm *g)
{
	for (int i = 0; i < g->n_terms; i++)
		if (g->free && gemm_by_parts(k, &g->term[i], g->n))
			return true;
	return false;
}

static bool needs_buffer(const struct gemm *g)
{
	return g->accumulate || g->residual == g->c || g->c_rows;
}

static bool picked(const struct gemm_term *t) { return t->a_rows || t->a_ks; }

/* By a power of two A may be multiplied as well as B. */
static bool scales_exactly(float scale)
{
	int exponent;

	return frexpf(scale, &exponent) == 0.5F;
}

/* So few rows that a panel is not worth packing: B's rows are read in place, a few at a time and in long runs. */
static bool skinny(const struct kernels *k, const struct gemm_term *t, size_t m)
{
	return m <= SKINNY_STRIPS * (size_t)k->mr && !t->transposed && !t->b.panel_bytes && !picked(t) &&
	       t->b.dtype == DTYPE_F32 && scales_exactly(t->scale);
}

static bool across(const struct kernels *k, const struct gemm_term *t, size_t m, size_t n)
{
	return t->a_col != 1 && t->a_row == 1 && (k->mr * 2 <= LINE || t->a_col >= FAR) && n > (size_t)k->nr &&
	       !picked(t) && !skinny(k, t, m);
}

/* m rows from the first on, of numbers k0 … of A, as [k][mr]. */
static void pack_strip(const struct gemm_term *t, size_t first, size_t m, size_t mr, size_t k0, size_t some, float *out)
{
	if (!t->a_rows) {
		for (size_t q = 0; q < some; q++, out += mr) {
			const float *a = gemm_a_at(t, first, k0 + q);
			if (t->a_row == 1 && m == MR_AVX2)
				memcpy(out, a, MR_AVX2 * sizeof(float));
			else if (t->a_row == 1 && m == MR_AVX512)
				memcpy(out, a, MR_AVX512 * sizeof(float));
			else
				for (size_t r = 0; r < m; r++)
					out[r] = a[r * t->a_row];
		}
		return;
	}
	for (size_t r = 0; r < m; r++) {
		const float *a = gemm_a_at(t, first + r, k0);
		for (size_t q = 0; q < some; q++)
			out[q * mr + r] = a[q * t->a_col];
	}
}

/* Strips of [k][mr], one after another; a few k at a time, so that A is read in long runs. */
static void pack_strips(const struct gemm_term *t, const struct block *b, size_t mr, size_t k0, size_t some)
{
	for (size_t q0 = 0; q0 < some; q0 += PACKED_RUN)
		for (size_t i = 0; i < b->m; i += mr)
			pack_strip(t, b->i0 + i, MIN(mr, b->m - i), mr, k0 + q0, MIN(some - q0, (size_t)PACKED_RUN),
			           b->packed + i * some + q0 * mr);
}

static struct left left_of(const struct kernels *k, const struct gemm_term *t, const struct block *b, size_t k0,
                           size_t some)
{
	const float *a = t->a + b->i0 * t->a_row + k0 * t->a_col;

	if (picked(t) || across(k, t, b->m, b->n)) {
		pack_strips(t, b, (size_t)k->mr, k0, some);
		return (struct left){ b->packed, some, 1, (size_t)k->mr, true };
	}
	if (!skinny(k, t, b->m) || t->scale == 1)
		return (struct left){ a, t->a_row, t->a_row, t->a_col, false };
	for (size_t q = 0; q < some; q++)
		for (size_t i = 0; i < b->m; i++)
			b->packed[q * b->m + i] = t->scale * a[i * t->a_row + q * t->a_col];
	return (struct left){ b->packed, 1, 1, b->m, false };
}

static void pack_b(const struct kernels *k, const struct gemm_term *t, float scale, size_t j, size_t n, size_t k0,
                   size_t some, float *out)
{
	const struct matrix *b = &t->b;

	if (b->panel_bytes && !t->transposed)
		BUG("a product across panels");
	if (b->panel_bytes)
		k->pack_panels(b->dtype, (const char *)b->data + j / PANEL_ROWS * b->panel_bytes, b->panel_bytes, n, k0,
		               some, out);
	else if (t->transposed)
		k->pack_rows(b->dtype, (const char *)b->data + j * b->row_bytes, b->row_bytes, n, k0, some, out);
	else if (t->b_ks)
		for (size_t q = 0; q < some; q++)
			k->pack_cols(b->dtype, (const char *)b->data + (size_t)t->b_ks[k0 + q] * b->row_bytes,
			             b->row_bytes, 1, j, n, out + q * (size_t)k->nr);
	else
		k->pack_cols(b->dtype, (const char *)b->data + k0 * b->row_bytes, b->row_bytes, some, j, n, out);
	if (scale != 1)
		k->scale(out, out, scale, some * (size_t)k->nr);
}

void gemm_pack(const struct kernels *k, const struct gemm_term *t, size_t j, size_t n, size_t k0, size_t some,
               float *out)
{
	pack_b(k, t, t->scale, j, n, k0, some, out);
}

/* All strips over the columns from j on, as they lie at w or, where that is NULL, packed. */
static void panel_run(const struct kernels *k, const struct block *b, const struct left *l, size_t j, size_t n,
                      size_t some, const float *w, size_t step, size_t next)
{
	size_t mr = (size_t)k->mr;

	if (!l->strips)
		mr = ceil_div(b->m, ceil_div(b->m, mr)); /* even ones */
	for (size_t i = 0; i < b->m; i += mr) {
		size_t m = MIN(mr, b->m - i);
		const float *a = l->a + i * l->next;
		float *c = b->sum + i * b->ld + j;
		if (w)
			k->tile_in_place(m, n, some, a, l->row, l->col, w, step, next, c, b->ld, b->started);
		else
			k->gemm_tile(m, n, some, a, l->row, l->col, b->panel, c, b->ld, b->started);
	}
}

/* The columns from j on. */
static void columns_run(const struct kernels *k, const struct gemm_term *t, const struct block *b, const struct left *l,
                        size_t j, size_t n, size_t k0, size_t some)
{
	size_t step = t->b.row_bytes / sizeof(float);
	const char *panel = (const char *)t->b.data + (b->j0 + j) / PANEL_ROWS * t->b.panel_bytes;
	const float *rows = (const float *)t->b.data + k0 * step + b->j0 + j;
	bool few = skinny(k, t, b->m); /* A has the scale */

	if (gemm_ready(t)) {
		panel_run(k, b, l, j, n, some, (const float *)panel + k0 * PANEL_ROWS, PANEL_ROWS,
		          t->b.panel_bytes / sizeof(float));
	} else if (few && n % PANEL_ROWS == 0) {
		for (size_t q = some; q < MIN(2 * some, t->k - k0); q++)
			__builtin_prefetch(rows + q * step);
		panel_run(k, b, l, j, n, some, rows, step, PANEL_ROWS);
	} else {
		pack_b(k, t, few ? 1 : t->scale, b->j0 + j, n, k0, some, b->panel);
		panel_run(k, b, l, j, n, some, NULL, 0, 0);
	}
}

/* Slices of equal size, so that no short one is left over. */
static size_t slice_of(size_t k, size_t most)
{
	return ROUND_UP(ceil_div(MAX(k, 1), ceil_div(MAX(k, 1), most)), RUN);
}

/* Decoding: too few rows to be worth a packed panel, and the sums begin here. The chain over k is the same. */
static bool few_rows(const struct gemm_term *t, const struct block *b)
{
	return t->b.panel_bytes && b->m <= KERNEL_FEW && t->a_col == 1 && t->scale == 1 && !b->started;
}

static size_t slice_most(const struct kernels *k, const struct gemm_term *t, const struct block *b)
{
	if (skinny(k, t, b->m))
		return SLICE_SKINNY;
	if (across(k, t, b->m, b->n))
		return SLICE_PACKED;
	return t->a_col != 1 || picked(t) ? SLICE_ACROSS : SLICE;
}

/* Rows that all meet the same rows of B. */
static void part_add(const struct kernels *k, const struct gemm_term *t, const float *a, size_t m, size_t j, size_t n,
                     float *c, size_t ldc)
{
	size_t nr = (size_t)k->nr, ld = t->b.row_bytes / sizeof(float);
	int32_t part[GEMM_TAG];

	memcpy(part, a, sizeof(part));
	const float *b = (const float *)t->b.data + (size_t)part[0] * ld + j;
	a += GEMM_TAG;
	if (m <= KERNEL_FEW && part[1]) {
		k->few_sums(DTYPE_F32, m, n, (size_t)part[1], a, t->a_row, b, t->b.row_bytes, c, ldc);
		return;
	}
	for (size_t q = 0; q < n && part[1]; q += nr)
		k->tile_in_place(m, MIN(nr, n - q), (size_t)part[1], a, t->a_row, 1, b + q, ld, PANEL_ROWS, c + q, ldc,
		                 true);
}

void gemm_parted_add(const struct kernels *k, const struct gemm_term *t, size_t i0, size_t m, size_t j, size_t n,
                     float *c, size_t ldc)
{
	size_t most = t->a_rows ? 1 : (size_t)k->mr;

	for (size_t i = 0, some = 1; i < m; i += some, some = 1) {
		const float *a = gemm_a_at(t, i0 + i, 0);
		while (i + some < m && some < most && !memcmp(a, a + some * t->a_row, GEMM_TAG * sizeof(*a)))
			some++;
		part_add(k, t, a, some, j, n, c + i * ldc, ldc);
	}
}

static void parted_run(const struct kernels *k, const struct gemm_term *t, struct block *b)
{
	for (size_t i = 0; !b->started && i < b->m; i++)
		memset(b->sum + i * b->ld, 0, b->n * sizeof(float));
	gemm_parted_add(k, t, b->i0, b->m, b->j0, b->n, b->sum, b->ld);
	b->started = true;
}

static void term_run(const struct kernels *k, const struct gemm_term *t, struct block *b)
{
	size_t nr = (size_t)k->nr;

	if (t->parted) {
		parted_run(k, t, b);
		return;
	}
	if (gemm_by_parts(k, t, b->all)) {
		gemm_parts_run(k, &t, b, (bool[]){ true }, 1);
		return;
	}
	if (few_rows(t, b)) {
		const struct matrix *w = &t->b;
		size_t each = t->a_rows ? 1 : b->m;
		for (size_t i = 0; i < b->m; i += each)
			k->panel_rows(w->dtype, each, b->n, t->k, gemm_a_at(t, b->i0 + i, 0), t->a_row,
			              (const char *)w->data + b->j0 / PANEL_ROWS * w->panel_bytes, w->panel_bytes,
			              b->sum + i * b->ld, b->ld);
		b->started = true;
		return;
	}
	size_t slice = slice_of(t->k, slice_most(k, t, b));

	for (size_t k0 = 0; k0 < t->k; k0 += slice) {
		size_t some = MIN(slice, t->k - k0);
		struct left l = left_of(k, t, b, k0, some);
		for (size_t j = 0; j < b->n; j += nr)
			columns_run(k, t, b, &l, j, MIN(nr, b->n - j), k0, some);
		b->started = true;
	}
}

static void epilogue(const struct kernels *k, const struct gemm *g, const struct block *b)
{
	for (size_t i = 0; i < b->m; i++) {
		size_t row = g->c_rows ? (size_t)g->c_rows[b->i0 + i] : b->i0 + i;
		float *c = g->c + row * g->ldc + b->j0, *s = b->sum + i * b->ld;
		if (g->bias)
			k->add(s, s, g->bias + b->j0, b->n);
		if (g->residual)
			k->add(s, s, g->residual + (b->i0 + i) * g->ldc + b->j0, b->n);
		if (g->accumulate)
			k->add(c, s, c, b->n);
		else if (s != c)
			memcpy(c, s, b->n * sizeof(float));
	}
}

static void put_transposed(const struct gemm *g, const struct block *b)
{
	for (size_t j = 0; j < b->n; j++)
		for (size_t i = 0; i < b->m; i++) {
			float *c = g->c + (b->j0 + j) * g->ldc + b->i0 + i, s = b->sum[i * b->ld + j];
			*c = g->accumulate ? s + *c : s;
		}
}

static void item_run(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	const struct kernels *k = w->k;
	const struct gemm *g = w->g;
	struct block b = { .panel = (float *)(w->scratch + (size_t)thread * w->scratch_bytes),
		           .all = g->free ? g->n : 0 };
	size_t from, to;

	share(w->cut.strips, w->cut.row_items, item / w->cut.column_items, &from, &to);
	b.i0 = from * w->cut.mr;
	b.m = MIN(to * w->cut.mr, g->m) - b.i0;
	share(w->cut.panels, w->cut.column_items, item % w->cut.column_items, &from, &to);
	b.j0 = from * (size_t)k->nr;
	b.n = MIN(to * (size_t)k->nr, g->n) - b.j0;

	b.packed = b.panel + panel_room(k);
	bool buffer = needs_buffer(g) || w->transposed;
	b.sum = buffer ? b.packed + packed_room(k) : g->c + b.i0 * g->ldc + b.j0;
	b.ld = buffer ? ROUND_UP(b.n, (size_t)LINE) : g->ldc;

	for (int t = 0; t < g->n_terms; t++)
		term_run(k, &g->term[t], &b);
	for (size_t i = 0; !b.started && i < b.m; i++)
		memset(b.sum + i * b.ld, 0, b.n * sizeof(float));
	if (w->transposed)
		put_transposed(g, &b);
	else if (buffer || g->bias || g->residual)
		epilogue(k, g, &b);
}

size_t gemm_scratch_bytes(const struct kernels *k)
{
	return ROUND_UP((panel_room(k) + packed_room(k) + sums_room(k)) * sizeof(float), 128);
}

/* dU = dyᵀ·u with the few columns of LoRA's rank would leave most lanes empty: dUᵀ = uᵀ·dy fills them, with the
 * same chains. */
static bool turn(const struct kernels *k, const struct gemm *g, struct gemm *out)
{
	const struct gemm_term *t = &g->term[0];

	if (g->n_terms != 1 || t->a_row != 1 || t->a_col == 1 || t->transposed || t->b.dtype != DTYPE_F32 ||
	    t->scale != 1 || g->bias || g->residual || g->c_rows)
		return false;
	if (g->n > SKINNY_STRIPS * (size_t)k->mr || 2 * g->n > (size_t)k->nr || g->m < (size_t)k->nr)
		return false;
	*out = *g;
	out->m = g->n;
	out->n = g->m;
	out->term[0].a = t->b.data;
	out->term[0].a_col = t->b.row_bytes / sizeof(float);
	out->term[0].a_ks = t->b_ks;
	out->term[0].b_ks = t->a_ks;
	out->term[0].b = (struct matrix){
		.dtype = DTYPE_F32, .data = t->a, .rows = t->k, .cols = g->m, .row_bytes = t->a_col * sizeof(float)
	};
	return true;
}

/* By shape alone, but where large items are worth more: an element's sum lies within an item, so its bits do not
 * depend on where items begin. */
static struct cut cut_make(const struct kernels *k, const struct gemm *g, size_t threads)
{
	struct limits l = { ROWS, COLUMNS, PACKING, 0, false };

	if (any_by_parts(k, g))
		l = parts_limits(threads);
	else if (across(k, &g->term[0], g->m, g->n))
		l = (struct limits){ ROWS_PACKED, COLUMNS, PACKING_PACKED, threads, false };
	return cut_by(k, g->m, g->n, l);
}

static void work_make(struct work *w, const struct kernels *k, const struct gemm *g, size_t threads, void *scratch)
{
	*w = (struct work){ .k = k, .g = g, .scratch = scratch, .scratch_bytes = gemm_scratch_bytes(k) };
	w->transposed = turn(k, g, &w->other);
	if (w->transposed)
		w->g = &w->other;
	w->cut = cut_make(k, w->g, threads);
}

void gemm_run_all(const struct kernels *k, struct pool *p, const struct gemm *g, int n, void *scratch)
{
	struct work work[GEMM_TOGETHER];
	struct pool_list lists[GEMM_TOGETHER];

	if (n > GEMM_TOGETHER)
		BUG("%d products together", n);
	for (int i = 0; i < n; i++) {
		work_make(&work[i], k, &g[i], (size_t)pool_threads(p), scratch);
		lists[i] = (struct pool_list){ &work[i], work[i].cut.row_items * work[i].cut.column_items };
	}
	pool_run_lists(p, lists, n, item_run);
}

void gemm_run(const struct kernels *k, struct pool *p, const struct gemm *g, void *scratch)
{
	gemm_run_all(k, p, g, 1, scratch);
}

/* --- products with factors in common --- */

/* Their strips as if they lay one after the other. */
struct joined {
	const struct kernels *k;
	const struct gemm *g;
	int n;
	struct cut cut;
	size_t first[GEMM_TOGETHER + 1]; /* strips */
	bool common[GEMM_TOGETHER][GEMM_TERMS]; /* another has this factor too */
	char *scratch;
	size_t scratch_bytes;
};

static bool same_factor(const struct gemm_term *a, const struct gemm_term *b)
{
	return a->b.data == b->b.data && a->b.dtype == b->b.dtype && a->k == b->k && a->transposed == b->transposed &&
	       a->scale == b->scale && a->a_col == 1 && b->a_col == 1 && !a->b.panel_bytes && !picked(a) &&
	       !picked(b) && !a->parted;
}

static bool has_in_common(const struct joined *w, int i, const struct gemm_term *t)
{
	for (int j = 0; j < w->n; j++)
		for (int q = 0; q < w->g[j].n_terms && j != i; q++)
			if (same_factor(t, &w->g[j].term[q]))
				return true;
	return false;
}

static void joined_make(struct joined *w, size_t threads)
{
	struct limits l = { ROWS, COLUMNS, PACKING, 0, false };

	for (int i = 0; i < w->n; i++)
		if (any_by_parts(w->k, &w->g[i]))
			l = parts_limits(threads);
	size_t mr = strip_of(w->k, l);
	for (int i = 0; i < w->n; i++) {
		w->first[i + 1] = w->first[i] + ceil_div(w->g[i].m, mr);
		for (int q = 0; q < w->g[i].n_terms; q++)
			w->common[i][q] = has_in_common(w, i, &w->g[i].term[q]);
		if (w->g[i].n != w->g[0].n)
			BUG("products of %zu and of %zu columns joined", w->g[0].n, w->g[i].n);
	}
	w->cut = cut_by(w->k, w->first[w->n] * mr, w->g[0].n, l);
}

/* One panel after the other, packed once for those of the blocks that are in. */
static void common_run(const struct kernels *k, const struct gemm_term *const *terms, struct block *b, const bool *in,
                       int n)
{
	size_t nr = (size_t)k->nr;
	int lead = 0;

	while (!in[lead])
		lead++;
	const struct gemm_term *t = terms[lead];
	if (gemm_by_parts(k, t, b[lead].all)) {
		gemm_parts_run(k, terms, b, in, n);
		return;
	}
	size_t slice = slice_of(t->k, SLICE);
	for (size_t k0 = 0; k0 < t->k; k0 += slice) {
		size_t some = MIN(slice, t->k - k0);
		for (size_t j = 0; j < b[lead].n; j += nr) {
			size_t columns = MIN(nr, b[lead].n - j);
			pack_b(k, t, t->scale, b[lead].j0 + j, columns, k0, some, b[lead].panel);
			for (int i = lead; i < n; i++) {
				if (!in[i]) /* then it may have no term */
					continue;
				size_t row = terms[i]->a_row;
				struct left l = { terms[i]->a + b[i].i0 * row + k0, row, row, 1, false };
				panel_run(k, &b[i], &l, j, columns, some, NULL, 0, 0);
			}
		}
		for (int i = lead; i < n; i++)
			b[i].started |= in[i];
	}
}

/* Each block's terms in its own order: those that are its own by itself, a common one with those who wait for it. */
static void terms_run(const struct joined *w, struct block *b)
{
	const struct gemm_term *terms[GEMM_TOGETHER];
	int at[GEMM_TOGETHER] = { 0 }, lead;

	do {
		bool in[GEMM_TOGETHER] = { false };
		lead = -1;
		for (int i = 0; i < w->n; i++) {
			const struct gemm *g = &w->g[i];
			for (; b[i].m && at[i] < g->n_terms && !w->common[i][at[i]]; at[i]++)
				term_run(w->k, &g->term[at[i]], &b[i]);
			if (!b[i].m || at[i] == g->n_terms)
				continue;
			terms[i] = &g->term[at[i]];
			lead = lead < 0 ? i : lead;
			in[i] = same_factor(terms[lead], terms[i]);
			at[i] += in[i];
		}
		if (lead >= 0)
			common_run(w->k, terms, b, in, w->n);
	} while (lead >= 0);
}

static void joined_item(void *ctx, size_t item, int thread)
{
	const struct joined *w = ctx;
	struct block b[GEMM_TOGETHER];
	size_t mr = w->cut.mr, nr = (size_t)w->k->nr, from, to, left, right;
	float *panel = (float *)(w->scratch + (size_t)thread * w->scratch_bytes), *packed = panel + panel_room(w->k),
	      *sums = packed + packed_room(w->k);

	share(w->cut.strips, w->cut.row_items, item / w->cut.column_items, &from, &to);
	share(w->cut.panels, w->cut.column_items, item % w->cut.column_items, &left, &right);
	for (int i = 0; i < w->n; i++) {
		const struct gemm *g = &w->g[i];
		size_t first = MAX(from, w->first[i]), end = MIN(to, w->first[i + 1]);
		b[i] = (struct block){
			.panel = panel, .packed = packed, .j0 = left * nr, .all = g->free ? g->n : 0
		};
		b[i].n = MIN(right * nr, g->n) - b[i].j0;
		if (end <= first)
			continue;
		b[i].i0 = (first - w->first[i]) * mr;
		b[i].m = MIN((end - w->first[i]) * mr, g->m) - b[i].i0;
		bool buffer = needs_buffer(g);
		b[i].ld = buffer ? ROUND_UP(b[i].n, (size_t)LINE) : g->ldc;
		b[i].sum = buffer ? sums : g->c + b[i].i0 * g->ldc + b[i].j0;
		sums += buffer ? b[i].m * b[i].ld : 0;
		if (w->cut.parts)
			packed += (b[i].m + mr - 1) / mr * (gemm_parts_room() / (PARTED_ROWS / mr));
	}
	terms_run(w, b);
	for (int i = 0; i < w->n; i++) {
		const struct gemm *g = &w->g[i];
		if (b[i].m && (needs_buffer(g) || g->bias || g->residual))
			epilogue(w->k, g, &b[i]);
	}
}

void gemm_run_joined(const struct kernels *k, struct pool *p, const struct gemm *g, int n, void *scratch)
{
	struct joined w = { .k = k, .g = g, .n = n, .scratch = scratch, .scratch_bytes = gemm_scratch_bytes(k) };

	if (n < 1 || n > GEMM_TOGETHER)
		BUG("%d products joined", n);
	joined_make(&w, (size_t)pool_threads(p));
	pool_run(p, w.cut.row_items * w.cut.column_items, joined_item, &w);
}

/* Nobody shares: the largest items. */
void gemm_serial(const struct kernels *k, const struct gemm *g, void *scratch)
{
	struct work w = { .k = k, .g = g, .scratch = scratch };
	struct limits l = { ROWS, COLUMNS, PACKING, 0, false };

	if (any_by_parts(k, g))
		l = parts_limits(1);
	w.cut.mr = strip_of(k, l);
	w.cut.strips = ceil_div(g->m, w.cut.mr);
	w.cut.panels = ceil_div(g->n, (size_t)k->nr);
	w.cut.row_items = ceil_div(w.cut.strips, l.rows / w.cut.mr);
	w.cut.column_items = ceil_div(w.cut.panels, l.columns / (size_t)k->nr);
	for (size_t i = 0; i < w.cut.row_items * w.cut.column_items; i++)
		item_run(&w, i, 0);
}
