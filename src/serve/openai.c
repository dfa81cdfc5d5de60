/* openai: which call goes where, who may ask, and what all replies have in common. */
#include "serve/openai.h"
#include "serve/openai_parts.h"

#include <string.h>
#include <time.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/scorer.h"

/* --- replies --- */

/* OpenAI's words for a status. */
static const char *type_of(int status)
{
	switch (status) {
	case 401: return "authentication_error";
	case 403: return "permission_error";
	case 404: return "not_found_error";
	case 429: return "rate_limit_error";
	default: return status < 500 ? "invalid_request_error" : "server_error";
	}
}

void openai_error(struct http_reply *r, int status, const char *code, const char *param, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *message = mem_vprintf(fmt, ap);
	va_end(ap);
	json_t *j = json_pack("{s:{s:o, s:s, s:s?, s:s}}", "error", "message", jsonx_text(message, strlen(message)),
	                      "type", type_of(status), "param", param, "code", code);
	openai_reply(r, j);
	r->status = status;
	mem_free(message);
}

void openai_reply(struct http_reply *r, json_t *j)
{
	char *line = jsonx_line(j);

	r->status = 200;
	r->type = "application/json";
	buf_clear(&r->body);
	buf_adds(&r->body, line);
	mem_free(line);
	json_decref(j);
}

/* --- models --- */

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

static int adapter_of(const struct openai *s, const char *name)
{
	if (!name || !strcmp(name, s->o.name))
		return s->o.only_adapter;
	for (size_t i = 0; i < s->o.n_adapters; i++)
		if (!strcmp(name, s->o.adapters[i]))
			return (int)i;
	return -2;
}

static void no_such_model(struct http_reply *r, const char *name)
{
	openai_error(r, 404, "model_not_found", "model",
	             "The model '%.100s' does not exist here; GET /v1/models "
	             "lists those that do",
	             name);
}

int openai_model(struct openai *s, const json_t *sent, const char **name, struct http_reply *r)
{
	const json_t *asked = json_object_get(sent, "model");
	int adapter = -2;

	*name = json_is_string(asked) ? json_string_value(asked) : s->o.name;
	if (asked && !json_is_string(asked) && !json_is_null(asked))
		openai_error(r, 400, "invalid_type", "model", "'model' is no text");
	else if ((adapter = adapter_of(s, *name)) == -2)
		no_such_model(r, *name);
	return adapter;
}

static void one_model(const struct openai *s, const char *name, struct http_reply *r)
{
	int i = adapter_of(s, name);

	if (i == -2)
		no_such_model(r, name);
	else if (!strcmp(name, s->o.name))
		openai_reply(r, model_json(s, s->o.name, s->o.path, false));
	else
		openai_reply(r, model_json(s, s->o.adapters[i], s->o.adapter_paths[i], true));
}

/* --- calls --- */

enum call {
	MODELS,
	MODEL,
	CHAT,
	COMPLETIONS,
	EMBEDDINGS,
	TOKENIZE,
	DETOKENIZE,
	APPLY_TEMPLATE,
	PROPS,
	HEALTH,
	METRICS
};

static const struct {
	const char *path;
	enum call call;
	bool post, open;
} calls[] = {
	{ "/v1/models", MODELS },
	{ "/models", MODELS },
	{ "/v1/chat/completions", CHAT, true },
	{ "/chat/completions", CHAT, true },
	{ "/v1/completions", COMPLETIONS, true },
	{ "/completions", COMPLETIONS, true },
	{ "/v1/embeddings", EMBEDDINGS, true },
	{ "/embeddings", EMBEDDINGS, true },
	{ "/tokenize", TOKENIZE, true },
	{ "/detokenize", DETOKENIZE, true },
	{ "/apply-template", APPLY_TEMPLATE, true },
	{ "/props", PROPS },
	{ "/metrics", METRICS },
	{ "/health", HEALTH, false, true },
	{ "/v1/health", HEALTH, false, true },
};

#define ONE_MODEL "/v1/models/"

/* −1: there is none such. */
static int find_call(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		if (!strcmp(path, calls[i].path))
			return (int)i;
	return -1;
}

/* Takes as long whatever the key is. */
static bool same_key(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned different = n != m;

	for (size_t i = 0; i < n; i++)
		different |= (unsigned char)a[i] ^ (unsigned char)b[m ? i % m : 0];
	return !different;
}

static bool has_key(const struct openai *s, const char *bearer)
{
	bool has = s->o.n_keys == 0;

	for (size_t i = 0; i < s->o.n_keys; i++)
		has |= bearer && same_key(bearer, s->o.keys[i]);
	return has;
}

void openai_close(struct openai *s)
{
	pthread_mutex_lock(&s->lock);
	s->closed = true;
	pthread_mutex_unlock(&s->lock);
}

static bool is_closed(struct openai *s)
{
	pthread_mutex_lock(&s->lock);
	bool closed = s->closed;
	pthread_mutex_unlock(&s->lock);
	return closed;
}

bool openai_admit(void *openai, const struct http_request *q, struct http_reply *r)
{
	struct openai *s = openai;
	int i = find_call(q->path);
	bool one = i < 0 && !strncmp(q->path, ONE_MODEL, strlen(ONE_MODEL)), post = i >= 0 && calls[i].post;
	bool right = post ? !strcmp(q->method, "POST") : !strcmp(q->method, "GET") || !strcmp(q->method, "HEAD");

	if (is_closed(s))
		openai_error(r, 503, "stopped", NULL, "The server ends");
	else if (i < 0 && !one)
		openai_error(r, 404, "not_found", NULL, "There is no %.100s here", q->path);
	else if (!right)
		openai_error(r, 405, "method_not_allowed", NULL, "%s wants %s", q->path, post ? "POST" : "GET");
	else if (!(i >= 0 && calls[i].open) && !has_key(s, q->bearer))
		openai_error(r, 401, "invalid_api_key", NULL,
		             "A key is wanted, as Authorization: Bearer KEY, and this is "
		             "none of those that are known");
	if (r->status == 405)
		r->allow = post ? "POST" : "GET, HEAD";
	if (r->status)
		openai_count_refused(s);
	return !r->status;
}

void openai_count_refused(struct openai *s)
{
	pthread_mutex_lock(&s->lock);
	s->counts.refused++;
	pthread_mutex_unlock(&s->lock);
}

static void answers(struct openai *s, const struct http_request *q, const json_t *sent, bool chat, struct http_reply *r)
{
	struct ask *a = ask_read(s, sent, chat, r);

	if (a)
		ask_start(a, q);
}

/* sent: an object, of a GET an empty one. */
static void dispatch(struct openai *s, enum call call, const struct http_request *q, const json_t *sent,
                     struct http_reply *r)
{
	switch (call) {
	case MODELS: openai_reply(r, models_json(s)); break;
	case MODEL: one_model(s, q->path + strlen(ONE_MODEL), r); break;
	case CHAT: answers(s, q, sent, true, r); break;
	case COMPLETIONS: answers(s, q, sent, false, r); break;
	case EMBEDDINGS: openai_embeddings(s, q, sent, r); break;
	case TOKENIZE: openai_tokenize(s, sent, r); break;
	case DETOKENIZE: openai_detokenize(s, sent, r); break;
	case APPLY_TEMPLATE: openai_apply_template(s, sent, r); break;
	case PROPS: openai_props(s, r); break;
	case HEALTH: openai_reply(r, json_pack("{s:s}", "status", "ok")); break;
	case METRICS: openai_metrics(s, r); break;
	}
}

void openai_answer(void *openai, const struct http_request *q, struct http_reply *r)
{
	struct openai *s = openai;
	int i = find_call(q->path);
	struct http_reply broken = { 0 };
	json_t *sent = http_json(q, &broken);

	pthread_mutex_lock(&s->lock);
	s->counts.requests++;
	pthread_mutex_unlock(&s->lock);
	if (!sent) {
		json_t *said = json_loads(buf_str(&broken.body), 0, NULL);
		openai_error(r, 400, "invalid_json", NULL, "%s",
		             json_string_value(json_object_get(json_object_get(said, "error"), "message")));
		json_decref(said);
		buf_release(&broken.body);
	} else {
		dispatch(s, i < 0 ? MODEL : calls[i].call, q, sent, r);
	}
	if (r->status >= 400)
		openai_count_refused(s);
	json_decref(sent);
}

struct openai_counts openai_counted(struct openai *s)
{
	pthread_mutex_lock(&s->lock);
	struct openai_counts c = s->counts;
	pthread_mutex_unlock(&s->lock);
	return c;
}

/* Another one for each start: what nobody gives a seed is drawn otherwise. */
static uint64_t salt_of(int64_t created)
{
	uint32_t words[4];

	rng_words((struct rng_key){ (uint64_t)created, RNG_SAMPLE }, 0, 0, 0, words);
	return (uint64_t)words[0] << 32 | words[1];
}

struct openai *openai_new(const struct openai_options *o)
{
	struct openai *s = mem_alloc(sizeof(*s));

	*s = (struct openai){ .o = *o, .salt = salt_of(o->created) };
	generate_ends(o->model, &s->ends);
	snprintf(s->fingerprint, sizeof(s->fingerprint), "fp_%.10s", KUNGFU_VERSION);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void openai_free(struct openai *s)
{
	if (!s)
		return;
	tokens_release(&s->ends);
	scorer_free(s->scorer);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}
