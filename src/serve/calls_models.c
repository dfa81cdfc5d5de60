/* models: what may be asked: the model and each adapter over it. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/jsonx.h"
#include "serve/models.h"

static json_t *model_json(struct openai *s, const char *name, const char *path, bool adapter)
{
	json_t *j = json_pack("{s:s, s:s, s:I, s:s, s:o, s:i}", "id", name, "object", "model", "created",
	                      (json_int_t)s->o.created, "owned_by", "kungfu", "root", jsonx_path(path), "max_model_len",
	                      s->o.context);

	json_object_set_new(j, "parent", adapter && *openai_name(s) ? json_string(openai_name(s)) : json_null());
	return j;
}

static void add_model(struct openai *s, json_t *data)
{
	json_t *list = s->o.adapters ? adapters_list(s->o.adapters) : NULL, *one;
	const char *own[OWN_NAMES];
	size_t i, n = openai_own(s, own);

	for (i = 0; i < n; i++)
		json_array_append_new(data, model_json(s, own[i], s->o.path, false));
	json_array_foreach (list, i, one)
		json_array_append_new(data, model_json(s, json_string_value(json_object_get(one, "name")),
		                                       json_string_value(json_object_get(one, "path")), true));
	json_decref(list);
}

static json_t *models_json(struct openai *s)
{
	struct openai *all[MODELS_MOST];
	json_t *data = json_array();
	size_t n = openai_all(s, all);

	for (size_t i = 0; i < n; i++)
		add_model(all[i], data);
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
	json_t *all = models_json(s), *data = json_object_get(all, "data"), *j;
	const char *name = q->path + strlen("/v1/models/");
	size_t i;

	(void)sent;
	json_array_foreach (data, i, j)
		if (!strcmp(json_string_value(json_object_get(j, "id")), name) && !r->body.len)
			openai_reply(r, json_incref(j));
	if (!r->body.len)
		openai_no_model(r, name);
	json_decref(all);
}

const struct calls calls_models = {
	.rows = (const struct call[]){ { "GET", (const char *const[]){ "/v1/models", "/models", NULL }, models },
	                               { "GET", (const char *const[]){ "/v1/models/*", NULL }, one },
	                               { 0 } },
};
