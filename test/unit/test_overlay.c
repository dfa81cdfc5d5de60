/* test_overlay: what lies over a model, over each other and side by side, on tiny models in float32.
 *
 * An overlay on another is what it is on a model that the other was worked into: log-probabilities and gradients, for
 * low rank, scaled inputs and scaled outputs in every order. Hooks that scale are weights that are scaled. Of two that
 * serve different rows each has the bits that it has where the other's documents are not there. */
#include "fixture_bench.h"

#include <math.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/graph.h"

enum { MOST = 6 };

static void check_numbers(struct bench *b, const float *x, const float *y, const char *what)
{
	size_t n = (size_t)DOCS * LENGTH;
	double off = bench_difference(x, y, n), size = bench_largest(y, n);
	double moved = bench_difference(x, bench_logprobs(b, NULL), n);

	CHECK_MSG(b->t, off <= 5e-6 * size, "%s: log-probabilities are off by %g of %g", what, off, size);
	CHECK_MSG(b->t, moved > 1e-2, "%s: changes nothing (%g)", what, moved);
}

/* --- overlays --- */

enum kind { LOW_RANK, SCALED_INPUT, SCALED_OUTPUT, KINDS };
static const char *const kind_name[KINDS] = { "low rank", "scaled input", "scaled output" };

struct lain {
	enum kind kind;
	struct adapter lora;               /* of low rank */
	struct overlay scales;             /* else: a vector of each linear of a block */
	int *param;                        /* [n_weights] −1 */
};

static bool scale_input(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const int *param = o->ctx;

	if (w < (int)g->model->n_weights && param[w] >= 0)
		l->x = op_scale_columns(g->tape, l->x, nn_param(g, o, param[w]), TENSOR_NONE, TENSOR_NONE);
	return false;
}

static bool scale_output(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	(void)l;
	return w < (int)g->model->n_weights && ((const int *)o->ctx)[w] >= 0;
}

static uint32_t scale_after(struct graph *g, const struct overlay *o, int w, struct linear *rest, uint32_t y)
{
	(void)rest;
	return op_scale_columns(g->tape, y, nn_param(g, o, ((const int *)o->ctx)[w]), TENSOR_NONE, TENSOR_NONE);
}

static const struct overlay_hooks scale_hooks[KINDS] = {
	[SCALED_INPUT] = { .linear = scale_input },
	[SCALED_OUTPUT] = { .linear = scale_output, .after = scale_after },
};

static struct overlay *overlay_of(struct lain *l) { return l->kind == LOW_RANK ? &l->lora.overlay : &l->scales; }

static bool is_block_linear(const struct weight *w)
{
	return w->layer >= 0 && (w->spec->flags & WEIGHT_LINEAR);
}

static void make_scales(struct bench *b, struct lain *l)
{
	struct err e = ERR_INIT;
	const struct model *m = &b->model;

	overlay_init(&l->scales, m);
	l->param = arena_array(&b->mem, m->n_weights, sizeof(*l->param));
	for (size_t i = 0; i < m->n_weights; i++) {
		size_t n = m->weights[i].dim[l->kind == SCALED_INPUT];
		l->param[i] = is_block_linear(&m->weights[i]) ?
		                      params_add(&l->scales.params, m->weights[i].name, 1, &n, -1) :
		                      -1;
	}
	l->scales.hooks = &scale_hooks[l->kind];
	l->scales.ctx = l->param;
	bench_fine(b, params_seal(&l->scales.params, &e), &e);
}

static void make(struct bench *b, struct lain *l, enum kind kind, uint64_t seed)
{
	static const char *const options[] = { "lora-r", "3", "lora-alpha", "5", "target-modules",
		                               "all-linear", NULL };
	struct err e = ERR_INIT;
	struct rng_key key = { seed, RNG_TEST };

	*l = (struct lain){ .kind = kind };
	if (kind == LOW_RANK)
		bench_fine(b, adapter_new_named(&l->lora, "lora", &b->model, options, seed, &e), &e);
	else
		make_scales(b, l);
	struct params *p = &overlay_of(l)->params;
	for (size_t i = 0; i < p->n_items; i++)
		for (size_t j = 0; j < p->items[i].n; j++) {
			float z = rng_normal(key, i, (uint32_t)j, 0);
			p->w[p->items[i].offset + j] = kind == LOW_RANK ? 0.2F * z : 1 + 0.3F * z;
		}
}

static void release(struct lain *l)
{
	if (l->kind == LOW_RANK)
		adapter_release(&l->lora);
	else
		overlay_release(&l->scales);
}

/* --- the same, worked into weights --- */

static void all_weights(struct bench *b, struct overlay *full)
{
	struct err e = ERR_INIT;

	overlay_init(full, &b->model);
	overlay_replace_all(full, &b->model);
	bench_fine(b, params_seal(&full->params, &e), &e);
	for (size_t i = 0; i < b->model.n_weights; i++)
		model_weight_float(&b->model, (int)i, full->params.w + full->params.items[i].offset);
	full->frozen = true;
}

static void work_in(struct bench *b, const struct lain *l, struct overlay *full)
{
	const struct params *p = &l->scales.params;

	for (size_t i = 0; i < b->model.n_weights; i++) {
		const struct weight *w = &b->model.weights[i];
		float *to = full->params.w + full->params.items[i].offset, *own;
		size_t n = full->params.items[i].n;
		if (l->kind == LOW_RANK) { /* what it adds to the model's own */
			own = mem_array(2 * n, sizeof(*own));
			model_weight_float(&b->model, (int)i, own);
			adapter_merged(&l->lora, &b->model, (int)i, own + n);
			for (size_t k = 0; k < n; k++)
				to[k] += own[n + k] - own[k];
			mem_free(own);
			continue;
		}
		for (size_t k = 0; l->param[i] >= 0 && k < n; k++)
			to[k] *= p->w[p->items[l->param[i]].offset +
			              (l->kind == SCALED_INPUT ? k % w->dim[1] : k / w->dim[1])];
	}
}

static void test_chain(struct bench *b, enum kind lower, enum kind upper)
{
	struct lain under, over;
	struct overlay full;
	char what[64];

	snprintf(what, sizeof(what), "%s on frozen %s", kind_name[upper], kind_name[lower]);
	test_case(b->t, "%s, %s: as on a model that it was worked into, values and gradients",
	          b->model.config.arch->name, what);
	make(b, &under, lower, 1);
	make(b, &over, upper, 2);
	all_weights(b, &full);
	work_in(b, &under, &full);
	struct overlay *top = overlay_of(&over), *parent = overlay_of(&under);
	size_t n = top->params.n;
	parent->frozen = true;
	top->under = &full;
	const float *wanted = bench_gradient(b, top, n, b->pointers, DOCS);
	const float *expected = bench_logprobs(b, top);
	top->under = parent;
	check_numbers(b, bench_logprobs(b, top), expected, what);
	const float *found = bench_gradient(b, top, n, b->pointers, DOCS);
	double off = bench_difference(found, wanted, n), size = bench_largest(wanted, n);
	CHECK_MSG(b->t, size > 0 && off <= 1e-4 * size, "gradients are off by %g of %g", off, size);
	overlay_release(&full);
	release(&over);
	release(&under);
}

/* More terms than go up in one pass, and a scale in the middle. */
static void test_many(struct bench *b)
{
	struct lain lain[MOST];
	struct overlay full;

	test_case(b->t, "%s: %d over each other are what they are worked into each other", b->model.config.arch->name,
	          MOST);
	all_weights(b, &full);
	for (int i = 0; i < MOST; i++) {
		make(b, &lain[i], i == 4 ? SCALED_OUTPUT : LOW_RANK, (uint64_t)i);
		work_in(b, &lain[i], &full);
		overlay_of(&lain[i])->under = i ? overlay_of(&lain[i - 1]) : NULL;
	}
	check_numbers(b, bench_logprobs(b, overlay_of(&lain[MOST - 1])), bench_logprobs(b, &full), "a chain");
	for (int i = 0; i < MOST; i++)
		release(&lain[i]);
	overlay_release(&full);
}

/* --- hooks --- */

/* Multiplied by numbers that are never trained. */
static uint32_t times(struct graph *g, const struct overlay *o, uint32_t x, int item)
{
	return op_scale_columns(g->tape, x, nn_fixed(g, o, item), TENSOR_NONE, TENSOR_NONE);
}

static uint32_t hook_lookup(struct graph *g, const struct overlay *o, int w, enum embed_source source, uint32_t table)
{
	(void)w;
	return times(g, o, op_embed(g->tape, table, source), 0);
}

static uint32_t hook_embed(struct graph *g, const struct overlay *o, int w, enum embed_source source, uint32_t y)
{
	(void)w, (void)source;
	return times(g, o, y, 1);
}

static void hook_attention(struct graph *g, const struct overlay *o, uint32_t *k, uint32_t *v)
{
	*k = times(g, o, *k, 2);
	*v = times(g, o, *v, 3);
}

static uint32_t hook_norm(struct graph *g, const struct overlay *o, int w, uint32_t x, uint32_t y)
{
	(void)x;
	return g->model->weights[w].layer == 1 ? times(g, o, y, 4) : y;
}

static uint32_t hook_sublayer(struct graph *g, const struct overlay *o, enum sublayer kind, uint32_t x, uint32_t h,
                              uint32_t y)
{
	CHECK((struct test *)(uintptr_t)o->ctx, x != h && h != y && tape_tensor(g->tape, h)->dim[1] == 32);
	return times(g, o, y, kind == SUBLAYER_ATTENTION ? 5 : 6);
}

static const struct overlay_hooks all_hooks = { .lookup = hook_lookup, .embed = hook_embed,
	                                        .attention = hook_attention, .norm = hook_norm,
	                                        .sublayer = hook_sublayer };

/* What the weights would have to be: by part of their names. */
static const struct { const char *part; int item; } scaled_weights[] = {
	{ "embed_tokens", 0 }, { "embed_tokens", 1 },   { "k_proj", 2 },    { "v_proj", 3 },
	{ "1.input_layernorm", 4 }, { "1.post_attention", 4 }, { "o_proj", 5 }, { "down_proj", 6 },
};

static void test_hooks(struct bench *b, struct test *t)
{
	static const float factor[] = { 1.5F, 0.75F, 1.25F, 0.5F, 2, 0.8F, 1.2F };
	struct overlay o, full;
	struct err e = ERR_INIT;
	const struct config *c = &b->model.config;

	test_case(t, "hooks at lookup, embedding, keys, values, norms and sublayers are where weights would be");
	overlay_init(&o, &b->model);
	for (size_t i = 0; i < ARRAY_LEN(factor); i++) {
		size_t n = (size_t)(i == 2 || i == 3 ? c->G * c->D : c->C);
		params_add(&o.fixed, (const char *[]){ "a", "b", "c", "d", "e", "f", "g" }[i], 1, &n, -1);
	}
	bench_fine(b, params_seal(&o.fixed, &e), &e);
	for (size_t i = 0; i < ARRAY_LEN(factor); i++)
		for (size_t j = 0; j < o.fixed.items[i].n; j++)
			o.fixed.w[o.fixed.items[i].offset + j] = factor[i];
	o.hooks = &all_hooks;
	o.ctx = t;
	all_weights(b, &full);
	for (size_t i = 0; i < b->model.n_weights; i++)
		for (size_t k = 0; k < ARRAY_LEN(scaled_weights); k++)
			for (size_t j = 0; strstr(b->model.weights[i].name, scaled_weights[k].part) &&
			                   j < full.params.items[i].n; j++)
				full.params.w[full.params.items[i].offset + j] *= factor[scaled_weights[k].item];
	check_numbers(b, bench_logprobs(b, &o), bench_logprobs(b, &full), "hooks");
	overlay_release(&o);
	overlay_release(&full);
}

/* --- side by side --- */

static void lora_for(struct bench *b, struct adapter *a, uint64_t seed, int serves)
{
	static const char *const options[] = { "lora-r", "4", "target-modules", "q_proj,o_proj,up_proj,down_proj",
		                               NULL };
	struct err e = ERR_INIT;
	struct rng_key key = { seed, RNG_TEST };

	bench_fine(b, adapter_new_named(a, "lora", &b->model, options, seed, &e), &e);
	for (size_t i = 0; i < a->overlay.params.n; i++)
		a->overlay.params.w[i] = 0.1F * rng_normal(key, i, 0, 0);
	a->overlay.serves = serves;
}

static void test_side_by_side(struct bench *b)
{
	struct adapter a[2];
	struct params all = { 0 }, *parts[2] = { &a[0].overlay.params, &a[1].overlay.params };
	struct err e = ERR_INIT;
	size_t at[2], n;
	const struct document *own[DOCS];

	test_case(b->t, "two adapters trained in one batch: each has the gradient that it has alone, bit for bit");
	for (int i = 0; i < 2; i++)
		lora_for(b, &a[i], (uint64_t)i + 1, i);
	n = a[0].overlay.params.n;
	for (int i = 0; i < DOCS; i++) {
		b->docs[i].adapter = i % 2;
		memcpy(b->docs[i].ids, b->docs[0].ids, 17 * sizeof(int32_t)); /* what only one adapter's may share */
	}
	const float *alone[2];
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < DOCS / 2; k++)
			own[k] = b->pointers[2 * k + i];
		alone[i] = bench_gradient(b, &a[i].overlay, n, own, DOCS / 2);
		CHECK(b->t, bench_largest(alone[i], n) > 0);
	}
	bench_fine(b, params_join(&all, parts, 2, 1, at, &e), &e);
	for (int i = 0; i < 2; i++)
		a[i].overlay.at = at[i];
	a[1].overlay.under = &a[0].overlay;
	const float *both = bench_gradient(b, &a[1].overlay, all.n, b->pointers, DOCS);
	for (int i = 0; i < 2; i++)
		CHECK_MSG(b->t, !memcmp(both + at[i], alone[i], n * sizeof(float)), "adapter %d: off by %g of %g", i,
		          bench_difference(both + at[i], alone[i], n), bench_largest(alone[i], n));
	CHECK(b->t, all.n_groups == 2 && all.items[all.n_items - 1].group == 2 && !strncmp(all.items[0].name, "0.", 2));
	adapter_release(&a[1]);
	adapter_release(&a[0]);
	params_release(&all);
}

void test_overlay(struct test *t)
{
	static const char *const models[] = { "gpt2" /* whose linears have biases */, "llama-untied" };
	struct bench b;

	for (size_t i = 0; i < ARRAY_LEN(models); i++) {
		if (i)
			bench_close(&b);
		if (!bench_open(&b, t, models[i]))
			return;
		for (enum kind lower = 0; lower < KINDS; lower++)
			for (enum kind upper = 0; upper < KINDS; upper++)
				test_chain(&b, lower, upper);
		test_many(&b);
	}
	test_hooks(&b, t);
	test_side_by_side(&b);
	bench_close(&b);
}
