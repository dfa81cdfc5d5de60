/* importance: an overlay whose hooks record, before each product, a look at its input (op/watch.h). */
#include "eval/importance.h"

#include <string.h>

#include "base/mem.h"
#include "model/weights.h"
#include "op/watch.h"

enum { COLUMNS_EACH = 64 };

struct adding {
	struct imatrix_sums *s;
	const struct watched *w;
};

static size_t pieces(size_t cols)
{
	return (cols + COLUMNS_EACH - 1) / COLUMNS_EACH;
}

/* Some columns of one expert, its rows in their order. */
static void add_item(void *ctx, size_t item, int thread)
{
	const struct adding *a = ctx;
	const struct watched *w = a->w;
	size_t part = item / pieces(w->cols), from = item % pieces(w->cols) * COLUMNS_EACH,
	       to = MIN(from + COLUMNS_EACH, w->cols), begin = w->first ? (size_t)w->first[part] : 0,
	       end = w->first ? (size_t)w->first[part + 1] : w->rows;
	double *sum = a->s->sum + part * w->cols;
	(void)thread;

	for (size_t i = begin; i < end; i++) {
		const float *x = w->x + (w->order ? (size_t)w->order[i] : i) * w->cols;
		for (size_t k = from; k < to; k++)
			sum[k] += (double)x[k] * (double)x[k];
	}
	if (from == 0)
		a->s->count[part] += (double)(end - begin);
}

static void see(void *ctx, struct pool *p, const struct watched *w)
{
	struct adding a = { ctx, w };

	pool_run(p, w->parts * pieces(w->cols), add_item, &a);
}

static void clear(struct imatrix_sums *x)
{
	memset(x->sum, 0, x->parts * x->cols * sizeof(double));
	memset(x->count, 0, x->parts * sizeof(double));
}

/* Room for the sums of weight i, once; NULL and a sentence kept: GGUF has no name for it. */
static struct imatrix_sums *sums_of(struct importance *s, const struct model *m, int i, size_t parts)
{
	struct imatrix_sums *x = &s->sums[i];
	size_t cols = m->weights[i].dim[1];

	if (x->cols)
		return x;
	x->name = weight_gguf_name(&s->mem, &m->weights[i]);
	if (!x->name) {
		err_set(&s->failed, "GGUF has no name for %s, and an importance matrix goes by these",
		        m->weights[i].name);
		return NULL;
	}
	x->parts = parts;
	x->cols = cols;
	x->sum = arena_array(&s->mem, parts * cols, sizeof(double));
	x->count = arena_array(&s->mem, parts, sizeof(double));
	clear(x);
	return x;
}

static bool watch_linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	struct importance *s = (struct importance *)(uintptr_t)o->ctx;
	bool block = g->layer >= 0 && w < (int)g->model->n_weights;
	struct imatrix_sums *x = block ? sums_of(s, g->model, w, 1) : NULL;

	if (x)
		op_watch(g->tape, l->x, TENSOR_NONE, TENSOR_NONE, x->cols, &(struct watch){ see, x });
	return false;
}

/* The experts of a row share its x, or each slot has its own. */
static void watch_experts(struct graph *g, const struct overlay *o, int w, struct experts *l)
{
	struct importance *s = (struct importance *)(uintptr_t)o->ctx;
	size_t experts = tape_tensor(g->tape, l->to.first)->dim[0] - 1;
	struct imatrix_sums *x = sums_of(s, g->model, w, experts);

	if (!x)
		return;
	bool shared = tape_tensor(g->tape, l->x)->dim[1] == x->cols;
	op_watch(g->tape, l->x, shared ? l->to.rows : l->to.slots, l->to.first, x->cols, &(struct watch){ see, x });
}

static const struct overlay_hooks hooks = { .linear = watch_linear, .experts = watch_experts };

/* --- the pass --- */

static const struct forest_options alone = { .max_tokens = FOREST_MAX_ROWS, .all_targets = true };

int importance_begin(struct importance *s, struct model *m, struct device *d, int32_t longest, struct err *e)
{
	int32_t n = longest;
	struct batch_cap cap = { .rows = n, .targets = n, .labels = n, .segments = 1, .docs = 1, .keys = n };

	*s = (struct importance){ .failed = ERR_INIT };
	s->sums = arena_array(&s->mem, m->n_weights + 1, sizeof(*s->sums));
	memset(s->sums, 0, (m->n_weights + 1) * sizeof(*s->sums));
	overlay_init(&s->overlay, m);
	s->overlay.hooks = &hooks;
	s->overlay.ctx = s;
	model_pass_begin(&s->pass, d, &cap, m, &s->overlay, false);
	s->pass.result = graph_hidden(&s->pass.graph);
	if (s->failed.msg[0])
		return err_set(e, "%s", s->failed.msg);
	return pass_plan(&s->pass.pass, NULL, e);
}

size_t importance_bytes(const struct importance *s)
{
	size_t bytes = pass_bytes(&s->pass.pass);

	for (size_t i = 0; i < s->pass.graph.model->n_weights; i++)
		bytes += s->sums[i].parts * (s->sums[i].cols + 1) * sizeof(double);
	return bytes;
}

int importance_start(struct importance *s, struct err *e)
{
	for (size_t i = 0; i < s->pass.graph.model->n_weights; i++)
		if (s->sums[i].cols)
			clear(&s->sums[i]);
	return model_pass_start(&s->pass, NULL, e);
}

int importance_add(struct importance *s, const struct document *d, struct err *e)
{
	struct pass *p = &s->pass.pass;

	forest_fill(&p->batch, &d, 1, &alone);
	return pass_step(p) < 0 ? err_set(e, "interrupted while a text went through the model") : 0;
}

const struct imatrix_sums *importance_sums(struct importance *s, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < s->pass.graph.model->n_weights; i++)
		if (s->sums[i].cols)
			s->sums[(*n)++] = s->sums[i];
	return s->sums;
}

void importance_end(struct importance *s)
{
	model_pass_release(&s->pass);
	overlay_release(&s->overlay);
	arena_release(&s->mem);
	*s = (struct importance){ 0 };
}
