/* fuzz: any body of any call of the server is answered, once, with JSON or a stream, or refused with a sentence: the
 * first byte says which call, the second how many steps the model takes before whoever asked has left. */
#include <stdint.h>
#include <string.h>

#include "served.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

extern const struct calls calls_adapters, calls_answers, calls_embeddings, calls_models, calls_moderations,
	calls_ollama, calls_ollama_models, calls_page, calls_rerank, calls_responses, calls_slots, calls_state,
	calls_tokens;
const struct calls *const calls_table[] = { &calls_adapters,     &calls_answers, &calls_embeddings,
	                                    &calls_models,       &calls_page,    &calls_moderations,
	                                    &calls_ollama,       &calls_slots,   &calls_ollama_models,
	                                    &calls_rerank,       &calls_state,   &calls_responses,
	                                    &calls_tokens,       NULL };

static const struct { const char *method, *path; } asked[] = {
	{ "POST", "/v1/chat/completions" }, { "POST", "/v1/completions" },  { "POST", "/v1/responses" },
	{ "POST", "/v1/embeddings" },       { "POST", "/v1/moderations" },  { "POST", "/v1/rerank" },
	{ "POST", "/api/chat" },            { "POST", "/api/generate" },    { "POST", "/api/show" },
	{ "POST", "/api/embed" },           { "POST", "/api/embeddings" },  { "POST", "/tokenize" },
	{ "POST", "/detokenize" },          { "POST", "/apply-template" },  { "POST", "/v1/load_lora_adapter" },
	{ "POST", "/slots/0" },             { "GET", "/v1/models" },        { "GET", "/v1/models/fuzz" },
	{ "GET", "/props" },                { "GET", "/metrics" },          { "GET", "/slots" },
};

/* --- in the place of http's, which has connections --- */

struct http_later {
	bool begun, ended;
	size_t sent;
};
static struct http_later later; /* of the one request that there is */
static int replies, owed;

static void check_json(const struct http_reply *r)
{
	json_t *j = json_loadb(buf_str(&r->body), r->body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL), *error;
	bool json = r->type && strstr(r->type, "json");

	if (r->status < 200 || r->status > 503 || (json && !j))
		BUG("%d with %s", r->status, buf_str(&r->body));
	error = json_object_get(j, "error");
	if (json && (r->status >= 400) != (json_string_length(error) ||
	                                   json_string_length(json_object_get(error, "message"))))
		BUG("%d with %s", r->status, buf_str(&r->body));
	json_decref(j);
	replies++;
}

struct http_later *__wrap_http_later(const struct http_request *q);
void __wrap_http_later_reply(struct http_later *l, struct http_reply *r);
void __wrap_http_later_begin(struct http_later *l, struct http_reply *r);
void __wrap_http_later_add(struct http_later *l, const char *bytes, size_t n);
void __wrap_http_later_end(struct http_later *l);
bool __wrap_http_later_left(struct http_later *l);
const char *__wrap_http_query(const struct http_request *q, const char *name);

struct http_later *__wrap_http_later(const struct http_request *q)
{
	(void)q;
	later = (struct http_later){ 0 };
	owed++;
	return &later;
}

void __wrap_http_later_reply(struct http_later *l, struct http_reply *r)
{
	if (l->begun || l->ended)
		BUG("a request is replied to twice");
	l->ended = true;
	check_json(r);
	buf_release(&r->body);
}

void __wrap_http_later_begin(struct http_later *l, struct http_reply *r)
{
	if (l->begun || l->ended || r->status != 200)
		BUG("a stream begins twice, or with %d", r->status);
	l->begun = true;
	buf_release(&r->body);
}

void __wrap_http_later_add(struct http_later *l, const char *bytes, size_t n)
{
	if (!l->begun || l->ended || (n && !bytes))
		BUG("a piece of no stream");
	l->sent += n;
}

void __wrap_http_later_end(struct http_later *l)
{
	if (!l->begun || l->ended || !l->sent)
		BUG("an end of no stream");
	l->ended = true;
	replies++;
}

bool __wrap_http_later_left(struct http_later *l)
{
	(void)l;
	return false;
}

const char *__wrap_http_query(const struct http_request *q, const char *name)
{
	(void)q;
	return !strcmp(name, "action") ? "erase" : NULL;
}

/* --- */

static void drain(struct openai *s, unsigned steps)
{
	struct err e = ERR_INIT;

	for (unsigned i = 0; engine_busy(s->o.engine); i++) {
		if (engine_turn(s->o.engine, 0, &e))
			BUG("%s", e.msg);
		if (i >= steps)
			openai_sweep(s, true);
		if (i > steps + 400)
			BUG("it never ends");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct openai *s;
	struct http_reply r = { 200, "application/json" };

	if (n < 2 || n > 4096)
		return 0;
	char *body = mem_alloc(n - 1);
	const char *method = asked[data[0] % ARRAY_LEN(asked)].method, *path = asked[data[0] % ARRAY_LEN(asked)].path;
	struct http_request q = { .method = method, .path = path, .body = body, .n_body = n - 2 };
	s = s ? s : served();
	memcpy(body, data + 2, n - 2);
	replies = owed = 0;
	struct http_reply no = { 0 };
	if (!openai_admit(s, &q, &no))
		BUG("%s is refused: %s", path, buf_str(&no.body));
	openai_answer(s, &q, &r);
	if (!owed)
		check_json(&r);
	else if (r.body.len)
		BUG("%s is answered now and later", path);
	drain(s, data[1] % 6);
	if (replies != 1 || owed > 1)
		BUG("%s: %d replies, %d of them owed", path, replies, owed);
	buf_release(&r.body);
	mem_free(body);
	return 0;
}
