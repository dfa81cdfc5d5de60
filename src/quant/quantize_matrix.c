/* quantize_matrix: items are runs of rows; each row is taken to f32, looked at, and written. Threads keep denormals
 * meanwhile, since others' quantizers do. */
#include "quant/quantize_matrix.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "quant/quantize.h"

enum { NUMBERS_EACH = 1 << 14 };

#define LARGE 16000.0f    /* from here on a scale in f16 may not hold what a row has */

struct work {
	const struct quantize_matrix *m;
	size_t from_bytes, to_bytes, rows_each;
	float *rows;                        /* [threads][cols] */
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

static void row_run(struct work *w, size_t row, float *x)
{
	const struct quantize_matrix *m = w->m;
	uint8_t *out = (uint8_t *)m->out + row * w->to_bytes;
	bool finite = true;

	dtypes[m->from].to_float((const char *)m->data + row * w->from_bytes, x, m->cols);
	float most = largest(x, m->cols, &finite);
	if (!finite) {
		w->infinite = true;
		return;
	}
	quantize_row(m->to, x, m->cols, m->weights, out);
	if (most < LARGE)
		return;
	dtypes[m->to].to_float(out, x, m->cols);
	largest(x, m->cols, &finite);
	if (!finite)
		w->too_large = true;
}

static void item_run(void *ctx, size_t item, int thread)
{
	struct work *w = ctx;
	size_t end = MIN(w->m->rows, (item + 1) * w->rows_each);
	unsigned long state = float_state();

	float_keep_denormals();
	for (size_t i = item * w->rows_each; i < end; i++)
		row_run(w, i, w->rows + (size_t)thread * w->m->cols);
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
	w.rows = mem_array((size_t)pool_threads(p) * m->cols, sizeof(float));
	bool all = pool_try(p, (m->rows + w.rows_each - 1) / w.rows_each, item_run, &w);
	mem_free(w.rows);
	if (w.infinite)
		return err_set(e, "'%.80s' holds a number that is not finite", m->name);
	if (w.too_large)
		return err_set(e, "'%.80s' holds numbers that are too large for %s", m->name, dtypes[m->to].name);
	return all ? 0 : err_set(e, "interrupted while '%.80s' was quantized", m->name);
}
