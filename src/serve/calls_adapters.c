/* adapters: they come and go while it serves, by vLLM's calls. What a client may name is what lies in the folder of
 * --adapter-dir, so nobody has other files read. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/mem.h"

struct change {
	struct openai *s;
	struct http_later *later;
	char *name, *path;             /* path NULL: it goes */
};

static void change_free(struct change *x)
{
	mem_free(x->name);
	mem_free(x->path);
	mem_free(x);
}

/* The engine's thread. */
static void change(void *ctx)
{
	struct change *x = ctx;
	struct http_reply r = { 0 };
	struct err e = ERR_INIT;
	int status = x->path ? adapters_load(x->s->o.adapters, x->name, x->path, &e) :
	                       adapters_unload(x->s->o.adapters, x->name, &e);

	if (status == 0) {
		r = (struct http_reply){ 200, "text/plain; charset=utf-8" };
		buf_addf(&r.body, "Success: LoRA adapter '%s' %s successfully.", x->name,
		         x->path ? "added" : "removed");
	} else {
		openai_error(&r, x->path ? 400 : 404, x->path ? "invalid_adapter" : "model_not_found", "lora_name",
		             "%s", e.msg);
	}
	openai_later(x->s, x->later, NULL, &r, false);
	change_free(x);
}

static bool known_keys(const json_t *sent, bool load, struct http_reply *r)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)sent, key, value)
		if (strcmp(key, "lora_name") && !(load && !strcmp(key, "lora_path")) && !json_is_null(value)) {
			openai_error(r, 400, "unknown_parameter", key, "'%.60s' is not known here", key);
			return false;
		}
	return true;
}

static void ask(struct openai *s, const struct http_request *q, const json_t *sent, bool load, struct http_reply *r)
{
	const char *name = json_string_value(json_object_get(sent, "lora_name")),
		   *path = json_string_value(json_object_get(sent, "lora_path"));
	struct err e = ERR_INIT;
	char *whole = NULL;

	if (!known_keys(sent, load, r))
		return;
	if (!s->o.adapters)
		openai_error(r, 400, "unsupported_value", NULL, "One adapter lies over all that is served here");
	else if (!name || (load && !path))
		openai_error(r, 400, "missing_parameter", name ? "lora_path" : "lora_name", "'%s' is no text",
		             name ? "lora_path" : "lora_name");
	else if (load && !(whole = adapters_path(s->o.adapters, path, &e)))
		openai_error(r, 400, "invalid_value", "lora_path", "%s", e.msg);
	if (r->body.len)
		return;
	struct change *x = mem_alloc(sizeof(*x));
	*x = (struct change){ s, http_later(q), mem_strdup(name), whole };
	engine_do(s->o.engine, change, x);
}

static void load(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	ask(s, q, sent, true, r);
}

static void unload(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	ask(s, q, sent, false, r);
}

const struct calls calls_adapters = {
	.rows = (const struct call[]){ { "POST", (const char *const[]){ "/v1/load_lora_adapter", NULL }, load },
	                               { "POST", (const char *const[]){ "/v1/unload_lora_adapter", NULL }, unload },
	                               { 0 } },
};
