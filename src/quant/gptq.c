/* gptq: see gptq.h. Factors are found from the last column to the first, in doubles, some columns at a time: those
 * among themselves, then what they take from all that is above and left of them. Rows are rounded several at a time,
 * block by block, so that a block's columns of U are read once for all of them. */
#include "quant/gptq.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "quant/codes.h"
#include "quant/quantize.h"

enum { COLUMNS = 32, TRIES = 7 };

/* --- factors --- */

struct factoring {
	double *a;                  /* [n][n] its upper half */
	double *panel;              /* [COLUMNS][n] U·D of some columns, transposed */
	size_t n, from, to;         /* those columns */
};

/* What column j takes from the columns left of it that belong to the same some. */
static void take_column(struct factoring *f, size_t j)
{
	double d = f->a[j * f->n + j];

	for (size_t i = 0; i < j; i++)
		f->panel[(j - f->from) * f->n + i] = f->a[i * f->n + j];
	for (size_t i = 0; i < j; i++) {
		double u = f->a[i * f->n + j] / d;
		f->a[i * f->n + j] = u;
		for (size_t k = MAX(i, f->from); k < j; k++)
			f->a[i * f->n + k] -= u * f->panel[(j - f->from) * f->n + k];
	}
}

/* Row i of what is left of them: a_ik −= Σ_j U_ij·(D_j·U_kj), k ≥ i. */
static void take_row(void *ctx, size_t i, int thread)
{
	const struct factoring *f = ctx;
	double *row = f->a + i * f->n;
	(void)thread;

	for (size_t j = f->to; j-- > f->from;) {
		const double *p = f->panel + (j - f->from) * f->n;
		double u = row[j];
		for (size_t k = i; k < f->from; k++)
			row[k] -= u * p[k];
	}
}

static bool factor(struct pool *p, struct factoring *f)
{
	for (f->to = f->n; f->to > 0; f->to = f->from) {
		f->from = f->to > COLUMNS ? f->to - COLUMNS : 0;
		for (size_t j = f->to; j-- > f->from;)
			take_column(f, j);
		if (!pool_try(p, f->from, take_row, f))
			return false;
	}
	return true;
}

double gptq_damp(size_t n, size_t rows) { return MAX(0.01, (double)n / (double)MAX(rows, (size_t)1)); }

int gptq_factor(struct pool *p, float *h, size_t n, size_t rows, struct err *e)
{
	struct factoring f = { .n = n, .a = mem_array(n * n, sizeof(double)), .panel = mem_array(COLUMNS * n, 8) };
	double mean = 0;

	for (size_t i = 0; i < n; i++)
		mean += (double)h[i * n + i] / (double)n;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = i; k < n; k++)
			f.a[i * n + k] = (double)h[i * n + k];
		f.a[i * n + i] += mean > 0 ? gptq_damp(n, rows) * mean : 1;
	}
	bool all = factor(p, &f);
	for (size_t i = 0; i < n && all; i++)
		for (size_t k = i; k < n; k++)
			h[i * n + k] = (float)f.a[i * n + k];
	mem_free(f.a);
	mem_free(f.panel);
	return all ? 0 : err_set(e, "interrupted while what a matrix is multiplied with was factored");
}

/* --- rows --- */

struct rounding {
	struct codes codes;
	const float *factors;
	size_t cols, block;
	float level[CODES_MOST][CODES_NUMBERS];
};

/* How one try at a block came out. */
struct tried {
	uint8_t code[CODES_NUMBERS], block[CODES_BYTES];
	float error[CODES_NUMBERS], cost;
};

static int nearest(const struct rounding *r, int i, float x)
{
	float least = INFINITY;
	int best = 0;

	for (int c = 0; c < r->codes.n; c++) {
		float d = fabsf(r->level[c][i] - x);
		if (d < least) {
			least = d;
			best = c;
		}
	}
	return best;
}

/* w, t: of the block at column `at`; t has what all blocks before it err. The scales are those of z's block. */
static void try_block(struct rounding *r, size_t at, const float *w, const float *t, const float *z, struct tried *out)
{
	float weights[CODES_NUMBERS], goal[CODES_NUMBERS];
	size_t n = r->block;

	for (size_t i = 0; i < n; i++)
		weights[i] = r->factors[(at + i) * r->cols + at + i];
	quantize_row(r->codes.type, z, n, weights, out->block);
	codes_levels(&r->codes, out->block, r->level);
	memcpy(goal, t, n * sizeof(*goal));
	out->cost = 0;
	for (size_t i = 0; i < n; i++) {
		const float *u = r->factors + (at + i) * r->cols + at;
		int code = nearest(r, (int)i, goal[i]);
		float off = goal[i] - r->level[code][i], error = w[i] - r->level[code][i];
		out->code[i] = (uint8_t)code;
		out->error[i] = error;
		out->cost += weights[i] * off * off;
		for (size_t k = i + 1; k < n; k++)
			goal[k] += error * u[k];
	}
}

static void round_block(struct rounding *r, size_t at, const float *w, const float *t, float *error, uint8_t *out)
{
	static const float larger[TRIES] = { 1, 0.94F, 0.97F, 1.03F, 1.06F, 0.9F, 1.1F };
	struct tried tries[2];
	float z[CODES_NUMBERS];
	int best = 0;

	for (int i = 0; i < TRIES; i++) {
		struct tried *x = &tries[i ? 1 - best : best];
		for (size_t k = 0; k < r->block; k++)
			z[k] = t[k] * larger[i];
		try_block(r, at, w, t, z, x);
		if (i && x->cost < tries[best].cost)
			best = 1 - best;
	}
	memcpy(out, tries[best].block, dtypes[r->codes.type].bytes);
	for (size_t i = 0; i < r->block; i++)
		codes_put(r->codes.type, out, (int)i, tries[best].code[i]);
	memcpy(error, tries[best].error, r->block * sizeof(*error));
}

bool gptq_writes(enum dtype t) { return codes_of(t) && quantize_writes(t); }

size_t gptq_scratch(size_t n, size_t cols)
{
	return sizeof(struct rounding) + n * (cols + CODES_NUMBERS) * sizeof(float);
}

static void add(float *restrict y, float a, const float *restrict x, size_t n)
{
	for (size_t k = 0; k < n; k++)
		y[k] += a * x[k];
}

void gptq_rows(enum dtype t, const float *x, size_t n, size_t cols, const float *factors, void *scratch, void *out)
{
	struct rounding *r = scratch;
	float *error = (float *)(r + 1), *goal = error + n * cols;
	size_t block = dtypes[t].block;

	codes_begin(&r->codes, t);
	r->factors = factors;
	r->cols = cols;
	r->block = block;
	for (size_t at = 0; at < cols; at += block) {
		for (size_t i = 0; i < n; i++)
			memcpy(goal + i * block, x + i * cols + at, block * sizeof(*goal));
		for (size_t j = 0; j < at; j++)
			for (size_t i = 0; i < n; i++)
				add(goal + i * block, error[i * cols + j], factors + j * cols + at, block);
		for (size_t i = 0; i < n; i++)
			round_block(r, at, x + i * cols + at, goal + i * block, error + i * cols + at,
			            (uint8_t *)out + dtype_row_bytes(t, i * cols + at));
	}
}
