/* design: products of rows with a few columns. A row of z, or of g, is one chain over ascending numbers by one thread;
 * dense rows may be multiplied in float, where the last digits do not count yet. See design.h. */
#include "learn/design.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/gemm.h"

enum { ITEM_ROWS = 32, ITEM_COLS = 64 };

struct product {
	const struct design *x;
	const double *in;
	double *out;
	size_t k;
};

void design_turn(struct design *x, struct arena *mem)
{
	size_t n = x->first[x->rows];
	size_t *first = arena_array(mem, x->cols + 2, sizeof(*first));
	int32_t *row = arena_array(mem, n + 1, sizeof(*row));
	double *value = arena_array(mem, n + 1, sizeof(*value));

	for (size_t i = 0; i < n; i++)
		first[x->col[i] + 2]++;
	for (size_t c = 0; c < x->cols; c++)
		first[c + 2] += first[c + 1];
	for (size_t r = 0; r < x->rows; r++)
		for (size_t i = x->first[r]; i < x->first[r + 1]; i++) {
			size_t at = first[x->col[i] + 1]++;
			row[at] = (int32_t)r;
			value[at] = x->value[i];
		}
	x->col_first = first;
	x->row = row;
	x->col_value = value;
}

static void add_scaled(double *y, double a, const double *x, size_t k)
{
	for (size_t i = 0; i < k; i++)
		y[i] += a * x[i];
}

/* Σ x·w, in four chains. */
static double dot(const float *x, const double *w, size_t n)
{
	double sum[4] = { 0 };
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
		for (size_t j = 0; j < 4; j++)
			sum[j] += (double)x[i + j] * w[i + j];
	for (; i < n; i++)
		sum[0] += (double)x[i] * w[i];
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void times_dense(const struct product *p, size_t r, double *z)
{
	const float *x = p->x->dense + r * p->x->cols;

	if (p->k == 1)
		z[0] = dot(x, p->in, p->x->cols);
	else
		for (size_t c = 0; c < p->x->cols; c++)
			add_scaled(z, (double)x[c], p->in + c * p->k, p->k);
}

static void times_rows(void *ctx, size_t item, int thread)
{
	const struct product *p = ctx;
	const struct design *x = p->x;
	(void)thread;

	for (size_t r = item * ITEM_ROWS; r < MIN(x->rows, (item + 1) * ITEM_ROWS); r++) {
		double *z = p->out + r * p->k;
		memset(z, 0, p->k * sizeof(*z));
		if (x->dense)
			times_dense(p, r, z);
		for (size_t i = x->dense ? 0 : x->first[r]; !x->dense && i < x->first[r + 1]; i++)
			add_scaled(z, x->value[i], p->in + (size_t)x->col[i] * p->k, p->k);
	}
}

static void back_dense(const struct product *p, size_t from, size_t to)
{
	const struct design *x = p->x;

	for (size_t r = 0; r < x->rows; r++) {
		const float *row = x->dense + r * x->cols;
		const double *in = p->in + r * p->k;
		for (size_t c = from; p->k == 1 && c < to; c++)
			p->out[c] += (double)row[c] * in[0];
		for (size_t c = from; p->k > 1 && c < to; c++)
			add_scaled(p->out + c * p->k, (double)row[c], in, p->k);
	}
}

static void back_cols(void *ctx, size_t item, int thread)
{
	const struct product *p = ctx;
	const struct design *x = p->x;
	size_t from = item * ITEM_COLS, to = MIN(x->cols, from + ITEM_COLS);
	(void)thread;

	memset(p->out + from * p->k, 0, (to - from) * p->k * sizeof(double));
	if (x->dense)
		back_dense(p, from, to);
	for (size_t c = from; !x->dense && c < to; c++)
		for (size_t i = x->col_first[c]; i < x->col_first[c + 1]; i++)
			add_scaled(p->out + c * p->k, x->col_value[i], p->in + (size_t)x->row[i] * p->k, p->k);
}

void design_times(const struct design *x, const struct workshop *on, const double *w, size_t k, double *z)
{
	struct product p = { x, w, z, k };

	pool_run(on->pool, (x->rows + ITEM_ROWS - 1) / ITEM_ROWS, times_rows, &p);
}

void design_back(const struct design *x, const struct workshop *on, const double *r, size_t k, double *g)
{
	struct product p = { x, r, g, k };

	if (!x->dense && !x->col_first)
		BUG("a sparse matrix without its columns");
	pool_run(on->pool, (x->cols + ITEM_COLS - 1) / ITEM_COLS, back_cols, &p);
}

/* --- in float --- */

void design_fast_begin(struct design_fast *f, const struct design *x, const struct workshop *on, size_t k)
{
	*f = (struct design_fast){ .x = x, .on = on, .k = k };
	f->w = arena_array(&f->mem, x->cols * k + 1, sizeof(float));
	f->g = arena_array(&f->mem, x->cols * k + 1, sizeof(float));
	f->z = arena_array(&f->mem, x->rows * k + 1, sizeof(float));
	f->r = arena_array(&f->mem, x->rows * k + 1, sizeof(float));
	f->scratch = arena_alloc64(&f->mem, (size_t)pool_threads(on->pool) * gemm_scratch_bytes(on->kernels));
}

static struct matrix matrix_of(const float *data, size_t rows, size_t cols)
{
	return (struct matrix){ DTYPE_F32, data, rows, cols, cols * sizeof(float), 0 };
}

static void to_float(float *out, const double *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (float)x[i];
}

static void to_double(double *out, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (double)x[i];
}

void design_fast_times(struct design_fast *f, const double *w, double *z)
{
	const struct design *x = f->x;
	struct gemm g = { .m = x->rows, .n = f->k, .n_terms = 1, .c = f->z, .ldc = f->k };

	to_float(f->w, w, x->cols * f->k);
	g.term[0] = (struct gemm_term){ .a = x->dense, .a_row = x->cols, .a_col = 1,
		                        .b = matrix_of(f->w, x->cols, f->k), .k = x->cols, .scale = 1 };
	gemm_run(f->on->kernels, f->on->pool, &g, f->scratch);
	to_double(z, f->z, x->rows * f->k);
}

void design_fast_back(struct design_fast *f, const double *r, double *out)
{
	const struct design *x = f->x;
	struct gemm g = { .m = x->cols, .n = f->k, .n_terms = 1, .c = f->g, .ldc = f->k };

	to_float(f->r, r, x->rows * f->k);
	g.term[0] = (struct gemm_term){ .a = x->dense, .a_row = 1, .a_col = x->cols,
		                        .b = matrix_of(f->r, x->rows, f->k), .k = x->rows, .scale = 1 };
	gemm_run(f->on->kernels, f->on->pool, &g, f->scratch);
	to_double(out, f->g, x->cols * f->k);
}

void design_fast_release(struct design_fast *f) { arena_release(&f->mem); }
