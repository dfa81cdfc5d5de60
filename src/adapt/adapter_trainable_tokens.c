/* adapter_trainable_tokens: the embedding's rows of some tokens are trained, all else stays (PEFT's
 * TrainableTokensConfig). What is computed is in token_rows.h.
 *
 * The embedding is meant where nobody says a module; of a model whose head is its embedding both have the same rows,
 * and files have them under both names. target_modules may name the head too, or it alone. The rows begin as the
 * model's own, so a new one changes nothing. A row is an embedding, which optimizers treat as one. */
#include <string.h>

#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "adapt/token_rows.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "model/weights.h"

static const char END[] = "trainable_tokens_delta";

struct options { const char *tokens; struct adapter_targets on; };

static const struct opt opts[] = {
	OPT_STRING("token-indices", struct options, tokens, NULL, "LIST", "the tokens by their numbers, as 5,17"),
	ADAPTER_TARGET_OPT(struct options, on, NULL),
	ADAPTER_BASE_OPT(struct options, on.base),
	OPT_END
};

static const struct peft_keys keys = {
	.read = (const char *const[]){ "token_indices", NULL },
	.inert = (const char *const[]){ "init_weights", NULL },
};

static int add_module(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                      void *ctx, struct err *e)
{
	struct token_rows *t = a->own;
	bool embedding = weight == model_weight(m, m->config.arch->embedding, -1);
	(void)w;
	(void)ctx;

	if (!embedding && weight != (int)m->n_weights && weight != model_head(m))
		return err_set(e, "target_modules means '%s': tokens have rows in the embedding and the head alone",
		               module);
	if (weight == (int)m->n_weights && t->n)
		return 0; /* its rows are the embedding's */
	return token_rows_add(t, a, m, weight, json_object_get(a->config, "token_indices"), peft_name(a, module, END),
	                      e);
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	struct token_rows *t = a->own = arena_alloc(&a->mem, sizeof(*t));

	if (peft_check(a->config, &keys, e) < 0 || peft_each(a, m, add_module, NULL, e) < 0)
		return -1;
	if (t->n == 2 && t->site[0].param == t->site[1].param) {
		a->tied = t->site[0].param;
		a->tied_name = peft_name(a, weight_module(&a->mem, m->config.arch->head), END);
	}
	return token_rows_seal(t, a, m, e) < 0 ? -1 : adapter_seal(a, m, e);
}

/* Keys that PEFT's class has not. */
static const char *const others[] = { "exclude_modules", "fan_in_fan_out", "modules_to_save" };

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *o = options;
	const char *embedding = weight_module(&a->mem, m->config.arch->embedding);
	bool listed = o->tokens || !m->n_new;
	json_t *tokens = listed ? token_rows_list(o->tokens, "token-indices", e) : json_array();
	(void)seed;

	if (!tokens)
		return -1;
	tokens = token_rows_with_new(tokens, m);
	json_t *own = json_pack("{s:b, s:o}", "init_weights", 1, "token_indices", tokens);
	const char *head = weight_module(&a->mem, m->config.arch->head);
	bool both = m->n_new && !m->config.tied && model_head(m) >= 0; /* new ones are predicted too */
	const char *usual = both ? arena_printf(&a->mem, "%s,%s", embedding, head) : embedding;
	if (peft_begin(a, m, o->on.target_modules ? o->on.target_modules : usual, &o->on, own, e) < 0)
		return -1;
	if (!o->on.target_modules && !both)
		json_object_set_new(a->config, "target_modules", json_string(embedding));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		json_object_del(a->config, others[i]);
	if (build(a, m, e) < 0)
		return -1;
	token_rows_fill(a->own, a, m);
	return 0;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	a->config = json_deep_copy(config);
	if (build(a, m, e) < 0)
		return err_prefix(e, "%s/adapter_config.json", dir);
	return adapter_fit(a, m, s, e) < 0 ? -1 : adapter_fill(a, m, s, e);
}

/* --- use --- */

static uint32_t lookup(struct graph *g, const struct overlay *o, int w, enum embed_source source, uint32_t table)
{
	return token_rows_lookup(o->ctx, g, o, w, source, table);
}

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	token_rows_linear(o->ctx, g, o, w, l);
	return false;
}

static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	token_rows_merge(a->own, a, m, weight, w);
}

static const struct overlay_hooks hooks = { .lookup = lookup, .linear = linear };

const struct adapter_type adapter_trainable_tokens = {
	.name = "trainable_tokens",
	.summary = "the embedding's rows of some tokens",
	.learning_rate = 1e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.peft_type = "TRAINABLE_TOKENS",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.merge = merge,
};
