/* gemm_int8: see gemm_int8.h. First A's rows are quantized, then items of whole panels × up to ROWS rows are dealt
 * out. A panel of 16 columns and all of K fits the nearest caches and meets all rows of the item there; with few rows
 * the weights are read once, one stream a thread, whose parts depend on the number of threads: an element's sum lies
 * within a panel, so its bits do not. */
#include "kernel/gemm_int8.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "quant/panels.h"

enum { ROWS = 128, ROWS_QUANTIZED = 16, ITEM_BYTES = 12 << 10, ITEMS_MOST = 64, FEW = 16, STREAM_BYTES = 512 << 10 };
enum { ROWS_PARTED = 8, COLUMNS_PARTED = 256 };

struct work {
	const struct kernels *k;
	const struct gemm_int8 *g;
	size_t row_bytes, panel_bytes, n_panels, panels_each, column_items;
};

size_t gemm_int8_rows_bytes(size_t m, size_t k)
{
	return m * (k / PANEL_BLOCK) * KERNEL_Q8_BYTES;
}

static size_t ceil_div(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

struct quantize {
	const struct kernels *k;
	const float *a;
	const int32_t *a_rows;
	size_t m, width, row_bytes;
	uint8_t *rows;
};

static void quantize_item(void *ctx, size_t item, int thread)
{
	const struct quantize *w = ctx;
	size_t end = MIN(w->m, (item + 1) * ROWS_QUANTIZED);
	(void)thread;

	for (size_t i = item * ROWS_QUANTIZED; i < end; i++) {
		size_t row = w->a_rows ? (size_t)w->a_rows[i] : i;
		w->k->q8_row(w->a + row * w->width, w->width, w->rows + i * w->row_bytes);
	}
}

void gemm_int8_quantize(const struct kernels *k, struct pool *p, const float *a, const int32_t *a_rows, size_t m,
                        size_t width, uint8_t *rows)
{
	struct quantize w = { k, a, a_rows, m, width, gemm_int8_rows_bytes(1, width), rows };

	pool_run(p, ceil_div(m, ROWS_QUANTIZED), quantize_item, &w);
}

/* ((Σ + bias) + residual) + what C held */
static void put_row(const struct work *w, float *sum, size_t i, size_t j, size_t n)
{
	const struct gemm_int8 *g = w->g;
	float *c = g->c + (g->c_rows ? (size_t)g->c_rows[i] : i) * g->n + j;

	if (g->bias)
		w->k->add(sum, sum, g->bias + j, n);
	if (g->residual)
		w->k->add(sum, sum, g->residual + i * g->n + j, n);
	if (g->accumulate)
		w->k->add(c, sum, c, n);
	else
		memcpy(c, sum, n * sizeof(float));
}

/* C += Σ u·Uᵀ of a term whose rows have matrices of their own: over as many columns as there are, which are read as
 * they lie. */
static void parted_add(const struct work *w, const struct gemm_term *t, size_t i0, size_t m, size_t j, size_t n)
{
	const struct gemm_int8 *g = w->g;
	float sum[ROWS_PARTED][COLUMNS_PARTED];

	for (size_t i = 0; i < m; i += ROWS_PARTED)
		for (size_t q = 0; q < n; q += COLUMNS_PARTED) {
			size_t rows = MIN(m - i, (size_t)ROWS_PARTED), some = MIN(n - q, (size_t)COLUMNS_PARTED);
			for (size_t r = 0; r < rows; r++)
				memset(sum[r], 0, some * sizeof(float));
			gemm_parted_add(w->k, t, i0 + i, rows, j + q, some, sum[0], COLUMNS_PARTED);
			for (size_t r = 0; r < rows; r++) {
				float *c = g->c + (i0 + i + r) * g->n + j + q;
				w->k->add(c, sum[r], c, some);
			}
		}
}

/* C += Σ u·Uᵀ of the other terms */
static void up_add(const struct work *w, float *panel, size_t i0, size_t m, size_t j, size_t n)
{
	const struct gemm_int8 *g = w->g;
	size_t mr = (size_t)w->k->mr;
	float sum[ROWS][PANEL_ROWS];
	bool started = false;

	for (const struct gemm_term *t = g->up; t < g->up + g->n_up; t++)
		for (size_t k0 = 0, some; k0 < t->k && !t->parted; k0 += some, started = true) {
			some = MIN(t->k - k0, (size_t)GEMM_SLICE);
			gemm_pack(w->k, t, j, n, k0, some, panel);
			for (size_t i = 0; i < m; i += mr)
				w->k->gemm_tile(MIN(mr, m - i), n, some, t->a + (i0 + i) * t->a_row + k0, t->a_row, 1,
				                panel, sum[i], PANEL_ROWS, started);
		}
	for (size_t i = 0; started && i < m; i++) {
		float *c = g->c + (i0 + i) * g->n + j;
		w->k->add(c, sum[i], c, n);
	}
}

static void panel_item(const struct work *w, size_t p, size_t i0, size_t m)
{
	const struct gemm_int8 *g = w->g;
	size_t j = p * PANEL_ROWS, n = MIN(g->n - j, (size_t)PANEL_ROWS);
	const uint8_t *panel = (const uint8_t *)g->panels + p * w->panel_bytes, *rows = g->rows + i0 * w->row_bytes;
	float sum[ROWS][PANEL_ROWS];

	if (!g->bias && !g->residual && !g->accumulate && !g->c_rows) {
		w->k->q8_tile(g->dtype, m, n, g->k, rows, w->row_bytes, panel, g->c + i0 * g->n + j, g->n);
		return;
	}
	w->k->q8_tile(g->dtype, m, n, g->k, rows, w->row_bytes, panel, sum[0], PANEL_ROWS);
	for (size_t i = 0; i < m; i++)
		put_row(w, sum[i], i0 + i, j, n);
}

static void item_run(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t i0 = item / w->column_items * ROWS, first = item % w->column_items * w->panels_each,
	       end = MIN(w->n_panels, first + w->panels_each), m = MIN(w->g->m - i0, (size_t)ROWS);

	for (size_t p = first; p < end; p++) {
		size_t j = p * PANEL_ROWS;
		panel_item(w, p, i0, m);
		if (w->g->n_up)
			up_add(w, (float *)((char *)w->g->scratch + (size_t)thread * gemm_scratch_bytes(w->k)), i0, m,
			       j, MIN(w->g->n - j, (size_t)PANEL_ROWS));
	}
	for (const struct gemm_term *t = w->g->up; t < w->g->up + w->g->n_up && first < end; t++)
		if (t->parted)
			parted_add(w, t, i0, m, first * PANEL_ROWS,
			           MIN(w->g->n, end * PANEL_ROWS) - first * PANEL_ROWS);
}

/* With few rows the weights are a stream from memory, and each item is a new one: equal parts, a long one a thread. */
static size_t panels_each(const struct work *w, bool few, size_t threads)
{
	size_t each = MAX(ITEM_BYTES / w->panel_bytes, ceil_div(w->n_panels, ITEMS_MOST));

	if (few)
		each = ceil_div(w->n_panels, threads * ceil_div(w->n_panels * w->panel_bytes, threads * STREAM_BYTES));
	return MAX(each, 1);
}

static struct work work_make(const struct kernels *k, const struct gemm_int8 *g, size_t threads)
{
	struct work w = {
		.k = k, .g = g, .row_bytes = gemm_int8_rows_bytes(1, g->k), .panel_bytes = panel_bytes(g->dtype, g->k)
	};

	w.n_panels = ceil_div(g->n, PANEL_ROWS);
	w.panels_each = panels_each(&w, g->m <= FEW, threads);
	w.column_items = ceil_div(w.n_panels, w.panels_each);
	return w;
}

void gemm_int8_products(const struct kernels *k, struct pool *p, const struct gemm_int8 *g, int n)
{
	struct work work[GEMM_TOGETHER];
	struct pool_list lists[GEMM_TOGETHER];

	if (n > GEMM_TOGETHER)
		BUG("%d products together", n);
	for (int i = 0; i < n; i++) {
		work[i] = work_make(k, &g[i], (size_t)pool_threads(p));
		lists[i] = (struct pool_list){ &work[i], ceil_div(g[i].m, ROWS) * work[i].column_items };
	}
	pool_run_lists(p, lists, n, item_run);
}

void gemm_int8_run_all(const struct kernels *k, struct pool *p, const struct gemm_int8 *g, int n)
{
	gemm_int8_quantize(k, p, g->a, NULL, g->m, g->k, g->rows);
	gemm_int8_products(k, p, g, n);
}

void gemm_int8_run(const struct kernels *k, struct pool *p, const struct gemm_int8 *g)
{
	gemm_int8_run_all(k, p, g, 1);
}
