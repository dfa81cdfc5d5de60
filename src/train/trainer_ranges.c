/* trainer_ranges: --qat-range-learning: the scales of blocks are parameters beside the numbers that are rounded, an
 * overlay over what is trained that says nothing to any forward (quant/ranges.h):
 *
 *     dL/ds = Σ over the block of dL/dq · ∂q/∂s,  dL/dq as the backward pass leaves it in the numbers' gradient
 *
 * made once a step, before clipping, of the whole step's gradient; of several ranks each gets that of all, since who
 * updates a matrix need not be who updates its scales. They begin as the file's own encoder has them for
 * the weights of the start, or as the model's file has them, where it is of the type already: then the first forward is
 * that file's, bit for bit. Their rate is a tenth of the run's: a scale moves 32 numbers, and is a tenth of the
 * largest. */
#include <string.h>

#include "base/mem.h"
#include "model/weights.h"
#include "quant/quantize.h"
#include "quant/ranges.h"
#include "train/trainer_parts.h"

#define RANGE_RATE 0.1

static size_t cols_of(const struct weight *w) { return w->dim[w->n_dims - 1]; }

/* Scales of weight i, or NULL: it has none. */
float *ranges_at(const struct trainer *t, int i)
{
	const struct qat *q = &t->qat;
	int item = q->range ? q->range[i] : -1;

	return item < 0 ? NULL : q->ranges.params.w + q->ranges.params.items[item].offset;
}

int ranges_open(struct trainer *t, struct err *e)
{
	struct qat *q = &t->qat;
	size_t n = t->model->n_weights;

	if (!t->recipe.qat_range_learning)
		return 0;
	overlay_init(&q->ranges, t->model);
	q->range = arena_array(&q->mem, n, sizeof(*q->range));
	int group = params_add_group(&q->ranges.params, &(struct param_group){ .rate = RANGE_RATE, .clip = NAN });
	for (size_t i = 0; i < n; i++) {
		const struct weight *w = &t->model->weights[i];
		q->range[i] = -1;
		if (!ranges_of(q->to[i]) || q->overlay->replaced[i] < 0)
			continue;
		char *name = arena_printf(&q->mem, "%s.scales", w->name);
		size_t dim[1] = { weight_numbers(w) / RANGE_BLOCK };
		q->range[i] = params_add(&q->ranges.params, name, 1, dim, -1);
		q->ranges.params.items[q->range[i]].group = group;
	}
	if (q->ranges.params.n_items)
		return params_seal(&q->ranges.params, e);
	return err_set(e, "--qat-range-learning is of types whose blocks have one scale, q4_0, q5_0 and iq4_nl: of %s "
	                  "no matrix that is trained is one", t->recipe.qat);
}

/* --- the start --- */

struct ranges_work {
	const struct trainer *t;
	int weight;
	size_t cols;
	const float *x;              /* [rows][cols] what is trained of it */
	float *scale, *g, *d_scale;
	const void *blocks;          /* the model's own, of the type; or NULL */
};

static void first_row(void *ctx, size_t row, int thread)
{
	const struct ranges_work *w = ctx;
	const struct qat *q = &w->t->qat;
	enum dtype to = q->to[w->weight];
	size_t bytes = dtype_row_bytes(to, w->cols);
	float *scale = w->scale + row * (w->cols / RANGE_BLOCK);
	uint8_t *packed = (uint8_t *)(q->rows + (size_t)thread * 2 * q->widest);
	unsigned long state = float_state();

	if (w->blocks) {
		ranges_read(to, (const char *)w->blocks + row * bytes, w->cols, scale);
		return;
	}
	float_keep_denormals();
	quantize_row(to, w->x + row * w->cols, w->cols, q->columns[w->weight], packed);
	float_restore(state);
	ranges_read(to, packed, w->cols, scale);
}

static struct ranges_work work_of(const struct trainer *t, int i)
{
	const struct params *p = &t->qat.overlay->params;
	const struct weight *w = &t->model->weights[i];

	return (struct ranges_work){ .t = t, .weight = i, .cols = cols_of(w), .scale = ranges_at(t, i),
		                     .x = p->w + p->items[t->qat.overlay->replaced[i]].offset };
}

void ranges_begin(struct trainer *t, bool of_file)
{
	for (size_t i = 0; i < t->model->n_weights; i++) {
		const struct weight *of = &t->model->weights[i];
		if (!ranges_at(t, (int)i))
			continue;
		struct ranges_work w = work_of(t, (int)i);
		w.blocks = of_file && of->dtype == t->qat.to[i] ? of->data : NULL;
		pool_run(t->pool, weight_numbers(of) / w.cols, first_row, &w);
	}
}

/* --- the gradient --- */

static void gradient_row(void *ctx, size_t row, int thread)
{
	const struct ranges_work *w = ctx;
	size_t blocks = w->cols / RANGE_BLOCK;
	(void)thread;

	ranges_gradient(w->t->qat.to[w->weight], w->x + row * w->cols, w->scale + row * blocks, w->cols,
	                w->g + row * w->cols, w->d_scale + row * blocks);
}

int ranges_follow(struct trainer *t, float *gradient, struct err *e)
{
	const struct qat *q = &t->qat;

	if (q->range && q->on && share_gradient(t, gradient, e) < 0)
		return -1;
	for (size_t i = 0; q->range && q->on && i < t->model->n_weights; i++) {
		if (q->range[i] < 0)
			continue;
		struct ranges_work w = work_of(t, (int)i);
		w.g = gradient + q->overlay->at + q->overlay->params.items[q->overlay->replaced[i]].offset;
		w.d_scale = gradient + q->ranges.at + q->ranges.params.items[q->range[i]].offset;
		pool_run(t->pool, weight_numbers(&t->model->weights[i]) / w.cols, gradient_row, &w);
	}
	return 0;
}
