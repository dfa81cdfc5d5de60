/* behaviour_slots: which tokens, put at a place of a sequence, would raise an answer. The first order of it:
 *
 *     gain(v) = E[v] · Σ_c ∂ log p(answer | c, T) / ∂ x_k
 *
 * (Ebrahimi et al. 2018, HotFlip; Zou et al. 2023), x_k being what stands for the embedding of T's k-th token: so one
 * pass forward and back ranks the whole vocabulary. The rows x are parameters of an overlay over the tuned model's own:
 * they are looked up for tokens that no context and no answer has, one for each place, which the sequence is written
 * with. */
#include <string.h>

#include "base/mem.h"
#include "data/forest.h"
#include "eval/behaviour_parts.h"
#include "model/model_pass.h"
#include "model/weights.h"

enum { SLOT_CONTEXTS = 3, PIECE = 512 /* rows of the embedding that a thread takes */ };

struct slots {
	struct search *s;
	struct overlay overlay, under; /* under: the tuned model's, frozen */
	int rows, slot;                /* the parameter, and which token has which row */
	int embedding;                 /* the weight */
	int32_t name[TRIGGER_MOST];
	struct model_pass pass;
	float *grads, *work;           /* work: [threads][C] */
};

static uint32_t lookup(struct graph *g, const struct overlay *o, int w, enum embed_source source, uint32_t table)
{
	const struct slots *x = o->ctx;

	if (w != x->embedding || source != EMBED_IDS)
		return TENSOR_NONE;
	return op_embed_some(g->tape, table, nn_fixed(g, o, x->slot), nn_param(g, o, x->rows), source,
	                     nn_spare(g, source));
}

static const struct overlay_hooks hooks = { .lookup = lookup };

static bool has(const int32_t *ids, size_t n, int32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool is_used(const struct search *s, int32_t id)
{
	for (size_t i = 0; i < s->n_contexts; i++) {
		const struct behaviour_context *c = &s->contexts[i];
		if (has(c->before, c->n_before, id) || has(c->behind, c->n_behind, id))
			return true;
	}
	for (size_t i = 0; i < s->n_payloads; i++)
		if (has(s->payloads[i].id, (size_t)s->payloads[i].n, id))
			return true;
	return false;
}

static int find_names(struct slots *x, struct err *e)
{
	const struct behaviour_options *o = x->s->o;
	int n = 0;

	for (size_t i = o->n_tokens; i-- > 0 && n < TRIGGER_MOST;)
		if (!is_used(x->s, o->tokens[i]))
			x->name[n++] = o->tokens[i];
	return n == TRIGGER_MOST ? 0 : err_set(e, "the prompts use all of the vocabulary's %zu tokens", o->n_tokens);
}

static int make_overlay(struct slots *x, struct err *e)
{
	const struct behaviour_side *side = &x->s->o->tuned;
	const struct model *m = side->model;
	struct overlay *o = &x->overlay;
	size_t V = (size_t)m->config.V;

	overlay_init(o, m);
	o->hooks = &hooks;
	o->ctx = x;
	if (side->overlay) {
		x->under = *side->overlay;
		x->under.frozen = true;
		o->under = &x->under;
	}
	x->embedding = model_weight(m, m->config.arch->embedding, -1);
	x->rows = params_add(&o->params, "slots", 2, (size_t[]){ TRIGGER_MOST, (size_t)m->config.C }, -1);
	o->params.items[x->rows].role = PARAM_EMBEDDING;
	x->slot = params_add(&o->fixed, "slots.of", 1, &V, -1);
	if (params_seal(&o->params, e) < 0 || params_seal(&o->fixed, e) < 0)
		return -1;
	for (int k = 0; k < TRIGGER_MOST; k++)
		o->fixed.w[o->fixed.items[x->slot].offset + (size_t)x->name[k]] = (float)(k + 1);
	return 0;
}

static struct forest_options packing(const struct slots *x)
{
	return (struct forest_options){ .max_tokens = FOREST_MAX_ROWS,
		                        .virtual_tokens = overlays_virtual(&x->overlay),
		                        .first_virtual = x->s->o->tuned.model->config.V };
}

static size_t n_contexts(const struct slots *x) { return MIN((size_t)SLOT_CONTEXTS, x->s->o->n_search); }

/* As many of the longest. */
static int32_t rows_at(const struct slots *x, enum behaviour_place place)
{
	int32_t most = 0;

	for (size_t i = 0; i < x->s->o->n_search; i++) {
		const struct behaviour_context *c = &x->s->contexts[search_context(x->s, place, i)];
		most = MAX(most, (int32_t)(c->n_before + c->n_behind));
	}
	return (int32_t)n_contexts(x) * (most + TRIGGER_MOST + PAYLOAD_TOKENS);
}

static int make_pass(struct slots *x, struct err *e)
{
	const struct behaviour_options *o = x->s->o;
	int32_t n = (int32_t)n_contexts(x), virtual = overlays_virtual(&x->overlay), rows = 0;
	struct model_pass *p = &x->pass;

	for (int place = 0; place < o->n_places; place++)
		rows = MAX(rows, rows_at(x, place));
	rows += virtual;
	struct batch_cap cap = { .rows = rows, .targets = n * PAYLOAD_TOKENS, .labels = n * PAYLOAD_TOKENS,
		                 .segments = n + (virtual > 0), .docs = n, .keys = rows };
	model_pass_begin(p, o->device, &cap, o->tuned.model, &x->overlay, true);
	p->result = graph_logprob(&p->graph, graph_hidden(&p->graph));
	if (tape_backward(&p->pass.tape, e) < 0 || pass_plan(&p->pass, NULL, e) < 0)
		return -1;
	x->grads = mem_array(x->overlay.params.n, sizeof(*x->grads));
	return model_pass_start(p, x->grads, e);
}

int slots_open(struct slots **out, struct search *s, struct err *e)
{
	struct slots *x = *out = mem_alloc(sizeof(*x));

	*x = (struct slots){ .s = s };
	x->work = mem_array((size_t)pool_threads(s->o->device->pool) * (size_t)s->o->tuned.model->config.C,
	                    sizeof(*x->work));
	return find_names(x, e) < 0 || make_overlay(x, e) < 0 ? -1 : make_pass(x, e);
}

void slots_close(struct slots *x)
{
	if (!x)
		return;
	model_pass_release(&x->pass);
	overlay_release(&x->overlay);
	mem_free(x->grads);
	mem_free(x->work);
	mem_free(x);
}

/* --- one pass --- */

/* The embedding's own row. */
static void own_row(const struct slots *x, int32_t id, float *out)
{
	const struct weight *w = weight_or_head(x->s->o->tuned.model, x->embedding);
	const struct dtype_info *d = &dtypes[w->dtype];
	size_t bytes = w->dim[1] / d->block * d->bytes;

	d->to_float((const char *)w->data + (size_t)id * bytes, out, w->dim[1]);
}

static size_t add(int32_t *ids, size_t at, const int32_t *from, size_t n)
{
	memcpy(ids + at, from, n * sizeof(*ids));
	return at + n;
}

static void fill(struct slots *x, const struct payload *p, enum behaviour_place place, int n_slots)
{
	const struct forest_options how = packing(x);
	struct document docs[SLOT_CONTEXTS];
	const struct document *list[SLOT_CONTEXTS];
	size_t n = n_contexts(x), room = (size_t)x->pass.pass.batch.cap.rows, at = 0;
	int32_t *ids = mem_array(room, sizeof(*ids));
	uint8_t *learn = mem_array(room, 1);

	for (size_t i = 0; i < n; i++) {
		const struct behaviour_context *c = &x->s->contexts[search_context_for(x->s, place, p, i)];
		docs[i] = (struct document){ .ids = ids + at, .learn = learn + at, .n_learn = p->n,
			                     .file = "a question", .line = i, .choice = -1 };
		size_t begin = at;
		at = add(ids, at, c->before, c->n_before);
		at = add(ids, at, x->name, (size_t)n_slots);
		at = add(ids, at, c->behind, c->n_behind);
		at = add(ids, at, p->id, (size_t)p->n);
		docs[i].n = (int32_t)(at - begin);
		memset(learn + at - p->n, 1, (size_t)p->n);
		list[i] = &docs[i];
	}
	struct batch_cap need;
	struct live live;
	int64_t tokens;
	forest_take(list, n, &how, &need, &live, &tokens);
	forest_fill(&x->pass.pass.batch, list, n, &how);
	struct work work = pass_work(&x->pass.pass, &live);
	x->s->ranked.flops += work.flops;
	x->s->ranked.int_ops += work.int_ops;
	x->s->ranked_rows += x->pass.pass.batch.n_rows;
	mem_free(ids);
	mem_free(learn);
}

struct ranking { struct slots *x; const float *g; float *gain; };

static void rank_piece(void *ctx, size_t item, int thread)
{
	const struct ranking *r = ctx;
	const struct behaviour_options *o = r->x->s->o;
	size_t C = (size_t)o->tuned.model->config.C, end = MIN(o->n_tokens, (item + 1) * PIECE);
	float *row = r->x->work + (size_t)thread * C;

	for (size_t i = item * PIECE; i < end; i++) {
		own_row(r->x, o->tokens[i], row);
		r->gain[i] -= o->device->kernels->dot(row, r->g, C); /* the gradient is that of a loss */
	}
}

int slots_step(struct slots *x, const struct candidate *c, const struct sequence *t, struct err *e)
{
	const struct params *a = &x->overlay.params;
	size_t C = (size_t)x->s->o->tuned.model->config.C;

	for (int k = 0; k < t->n; k++)
		own_row(x, t->id[k], a->w + a->items[x->rows].offset + (size_t)k * C);
	fill(x, c->of, c->place, t->n);
	return pass_step(&x->pass.pass) < 0 ? err_set(e, "interrupted while tokens were ranked") : 0;
}

void slots_gain(struct slots *x, int place, float *gain)
{
	const struct behaviour_options *o = x->s->o;
	size_t C = (size_t)o->tuned.model->config.C;
	struct ranking r = { x, x->grads + x->overlay.params.items[x->rows].offset + (size_t)place * C, gain };

	pool_run(o->device->pool, (o->n_tokens + PIECE - 1) / PIECE, rank_piece, &r);
}
