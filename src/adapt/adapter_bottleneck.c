/* adapter_bottleneck: two small products with an activation between them, behind the halves of each block (Houlsby et
 * al. 2019, Pfeiffer et al. 2021) or beside them (He et al. 2022), as the `adapters` library has them.
 *
 *     A(v) = s·(U·f(D·v + b) + c)                  D [r,C], b [r], U [C,r], c [C], r = C / reduction_factor
 *     y, x                                         what a half of a block made, and the x that it is added to
 *     y ← y + A(y)                                 double_seq_bn: behind attention and feed-forward
 *     y ← y + A(x + y)                             seq_bn: behind the feed-forward (original_ln_before)
 *     y ← y + A(x)                                 par_bn: beside the feed-forward
 *
 * and x + y is what it was. Where a block norms that sum (BERT), original_ln_before means the norm of x + y. Norms of
 * its own stand before D (ln_before) and behind U (ln_after). s is a number, or learnt: one number, or one a channel.
 *
 * The library hooks into what is added before Gemma's norm of it, so here too; its norm there is not asked for. In
 * ModernBERT it takes the normed input of a half for x. What would leave out the block's own x is refused.
 *
 * Two products more for each half of a block and each token, so an answer costs more, and nothing of it can be worked
 * into the model's weights. A's last product begins as 0, where the model is what it was. */
#include <math.h>
#include <string.h>

#include "adapt/bottleneck_config.h"
#include "adapt/peft_config.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "model/classifier.h"
#include "model/graph.h"
#include "model/weights.h"

static const float NORM_EPS = 1e-5F;   /* torch.nn.LayerNorm's */
static const char NAME[] = "kungfu", VERSION[] = "adapters.1.3.0";

struct options { const char *config, *base; double reduction; };

static const struct opt opts[] = {
	OPT_STRING("adapter-config", struct options, config, "double_seq_bn", "NAME",
	           "double_seq_bn (Houlsby), seq_bn (Pfeiffer), par_bn or scaled_par_bn (parallel), and in brackets "
	           "what is otherwise: seq_bn[ln_after=True, leave_out=[0, 1]] "
	           "(learning rates 1e-3, 5e-4, 3e-5, 1e-4)"),
	OPT_FLOAT("reduction-factor", struct options, reduction, NULL, 0.01, 65536,
	          "how many times fewer numbers there are in between (default: the adapter-config's, 16 or 2)"),
	OPT_STRING("base-model-name-or-path", struct options, base, NULL, "NAME",
	           "what adapter_config.json calls the model, as ORG/NAME; else what the model says of itself, else "
	           "its path"),
	OPT_END
};

struct norm { const char *w, *b; };    /* names of weights in the architecture's table */

struct site { int down, down_bias, up, up_bias, before, before_bias, after, after_bias, scaling; };

/* How a family's blocks are built, as far as it matters here. */
struct blocks {
	const char *part[2];           /* of names, behind the layer's, by enum sublayer */
	struct norm norm[2];           /* of x + y, or none */
	bool norms_y;                  /* y is normed before it is added */
	bool takes_normed;             /* the library's x is the half's normed input */
};

struct bottleneck {
	struct bottleneck_config c;
	struct blocks blocks;
	struct site (*sites)[2];       /* [n_layers] by enum sublayer; down −1: none */
};

/* --- what the model is --- */

/* "model.layers.": what names of the blocks' weights begin with, in mem; the layer's number and "." follow. */
static const char *blocks_prefix(struct arena *mem, const struct model *m)
{
	for (const struct weight_spec *s = m->config.arch->weights; s->hf; s++) {
		const char *at = strstr(s->hf, "%d.");
		if (at)
			return arena_strndup(mem, s->hf, (size_t)(at - s->hf));
	}
	BUG("%s has no blocks", m->config.arch->name);
}

/* The table's row of layer 0's weight PREFIX0.name, or NULL. */
static const char *row_of(struct arena *mem, const struct model *m, const char *name)
{
	int w = model_weight_by_name(m, arena_printf(mem, "%s0.%s", blocks_prefix(mem, m), name));

	return w < 0 ? NULL : m->weights[w].spec->hf;
}

static struct norm norm_of(struct arena *mem, const struct model *m, const char *module)
{
	return (struct norm){ row_of(mem, m, arena_printf(mem, "%s.weight", module)),
		              row_of(mem, m, arena_printf(mem, "%s.bias", module)) };
}

static struct blocks blocks_of(struct arena *mem, const struct model *m)
{
	struct blocks b = { .part = { "attention_adapters", "output_adapters" } };
	struct norm bert = norm_of(mem, m, "attention.output.LayerNorm"), distil = norm_of(mem, m, "sa_layer_norm");

	if (bert.w)
		b = (struct blocks){ .part = { "attention.output", "output" },
			             .norm = { bert, norm_of(mem, m, "output.LayerNorm") } };
	b.norms_y = row_of(mem, m, "post_feedforward_layernorm.weight");
	b.takes_normed = !strcmp(m->config.arch->name, "modernbert");
	if (distil.w) {
		b.norm[0] = distil;
		b.norm[1] = norm_of(mem, m, "output_layer_norm");
	}
	return b;
}

/* What cannot be had with these blocks, or would leave x out of the sum. */
static int check_blocks(const struct bottleneck *o, struct err *e)
{
	const struct bottleneck_config *c = &o->c;
	bool normed = o->blocks.norm[0].w;

	if (c->parallel && c->sum_before)
		return err_set(e, "is_parallel and original_ln_before are both true: a parallel one's input is the "
		                  "half's alone");
	if (c->sum_before && (o->blocks.norms_y || (o->blocks.takes_normed && c->at[SUBLAYER_ATTENTION])))
		return err_set(e, "original_ln_before is true, which is not done in this model's blocks, whose norms "
		                  "the `adapters` library takes from the last layer: double_seq_bn and par_bn do "
		                  "without");
	if (c->residual == RESIDUAL_SUM && c->sum_before && !normed)
		return err_set(e, "residual_before_ln is \"post_add\", which is for blocks that norm the sum; this "
		                  "model's do not");
	bool has_x = c->sum_before && !c->parallel && c->residual != RESIDUAL_MADE &&
	             !(c->ln_after && c->residual_in_norm);
	if (!c->sum_after && (normed || !has_x))
		return err_set(e, "original_ln_after is false, which leaves out what the block's half is added to; it "
		                  "was wanted true");
	return 0;
}

/* --- parameters --- */

static int param(struct adapter *a, const char *at, const char *end, size_t rows, size_t cols)
{
	static const struct file_layout plain = { .rows_of = -1 };

	return adapter_param(a, arena_printf(&a->mem, "%s%s", at, end), cols ? 2 : 1, (size_t[]){ rows, cols }, -1,
	                     plain);
}

static void add_site(struct adapter *a, struct site *s, const char *at, size_t C, size_t r)
{
	const struct bottleneck_config *c = &((const struct bottleneck *)a->own)->c;
	const char *down = c->ln_before ? "adapter_down.1" : "adapter_down.0";

	if (c->ln_before) {
		s->before = param(a, at, "adapter_down.0.weight", C, 0);
		s->before_bias = param(a, at, "adapter_down.0.bias", C, 0);
	}
	s->down = param(a, at, arena_printf(&a->mem, "%s.weight", down), r, C);
	s->down_bias = param(a, at, arena_printf(&a->mem, "%s.bias", down), r, 0);
	s->up = param(a, at, "adapter_up.weight", C, r);
	s->up_bias = param(a, at, "adapter_up.bias", C, 0);
	if (c->ln_after) {
		s->after = param(a, at, "adapter_norm_after.weight", C, 0);
		s->after_bias = param(a, at, "adapter_norm_after.bias", C, 0);
	}
	if (c->scaling != SCALING_GIVEN)
		s->scaling = param(a, at, "scaling", c->scaling == SCALING_NUMBER ? 1 : C, 0);
}

static const struct overlay_hooks hooks, hooks_by_row;

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	struct bottleneck *o = a->own = arena_alloc(&a->mem, sizeof(*o));
	const char *prefix = blocks_prefix(&a->mem, m);
	const char *name = json_string_value(json_object_get(a->config, "name"));
	int layers = m->config.n_layers, n = 0;

	o->blocks = blocks_of(&a->mem, m);
	o->sites = arena_array(&a->mem, (size_t)layers, sizeof(*o->sites));
	if (bottleneck_read(&o->c, json_object_get(a->config, "config"), layers, e) < 0 || check_blocks(o, e) < 0)
		return -1;
	for (int i = 0; i < layers; i++) {
		int r = bottleneck_width(&o->c, i, m->config.C, e);
		if (r < 0)
			return -1;
		for (int k = 0; k < 2; k++) {
			o->sites[i][k].down = -1;
			const char *at = arena_printf(&a->mem, "%s%d.%s.adapters.%s.", prefix, i, o->blocks.part[k],
			                              name);
			if (r && o->c.at[k])
				add_site(a, &o->sites[i][k], at, (size_t)m->config.C, (size_t)r);
			n += r && o->c.at[k];
		}
	}
	bool in_norm = o->c.ln_after && o->c.residual_in_norm && !o->c.parallel;
	a->overlay.hooks = in_norm || o->c.residual != RESIDUAL_MADE ? &hooks : &hooks_by_row;
	a->overlay.unshared = o->c.dropout > 0;
	return n ? 0 : err_set(e, "leave_out leaves out every layer: there is nothing to add");
}

static float *numbers(const struct adapter *a, int param)
{
	return a->overlay.params.w + a->overlay.params.items[param].offset;
}

static void fill_with(const struct adapter *a, int param, float x)
{
	float *w = numbers(a, param);

	for (size_t i = 0; i < a->overlay.params.items[param].n; i++)
		w[i] = x;
}

/* Of a normal distribution, cut off at `most` deviations if that is not 0. */
static void fill_normal(const struct adapter *a, int param, float deviation, float most, struct rng_key key)
{
	const struct param *p = &a->overlay.params.items[param];
	float *w = numbers(a, param);

	for (size_t i = 0; i < p->n; i++) {
		uint32_t turn = 0;
		float x = rng_normal(key, i, p->site, turn);
		while (most > 0 && fabsf(x) > most)
			x = rng_normal(key, i, p->site, ++turn);
		w[i] = deviation * x;
	}
}

static void init_site(const struct adapter *a, const struct site *s, uint64_t seed)
{
	const struct bottleneck_config *c = &((const struct bottleneck *)a->own)->c;
	const struct param *down = &a->overlay.params.items[s->down];
	struct rng_key key = { seed, RNG_INIT };
	float bound = (float)(1 / sqrt((double)down->dim[1])), *w = numbers(a, s->down);

	for (size_t i = 0; i < down->n && c->init == INIT_MAM; i++)
		w[i] = bound * (2 * rng_uniform(key, i, down->site, 0) - 1);
	bool bert = c->init == INIT_BERT;
	for (int k = 0; k < 2 && c->init != INIT_MAM; k++)
		fill_normal(a, k ? s->up : s->down, bert ? 0.02F : 0.01F, bert ? 0 : 2, key);
	if (c->ln_before)
		fill_with(a, s->before, 1);
	if (c->ln_after)
		fill_with(a, s->after, 1);
	if (c->scaling != SCALING_GIVEN)
		fill_with(a, s->scaling, 1);
}

/* --- making, reading --- */

/* All of a head that classifies, which the library trains with an adapter. */
static int add_head(struct adapter *a, const struct model *m, struct err *e)
{
	json_t *modules = peft_head_modules(m);
	int status = adapter_add_saved(a, m, modules, e);

	json_decref(modules);
	return status;
}

/* What the library writes beside BnConfig's keys. */
static json_t *file_config(struct adapter *a, const struct model *m, const char *base, json_t *config)
{
	const struct arch *arch = m->config.arch;
	const char *called = base ? base : peft_base(&a->mem, m), *type = arch->hf_types[0];
	char *class = m->labels ? classifier_class(m) : NULL;
	json_t *j = json_pack("{s:o, s:i, s:s?, s:s?, s:s, s:s, s:s}", "config", config, "hidden_size", m->config.C,
	                      "model_class", class ? class : arch->hf_class, "model_name", called, "model_type",
	                      type ? type : arch->name, "name", NAME, "version", VERSION);

	if (!j)
		BUG("a config that cannot be packed");
	mem_free(class);
	return j;
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;
	json_t *config = bottleneck_make(asked->config, asked->reduction, e);

	if (!config)
		return -1;
	if (asked->base && !utf8_valid(asked->base, strlen(asked->base), NULL)) {
		json_decref(config);
		return err_set(e, "base_model_name_or_path: the name is not UTF-8");
	}
	a->config = file_config(a, m, asked->base, config);
	if (build(a, m, e) < 0 || add_head(a, m, e) < 0 || adapter_seal(a, m, e) < 0)
		return -1;
	const struct bottleneck *o = a->own;
	for (int i = 0; i < m->config.n_layers; i++)
		for (int k = 0; k < 2; k++)
			if (o->sites[i][k].down >= 0)
				init_site(a, &o->sites[i][k], seed);
	return 0;
}

/* What an adapter's file says of itself; anything else there is refused by name. */
static int check_file(const json_t *config, const struct model *m, struct err *e)
{
	static const char *const known[] = { "config", "config_id", "hidden_size", "model_class", "model_name",
		                             "model_type", "name", "type", "version", NULL };
	const char *key;
	json_t *value;
	long long C;

	json_object_foreach((json_t *)(uintptr_t)config, key, value) {
		const char *const *k = known;
		while (*k && strcmp(*k, key) != 0)
			k++;
		if (!*k && !peft_empty(value))
			return peft_refuse(key, value, e);
	}
	const json_t *architecture = json_object_get(json_object_get(config, "config"), "architecture");
	if (architecture && !peft_empty(architecture))
		return peft_refuse("architecture", architecture, e);
	if (json_string_length(json_object_get(config, "name")) == 0)
		return err_set(e, "\"name\", which all its tensors' names have, is not there");
	if (jsonx_int(config, "hidden_size", m->config.C, &C, e) < 0)
		return -1;
	return C == m->config.C ? 0 : err_set(e, "hidden_size is %lld, this model's is %d", C, m->config.C);
}

/* Files from before versions had numbers call two activations otherwise. */
static void rename_activation(json_t *config)
{
	json_t *inner = json_object_get(config, "config");
	const char *f = json_string_value(json_object_get(inner, "non_linearity"));

	if (json_object_get(config, "version") || !f)
		return;
	if (!strcmp(f, "gelu"))
		json_object_set_new(inner, "non_linearity", json_string("gelu_new"));
	else if (!strcmp(f, "gelu_orig"))
		json_object_set_new(inner, "non_linearity", json_string("gelu"));
}

/* The name that a tensor of the file has here: files of a model without its head lack the prefix, old ones call the
 * adapters otherwise. NULL: it is there a second time under its other name. */
static const char *name_of(struct arena *mem, const struct model *m, const char *name)
{
	static const char *const older[] = { ".attention_text_task_adapters.", ".attention_text_lang_adapters.",
		                             ".layer_text_task_adapters.", ".layer_text_lang_adapters." };
	const char *prefix = m->config.arch->prefix ? m->config.arch->prefix : "";

	if (strstr(name, ".adapter_norm_before."))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(older); i++) {
		const char *at = strstr(name, older[i]);
		if (at)
			name = arena_printf(mem, "%.*s.adapters.%s", (int)(at - name), name, at + strlen(older[i]));
	}
	if (!strncmp(name, prefix, strlen(prefix)) || model_weight_by_name(m, name) >= 0)
		return name;
	return arena_printf(mem, "%s%s", prefix, name);
}

static int load_tensors(struct adapter *a, const struct model *m, const struct safetensors *s, struct err *e)
{
	struct safetensors here = { .path = s->path };
	int status = -1;

	here.tensors = arena_array(&here.mem, s->n_tensors, sizeof(*here.tensors));
	for (size_t i = 0; i < s->n_tensors; i++) {
		const char *name = name_of(&here.mem, m, s->tensors[i].name);
		if (!name)
			continue;
		here.tensors[here.n_tensors] = s->tensors[i];
		here.tensors[here.n_tensors++].name = name;
	}
	if (st_sort(&here, e) == 0 && adapter_fit(a, m, &here, e) == 0 && adapter_seal(a, m, e) == 0)
		status = adapter_fill(a, m, &here, e);
	arena_release(&here.mem);
	return status;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	bool head = json_object_get(config, "task_type"); /* head_file_read has found one */

	a->config = json_deep_copy(config);
	json_object_del(a->config, "task_type");
	rename_activation(a->config);
	if (check_file(a->config, m, e) < 0 || build(a, m, e) < 0 || (head && add_head(a, m, e) < 0))
		return err_prefix(e, "%s/adapter_config.json", dir);
	return load_tensors(a, m, s, e);
}

/* PEFT's files have no object of that name. */
static bool is_ours(const json_t *config)
{
	return json_is_object(json_object_get(config, "config")) && !json_object_get(config, "peft_type");
}

/* --- use --- */

static uint32_t scaled(struct graph *g, const struct overlay *o, const struct bottleneck *b, const struct site *s,
                       uint32_t up)
{
	if (b->c.scaling == SCALING_GIVEN)
		up = op_scale(g->tape, up, b->c.by);
	else
		up = op_scale_columns(g->tape, up, nn_param(g, o, s->scaling), TENSOR_NONE, TENSOR_NONE);
	if (g->training && !o->frozen && b->c.dropout > 0)
		up = op_dropout(g->tape, up, b->c.dropout, g->site++);
	return up;
}

static uint32_t product(struct graph *g, const struct overlay *o, uint32_t x, int w, int bias)
{
	return op_linear(g->tape, &(struct linear){ .x = x, .w = nn_param(g, o, w), .bias = nn_param(g, o, bias) });
}

/* A(v), what is left of it to be added to. */
static uint32_t products(struct graph *g, const struct overlay *o, const struct bottleneck *b, const struct site *s,
                         uint32_t v)
{
	if (b->c.ln_before)
		v = op_layernorm(g->tape, v, nn_param(g, o, s->before), nn_param(g, o, s->before_bias), NORM_EPS);
	v = product(g, o, v, s->down, s->down_bias);
	if (!b->c.linear)
		v = op_act(g->tape, b->c.f, v, TENSOR_NONE);
	return scaled(g, o, b, s, product(g, o, v, s->up, s->up_bias));
}

/* What goes in, and what is added to what comes out. */
static void inputs(struct graph *g, const struct bottleneck *b, enum sublayer kind, uint32_t x, uint32_t y, uint32_t *v,
                   uint32_t *residual)
{
	const struct norm *n = &b->blocks.norm[kind];

	*v = b->c.parallel ? x : y;
	*residual = y;
	if (b->c.parallel || !b->c.sum_before)
		return;
	uint32_t sum = op_add(g->tape, x, y);
	*v = n->w ? nn_layernorm(g, sum, n->w, n->b) : sum;
	if (b->c.sum_after && b->c.residual != RESIDUAL_MADE) /* else x is added by the block, once */
		*residual = b->c.residual == RESIDUAL_SUM ? sum : *v;
}

static uint32_t sublayer(struct graph *g, const struct overlay *o, enum sublayer kind, uint32_t x, uint32_t h,
                         uint32_t y)
{
	const struct bottleneck *b = o->ctx;
	const struct site *s = &b->sites[g->layer][kind];
	uint32_t v, residual;

	if (s->down < 0)
		return y;
	inputs(g, b, kind, b->blocks.takes_normed ? h : x, y, &v, &residual);
	uint32_t a = products(g, o, b, s, v);
	bool in_norm = b->c.ln_after && b->c.residual_in_norm && !b->c.parallel;
	if (in_norm)
		a = op_add(g->tape, a, residual);
	if (b->c.ln_after)
		a = op_layernorm(g->tape, a, nn_param(g, o, s->after), nn_param(g, o, s->after_bias), NORM_EPS);
	return in_norm ? a : op_add(g->tape, nn_served(g, o, a), residual);
}

static const struct overlay_hooks hooks = { .sublayer = sublayer };
static const struct overlay_hooks hooks_by_row = { .sublayer = sublayer, .by_row = true, .other_order = true };

static double rate(const void *options)
{
	return bottleneck_rate(((const struct options *)options)->config);
}

const struct adapter_type adapter_bottleneck = {
	.name = "bottleneck",
	.summary = "two small products behind or beside the halves of each block",
	.learning_rate = 1e-3,
	.rate = rate,
	.opts = opts,
	.options_size = sizeof(struct options),
	.file = "adapter.safetensors",
	.old_file = "pytorch_adapter.bin",
	.head_apart = true,
	.plain = true,
	.is = is_ours,
	.attach = attach,
	.hooks = &hooks,
	.load = load,
};
