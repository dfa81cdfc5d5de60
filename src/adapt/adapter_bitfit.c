/* adapter_bitfit: the model's biases are trained, all else stays (Ben Zaken, Ravfogel, Goldberg 2021, BitFit).
 *
 *     y = x·Wᵀ + b             b is trained
 *     y = norm(x)·w + b        of a LayerNorm too
 *
 * A bias is a weight whose last part ends in "bias"; --target-modules names the modules whose biases are meant, without
 * it all are. Models of Llama's family have none (Qwen2 has those of q, k and v), which is refused with a word.
 *
 * PEFT has no such type, so there is no file of its own form to write. What is written has the least that is new: the
 * biases whole in adapter_model.safetensors under the names that they have in the model (those of a gpt-oss's experts,
 * which its files have in one tensor, under names of ours), which load_state_dict(…, strict=False) takes as they are,
 * and an adapter_config.json that says which model they are of and which modules were meant. Merging makes the model
 * with these biases. Biases are vectors, and so not decayed. */
#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/weights.h"

struct options { struct adapter_targets on; };

static const struct opt opts[] = { ADAPTER_TARGET_OPTS(struct options, on, NULL), OPT_END };

static const char *const none[] = { NULL };
static const struct peft_keys keys = { .read = none, .inert = none, .all = true };

static bool is_bias(const struct weight *w) { return (w->spec->flags & WEIGHT_BIAS) && text_ends(w->name, "bias"); }

/* Whether this bias is meant: modules are matched by the names that their weights have. */
static int is_meant(struct adapter *a, const json_t *config, const struct weight *w, struct err *e)
{
	const char *module = weight_module(&a->mem, w->name);
	struct weight as = *w;

	as.name = arena_printf(&a->mem, "%s.weight", module);
	return target_hit(config, module, &as, e);
}

/* The config with every module as its target where it names none; new. */
static json_t *with_targets(const json_t *config)
{
	json_t *j = json_copy((json_t *)(uintptr_t)config);

	if (peft_empty(json_object_get(j, "target_modules")))
		json_object_set_new(j, "target_modules", json_string(".*"));
	return j;
}

static int check_some(const struct adapter *a, const struct model *m, bool any, struct err *e)
{
	if (a->overlay.params.n_items)
		return 0;
	if (any)
		return err_set(e, "target_modules means no module of this model that has a bias");
	return err_set(e, "%s has no biases, so there is nothing that --method bitfit could train; --method ln_tuning "
	                  "(its norms) and --method ia3 change as little", m->source.path);
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	bool any = false;
	int meant = 0;

	if (peft_check(a->config, &keys, e) < 0)
		return -1;
	json_t *config = with_targets(a->config);
	for (size_t i = 0; i < m->n_weights && meant >= 0; i++) {
		const struct weight *w = &m->weights[i];
		meant = is_bias(w) ? is_meant(a, config, w, e) : 0;
		any |= is_bias(w);
		if (meant > 0)
			adapter_whole(a, m, w->name, (int)i);
	}
	json_decref(config);
	if (meant < 0 || check_some(a, m, any, e) < 0)
		return -1;
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

/* Keys that say something of PEFT's own classes, which has none for this file. */
static const char *const of_peft[] = { "auto_mapping", "fan_in_fan_out", "peft_version", "revision" };

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *o = options;
	(void)seed;

	if (peft_begin(a, m, o->on.target_modules, &o->on, json_object(), e) < 0)
		return -1;
	if (!o->on.target_modules)
		json_object_set_new(a->config, "target_modules", json_null());
	for (size_t i = 0; i < ARRAY_LEN(of_peft); i++)
		json_object_del(a->config, of_peft[i]);
	return build(a, m, e) < 0 ? -1 : adapter_seal(a, m, e);
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return peft_load(a, m, config, s, dir, build, e);
}

const struct adapter_type adapter_bitfit = {
	.name = "bitfit",
	.summary = "BitFit: the biases, where a model has some",
	.learning_rate = 1e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.peft_type = "BITFIT",
	.plain = true,
	.attach = attach,
	.load = load,
	.merge = adapter_merge_none,
};
