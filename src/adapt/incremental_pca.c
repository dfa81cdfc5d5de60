/* incremental_pca: see incremental_pca.h. */
#include "adapt/incremental_pca.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernel/gemm.h"
#include "tensor/svd.h"

/* Rounds of subspace iteration, from nothing and from what was found before; columns beside the components, in all at
 * least so many. */
enum { FIRST_ROUNDS = 8, LATER_ROUNDS = 4, MORE_COLUMNS = 8, LEAST_COLUMNS = 32, DRAWN = 7, ALIGNMENT = 64 };

void incremental_pca_init(struct incremental_pca *p, size_t n, size_t cols)
{
	*p = (struct incremental_pca){ .n = n, .cols = cols };
	p->v = mem_array(n * cols, sizeof(*p->v));
	p->s = mem_array(n, sizeof(*p->s));
	p->share = mem_array(n, sizeof(*p->share));
	p->alike = mem_array(n, sizeof(*p->alike));
	p->mean = mem_array(cols, sizeof(*p->mean));
	p->variance = mem_array(cols, sizeof(*p->variance));
}

void incremental_pca_release(struct incremental_pca *p)
{
	mem_free(p->v);
	mem_free(p->s);
	mem_free(p->share);
	mem_free(p->alike);
	mem_free(p->mean);
	mem_free(p->variance);
}

static size_t columns(size_t n, size_t cols) { return MIN(MAX(n + MORE_COLUMNS, (size_t)LEAST_COLUMNS), cols); }

size_t incremental_pca_bytes(size_t n, size_t cols, size_t rows)
{
	size_t q = columns(n, cols), all = n + rows + 1;

	return (all * (cols + 3 * q) + 2 * cols * q) * sizeof(float) + 3 * cols * q * sizeof(double);
}

/* --- means and variances --- */

/* x̄ into mean and m into *count; the variances of all rows and their mean follow, from those before. */
static void add_moments(struct incremental_pca *p, const struct pca_rows *rows, double *mean, double *count)
{
	double *square = mem_array(p->cols, sizeof(*square)), n = p->seen, m = 0;

	for (size_t i = 0; i < rows->n; i++) {
		const float *x = rows->x + (size_t)rows->row[i] * p->cols;
		m += rows->times[i];
		for (size_t j = 0; j < p->cols; j++)
			mean[j] += rows->times[i] * (double)x[j];
	}
	for (size_t j = 0; j < p->cols; j++)
		mean[j] /= m;
	for (size_t i = 0; i < rows->n; i++) {
		const float *x = rows->x + (size_t)rows->row[i] * p->cols;
		for (size_t j = 0; j < p->cols; j++)
			square[j] += rows->times[i] * ((double)x[j] - mean[j]) * ((double)x[j] - mean[j]);
	}
	for (size_t j = 0; j < p->cols; j++) {
		double apart = p->mean[j] - mean[j];
		p->variance[j] = (p->variance[j] * n + square[j] + n * m / (n + m) * apart * apart) / (n + m);
	}
	*count = m;
	mem_free(square);
}

/* --- the matrix --- */

struct stack { float *at; size_t rows, cols; };

/* M, with rows of zeros to at least n. */
static struct stack stack_new(const struct incremental_pca *p, const struct pca_rows *rows, const double *mean,
                              double count)
{
	size_t cols = p->cols, before = p->seen > 0 ? p->n : 0, all = before + rows->n + (p->seen > 0);
	struct stack m = { mem_array(MAX(all, p->n) * cols, sizeof(float)), MAX(all, p->n), cols };
	float *to = m.at;

	for (size_t k = 0; k < before; k++, to += cols)
		for (size_t j = 0; j < cols; j++)
			to[j] = (float)(p->s[k] * (double)p->v[k * cols + j]);
	for (size_t i = 0; i < rows->n; i++, to += cols) {
		const float *x = rows->x + (size_t)rows->row[i] * cols;
		double weight = sqrt(rows->times[i]);
		for (size_t j = 0; j < cols; j++)
			to[j] = (float)(weight * ((double)x[j] - mean[j]));
	}
	double apart = sqrt(p->seen / (p->seen + count) * count);
	for (size_t j = 0; j < cols && before; j++)
		to[j] = (float)(apart * (p->mean[j] - mean[j]));
	return m;
}

/* --- its largest singular vectors --- */

struct products { const struct kernels *k; struct pool *pool; void *scratch; };

/* y [rows,q] = M·v [cols,q], or y [cols,q] = Mᵀ·v [rows,q] */
static void times(const struct products *w, const struct stack *m, const float *v, float *y, size_t q, bool transposed)
{
	size_t inner = transposed ? m->rows : m->cols;
	struct gemm g = { .m = transposed ? m->cols : m->rows, .n = q, .n_terms = 1, .c = y, .ldc = q };

	g.term[0] = (struct gemm_term){ .a = m->at, .a_row = transposed ? 1 : m->cols,
		                        .a_col = transposed ? m->cols : 1,
		                        .b = { DTYPE_F32, v, inner, q, q * sizeof(*v), 0 }, .k = inner, .scale = 1 };
	gemm_run(w->k, w->pool, &g, w->scratch);
}

static void transpose_in(const float *v, double *to, size_t cols, size_t q)
{
	for (size_t j = 0; j < q; j++)
		for (size_t i = 0; i < cols; i++)
			to[j * cols + i] = (double)v[i * q + j];
}

static void transpose_out(const double *from, float *v, size_t cols, size_t q)
{
	for (size_t j = 0; j < q; j++)
		for (size_t i = 0; i < cols; i++)
			v[i * q + j] = (float)from[j * cols + i];
}

/* In four sums, in one order. */
static double dot(const double *a, const double *b, size_t n)
{
	double sum[4] = { 0 };
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
		for (size_t k = 0; k < 4; k++)
			sum[k] += a[i + k] * b[i + k];
	for (; i < n; i++)
		sum[0] += a[i] * b[i];
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void scale(double *x, double by, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= by;
}

/* Column j of length 1, orthogonal to those before it: Gram and Schmidt, twice is enough; one that lies among them is
 * drawn anew. */
static void orthogonalize_one(double *q, size_t j, size_t n)
{
	struct rng_key key = { DRAWN, RNG_INIT };
	double *x = q + j * n, before = sqrt(dot(x, x, n)), after;

	for (uint32_t again = 1; ; again++) {
		for (int twice = 0; twice < 2; twice++)
			for (size_t k = 0; k < j; k++) {
				const double *y = q + k * n;
				double by = dot(x, y, n);
				for (size_t i = 0; i < n; i++)
					x[i] -= by * y[i];
			}
		after = sqrt(dot(x, x, n));
		if (after > 1e-10 * before)
			break;
		for (size_t i = 0; i < n; i++)
			x[i] = (double)rng_normal(key, i, (uint32_t)j, again);
		before = sqrt(dot(x, x, n));
	}
	scale(x, 1 / after, n);
}

static void orthogonalize(double *q, size_t k, size_t n)
{
	for (size_t j = 0; j < k; j++)
		orthogonalize_one(q, j, n);
}

/* Columns of v that span what M makes largest; wide: the same as rows, in double. */
static void find_subspace(const struct incremental_pca *p, const struct products *w, const struct stack *m, float *v,
                          double *wide, size_t q)
{
	struct rng_key key = { DRAWN, RNG_INIT };
	float *y = mem_array(m->rows * q, sizeof(*y));

	for (size_t j = 0; j < q; j++)
		for (size_t i = 0; i < p->cols; i++)
			wide[j * p->cols + i] = p->seen > 0 && j < p->n ? (double)p->v[j * p->cols + i] :
			                                                  (double)rng_normal(key, i, (uint32_t)j, 0);
	orthogonalize(wide, q, p->cols);
	transpose_out(wide, v, p->cols, q);
	for (int round = p->seen > 0 ? LATER_ROUNDS : FIRST_ROUNDS; q < p->cols && round > 0; round--) {
		times(w, m, v, y, q, false);
		times(w, m, y, v, q, true);
		transpose_in(v, wide, p->cols, q);
		orthogonalize(wide, q, p->cols);
		transpose_out(wide, v, p->cols, q);
	}
	mem_free(y);
}

/* Component k, and how far it has turned. */
static void keep(struct incremental_pca *p, size_t k, const double *x)
{
	float *v = p->v + k * p->cols;
	size_t largest = 0;
	double cosine = 0, length = 0;

	for (size_t j = 1; j < p->cols; j++)
		largest = fabs(x[j]) > fabs(x[largest]) ? j : largest;
	double sign = x[largest] < 0 ? -1 : 1;
	for (size_t j = 0; j < p->cols; j++) {
		cosine += (double)v[j] * sign * x[j];
		length += (double)v[j] * (double)v[j];
		v[j] = (float)(sign * x[j]);
	}
	p->alike[k] = length > 0 ? cosine / sqrt(length) : -1;
}

static void find(struct incremental_pca *p, const struct products *w, const struct stack *m)
{
	size_t q = columns(p->n, p->cols), cols = p->cols;
	float *v = mem_array(cols * q, sizeof(*v)), *small = mem_array(m->rows * q, sizeof(*small));
	double *wide = mem_array(q * cols, sizeof(*wide)), *x = mem_array(cols, sizeof(*x));
	struct svd_floats floats = { small, m->rows, q };
	struct svd_matrix matrix = svd_of_floats(&floats);
	struct svd svd;

	find_subspace(p, w, m, v, wide, q);
	times(w, m, v, small, q, false);
	svd_largest(&svd, &matrix, p->n, NULL);
	for (size_t k = 0; k < p->n; k++) {
		memset(x, 0, cols * sizeof(*x));
		for (size_t j = 0; j < q; j++)
			for (size_t i = 0; i < cols; i++)
				x[i] += svd.v[k * q + j] * wide[j * cols + i];
		p->s[k] = svd.s[k];
		keep(p, k, x);
	}
	svd_release(&svd);
	mem_free(v);
	mem_free(small);
	mem_free(wide);
	mem_free(x);
}

void incremental_pca_add(struct incremental_pca *p, const struct pca_rows *rows, const struct kernels *k,
                         struct pool *pool)
{
	double *mean = mem_array(p->cols, sizeof(*mean)), count, all = 0;
	char *scratch = mem_alloc(gemm_scratch_bytes(k) * (size_t)pool_threads(pool) + ALIGNMENT);
	struct products w = { k, pool, (void *)ROUND_UP((uintptr_t)scratch, (uintptr_t)ALIGNMENT) };

	add_moments(p, rows, mean, &count);
	struct stack m = stack_new(p, rows, mean, count);
	find(p, &w, &m);
	for (size_t j = 0; j < p->cols; j++) {
		all += p->variance[j] * (p->seen + count);
		p->mean[j] += (mean[j] - p->mean[j]) * count / (p->seen + count);
	}
	for (size_t i = 0; i < p->n; i++)
		p->share[i] = all > 0 ? p->s[i] * p->s[i] / all : 0;
	p->seen += count;
	mem_free(m.at);
	mem_free(scratch);
	mem_free(mean);
}
