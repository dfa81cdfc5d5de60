/* optimizer_adafactor: Adafactor (Shazeer & Stern 2018), as transformers' with an external rate: of a matrix's second
 * moments only the means of its rows and of its columns are kept, R and C.
 *
 *     β = 1 − t^decay_rate      q = g² + 1e-30
 *     R ← β·R + (1 − β)·mean of q's rows      C ← β·C + (1 − β)·mean of q's columns
 *     V = R·Cᵀ/mean(R)
 *     V ← β·V + (1 − β)·q     for what is no matrix
 *     U = g/√V      U ← U / max(1, RMS(U)/clip_threshold)
 *     M ← β₁·M + (1 − β₁)·lr·U, and M for lr·U     with beta1
 *     w ← w·(1 − lr·λ) − lr·U
 *
 * With scale_parameter lr is times max(1e-3, RMS(w)), of the weights before the step. Defaults are those of
 * transformers' Trainer: neither that nor relative_step, which is a schedule of its own and left to
 * --lr-scheduler-type inverse_sqrt. R, C and V are in f32 as there, sums in double.
 *
 * A parameter is taken whole, because RMS(U) is of all of it. Four passes: rows, columns, the size of U, weights. */
#include "train/optimizer.h"

#include <math.h>

#include "base/mem.h"

enum { COLUMNS = 256 };
static const double tiny = 1e-30, least_scale = 1e-3;

struct options {
	double clip_threshold, decay_rate, beta1;
	bool scale_parameter;
};

static const struct opt opts[] = {
	OPT_FLOAT("adafactor-clip-threshold", struct options, clip_threshold, "1", 1e-9, 1e9,
	          "most root mean square of a parameter's step over the rate"),
	OPT_FLOAT("adafactor-decay-rate", struct options, decay_rate, "-0.8", -10, 0,
	          "second moments follow by 1 - step^this"),
	OPT_FLOAT("adafactor-beta1", struct options, beta1, NULL, 0, 0.9999999,
	          "keep a first moment too, which follows so slowly (default: none)"),
	OPT_FLAG("adafactor-scale-parameter", struct options, scale_parameter, "false",
	         "the rate is a part of each parameter's own root mean square"),
	OPT_END
};

static double least(const void *options) { (void)options; return sqrt(tiny); }
static bool factored(const struct param *p) { return p->n_dims == 2; }
static bool whole(const struct param *p) { (void)p; return true; }
static bool has_first(const struct options *o) { return !isnan(o->beta1); }

static int state(const struct param *p, const void *options, struct optim_tensor *out)
{
	int n = 0;

	if (factored(p)) {
		out[n++] = (struct optim_tensor){ .name = "row", .n_dims = 1, .dim = { p->dim[0] } };
		out[n++] = (struct optim_tensor){ .name = "column", .n_dims = 1, .dim = { p->dim[1] } };
	} else {
		out[n++] = optim_tensor_like(p, "v");
	}
	if (has_first(options))
		out[n++] = optim_tensor_like(p, "m");
	return n;
}

/* --- items: some rows of a matrix, a piece of anything else --- */

struct work {
	const struct optim_update *u;
	size_t rows, cols, some;   /* anything but a matrix: rows of one number */
	float beta, rest;          /* of the second moments */
	float *row, *column;       /* 1/√ of them, once they are there; of a matrix */
	double *sums;              /* [2] an item: of U² and w² */
	float rate, clip, shrink;
};

static size_t items_of(const struct param *p)
{
	size_t some = factored(p) ? MAX((size_t)OPTIM_PIECE / p->dim[1], (size_t)1) : (size_t)OPTIM_PIECE;
	return ((factored(p) ? p->dim[0] : p->n) + some - 1) / some;
}

static size_t scratch(const struct param *p, const void *options)
{
	size_t factors = factored(p) ? ROUND_UP(p->dim[0], (size_t)2) + ROUND_UP(p->dim[1], (size_t)2) : 0;
	(void)options;
	return factors * sizeof(float) + 2 * items_of(p) * sizeof(double);
}

static struct work work_of(const struct optim_update *u)
{
	const struct options *o = u->settings->options;
	const struct param *p = u->param;
	double beta = 1 - pow((double)u->t, o->decay_rate);
	struct work w = { .u = u, .rows = factored(p) ? p->dim[0] : p->n, .cols = factored(p) ? p->dim[1] : 1,
		          .beta = (float)beta, .rest = (float)(1 - beta), .rate = (float)u->rate };

	w.some = factored(p) ? MAX((size_t)OPTIM_PIECE / w.cols, (size_t)1) : (size_t)OPTIM_PIECE;
	w.sums = u->scratch;
	w.row = (float *)(w.sums + 2 * items_of(p));
	w.column = w.row + ROUND_UP(w.rows, (size_t)2);
	return w;
}

static float gradient(const struct work *w, size_t i) { return w->u->g[i] * (float)w->u->g_scale; }
static float square(const struct work *w, size_t i)
{
	float g = gradient(w, i);
	return g * g + (float)tiny;
}

static void moments_of_rows(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	float *row = w->u->state[0];

	(void)thread;
	for (size_t r = item * w->some; r < MIN((item + 1) * w->some, w->rows); r++) {
		double sum = 0;
		for (size_t c = 0; c < w->cols; c++)
			sum += (double)square(w, r * w->cols + c);
		row[r] = row[r] * w->beta + (float)(sum / (double)w->cols) * w->rest;
	}
}

static void moments_of_columns(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t first = item * COLUMNS, n = MIN(w->cols - first, (size_t)COLUMNS);
	float *column = w->u->state[1];
	double sum[COLUMNS] = { 0 };

	(void)thread;
	for (size_t r = 0; r < w->rows; r++)
		for (size_t c = 0; c < n; c++)
			sum[c] += (double)square(w, r * w->cols + first + c);
	for (size_t c = 0; c < n; c++) {
		float *x = &column[first + c];
		*x = *x * w->beta + (float)(sum[c] / (double)w->rows) * w->rest;
		w->column[first + c] = 1 / sqrtf(*x);
	}
}

static void factor(struct work *w)
{
	const float *row = w->u->state[0];
	double mean = 0;

	pool_run(w->u->pool, items_of(w->u->param), moments_of_rows, w);
	pool_run(w->u->pool, (w->cols + COLUMNS - 1) / COLUMNS, moments_of_columns, w);
	for (size_t r = 0; r < w->rows; r++)
		mean += (double)row[r];
	mean /= (double)w->rows;
	for (size_t r = 0; r < w->rows; r++)
		w->row[r] = 1 / sqrtf(row[r] / (float)mean);
}

/* U of one number, where its second moment is there. */
static float direction(const struct work *w, size_t r, size_t c)
{
	if (factored(w->u->param))
		return w->row[r] * w->column[c] * gradient(w, r * w->cols + c);
	return gradient(w, r) / sqrtf(((const float *)w->u->state[0])[r]);
}

static void measure(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	bool plain = !factored(w->u->param);
	float *v = w->u->state[0];
	double of_u = 0, of_w = 0;

	(void)thread;
	for (size_t r = item * w->some; r < MIN((item + 1) * w->some, w->rows); r++) {
		if (plain)
			v[r] = v[r] * w->beta + square(w, r) * w->rest;
		for (size_t c = 0; c < w->cols; c++) {
			double u = (double)direction(w, r, c), x = (double)w->u->w[r * w->cols + c];
			of_u += u * u;
			of_w += x * x;
		}
	}
	w->sums[2 * item] = of_u;
	w->sums[2 * item + 1] = of_w;
}

static void give_update(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	const struct options *o = w->u->settings->options;
	float *m = has_first(o) ? w->u->state[factored(w->u->param) ? 2 : 1] : NULL;
	float beta1 = (float)o->beta1, rest1 = (float)(1 - o->beta1);

	(void)thread;
	for (size_t r = item * w->some; r < MIN((item + 1) * w->some, w->rows); r++)
		for (size_t c = 0; c < w->cols; c++) {
			size_t i = r * w->cols + c;
			float step = direction(w, r, c) / w->clip * w->rate;
			if (m)
				step = m[i] = m[i] * beta1 + step * rest1;
			w->u->w[i] = w->u->w[i] * w->shrink - step;
		}
}

/* --- the row --- */

static void update(const struct optim_update *u, size_t at, size_t n)
{
	const struct options *o = u->settings->options;
	struct work w = work_of(u);
	size_t items = items_of(u->param);
	double of_u = 0, of_w = 0, rate = u->rate;

	if (at || n != u->param->n)
		BUG("a part of a parameter that is taken whole");
	if (factored(u->param))
		factor(&w);
	pool_run(u->pool, items, measure, &w);
	for (size_t i = 0; i < items; i++) {
		of_u += w.sums[2 * i];
		of_w += w.sums[2 * i + 1];
	}
	if (o->scale_parameter)
		rate *= MAX(least_scale, sqrt(of_w / (double)n));
	w.rate = (float)rate;
	w.clip = (float)MAX(1.0, sqrt(of_u / (double)n) / o->clip_threshold);
	w.shrink = (float)(1 - rate * u->decay);
	pool_run(u->pool, items, give_update, &w);
}

/* The gradient is read in each pass, the weights in the last two. */
static struct optim_cost cost(const struct param *p, const void *options)
{
	double n = (double)p->n, more = factored(p) ? 0 : 3, first = has_first(options) ? 2 : 0;
	return (struct optim_cost){ .flops = (factored(p) ? 22 : 18) * n + 3 * first * n / 2,
		                    .bytes = sizeof(float) * n * ((factored(p) ? 4 : 2) + 3 + more + first) };
}

const struct optimizer optimizer_adafactor = {
	.name = "adafactor",
	.summary = "second moments as means of a matrix's rows and columns",
	.rate = 1,
	.least = least,
	.opts = opts,
	.options_size = sizeof(struct options),
	.state = state,
	.whole = whole,
	.scratch = scratch,
	.update = update,
	.cost = cost,
};
