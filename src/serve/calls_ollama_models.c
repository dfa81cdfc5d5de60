/* ollama_models: what Ollama's clients ask beside answers: which models there are, what one is, vectors of texts. */
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "serve/models.h"
#include "serve/ollama.h"

json_t *ollama_name(struct openai *s, const json_t *sent)
{
	const char *name = json_string_value(json_object_get(sent, "model"));

	if (!name)
		name = json_string_value(json_object_get(sent, "name")); /* what older clients say */
	char *plain = name && openai_adapter(s, name) == -2 ? models_untagged(name) : NULL;
	json_t *j = json_string(plain && openai_adapter(s, plain) != -2 ? plain : name ? name : "");
	mem_free(plain);
	return j;
}

/* --- models --- */

/* Of most of its numbers. */
static const char *level_of(const struct model *m)
{
	double numbers[DTYPE_COUNT] = { 0 };
	enum dtype best = m->weights[0].dtype;

	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		double n = 1;
		for (int k = 0; k < w->n_dims; k++)
			n *= (double)w->dim[k];
		numbers[w->dtype] += n;
		if (numbers[w->dtype] > numbers[best])
			best = w->dtype;
	}
	return dtypes[best].name;
}

static json_t *details_json(struct openai *s, bool adapter)
{
	const struct model *m = s->o.model;
	char size[32];

	snprintf(size, sizeof(size), "%.3gM", (double)model_count(m) / 1e6);
	return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s}", "parent_model", adapter ? openai_name(s) : "", "format",
	                 m->source.is_gguf ? "gguf" : "safetensors", "family", m->config.arch->name, "families",
	                 m->config.arch->name, "parameter_size", size, "quantization_level",
	                 level_of(m));
}

static json_t *entry_json(struct openai *s, const char *name, const char *path, bool adapter)
{
	struct err ignored = ERR_INIT;
	size_t size = 0;

	if (!io_is_dir(path))
		io_size(path, &size, &ignored);
	return json_pack("{s:s, s:s, s:o, s:I, s:o}", "name", name, "model", name, "modified_at",
	                 ollama_time((double)s->o.created), "size", (json_int_t)size, "details",
	                 details_json(s, adapter));
}

static void add_model(struct openai *s, json_t *models)
{
	json_t *all = s->o.adapters ? adapters_list(s->o.adapters) : json_array(), *one;
	const char *own[OWN_NAMES];
	size_t i, n = openai_own(s, own);

	for (i = 0; i < n; i++)
		json_array_append_new(models, entry_json(s, own[i], s->o.path, false));
	json_array_foreach (all, i, one)
		json_array_append_new(models,
		                      entry_json(s, json_string_value(json_object_get(one, "name")),
		                                 json_string_value(json_object_get(one, "path")), true));
	json_decref(all);
}

static json_t *list_json(struct openai *s)
{
	struct openai *all[MODELS_MOST];
	json_t *models = json_array();
	size_t n = openai_all(s, all);

	for (size_t i = 0; i < n; i++)
		add_model(all[i], models);
	return json_pack("{s:o}", "models", models);
}

static void tags(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	(void)q, (void)sent;
	openai_reply(r, list_json(s));
}

static void version(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	(void)s, (void)q, (void)sent;
	openai_reply(r, json_pack("{s:s}", "version", KUNGFU_VERSION));
}

static json_t *capabilities_json(const struct openai *s)
{
	json_t *list = json_array();

	if (engine_batcher(s->o.engine))
		json_array_append_new(list, json_string("completion"));
	else if (!s->o.model->labels)
		json_array_append_new(list, json_string("embedding"));
	return list;
}

static json_t *facts_json(const struct openai *s)
{
	const struct config *c = &s->o.model->config;
	const char *arch = c->arch->name;
	json_t *j = json_pack("{s:s, s:I}", "general.architecture", arch, "general.parameter_count",
	                      (json_int_t)model_count(s->o.model));
	const struct { const char *key; int value; } facts[] = {
		{ "context_length", c->n_ctx },   { "embedding_length", c->C },
		{ "block_count", c->n_layers },   { "feed_forward_length", c->F },
		{ "attention.head_count", c->H }, { "attention.head_count_kv", c->G },
		{ "vocab_size", c->V },
	};

	for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
		char *key = mem_printf("%s.%s", arch, facts[i].key);
		json_object_set_new(j, key, json_integer(facts[i].value));
		mem_free(key);
	}
	return j;
}

static void show(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	static const char *const known[] = { "model", "name", "verbose", NULL };
	json_t *asked = json_pack("{s:o}", "model", ollama_name(s, sent));
	const char *template = tokenizer_template(s->o.model->tokenizer), *name;
	(void)q;

	if (!openai_unknown_key(sent, known, r) && openai_model(s, asked, &name, r) != -2)
		openai_reply(r, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "modelfile", "", "parameters", "",
		                          "template", template ? template : "", "details",
		                          details_json(s, !openai_is_name(s, name)), "model_info", facts_json(s),
		                          "capabilities", capabilities_json(s), "modified_at",
		                          ollama_time((double)s->o.created)));
	json_decref(asked);
}

/* --- vectors --- */

static json_t *embedded(struct readout *x)
{
	json_t *list = json_array();
	bool one = json_is_true(json_object_get(x->own, "one"));

	for (size_t i = 0; i < x->n; i++)
		json_array_append_new(list, vector_json(x->out + i * x->width, x->width));
	if (one) {
		json_t *j = json_pack("{s:O}", "embedding", json_array_get(list, 0));
		json_decref(list);
		return j;
	}
	json_t *j = json_pack("{s:s, s:o, s:I, s:i, s:I}", "model", x->model, "embeddings", list, "total_duration",
	                      (json_int_t)((clock_seconds() - x->came) * 1e9), "load_duration", 0, "prompt_eval_count",
	                      (json_int_t)x->tokens);
	if (x->s->o.read_span)
		json_object_set_new(j, "gas", openai_gas_json(&x->gas));
	return j;
}

/* one: of /api/embeddings, which older clients ask. */
static void embed(struct openai *s, const struct http_request *q, const json_t *sent, bool one, struct http_reply *r)
{
	static const char *const known[] = { "model", "input", "prompt", "truncate", "dimensions", "options",
		                             "keep_alive", NULL };
	const json_t *input = json_object_get(sent, one ? "prompt" : "input"),
		     *width = json_object_get(sent, "dimensions");
	json_t *asked = json_pack("{s:o}", "model", ollama_name(s, sent));
	struct readout *x = NULL;
	const char *name;

	if (openai_unknown_key(sent, known, r))
		;
	else if (json_is_integer(width) && json_integer_value(width) != s->o.model->config.C)
		openai_error(r, 400, "invalid_value", "dimensions", "this model's vectors have %d numbers",
		             s->o.model->config.C);
	else if (openai_model(s, asked, &name, r) != -2)
		x = vectors_read(s, name, input, json_is_true(json_object_get(sent, "truncate")), r);
	json_decref(asked);
	if (!x)
		return;
	x->plain = true;
	x->own = json_pack("{s:b}", "one", one);
	readout_start(x, q, embedded);
}

static void embed_many(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	embed(s, q, sent, false, r);
}

static void embed_one(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	embed(s, q, sent, true, r);
}

const struct calls calls_ollama_models = {
	.rows = (const struct call[]){ { "GET", (const char *const[]){ "/api/tags", "/api/ps", NULL }, tags },
	                               { "GET", (const char *const[]){ "/api/version", NULL }, version, .open = true },
	                               { "POST", (const char *const[]){ "/api/show", NULL }, show },
	                               { "POST", (const char *const[]){ "/api/embed", NULL }, embed_many },
	                               { "POST", (const char *const[]){ "/api/embeddings", NULL }, embed_one },
	                               { 0 } },
};
