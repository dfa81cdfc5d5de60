/* quantize_matrix: items are runs of rows, which are taken to f32, looked at, and written. Threads keep denormals
 * meanwhile, since others' quantizers do. */
#include "quant/quantize_matrix.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "quant/gptq.h"
#include "quant/quantize.h"
#include "quant/ranges.h"

enum { NUMBERS_EACH = 1 << 14 };

#define LARGE 16000.0f    /* from here on a scale in f16 may not hold what a row has */

struct work {
	const struct quantize_matrix *m;
	size_t from_bytes, to_bytes, rows_each;
	char *scratch;                      /* [threads] of so many bytes: rows, then gptq's */
	size_t scratch_bytes;
	atomic_bool infinite, too_large;
};

static float largest(const float *x, size_t n, bool *finite)
{
	float most = 0;

	for (size_t i = 0; i < n; i++) {
		*finite &= isfinite(x[i]) != 0;
		most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
	}
	return most;
}

/* Rows from … in f32, looked at. Whether they are finite, and any is so large that its scales may not be. */
static bool read_rows(const struct work *w, size_t from, size_t n, float *x, bool *large)
{
	const struct quantize_matrix *m = w->m;
	bool finite = true;

	for (size_t i = 0; i < n; i++) {
		dtypes[m->from].to_float((const char *)m->data + (from + i) * w->from_bytes, x + i * m->cols, m->cols);
		*large |= largest(x + i * m->cols, m->cols, &finite) >= LARGE;
	}
	return finite;
}

static void rows_run(struct work *w, size_t from, size_t n, float *x)
{
	const struct quantize_matrix *m = w->m;
	uint8_t *out = (uint8_t *)m->out + from * w->to_bytes;
	bool finite = true, large = false;

	if (!read_rows(w, from, n, x, &large)) {
		w->infinite = true;
		return;
	}
	if (m->factors)
		gptq_rows(m->to, x, n, m->cols, m->factors, x + w->rows_each * m->cols, out);
	for (size_t i = 0; i < n && m->scales; i++)
		ranges_write(m->to, x + i * m->cols, m->scales + (from + i) * (m->cols / RANGE_BLOCK), m->cols,
		             out + i * w->to_bytes);
	for (size_t i = 0; i < n && !m->factors && !m->scales; i++)
		quantize_row(m->to, x + i * m->cols, m->cols, m->weights, out + i * w->to_bytes);
	for (size_t i = 0; i < n && large; i++) {
		dtypes[m->to].to_float(out + i * w->to_bytes, x, m->cols);
		largest(x, m->cols, &finite);
	}
	if (!finite)
		w->too_large = true;
}

static void item_run(void *ctx, size_t item, int thread)
{
	struct work *w = ctx;
	size_t from = item * w->rows_each, end = MIN(w->m->rows, from + w->rows_each);
	unsigned long state = float_state();

	float_keep_denormals();
	rows_run(w, from, end - from, (float *)(w->scratch + (size_t)thread * w->scratch_bytes));
	float_restore(state);
}

int quantize_matrix(struct pool *p, const struct quantize_matrix *m, struct err *e)
{
	struct work w = { .m = m, .rows_each = MAX(NUMBERS_EACH / m->cols, (size_t)1) };

	if (dtype_bytes(m->from, m->cols, &w.from_bytes, e) < 0 || dtype_bytes(m->to, m->cols, &w.to_bytes, e) < 0)
		return -1;
	if (m->from == m->to) {
		memcpy(m->out, m->data, m->rows * w.to_bytes);
		return 0;
	}
	w.scratch_bytes = ROUND_UP(w.rows_each * m->cols * sizeof(float) +
	                                   (m->factors ? gptq_scratch(w.rows_each, m->cols) : 0), (size_t)64);
	w.scratch = mem_array((size_t)pool_threads(p), w.scratch_bytes);
	bool all = pool_try(p, (m->rows + w.rows_each - 1) / w.rows_each, item_run, &w);
	mem_free(w.scratch);
	if (w.infinite)
		return err_set(e, "'%.80s' holds a number that is not finite", m->name);
	if (w.too_large)
		return err_set(e, "'%.80s' holds numbers that are too large for %s", m->name, dtypes[m->to].name);
	return all ? 0 : err_set(e, "interrupted while '%.80s' was quantized", m->name);
}
