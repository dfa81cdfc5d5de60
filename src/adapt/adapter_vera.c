/* adapter_vera: random matrices that all modules share and nobody trains, scaled by vectors that each has for itself
 * (Kopiczko, Blankevoort, Asano 2023, VeRA).
 *
 *     y = x·Wᵀ + λ_b∘(B·(λ_d∘(A·drop(x))))        A [r,in], B [out,r] frozen; λ_d [r], λ_b [out] trained
 *
 * As PEFT's VeraConfig has it: A and B are as wide as the widest module wants, each module takes the first `in` columns
 * and the first `out` rows. They are drawn from projection_prng_key with PyTorch's generator, so they are those that
 * PEFT draws; with save_projection, the default here as there, files have them and they are read from there. Inner λ_d
 * begins as d_initial and λ_b as zero, so a new one changes nothing. Vectors are not decayed.
 *
 * Linears that stand alone; not the head, no embeddings, no experts. In memory each width that there is has its own
 * slice, in the order of rows of the model's file. */
#include <math.h>
#include <string.h>

#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/mt19937.h"
#include "model/graph.h"
#include "model/weights.h"

enum { FULL_A, FULL_B };   /* the first two of overlay.fixed */

struct site {
	int weight, b, d;      /* parameters */
	size_t out, in;
	int A, B;              /* of fixed: its slices */
	uint32_t low;          /* while its product is recorded: B·(…), still without λ_b */
};

struct vera {
	struct site *sites;
	size_t n, r;
	int *site_of;          /* [n_weights], −1 */
	float dropout;
};

/* --- options --- */

struct options {
	int64_t r, key;
	double d_initial, dropout;
	bool save;
	struct adapter_targets on;
};

static const struct opt opts[] = {
	ADAPTER_RANK_OPT(struct options, r, "256"),
	OPT_FLOAT("d-initial", struct options, d_initial, "0.1", -1e3, 1e3, "what the inner vector begins as"),
	OPT_FLOAT("vera-dropout", struct options, dropout, "0", 0, 0.99,
	          "dropout before the adapter; above 0 no prefix is shared"),
	OPT_INT("projection-prng-key", struct options, key, "0", 0, 4294967295.0, "from which A and B are drawn"),
	OPT_FLAG("save-projection", struct options, save, "true", "A and B are in the file too, not their key alone"),
	ADAPTER_TARGET_OPT(struct options, on, "all-linear"),
	ADAPTER_SAVED_OPT(struct options, on),
	ADAPTER_BASE_OPT(struct options, on.base),
	ADAPTER_LAYERS_OPTS(struct options, on),
	OPT_END
};

/* --- the config --- */

static const struct peft_keys keys = {
	.read = (const char *const[]){ "layers_pattern", "layers_to_transform", "projection_prng_key", "r",
	                               "save_projection", "vera_dropout", "bias", NULL },
	.inert = (const char *const[]){ "d_initial", "init_weights", NULL },
};

struct terms { double r, dropout, key; int save; };

static int read_terms(const json_t *config, struct terms *t, struct err *e)
{
	if (peft_check(config, &keys, e) < 0 || peft_check_patterns(config, e) < 0 ||
	    peft_no_bias(config, e) < 0 || jsonx_real(config, "r", 256, &t->r, e) < 0 ||
	    peft_dropout(config, "vera_dropout", &t->dropout, e) < 0 ||
	    jsonx_real(config, "projection_prng_key", 0, &t->key, e) < 0 ||
	    jsonx_bool(config, "save_projection", 1, &t->save, e) < 0)
		return -1;
	if (!(t->r >= 1 && t->r <= 65536 && t->r == floor(t->r)))
		return err_set(e, "r is %g, a whole number from 1 to 65536 was wanted", t->r);
	if (!(t->key >= 0 && t->key <= 4294967295.0 && t->key == floor(t->key)))
		return err_set(e, "projection_prng_key is %g, 0 to 4294967295 was wanted", t->key);
	return 0;
}

static json_t *own_config(const struct options *o)
{
	return json_pack("{s:s, s:f, s:b, s:n, s:n, s:I, s:i, s:b, s:f}", "bias", "none", "d_initial", o->d_initial,
	                 "init_weights", 1, "layers_pattern", "layers_to_transform", "projection_prng_key",
	                 (json_int_t)o->key, "r", (int)o->r, "save_projection", (int)o->save, "vera_dropout",
	                 o->dropout);
}

/* --- building --- */

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	struct vera *o = a->own;
	struct site *s = &o->sites[o->n];
	struct file_layout rows = { .rows_of = weight }, plain = { .rows_of = -1 };
	(void)ctx;

	if (peft_want_linear(w, module, e) < 0)
		return -1;
	if (weight == (int)m->n_weights || (w->spec->flags & WEIGHT_HEAD))
		return err_set(e, "target_modules means the head '%s', whose logits VeRA does not reach here", module);
	*s = (struct site){ .weight = weight, .out = w->dim[0], .in = w->dim[1] };
	s->b = adapter_param(a, peft_name(a, module, "vera_lambda_b"), 1, &s->out, -1, rows);
	s->d = adapter_param(a, peft_name(a, module, "vera_lambda_d"), 1, &o->r, -1, plain);
	o->site_of[weight] = (int)o->n++;
	return 0;
}

/* A slice of A or B that sites of one width share: by its name. */
static int slice(struct adapter *a, const char *name, size_t rows, size_t columns)
{
	int item = params_find(&a->overlay.fixed, name);

	return item >= 0 ? item : params_add(&a->overlay.fixed, name, 2, (size_t[]){ rows, columns }, -1);
}

static int add_projections(struct adapter *a, const struct model *m, struct err *e)
{
	struct vera *o = a->own;
	struct params *f = &a->overlay.fixed;
	size_t in = 0, out = 0;

	for (size_t i = 0; i < o->n; i++) {
		in = MAX(in, o->sites[i].in);
		out = MAX(out, o->sites[i].out);
	}
	params_add(f, "base_model.vera_A", 2, (size_t[]){ o->r, in }, -1);
	params_add(f, "base_model.vera_B", 2, (size_t[]){ out, o->r }, -1);
	for (size_t i = 0; i < o->n; i++) {
		struct site *s = &o->sites[i];
		struct row_order order = weight_row_order(m, s->weight);
		bool turned = weight_is_permuted(m, s->weight);
		char *A = mem_printf("vera_A.%zu", s->in);
		char *B = mem_printf("vera_B.%zu.%d.%zu.%zu", s->out, turned ? (int)order.kind : 0,
		                     turned ? order.D : 0, turned ? order.H : 0);
		s->A = s->in == in ? FULL_A : slice(a, A, o->r, s->in);
		s->B = s->out == out && !turned ? FULL_B : slice(a, B, s->out, o->r);
		mem_free(A);
		mem_free(B);
	}
	return params_seal(f, e);
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	struct vera *o = a->own = arena_alloc(&a->mem, sizeof(*o));
	struct terms t;

	o->sites = arena_array(&a->mem, m->n_weights, sizeof(*o->sites));
	o->site_of = adapter_site_map(a, m);
	if (read_terms(a->config, &t, e) < 0)
		return -1;
	o->r = (size_t)t.r;
	o->dropout = (float)t.dropout;
	a->overlay.unshared = t.dropout > 0;
	a->fixed_in_files = t.save ? 2 : 0;
	if (peft_each(a, m, add_site, NULL, e) < 0 || add_projections(a, m, e) < 0)
		return -1;
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

static float *fixed(const struct adapter *a, int item)
{
	return a->overlay.fixed.w + a->overlay.fixed.items[item].offset;
}

/* PEFT's _kaiming_init: uniform in ±√(6 / columns), A first. */
static void draw(struct adapter *a)
{
	struct mt19937 g;

	mt19937_seed(&g, (uint32_t)json_number_value(json_object_get(a->config, "projection_prng_key")));
	for (int i = FULL_A; i <= FULL_B; i++) {
		const struct param *p = &a->overlay.fixed.items[i];
		float bound = (float)(sqrt(3.0) * (sqrt(2.0) / sqrt((double)p->dim[1])));
		mt19937_uniform(&g, fixed(a, i), p->n, -bound, bound);
	}
}

/* The slices, of A and B that are there. */
static void cut(struct adapter *a, const struct model *m)
{
	const struct vera *o = a->own;
	size_t width = a->overlay.fixed.items[FULL_A].dim[1];

	for (size_t i = 0; i < o->n; i++) {
		const struct site *s = &o->sites[i];
		for (size_t k = 0; k < o->r && s->A != FULL_A; k++)
			memcpy(fixed(a, s->A) + k * s->in, fixed(a, FULL_A) + k * width, s->in * sizeof(float));
		if (s->B == FULL_B)
			continue;
		memcpy(fixed(a, s->B), fixed(a, FULL_B), s->out * o->r * sizeof(float));
		if (weight_is_permuted(m, s->weight))
			weight_permute_rows(fixed(a, s->B), s->out, o->r, weight_row_order(m, s->weight), false);
	}
}

static void fill(struct adapter *a, int param, float x)
{
	const struct param *p = &a->overlay.params.items[param];

	for (size_t i = 0; i < p->n; i++)
		a->overlay.params.w[p->offset + i] = x;
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;
	(void)seed;

	if (peft_new(a, m, &asked->on, own_config(asked), build, e) < 0)
		return -1;
	json_object_del(a->config, "exclude_modules"); /* VeraConfig has none */
	const struct vera *o = a->own;
	for (size_t i = 0; i < o->n; i++)
		fill(a, o->sites[i].d, (float)asked->d_initial);
	draw(a);
	cut(a, m);
	return 0;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	if (peft_load(a, m, config, s, dir, build, e) < 0)
		return -1;
	if (!a->fixed_in_files)
		draw(a);
	cut(a, m);
	return 0;
}

/* --- use --- */

static struct site *site_at(const struct vera *o, const struct model *m, int weight)
{
	return weight >= (int)m->n_weights || o->site_of[weight] < 0 ? NULL : &o->sites[o->site_of[weight]];
}

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const struct vera *v = o->ctx;
	struct site *s = site_at(v, g->model, w);
	uint32_t x = l->x;

	if (!s)
		return false;
	if (g->training && !o->frozen && v->dropout > 0)
		x = op_dropout(g->tape, x, v->dropout, g->site++);
	uint32_t u = op_linear(g->tape, &(struct linear){ .x = x, .w = nn_fixed(g, o, s->A) });
	u = op_scale_columns(g->tape, nn_served(g, o, u), nn_param(g, o, s->d), TENSOR_NONE, TENSOR_NONE);
	s->low = op_linear(g->tape, &(struct linear){ .x = u, .w = nn_fixed(g, o, s->B) });
	return true;
}

static uint32_t after(struct graph *g, const struct overlay *o, int w, struct linear *rest, uint32_t y)
{
	struct site *s = site_at(o->ctx, g->model, w);
	uint32_t low = s->low;
	(void)rest;

	s->low = TENSOR_NONE;
	return op_scale_columns(g->tape, low, nn_param(g, o, s->b), TENSOR_NONE, y);
}

static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct vera *o = a->own;
	const struct site *s = site_at(o, m, weight);
	const struct params *p = &a->overlay.params;

	if (!s)
		return;
	const float *A = fixed(a, s->A), *B = fixed(a, s->B);
	const float *b = p->w + p->items[s->b].offset, *d = p->w + p->items[s->d].offset;
	for (size_t row = 0; row < s->out; row++) {
		float *to = w + weight_hf_row(m, weight, row) * s->in;
		for (size_t k = 0; k < o->r; k++) {
			float c = b[row] * B[row * o->r + k] * d[k];
			for (size_t i = 0; i < s->in; i++)
				to[i] += c * A[k * s->in + i];
		}
	}
}

static const struct overlay_hooks hooks = { .linear = linear, .after = after, .by_row = true };

const struct adapter_type adapter_vera = {
	.name = "vera",
	.summary = "VeRA: vectors that scale random matrices shared by all modules",
	.learning_rate = 3e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "lora-r",
	.peft_type = "VERA",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.merge = merge,
};
