/* divergence: two scorers that compute logits, whose micro-batches go by turns. See divergence.h.
 *
 * Each micro-batch runs without the overlay and with it; while both results are there, rows are compared. As scorers
 * cut documents alike, row r of the one is row r of the other. */
#include "infer/divergence.h"

#include <math.h>

#include "base/mem.h"

enum { LOGITS_BYTES = 8 << 20, LEAST_ROWS = 32 }; /* of a side */

struct divergence {
	struct device *device;
	size_t V;
	int32_t max_tokens;
	struct scorer *base, *tuned;
	const float *logits;           /* of the base's micro-batch, of so many rows */
	int32_t rows;
	double *row;                   /* [a micro-batch's targets] */
	double *sum;                   /* of the micro-batch's documents */
};

static uint32_t record(void *ctx, struct graph *g, uint32_t hidden)
{
	(void)ctx;
	return graph_logits(g, hidden);
}

/* --- a row --- */

static double log_sum(const float *z, size_t n, double most)
{
	double sum = 0;

	for (size_t v = 0; v < n; v++)
		sum += exp((double)z[v] - most);
	return most + log(sum);
}

static double row_divergence(const float *p, const float *q, size_t n, const struct kernels *k)
{
	double lp = log_sum(p, n, (double)k->max(p, n)), lq = log_sum(q, n, (double)k->max(q, n)), sum = 0;

	for (size_t v = 0; v < n; v++) {
		double log_p = (double)p[v] - lp;
		sum += exp(log_p) * (log_p - ((double)q[v] - lq));
	}
	return sum < 0 ? 0 : sum; /* below it is rounding; NaN of logits that are none stays one */
}

struct sides { const struct divergence *d; const float *tuned; };

static void compare_row(void *ctx, size_t r, int thread)
{
	const struct sides *w = ctx;
	const struct divergence *d = w->d;
	(void)thread;

	d->row[r] = row_divergence(d->logits + r * d->V, w->tuned + r * d->V, d->V, d->device->kernels);
}

/* --- a micro-batch --- */

static void take_base(void *ctx, struct batch *b, const struct document *const *docs, const float *logits)
{
	struct divergence *d = ctx;
	(void)docs;

	d->logits = logits;
	d->rows = b->n_targets;
}

static void compare(void *ctx, struct batch *b, const struct document *const *docs, const float *logits)
{
	struct divergence *d = ctx;
	struct sides w = { d, logits };
	(void)docs;

	if (b->n_targets != d->rows)
		BUG("%d rows beside %d of the same documents", b->n_targets, d->rows);
	pool_run(d->device->pool, (size_t)b->n_targets, compare_row, &w);
	for (int32_t i = 0; i < b->n_labels; i++)
		d->sum[b->label_doc[i]] += d->row[b->label_target[i]];
}

/* --- the whole --- */

static int open_side(struct scorer **out, struct divergence *d, struct model *m, const struct overlay *o,
                     int32_t max_length, bool base, struct err *e)
{
	struct scorer_options options = { .max_tokens = d->max_tokens, .max_length = max_length, .record = record,
		                          .next_tokens = true, .scored = base ? take_base : compare, .ctx = d };

	return scorer_new(out, m, o, d->device, &options, e);
}

int divergence_new(struct divergence **out, struct model *m, const struct overlay *base, const struct overlay *tuned,
                   struct device *device, int32_t max_length, struct err *e)
{
	struct divergence *d = mem_alloc(sizeof(*d));
	size_t rows = MAX((size_t)LOGITS_BYTES / ((size_t)m->config.V * sizeof(float)), (size_t)LEAST_ROWS);

	*d = (struct divergence){ .device = device, .V = (size_t)m->config.V };
	d->max_tokens = (int32_t)MAX(MIN(rows, (size_t)1024), (size_t)max_length);
	d->row = mem_array((size_t)d->max_tokens, sizeof(*d->row));
	if (open_side(&d->base, d, m, base, max_length, true, e) < 0 ||
	    open_side(&d->tuned, d, m, tuned, max_length, false, e) < 0) {
		divergence_free(d);
		return -1;
	}
	*out = d;
	return 0;
}

static int prepare(struct divergence *d, const struct document *const *docs, size_t n, struct err *e)
{
	return scorer_prepare(d->base, docs, n, false, e) < 0 ? -1 : scorer_prepare(d->tuned, docs, n, false, e);
}

int divergence_run(struct divergence *d, const struct document *const *docs, size_t n, double *sum,
                   int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e)
{
	int status = prepare(d, docs, n, e);

	for (size_t i = 0; i < n; i++)
		sum[i] = 0;
	for (size_t i = 0, some; i < n && !status; i += some) {
		some = MIN(scorer_take(d->base, docs + i, n - i), scorer_take(d->tuned, docs + i, n - i));
		d->sum = sum + i;
		status = scorer_run(d->base, docs + i, some, false, NULL, NULL, NULL, NULL, e) < 0 ||
		         scorer_run(d->tuned, docs + i, some, false, NULL, NULL, NULL, NULL, e) < 0 ? -1 : 0;
		if (!status && progress && progress(ctx, i + some, n))
			status = err_set(e, "interrupted after %zu of %zu documents", i + some, n);
	}
	return status;
}

int divergence_forecast(struct divergence *d, const struct document *const *docs, size_t n, struct scorer_forecast *f,
                        struct err *e)
{
	struct scorer_forecast side;

	if (scorer_forecast(d->base, docs, n, false, f, e) < 0 ||
	    scorer_forecast(d->tuned, docs, n, false, &side, e) < 0)
		return -1;
	f->flops += side.flops;
	f->int_ops += side.int_ops;
	f->seconds += side.seconds;
	f->bytes += side.bytes;
	f->computed_tokens += side.computed_tokens;
	return 0;
}

double divergence_flops(const struct divergence *d) { return scorer_flops(d->base) + scorer_flops(d->tuned); }
double divergence_int_ops(const struct divergence *d) { return scorer_int_ops(d->base) + scorer_int_ops(d->tuned); }

void divergence_free(struct divergence *d)
{
	if (!d)
		return;
	scorer_free(d->base);
	scorer_free(d->tuned);
	mem_free(d->row);
	mem_free(d);
}
