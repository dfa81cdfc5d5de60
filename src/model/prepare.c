/* prepare: a model's matrices into the form that its work reads: panels, and transposes for gradients in int8.
 * Every matrix is a mapping of its own, so that layer after layer is copied and its file pages are dropped: the
 * peak is one matrix more. Items are panels; nothing depends on threads. */
#include "model/prepare.h"

#include <string.h>

#include "base/mem.h"
#include "quant/panels.h"
#include "quant/quant.h"

enum { PANELS_EACH = 8, Q8_BYTES = 34 };

struct work {
	const struct weight *w;
	size_t rows, cols;   /* of what is written */
	void *out;
	float *floats;       /* [threads][16][cols] */
	uint8_t *blocks;     /* [threads][16][Q8_0 rows] */
};

enum compute compute_from_name(const char *name, const struct kernels *k)
{
	bool fast = !strcmp(name, "auto") && kernels_fast_int8(k);

	return fast || !strcmp(name, "int8") ? COMPUTE_INT8 : COMPUTE_F32;
}

const char *compute_name(enum compute c)
{
	return c == COMPUTE_INT8 ? "int8" : "f32";
}

static size_t n_panels(const struct work *w)
{
	return (w->rows + PANEL_ROWS - 1) / PANEL_ROWS;
}

static void order_item(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t from = item * PANELS_EACH;
	(void)thread;

	panels_make(w->w->dtype, w->w->data, w->rows, w->cols, from, MIN(from + PANELS_EACH, n_panels(w)), w->out);
}

/* One panel of Wᵀ: 16 columns of W become rows of Q8_0, those a panel. */
static void turn_item(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	const struct weight *from = w->w;
	size_t i0 = item * PANEL_ROWS, row_bytes = from->bytes / from->dim[0],
	       q8_row = w->cols / PANEL_BLOCK * Q8_BYTES;
	float *x = w->floats + (size_t)thread * PANEL_ROWS * w->cols, some[PANEL_ROWS];
	uint8_t *q = w->blocks + (size_t)thread * PANEL_ROWS * q8_row;

	for (size_t o = 0; o < w->cols; o++) {
		dtypes[from->dtype].part((const char *)from->data + o * row_bytes, i0, some, PANEL_ROWS);
		for (size_t i = 0; i < PANEL_ROWS; i++)
			x[i * w->cols + o] = some[i];
	}
	q8_0_from_float(x, q, PANEL_ROWS * w->cols);
	panels_make(DTYPE_Q8_0, q, PANEL_ROWS, w->cols, 0, 1, (char *)w->out + item * panel_bytes(DTYPE_Q8_0, w->cols));
}

static int given_up(void *out, size_t bytes, struct err *e)
{
	mem_unmap(out, bytes);
	return err_set(e, "interrupted while the model's matrices were put in order");
}

static int order(struct model *m, struct weight *w, struct pool *p, struct err *e)
{
	struct work k = { .w = w, .rows = w->dim[0], .cols = w->dim[1] };
	size_t bytes = panels_bytes(w->dtype, k.rows, k.cols);

	if (w->panels)
		return 0;
	if (mem_map(&k.out, bytes, w->name, e) < 0)
		return -1;
	if (!pool_try(p, (n_panels(&k) + PANELS_EACH - 1) / PANELS_EACH, order_item, &k))
		return given_up(k.out, bytes, e);
	w->panels = k.out;
	m->prepared_bytes += bytes;
	return 0;
}

static int turn(struct model *m, struct weight *w, struct pool *p, struct err *e)
{
	struct work k = { .w = w, .rows = w->dim[1], .cols = w->dim[0] };
	size_t bytes = panels_bytes(DTYPE_Q8_0, k.rows, k.cols), threads = (size_t)pool_threads(p);

	if (w->transposed)
		return 0;
	if (mem_map(&k.out, bytes, w->name, e) < 0)
		return -1;
	k.floats = mem_array(threads * PANEL_ROWS * k.cols, sizeof(float));
	k.blocks = mem_array(threads * PANEL_ROWS * k.cols / PANEL_BLOCK, Q8_BYTES);
	bool all = pool_try(p, n_panels(&k), turn_item, &k);
	mem_free(k.floats);
	mem_free(k.blocks);
	if (!all)
		return given_up(k.out, bytes, e);
	w->transposed = k.out;
	m->prepared_bytes += bytes;
	return 0;
}

static bool wanted(const struct model *m, size_t i, enum prepare_for what)
{
	const struct weight *w = &m->weights[i];
	bool head = (int)i == model_head(m),
	     block = (w->spec->flags & WEIGHT_LINEAR) && !(w->spec->flags & WEIGHT_HEAD);

	if (w->n_dims != 2 || !panels_fit(w->dtype) || w->dim[1] % PANEL_BLOCK)
		return false;
	/* a copy that is owned would stay beside them */
	if (!panels_int8(w->dtype) && (what != PREPARE_GENERATE || w->owned))
		return false;
	if (what == PREPARE_TRAIN && w->dim[0] % PANEL_BLOCK)
		return false;
	return (block || (head && what != PREPARE_SCORE)) && panels_hold(w->dtype, w->data, w->dim[0], w->dim[1]);
}

int model_prepare(struct model *m, struct pool *p, enum compute c, enum prepare_for what, struct err *e)
{
	bool any = false;

	m->compute = COMPUTE_F32;
	if (c == COMPUTE_F32 && what != PREPARE_GENERATE)
		return 0;
	for (size_t i = 0; i < m->n_weights; i++) {
		struct weight *w = &m->weights[i];
		if (!wanted(m, i, what))
			continue;
		if (order(m, w, p, e) < 0 || (what == PREPARE_TRAIN && turn(m, w, p, e) < 0))
			return -1;
		source_forget(&m->source, w->data, w->bytes);
		any |= panels_int8(w->dtype);
	}
	m->compute = any ? c : COMPUTE_F32;
	return 0;
}

size_t model_prepared_bytes(const struct model *m) { return m->prepared_bytes; }

size_t model_prepare_growth(const struct model *m)
{
	size_t growth = 0;

	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		if (wanted(m, i, PREPARE_GENERATE))
			growth += panels_bytes(w->dtype, w->dim[0], w->dim[1]) - (w->owned ? 0 : w->bytes);
	}
	return growth;
}
