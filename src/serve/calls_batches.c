/* batches: OpenAI's Batch API over serve/batches.h. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/mem.h"
#include "serve/batches.h"
#include "serve/beside.h"
#include "serve/files.h"

static bool known_keys(const json_t *sent, struct http_reply *r)
{
	static const char *const known[] = { "input_file_id", "endpoint", "completion_window", "metadata" };
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)sent, key, value) {
		size_t i = 0;
		while (i < ARRAY_LEN(known) && strcmp(key, known[i]))
			i++;
		if (i == ARRAY_LEN(known) && !json_is_null(value)) {
			openai_error(r, 400, "unknown_parameter", key, "'%.60s' is not known here", key);
			return false;
		}
	}
	return true;
}

static bool is_endpoint(const char *endpoint)
{
	static const char *const known[] = { "/v1/chat/completions", "/v1/completions", "/v1/embeddings" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (endpoint && !strcmp(endpoint, known[i]))
			return true;
	return false;
}

static void create(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	const char *input = json_string_value(json_object_get(sent, "input_file_id")),
		   *endpoint = json_string_value(json_object_get(sent, "endpoint")),
		   *window = json_string_value(json_object_get(sent, "completion_window"));
	struct err e = ERR_INIT;
	json_t *file, *j;

	(void)q;
	if (!beside_dir(s, r) || !known_keys(sent, r))
		return;
	file = input ? files_get(s->o.beside->o.dir, input) : NULL;
	if (!file)
		openai_error(r, 400, "invalid_value", "input_file_id", "'input_file_id' is no file that was uploaded");
	else if (!is_endpoint(endpoint))
		openai_error(r, 400, "invalid_value", "endpoint",
		             "'endpoint' is /v1/chat/completions, /v1/completions or "
		             "/v1/embeddings");
	else if (!window || strcmp(window, "24h"))
		openai_error(r, 400, "invalid_value", "completion_window", "'completion_window' is 24h");
	else if ((j = batches_add(s->o.beside->batches, endpoint, input, holder_name(s->caller),
	                          json_object_get(sent, "metadata"), &e)))
		openai_reply(r, j);
	else
		openai_error(r, 500, "server_error", NULL, "%s", e.msg);
	json_decref(file);
}

static void list(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	(void)sent;
	if (!beside_dir(s, r))
		return;
	json_t *all = batches_list(s->o.beside->batches);
	beside_list(q, all, 20, 100, r);
	json_decref(all);
}

static void no_batch(const char *id, struct http_reply *r)
{
	openai_error(r, 404, "not_found", "batch_id", "No such batch: %.47s", id);
}

static void one(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	char id[48];
	json_t *j;

	(void)sent;
	openai_part(q, 2, id, sizeof(id));
	if (!beside_dir(s, r))
		return;
	if ((j = batches_get(s->o.beside->batches, id)))
		openai_reply(r, j);
	else
		no_batch(id, r);
}

static void cancel(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	char id[48];
	json_t *now = NULL;

	(void)sent;
	openai_part(q, 2, id, sizeof(id));
	if (!beside_dir(s, r))
		return;
	int status = batches_cancel(s->o.beside->batches, id, &now);
	if (status < 0)
		no_batch(id, r);
	else if (status > 0)
		openai_error(r, 400, "invalid_status", NULL, "The batch is %s",
		             json_string_value(json_object_get(now, "status")));
	else
		openai_reply(r, json_incref(now));
	json_decref(now);
}

const struct calls calls_batches = {
	.rows = (const struct call[]){ { "POST", (const char *const[]){ "/v1/batches", NULL }, create },
	                               { "GET", (const char *const[]){ "/v1/batches", NULL }, list },
	                               { "POST", (const char *const[]){ "/v1/batches/*/cancel", NULL }, cancel },
	                               { "GET", (const char *const[]){ "/v1/batches/*", NULL }, one },
	                               { 0 } },
};
