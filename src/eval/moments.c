/* moments: an overlay whose hooks record a look at what is multiplied (op/watch.h), as importance's do. A sum is cut
 * into strips of its rows, each from its diagonal to the right. */
#include "eval/moments.h"

#include <string.h>

#include "base/mem.h"
#include "kernel/gemm.h"
#include "op/watch.h"
#include "quant/gptq.h"

enum { STRIPS = 8, ALIGNMENT = 64, FROM_WIDTH = 16 };

/* --- looking --- */

struct seeing {
	const struct moments *s;
	size_t item;
};

/* Rows from … of the upper half, over the rows that expert `part` has. */
static struct gemm strip_of(const struct moment *m, const struct watched *w, size_t part, size_t from, size_t rows)
{
	size_t begin = w->first ? (size_t)w->first[part] : 0;
	const int32_t *order = w->order ? w->order + begin : NULL;
	struct gemm g = { .m = rows, .n = m->cols - from, .n_terms = 1, .ldc = m->cols, .accumulate = true,
		          .c = m->sum + (part * m->cols + from) * m->cols + from };

	g.term[0] = (struct gemm_term){
		.a = w->x + from, .a_row = 1, .a_col = m->cols, .a_ks = order, .b_ks = order, .scale = 1,
		.k = w->first ? (size_t)w->first[part + 1] - begin : w->rows,
		.b = { .data = w->x + from, .rows = w->rows, .cols = g.n, .row_bytes = m->cols * sizeof(float) },
	};
	return g;
}

static void see(void *ctx, struct pool *p, const struct watched *w)
{
	const struct seeing *on = ctx;
	const struct moment *m = &on->s->items[on->item];
	size_t each = ROUND_UP((m->cols + STRIPS - 1) / STRIPS, (size_t)FROM_WIDTH);
	struct gemm g[STRIPS];

	for (size_t part = 0; m->sum && part < m->parts; part++) {
		int n = 0;
		if (w->first && w->first[part] == w->first[part + 1])
			continue;
		for (size_t from = 0; from < m->cols; from += each)
			g[n++] = strip_of(m, w, part, from, MIN(each, m->cols - from));
		m->seen[part] += g[0].term[0].k;
		gemm_run_all(on->s->pass.pass.device->kernels, p, g, n, on->s->scratch);
	}
}

/* --- recording --- */

static size_t bytes_of(const struct moment *m) { return m->parts * m->cols * m->cols * sizeof(float); }

/* The sum of rows x for weight w, if its layer is one of ours: a new one where nobody reads x yet. −1: none. */
static int item_of(struct moments *s, const struct graph *g, int w, uint32_t x, size_t parts, bool *fresh)
{
	struct moment m = { .x = x, .cols = g->model->weights[w].dim[1], .parts = parts };

	*fresh = false;
	if (g->layer < s->first || g->layer >= s->end)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].x == x && s->items[i].parts == parts && s->items[i].cols == m.cols)
			return s->of[w] = (int)i;
	if (g->layer > s->first && s->bytes + bytes_of(&m) > s->limit) {
		s->end = g->layer;
		return -1;
	}
	*fresh = true;
	m.factored = arena_array(&s->mem, parts, sizeof(bool));
	memset(m.factored, 0, parts);
	m.seen = arena_array(&s->mem, parts, sizeof(*m.seen));
	memset(m.seen, 0, parts * sizeof(*m.seen));
	s->bytes += bytes_of(&m);
	s->items[s->n] = m;
	return s->of[w] = (int)s->n++;
}

static void watch_rows(struct graph *g, struct moments *s, int w, uint32_t x, uint32_t order, uint32_t first,
                       size_t parts)
{
	bool fresh;
	int i = item_of(s, g, w, x, parts, &fresh);

	if (i < 0 || !fresh)
		return;
	struct seeing *on = arena_alloc(&s->mem, sizeof(*on));
	*on = (struct seeing){ s, (size_t)i };
	op_watch(g->tape, x, order, first, s->items[i].cols, &(struct watch){ see, on });
}

static bool watch_linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	if (g->layer >= 0 && w < (int)g->model->n_weights)
		watch_rows(g, (struct moments *)(uintptr_t)o->ctx, w, l->x, TENSOR_NONE, TENSOR_NONE, 1);
	return false;
}

static void watch_experts(struct graph *g, const struct overlay *o, int w, struct experts *l)
{
	size_t experts = tape_tensor(g->tape, l->to.first)->dim[0] - 1;
	bool shared = tape_tensor(g->tape, l->x)->dim[1] == g->model->weights[w].dim[1];

	watch_rows(g, (struct moments *)(uintptr_t)o->ctx, w, l->x, shared ? l->to.rows : l->to.slots, l->to.first,
	           experts);
}

static const struct overlay_hooks hooks = { .linear = watch_linear, .experts = watch_experts };

/* --- the pass --- */

static const struct forest_options alone = { .max_tokens = FOREST_MAX_ROWS, .all_targets = true };

static void record(struct moments *s, struct model *m, struct device *d, int32_t n)
{
	struct batch_cap cap = { .rows = n, .targets = n, .labels = n, .segments = 1, .docs = 1, .keys = n };

	s->items = arena_array(&s->mem, m->n_weights + 1, sizeof(*s->items));
	s->of = arena_array(&s->mem, m->n_weights + 1, sizeof(*s->of));
	for (size_t i = 0; i <= m->n_weights; i++)
		s->of[i] = -1;
	overlay_init(&s->overlay, m);
	s->overlay.hooks = &hooks;
	s->overlay.ctx = s;
	model_pass_begin(&s->pass, d, &cap, m, &s->overlay, false);
	s->pass.result = graph_hidden(&s->pass.graph);
}

/* What was begun of the layer that did not fit is none of this group's. */
static void leave_out(struct moments *s, const struct model *m)
{
	for (size_t w = 0; w < m->n_weights; w++)
		if (s->of[w] >= 0 && m->weights[w].layer >= s->end) {
			s->items[s->of[w]].parts = 0;
			s->of[w] = -1;
		}
}

/* The sums, after what products want beside. */
static int reserve(struct moments *s, size_t scratch, struct err *e)
{
	s->bytes = ROUND_UP(scratch, (size_t)ALIGNMENT);
	for (size_t i = 0; i < s->n; i++)
		s->bytes += bytes_of(&s->items[i]);
	if (mem_map(&s->scratch, s->bytes, "sums of what matrices are multiplied with", e) < 0)
		return -1;
	float *at = (float *)((char *)s->scratch + ROUND_UP(scratch, (size_t)ALIGNMENT));
	for (size_t i = 0; i < s->n; i++) {
		s->items[i].sum = s->items[i].parts ? at : NULL;
		at += bytes_of(&s->items[i]) / sizeof(float);
	}
	return 0;
}

int moments_begin(struct moments *s, struct model *m, struct device *d, int32_t longest, int first, size_t limit,
                  struct err *e)
{
	*s = (struct moments){ .first = first, .end = m->config.n_layers, .limit = limit };
	record(s, m, d, longest);
	leave_out(s, m);
	if (pass_plan(&s->pass.pass, NULL, e) < 0 || model_pass_start(&s->pass, NULL, e) < 0)
		return -1;
	return reserve(s, gemm_scratch_bytes(d->kernels) * (size_t)pool_threads(d->pool), e);
}

int moments_add(struct moments *s, const struct document *d, struct err *e)
{
	struct pass *p = &s->pass.pass;

	forest_fill(&p->batch, &d, 1, &alone);
	return pass_step(p) < 0 ? err_set(e, "interrupted while a text went through the model") : 0;
}

const float *moments_factors(struct moments *s, struct pool *p, int w, int expert, struct err *e)
{
	struct moment *m = s->of[w] < 0 ? NULL : &s->items[s->of[w]];

	if (!m)
		return NULL;
	float *h = m->sum + (size_t)expert * m->cols * m->cols;
	if (!m->factored[expert] && gptq_factor(p, h, m->cols, m->seen[expert], e) < 0)
		return NULL;
	m->factored[expert] = true;
	return h;
}

void moments_end(struct moments *s)
{
	if (s->scratch)
		mem_unmap(s->scratch, s->bytes);
	model_pass_release(&s->pass);
	overlay_release(&s->overlay);
	arena_release(&s->mem);
	*s = (struct moments){ 0 };
}
