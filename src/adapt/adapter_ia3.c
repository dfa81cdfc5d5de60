/* adapter_ia3: (IA)3, a vector for each of a few linears (Liu et al. 2022).
 *
 *     y = s∘(W·x + b)    of keys and values, of any linear that is no feed-forward: s [out]
 *     y = W·(s∘x) + b    of feed-forward modules: s [in]
 *
 * s begins as 1, where the model is what it was. PEFT's IA3Config says which linears (target_modules) and which of them
 * are feed-forward (feedforward_modules: ends of names, or one expression for whole names); its files have s as ia3_l,
 * [out,1] or [1,in]. Without names a new one takes the keys, the values and the feed-forward's last linear, as in the
 * paper. s is a vector, so no weight decay draws it to 0.
 *
 * The head's logits are not scaled, and embeddings have no such vector in PEFT either. */
#include <string.h>

#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/graph.h"
#include "model/weights.h"

struct options { struct adapter_targets on; const char *feedforward; };

static const struct opt opts[] = {
	ADAPTER_TARGET_OPTS(struct options, on, NULL),
	OPT_STRING("feedforward-modules", struct options, feedforward, NULL, "LIST",
	           "those of the target modules whose input is scaled, not their output"),
	OPT_END
};

struct site { int param; bool input; }; /* input: x is scaled, else the output */

struct ia3 { struct site *site; };      /* [n_weights + 1], biases of scaled outputs too; param −1: none */

static const struct peft_keys keys = {
	.read = (const char *const[]){ "feedforward_modules", NULL },
	.inert = (const char *const[]){ "init_ia3_weights", NULL },
};

/* Where a new one works if nobody says: what these modules are called. */
static const struct { const char *name; bool feedforward; } usual[] = {
	{ "k_proj", false },   { "v_proj", false },    { "c_attn", false },        { "query_key_value", false },
	{ "down_proj", true }, { "mlp.c_proj", true }, { "dense_4h_to_h", true },
};

/* --- the config --- */

static bool has_module(const struct model *m, const char *name)
{
	json_t *config = json_pack("{s:[s]}", "target_modules", name);
	bool has = !target_unused(config, "target_modules", m);

	json_decref(config);
	return has;
}

static bool is_listed(const json_t *list, const char *name)
{
	size_t i;
	json_t *entry;

	json_array_foreach(list, i, entry)
		if (!strcmp(json_string_value(entry), name))
			return true;
	return false;
}

/* The usual modules that this model has, as --target-modules has names; in mem. */
static const char *usual_targets(struct arena *mem, const struct model *m)
{
	const char *names = NULL;

	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		if (has_module(m, usual[i].name))
			names = names ? arena_printf(mem, "%s,%s", names, usual[i].name) : usual[i].name;
	return names;
}

/* Which of the targets, names or an expression, are feed-forward where nobody says: the usual ones. */
static json_t *usual_feedforward(const struct model *m, const json_t *targets)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		if (usual[i].feedforward && (json_is_string(targets) ? has_module(m, usual[i].name) :
		                                                       is_listed(targets, usual[i].name)))
			json_array_append_new(list, json_string(usual[i].name));
	return list;
}

/* PEFT: names must be among the targets. */
static int check_subset(const json_t *config, struct err *e)
{
	const json_t *targets = json_object_get(config, "target_modules");
	size_t i;
	json_t *entry;

	json_array_foreach(json_object_get(config, "feedforward_modules"), i, entry)
		if (json_is_array(targets) && !is_listed(targets, json_string_value(entry)))
			return err_set(e, "feedforward_modules: '%.80s' is none of target_modules",
			               json_string_value(entry));
	return 0;
}

/* 1: its input is scaled, 0: its output, −1 and a sentence. */
static int is_feedforward(const struct adapter *a, const char *module, const struct weight *w, struct err *e)
{
	const json_t *names = json_object_get(a->config, "feedforward_modules");
	size_t i, n = strlen(module);
	json_t *entry;

	if (json_is_string(names)) {
		json_t *only = json_pack("{s:O}", "target_modules", names);
		int hit = target_hit(only, module, w, e);
		json_decref(only);
		return hit;
	}
	json_array_foreach(names, i, entry) {
		size_t end = json_string_length(entry);
		if (end <= n && !strcmp(module + n - end, json_string_value(entry)))
			return 1;
	}
	return 0;
}

/* --- building --- */

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	struct ia3 *o = a->own;
	int input = is_feedforward(a, module, w, e);
	bool head = weight == (int)m->n_weights || (w->spec->flags & WEIGHT_HEAD);
	(void)ctx;

	if (input < 0)
		return -1;
	if (!(w->spec->flags & WEIGHT_LINEAR) || w->n_dims != 2)
		return err_set(e, "target_modules means '%s', which is no linear: only their inputs and outputs are "
		                  "scaled", module);
	if (w->expert >= 0)
		return err_set(e, "target_modules means '%s', an expert's matrix: experts are not scaled by (IA)3 here",
		               module);
	if (head && !input)
		return err_set(e, "target_modules means the head '%s', whose logits are not scaled", module);
	size_t dim[2] = { input ? 1 : w->dim[0], input ? w->dim[1] : 1 };
	struct file_layout place = { .rows_of = input ? -1 : weight };
	struct site *s = &o->site[weight];
	*s = (struct site){ adapter_param(a, peft_name(a, module, "ia3_l"), 2, dim, -1, place), input };
	a->overlay.params.items[s->param].role = PARAM_VECTOR;
	a->parts |= weight == (int)m->n_weights;
	char *name = mem_printf("%s.bias", module);
	int bias = model_weight_by_name(m, name);
	if (bias >= 0 && !input)
		o->site[bias] = *s;
	mem_free(name);
	return 0;
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	const json_t *names = json_object_get(a->config, "feedforward_modules");
	struct ia3 *o = a->own = arena_alloc(&a->mem, sizeof(*o));

	o->site = arena_array(&a->mem, m->n_weights + 1, sizeof(*o->site));
	for (size_t i = 0; i <= m->n_weights; i++)
		o->site[i].param = -1;
	if (peft_check(a->config, &keys, e) < 0)
		return -1;
	if (!peft_names(names))
		return peft_refuse("feedforward_modules", names, e);
	if (check_subset(a->config, e) < 0 || peft_each(a, m, add_site, NULL, e) < 0)
		return -1;
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;
	const char *targets = asked->on.target_modules ? asked->on.target_modules : usual_targets(&a->mem, m);
	const char *ff = asked->feedforward;
	(void)seed;

	if (!targets)
		return err_set(e, "which modules are scaled is not known of this model: --target-modules names them; "
		                  "its linears are %s", target_names(&a->mem, m));
	if (ff && !utf8_valid(ff, strlen(ff), NULL))
		return err_set(e, "feedforward_modules: the names are not UTF-8");
	if (peft_begin(a, m, targets, &asked->on, json_pack("{s:b}", "init_ia3_weights", 1), e) < 0)
		return -1;
	json_t *list = ff ? target_words(ff) : usual_feedforward(m, json_object_get(a->config, "target_modules"));
	json_object_set_new(a->config, "feedforward_modules", list);
	if (build(a, m, e) < 0 || adapter_seal(a, m, e) < 0)
		return -1;
	struct params *p = &a->overlay.params;
	for (size_t i = 0; i < p->n_items; i++)
		for (size_t j = 0; p->items[i].weight < 0 && j < p->items[i].n; j++)
			p->w[p->items[i].offset + j] = 1;
	return 0;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return peft_load(a, m, config, s, dir, build, e);
}

/* --- use --- */

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const struct site *s = &((const struct ia3 *)o->ctx)->site[w];

	if (s->param >= 0 && s->input)
		l->x = op_scale_columns(g->tape, l->x, nn_param(g, o, s->param), TENSOR_NONE, TENSOR_NONE);
	return s->param >= 0 && !s->input;
}

static uint32_t after(struct graph *g, const struct overlay *o, int w, struct linear *rest, uint32_t y)
{
	uint32_t s = nn_param(g, o, ((const struct ia3 *)o->ctx)->site[w].param);

	y = op_scale_columns(g->tape, y, s, rest->bias, rest->residual);
	rest->bias = rest->residual = TENSOR_NONE;
	return y;
}

static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct site *s = &((const struct ia3 *)a->own)->site[weight];
	const struct weight *to = weight_or_head(m, weight);
	const struct params *p = &a->overlay.params;
	size_t cols = to->n_dims == 2 ? to->dim[1] : 1;

	if (s->param < 0)
		return;
	const float *scale = p->w + p->items[s->param].offset;
	for (size_t row = 0; row < to->dim[0]; row++) {
		float *x = w + weight_hf_row(m, weight, row) * cols;
		for (size_t i = 0; i < cols; i++)
			x[i] *= scale[s->input ? i : row];
	}
}

static const struct overlay_hooks hooks = { .linear = linear, .after = after };

const struct adapter_type adapter_ia3 = {
	.name = "ia3",
	.summary = "(IA)3: vectors that scale keys, values and the feed-forward",
	.learning_rate = 3e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.peft_type = "IA3",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.merge = merge,
};
