/* multi_adapter: several adapters as one overlay, each row going through its own. The factors of all LoRA adapters of a
 * weight lie one after the other, both as a row of a batch meets them: Aᵀ of an adapter as [in,r], Bᵀ as [r,out].
 * op_adapter_down multiplies each row with the A of its adapter and says which rows of Bᵀ it meets then, as a term
 * of the weight's own product: a row pays for its adapter's rank, whatever others are there. Of an embedding A is
 * [in,Σr], of whose row the adapter's columns are picked. Scales are multiplied into A (of an embedding into B), as
 * the products would have done.
 *
 * Other kinds lie under that, each an overlay that serves its rows alone: what it adds is masked where it goes
 * up as a term of a product (overlay_hooks.by_row), as far as a product has room for terms; of the rest (a weight that
 * is another one, a product that is scaled) both are computed, with it and without, and each row's chosen
 * (overlay.apart). Virtual tokens have numbers of their own, each adapter others, and stand before its texts alone.
 *
 * Only what is multiplied with differs from one adapter alone, not the order of terms, and a term of 0 adds nothing:
 * hence the same bits. */
#include "adapt/multi_adapter.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/graph.h"
#include "model/weights.h"

struct place {             /* what is added to one weight */
	size_t first[ADAPTERS_MOST + 1]; /* columns of each adapter; the last is Σr */
	int a, b;              /* parameters: [Σr + spare,in], whose numbers are blocks [in,r], and [Σr + spare,out] */
	bool embedding;        /* A is [in,Σr] */
};

struct several {
	struct place *places;
	int *place_of;         /* [n_weights + 1], −1 */
	size_t n;              /* adapters */
};

struct part { const struct adapter *from; struct adapter_factors *pairs; size_t n; };

static const struct adapter_factors *pair_of(const struct part *p, int weight)
{
	return adapter_pair_of(p->pairs, p->n, weight);
}

/* The same, or of an expert that has none the one of another of its layer: side by side all experts are alike. */
static const struct adapter_factors *pair_like(const struct part *p, const struct model *m, int weight)
{
	const struct adapter_factors *own = pair_of(p, weight);
	const struct weight *w = weight < (int)m->n_weights ? &m->weights[weight] : NULL;

	for (size_t i = 0; i < p->n && !own && w && w->expert >= 0; i++) {
		const struct weight *other = &m->weights[MIN((size_t)p->pairs[i].weight, m->n_weights - 1)];
		if (other->spec == w->spec && other->layer == w->layer && p->pairs[i].scale != 0)
			own = &p->pairs[i];
	}
	return own;
}

/* 0 times what is no finite number is not 0: one adapter's would reach the rows of the others. */
static int check(const struct adapter *a, const struct model *m, const char *name, struct err *e)
{
	if (a->parent)
		return err_set(e, "%s: it lies over another adapter, and is not served beside others: kungfu merge "
		                  "--combination-type cat makes one of both", name);
	for (size_t i = 0; i < m->n_weights; i++)
		if (a->overlay.base[i])
			return err_set(e, "%s: it brings numbers of its own for what it adds to, and is not served "
			                  "beside other adapters", name);
	for (size_t i = 0; i < a->overlay.params.n; i++)
		if (!isfinite(a->overlay.params.w[i]))
			return err_set(
				e,
				"%s: it has a number that is not finite, which would reach the other adapters' answers",
				name);
	return 0;
}

/* Whether all that it does can be masked and leaves the bits of others: no number of the model is another one, and
 * products with their residual are one pass as without it. */
static bool is_masked(const struct adapter *a, const struct model *m)
{
	const struct overlay *o = &a->overlay;
	const struct overlay_hooks *h = o->hooks;
	bool whole = o->head != HEAD_AS_EMBEDDING || !h || !h->by_row || h->other_order || h->after;

	for (size_t i = 0; i < m->n_weights; i++)
		whole |= o->replaced[i] >= 0;
	return !whole;
}

/* --- laying side by side --- */

static int add_place(struct adapter *out, const struct model *m, const struct part *parts, int weight, struct place *at)
{
	struct several *s = out->own;
	static const struct file_layout plain = { .rows_of = -1 };
	size_t sum = 0, rows_a = 0, rows_b = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct adapter_factors *p = pair_like(&parts[i], m, weight);
		at->first[i] = sum;
		if (!p)
			continue;
		const struct param *items = parts[i].from->overlay.params.items;
		at->embedding = weight_is_embedding(m, weight);
		rows_a = items[p->a].dim[!at->embedding];
		rows_b = items[p->b].dim[0];
		sum += p->r;
	}
	at->first[s->n] = sum;
	if (!sum)
		return -1;
	size_t a[] = { at->embedding ? rows_a : sum + adapter_spare(rows_a), at->embedding ? sum : rows_a };
	size_t b[] = { sum + adapter_spare(rows_b), rows_b };
	at->a = adapter_param(out, arena_printf(&out->mem, "several.%d.A", weight), 2, a, -1, plain);
	at->b = adapter_param(out, arena_printf(&out->mem, "several.%d.B", weight), 2, b, -1, plain);
	return 0;
}

/* to [rows][width], its columns from `at` on: those of from [rows][r]. */
static void put_columns(float *to, size_t width, size_t at, const float *from, size_t rows, size_t r)
{
	for (size_t i = 0; i < rows; i++)
		memcpy(to + i * width + at, from + i * r, r * sizeof(*to));
}

/* to [cols][rows]: from [rows][cols], times scale. */
static void put_across(float *to, const float *from, size_t rows, size_t cols, float scale)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < cols; j++)
			to[j * rows + i] = from[i * cols + j] * scale;
}

static void fill_place(struct adapter *out, const struct part *p, const struct place *at, size_t i, int weight)
{
	const struct adapter_factors *pair = pair_of(p, weight);
	const struct param *to = out->overlay.params.items, *items = p->from->overlay.params.items;
	size_t width = at->first[((const struct several *)out->own)->n], first = at->first[i];

	if (!pair)
		return;
	const float *from = p->from->overlay.params.w;
	const float *a = from + items[pair->a].offset, *b = from + items[pair->b].offset;
	float *w = out->overlay.params.w, *A = w + to[at->a].offset, *B = w + to[at->b].offset;
	float scale = (float)pair->scale;
	if (at->embedding)
		put_columns(A, width, first, a, items[pair->a].dim[0], pair->r);
	else
		put_across(A + first * items[pair->a].dim[1], a, pair->r, items[pair->a].dim[1], scale);
	put_across(B + first * items[pair->b].dim[0], b, items[pair->b].dim[0], pair->r, at->embedding ? scale : 1);
}

static int lay(struct adapter *out, const struct model *m, const struct part *parts, struct err *e)
{
	struct several *s = out->own;
	int n = 0;

	for (int w = 0; w <= (int)m->n_weights; w++)
		s->place_of[w] = add_place(out, m, parts, w, &s->places[n]) < 0 ? -1 : n++;
	if (adapter_seal(out, m, e) < 0)
		return -1;
	for (int w = 0; w <= (int)m->n_weights; w++)
		for (size_t i = 0; i < s->n && s->place_of[w] >= 0; i++)
			fill_place(out, &parts[i], &s->places[s->place_of[w]], i, w);
	return 0;
}

/* --- use --- */

static const struct place *place_at(const struct several *s, int weight)
{
	return s->place_of[weight] < 0 ? NULL : &s->places[s->place_of[weight]];
}

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const struct several *s = o->ctx;
	const struct place *p = place_at(s, w);

	if (!p)
		return false;
	l->term[0] = (struct linear_term){ op_adapter_down(g->tape, l->x, nn_param(g, o, p->a), NULL, p->first, s->n),
		                           nn_param(g, o, p->b) };
	return false;
}

static void experts(struct graph *g, const struct overlay *o, int w, struct experts *l)
{
	const struct several *s = o->ctx;
	size_t n = tape_tensor(g->tape, l->w)->dim[0];
	const struct place *p = place_at(s, w);
	uint32_t *a = mem_array(n, sizeof(*a)), *b = mem_array(n, sizeof(*b));

	for (size_t e = 0; e < n && p; e++) {
		a[e] = nn_param(g, o, place_at(s, w + (int)e)->a);
		b[e] = nn_param(g, o, place_at(s, w + (int)e)->b);
	}
	if (p) {
		uint32_t u = op_adapter_down(g->tape, l->x, tape_stack(g->tape, "several.A", a, n), &l->to, p->first,
		                             s->n);
		l->term[0] = (struct linear_term){ u, tape_stack(g->tape, "several.B", b, n) };
	}
	mem_free(a);
	mem_free(b);
}

static uint32_t embed(struct graph *g, const struct overlay *o, int w, enum embed_source source, uint32_t y)
{
	const struct several *s = o->ctx;
	const struct place *p = place_at(s, w);

	if (!p)
		return y;
	uint32_t all = nn_rows(g, nn_param(g, o, p->a), source);
	uint32_t low = op_adapter_down(g->tape, all, TENSOR_NONE, NULL, p->first, s->n);
	return op_linear(g->tape, &(struct linear){ .x = low, .w = nn_param(g, o, p->b), .residual = y });
}

static const struct overlay_hooks hooks = { .linear = linear, .experts = experts, .embed = embed };
static const struct adapter_type type_several = { .name = "several", .hooks = &hooks };

/* Takes those that are no pairs; under `out`, whose pairs are the last of the terms of a product. */
static void take(struct adapter *out, const struct model *m, struct adapter *adapters, const struct part *parts)
{
	struct several *s = out->own;
	int masked = 0, virtual = 0;

	out->taken = arena_array(&out->mem, s->n, sizeof(*out->taken));
	for (size_t i = 0; i < s->n; i++) {
		struct adapter *a = &out->taken[out->n_taken];
		if (parts[i].pairs || !adapters[i].type)
			continue;
		*a = adapters[i];
		adapters[i] = (struct adapter){ 0 };
		a->overlay.serves = (int)i;
		bool adds = !a->overlay.virtual_tokens; /* to products */
		a->overlay.apart = !is_masked(a, m) || (adds && masked == LINEAR_TERMS - 1);
		masked += adds && !a->overlay.apart;
		a->overlay.virtual_before = virtual;
		virtual += a->overlay.virtual_tokens;
		a->overlay.under = out->overlay.under;
		out->overlay.under = &a->overlay;
		out->n_taken++;
	}
}

static void begin(struct adapter *out, const struct model *m, size_t n)
{
	adapter_begin(out, m, &type_several);
	struct several *s = out->own = arena_alloc(&out->mem, sizeof(*s));
	*s = (struct several){ .n = n, .places = arena_array(&out->mem, m->n_weights + 1, sizeof(*s->places)),
	                       .place_of = arena_array(&out->mem, m->n_weights + 1, sizeof(*s->place_of)) };
}

int multi_adapter_make(struct adapter *out, const struct model *m, struct adapter *adapters, const char *const *names,
                       size_t n, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct part *parts = arena_array(&mem, n, sizeof(*parts));
	int status = n < 1 || n > ADAPTERS_MOST ?
	                     err_set(e, "%zu adapters beside each other: 1 to %d were wanted", n, ADAPTERS_MOST) :
	                     0;

	for (size_t i = 0; i < n && status == 0; i++) {
		parts[i] = (struct part){ .from = &adapters[i] };
		if (!adapters[i].type)
			continue;
		status = check(&adapters[i], m, names[i], e);
		if (status < 0 || adapter_more(&adapters[i], m) != PAIRS_ALONE)
			continue;
		parts[i].pairs = arena_array(&mem, m->n_weights + 1, sizeof(*parts->pairs));
		parts[i].n = adapters[i].type->pairs(&adapters[i], parts[i].pairs);
	}
	if (status == 0) {
		begin(out, m, n);
		status = lay(out, m, parts, e);
		if (status == 0)
			take(out, m, adapters, parts);
		else
			adapter_release(out);
	}
	arena_release(&mem);
	return status;
}

void multi_adapter_unmake(struct adapter *out, struct adapter *adapters)
{
	for (size_t i = 0; i < out->n_taken; i++) {
		struct overlay *o = &out->taken[i].overlay;
		adapters[o->serves] = out->taken[i];
		o = &adapters[o->serves].overlay;
		o->serves = -1;
		o->apart = false;
		o->virtual_before = 0;
		o->under = NULL;
	}
	out->n_taken = 0;
	adapter_release(out);
}
