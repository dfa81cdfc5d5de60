/* soft_prompt: what adapters of virtual tokens share. PEFT's PromptLearningConfig (config.py) and
 * _prepare_prompt_learning_config (utils/other.py), which fills token_dim, num_layers and num_attention_heads in: of
 * prefixes with the heads that keys have. */
#include "adapt/soft_prompt.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "model/classifier.h"
#include "model/graph.h"
#include "model/weights.h"
#include "token/tokenizer.h"

/* What transformers' own embedding multiplies its rows by before anybody sees them. */
static double embedding_scale(const struct model *m)
{
	return m->config.arch->embeds_scaled ? sqrt((double)m->config.C) : 1;
}

static size_t key_width(const struct config *c) { return (size_t)c->G * (size_t)c->D; }

size_t soft_prompt_width(const struct model *m, enum soft_prompt_kind kind)
{
	const struct config *c = &m->config;

	return kind == PROMPT_KEYS ? 2 * (size_t)c->n_layers * key_width(c) : (size_t)c->C;
}

/* --- config --- */

/* What the model says of them; a config that says otherwise is for another. */
static json_t *facts_of(const struct model *m, enum soft_prompt_kind kind)
{
	const struct config *c = &m->config;
	bool keys = kind == PROMPT_KEYS;

	return json_pack("{s:I, s:i, s:i}", "token_dim", (json_int_t)(keys ? key_width(c) : (size_t)c->C),
	                 "num_attention_heads", keys ? c->G : c->H, "num_layers", c->n_layers);
}

void soft_prompt_begin(struct adapter *a, const struct model *m, enum soft_prompt_kind kind,
                       const struct soft_prompt_options *o, json_t *own)
{
	json_t *facts = facts_of(m, kind);

	json_object_update(own, facts);
	json_decref(facts);
	json_object_set_new(own, "num_virtual_tokens", json_integer((json_int_t)o->n));
	json_object_set_new(own, "num_transformer_submodules", json_integer(1));
	peft_begin_prompt(a, m, o->base, own);
}

static int check_facts(const json_t *config, const struct model *m, enum soft_prompt_kind kind, struct err *e)
{
	json_t *facts = facts_of(m, kind), *wanted;
	const char *key;
	int status = 0;

	json_object_foreach(facts, key, wanted) {
		const json_t *found = json_object_get(config, key);
		bool asked = kind == PROMPT_KEYS || strcmp(key, "num_attention_heads");
		if (status || !asked || !found || json_is_null(found) || json_equal(found, wanted))
			continue;
		char *text = jsonx_line(found);
		status = err_set(e, "%s is %.40s, this model has %lld", key, text, json_integer_value(wanted));
		mem_free(text);
	}
	json_decref(facts);
	return status;
}

int soft_prompt_check(struct adapter *a, const struct model *m, enum soft_prompt_kind kind,
                      const struct peft_keys *keys, struct err *e)
{
	const json_t *parts = json_object_get(a->config, "num_transformer_submodules");
	long long n;

	if (m->labels && m->config.arch->encoder)
		return err_set(e, "soft prompts are for models that predict the next token, or classify by a text's "
		                  "last one: an encoder's first would be a virtual one");
	if (!m->labels && model_want_causal(m, e) < 0)
		return err_prefix(e, "soft prompts are for models that predict the next token");
	if (peft_check_prompt(a->config, keys, m, e) < 0 || check_facts(a->config, m, kind, e) < 0)
		return -1;
	if (parts && !json_is_null(parts) && json_integer_value(parts) != 1)
		return peft_refuse("num_transformer_submodules", parts, e);
	if (jsonx_int(a->config, "num_virtual_tokens", 0, &n, e) < 0)
		return -1;
	if (n < 1 || n > SOFT_PROMPT_MOST)
		return err_set(e, "num_virtual_tokens is %lld, wanted from 1 to %d", n, SOFT_PROMPT_MOST);
	if (n > m->config.n_ctx - 2)
		return err_set(e, "num_virtual_tokens is %lld, which leaves no room for a prompt and an answer: the "
		                  "model has %d positions", n, m->config.n_ctx);
	a->overlay.virtual_tokens = (int)n;
	return 0;
}

int soft_prompt_param(struct adapter *a, const struct model *m, enum soft_prompt_kind kind)
{
	size_t dim[2] = { (size_t)a->overlay.virtual_tokens, soft_prompt_width(m, kind) };
	struct file_layout place = { .rows_of = -1, .keys = kind == PROMPT_KEYS };
	int param = adapter_param(a, SOFT_PROMPT_TENSOR, 2, dim, -1, place);

	a->overlay.params.items[param].role = PARAM_EMBEDDING;
	return param;
}

int soft_prompt_seal(struct adapter *a, const struct model *m, struct err *e)
{
	for (size_t i = 0; i < m->n_weights && m->labels; i++)
		if (classifier_owns(&m->weights[i]))
			adapter_whole(a, m, arena_printf(&a->mem, PEFT_BARE_PREFIX "%s", m->weights[i].name), (int)i);
	return adapter_seal(a, m, e);
}

int soft_prompt_load(struct adapter *a, const struct model *m, enum soft_prompt_kind kind,
                     const struct peft_keys *keys, const json_t *config, const struct safetensors *s, const char *dir,
                     struct err *e)
{
	a->config = json_deep_copy(config);
	if (soft_prompt_check(a, m, kind, keys, e) < 0)
		return err_prefix(e, "%s/adapter_config.json", dir);
	soft_prompt_param(a, m, kind);
	return soft_prompt_seal(a, m, e) < 0 || adapter_fit(a, m, s, e) < 0 ? -1 : adapter_fill(a, m, s, e);
}

/* --- to begin with --- */

static void append(struct tokens *ids, const int32_t *more, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tokens_add(ids, more[i]);
}

int soft_prompt_text(const struct model *m, const char *text, const char *what, int32_t *ids, size_t n, struct err *e)
{
	struct tokens own = { 0 };

	if (!utf8_valid(text, strlen(text), NULL))
		return err_set(e, "%s: not UTF-8", what);
	if (!m->tokenizer)
		return err_set(e, "%s: the model's tokenizer is not open", what);
	struct around around = tokenizer_around(m->tokenizer);
	append(&own, around.front, around.n_front);
	int status = tokenizer_encode(m->tokenizer, text, strlen(text), TOKENIZE_SPECIAL, &own, e);
	append(&own, around.back, around.n_back);
	if (status == 0 && own.n == 0)
		status = err_set(e, "%s: the text has no token", what);
	for (size_t i = 0; i < n && status == 0; i++)
		ids[i] = own.id[i % own.n];
	tokens_release(&own);
	return status;
}

void soft_prompt_draw(const struct model *m, uint64_t seed, int32_t *ids, size_t n)
{
	struct rng_key key = { seed, RNG_INIT };

	for (size_t i = 0; i < n; i++)
		ids[i] = MIN((int32_t)(rng_uniform(key, i, 0, 1) * (float)m->config.V), m->config.V - 1);
}

void soft_prompt_rows(const struct model *m, const int32_t *ids, size_t n, float *rows)
{
	const struct weight *w = &m->weights[model_weight_by_name(m, m->config.arch->embedding)];
	size_t C = (size_t)m->config.C, row_bytes = w->bytes / w->dim[0];
	float scale = (float)embedding_scale(m);

	for (size_t i = 0; i < n; i++) {
		dtypes[w->dtype].to_float((const char *)w->data + (size_t)ids[i] * row_bytes, rows + i * C, C);
		for (size_t j = 0; j < C; j++)
			rows[i * C + j] *= scale;
	}
}

/* --- use --- */

uint32_t soft_prompt_put(struct graph *g, const struct overlay *o, uint32_t y, uint32_t p, size_t column)
{
	return op_virtual_rows(g->tape, y, p, g->model->config.V + o->virtual_before, column);
}

uint32_t soft_prompt_embed(struct graph *g, const struct overlay *o, uint32_t y, uint32_t p)
{
	double scale = embedding_scale(g->model);

	if (scale != 1)
		p = op_scale(g->tape, p, (float)(1 / scale));
	return soft_prompt_put(g, o, y, p, 0);
}
