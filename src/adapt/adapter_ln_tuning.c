/* adapter_ln_tuning: the norms are trained, all else stays (Zhao et al. 2023, Tuning LayerNorm in Attention).
 *
 *     y = norm(x)·w + b        w, and b where there is one, are trained
 *
 * As PEFT's LNTuningConfig has it: each module of target_modules is trained whole and stands in the place of the
 * model's own; files have its weight and bias as ln_tuning_layers. Without names a new one takes those that PEFT takes
 * of this architecture, and every norm of one that PEFT has no list for. A linear can be named too, an embedding, a
 * head or an expert cannot. Norms are vectors, and so not decayed. */
#include <string.h>

#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/mem.h"
#include "model/weights.h"

struct options { struct adapter_targets on; };

static const struct opt opts[] = { ADAPTER_TARGET_OPTS(struct options, on, NULL), OPT_END };

static const char *const none[] = { NULL };
static const struct peft_keys keys = { .read = none, .inert = none };

/* PEFT's TRANSFORMERS_MODELS_TO_LNTUNING_TARGET_MODULES_MAPPING, of what is run here. */
#define AROUND "input_layernorm,post_attention_layernorm,"
#define GEMMA AROUND "pre_feedforward_layernorm,post_feedforward_layernorm,norm"
static const struct { const char *type, *targets; } usual[] = {
	{ "llama", AROUND "norm" },
	{ "gpt2", "ln_1,ln_2,ln_f" },
	{ "mistral", AROUND "norm" },
	{ "gemma2", GEMMA },
	{ "gemma3_text", GEMMA },
	{ "qwen2", "post_attention_layernorm" },
	{ "qwen3", "post_attention_layernorm" },
};

static bool is_norm(const struct weight *w) { return (w->spec->flags & WEIGHT_NORM) && w->n_dims == 1; }

/* All norms by the last parts of their names; NULL: there are none. In mem. */
static const char *all_norms(struct arena *mem, const struct model *m)
{
	const char *names = NULL;

	for (size_t i = 0; i < m->n_weights; i++) {
		const char *module = weight_module(mem, m->weights[i].name), *dot = strrchr(module, '.');
		const char *last = dot ? dot + 1 : module;
		if (is_norm(&m->weights[i]))
			names = names ? arena_printf(mem, "%s,%s", names, last) : last;
	}
	return names;
}

static const char *usual_targets(struct arena *mem, const struct model *m)
{
	const char *const *type = m->config.arch->hf_types;

	for (; type && *type; type++)
		for (size_t i = 0; i < ARRAY_LEN(usual); i++)
			if (!strcmp(usual[i].type, *type))
				return usual[i].targets;
	return all_norms(mem, m);
}

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	bool linear = (w->spec->flags & (WEIGHT_LINEAR | WEIGHT_HEAD)) == WEIGHT_LINEAR && w->n_dims == 2;
	bool apart = w->spec->fused && w->spec->fused->written;
	(void)ctx;

	if ((!is_norm(w) && !linear) || w->expert >= 0 || apart)
		return err_set(e, "target_modules means '%s', which is neither a norm nor a linear of a layer", module);
	adapter_whole(a, m, peft_name(a, module, "ln_tuning_layers.weight"), weight);
	int bias = model_weight_by_name(m, arena_printf(&a->mem, "%s.bias", module));
	if (bias >= 0)
		adapter_whole(a, m, peft_name(a, module, "ln_tuning_layers.bias"), bias);
	return 0;
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	if (peft_check(a->config, &keys, e) < 0 || peft_each(a, m, add_site, NULL, e) < 0)
		return -1;
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *o = options;
	const char *targets = o->on.target_modules ? o->on.target_modules : usual_targets(&a->mem, m);
	(void)seed;

	if (!targets)
		return err_set(e, "this model has no norms with weights: --target-modules names what is trained");
	if (peft_begin(a, m, targets, &o->on, json_object(), e) < 0)
		return -1;
	json_object_del(a->config, "fan_in_fan_out");
	return build(a, m, e) < 0 ? -1 : adapter_seal(a, m, e);
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return peft_load(a, m, config, s, dir, build, e);
}

const struct adapter_type adapter_ln_tuning = {
	.name = "ln_tuning",
	.summary = "LN tuning: the norms",
	.learning_rate = 1e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.peft_type = "LN_TUNING",
	.attach = attach,
	.load = load,
	.merge = adapter_merge_none,
};
