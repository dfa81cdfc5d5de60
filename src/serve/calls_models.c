/* models: what may be asked: the model and each adapter over it. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/jsonx.h"

static json_t *model_json(const struct openai *s, const char *name, const char *path, bool adapter)
{
	json_t *j = json_pack("{s:s, s:s, s:I, s:s, s:o, s:i}", "id", name, "object", "model", "created",
	                      (json_int_t)s->o.created, "owned_by", "kungfu", "root", jsonx_path(path), "max_model_len",
	                      s->o.context);

	json_object_set_new(j, "parent", adapter ? json_string(s->o.name) : json_null());
	return j;
}

static json_t *models_json(const struct openai *s)
{
	json_t *data = json_array();

	json_array_append_new(data, model_json(s, s->o.name, s->o.path, false));
	for (size_t i = 0; i < s->o.n_adapters; i++)
		json_array_append_new(data, model_json(s, s->o.adapters[i], s->o.adapter_paths[i], true));
	return json_pack("{s:s, s:o}", "object", "list", "data", data);
}

static void models(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	(void)q;
	(void)sent;
	openai_reply(r, models_json(s));
}

static void one(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	const char *name = q->path + strlen("/v1/models/");
	int i = openai_adapter(s, name);

	(void)sent;
	if (i == -2)
		openai_no_model(r, name);
	else if (!strcmp(name, s->o.name))
		openai_reply(r, model_json(s, s->o.name, s->o.path, false));
	else
		openai_reply(r, model_json(s, s->o.adapters[i], s->o.adapter_paths[i], true));
}

const struct calls calls_models = {
	.rows = (const struct call[]){ { "GET", (const char *const[]){ "/v1/models", "/models", NULL }, models },
	                               { "GET", (const char *const[]){ "/v1/models/*", NULL }, one },
	                               { 0 } },
};
