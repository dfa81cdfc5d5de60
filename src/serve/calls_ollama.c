/* ollama: /api/chat and /api/generate, as Ollama's clients ask and read them: a line of JSON for each piece (NDJSON),
 * or one where "stream" is false. They become requests of chat or of completions (ask_read). `options` are Ollama's,
 * with its defaults (temperature 0.8, top_k 40, top_p 0.9, repeat_penalty 1.1 over the last 64 tokens); one that is
 * not done here is refused by its name, and so is a prompt that does not fit, which Ollama cuts. Options of Ollama's
 * own machine (num_gpu, num_thread …) change no answer and are taken. Calls of tools are told when they are
 * whole, with their arguments as an object. */
#include "serve/openai_parts.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "serve/ollama.h"

/* --- what is asked --- */

enum taken { MAPPED, HARMLESS, LENGTH, CONTEXT };
/* Of "options": as ask_read has it, with Ollama's default (NULL: none). */
static const struct {
	const char *key;
	enum taken taken;
	const char *ours, *init;
} options[] = {
	{ "temperature", MAPPED, "temperature", "0.8" },
	{ "top_k", MAPPED, "top_k", "40" },
	{ "top_p", MAPPED, "top_p", "0.9" },
	{ "min_p", MAPPED, "min_p", NULL },
	{ "typical_p", MAPPED, "typical_p", NULL },
	{ "seed", MAPPED, "seed", NULL },
	{ "stop", MAPPED, "stop", NULL },
	{ "repeat_penalty", MAPPED, "repeat_penalty", "1.1" },
	{ "repeat_last_n", MAPPED, "repeat_last_n", "64" },
	{ "presence_penalty", MAPPED, "presence_penalty", NULL },
	{ "frequency_penalty", MAPPED, "frequency_penalty", NULL },
	{ "num_predict", LENGTH, NULL, NULL },
	{ "num_ctx", CONTEXT, NULL, NULL },
	{ "num_keep", HARMLESS, NULL, NULL },
	{ "num_batch", HARMLESS, NULL, NULL },
	{ "num_gpu", HARMLESS, NULL, NULL },
	{ "main_gpu", HARMLESS, NULL, NULL },
	{ "num_thread", HARMLESS, NULL, NULL },
	{ "numa", HARMLESS, NULL, NULL },
	{ "low_vram", HARMLESS, NULL, NULL },
	{ "f16_kv", HARMLESS, NULL, NULL },
	{ "use_mmap", HARMLESS, NULL, NULL },
	{ "use_mlock", HARMLESS, NULL, NULL },
};

static int read_option(struct openai *s, const char *key, json_t *value, json_t *asked, struct http_reply *r)
{
	size_t i = 0;

	while (i < ARRAY_LEN(options) && strcmp(key, options[i].key))
		i++;
	if (i == ARRAY_LEN(options))
		openai_error(r, 400, "unsupported_parameter", key, "option '%.60s' is not served here", key);
	else if (options[i].taken == MAPPED)
		json_object_set(asked, options[i].ours, value);
	else if (options[i].taken == CONTEXT && json_integer_value(value) > s->o.context)
		openai_error(r, 400, "unsupported_value", key,
		             "option 'num_ctx' is %lld, and this server has contexts of %d tokens (--ctx-size)",
		             (long long)json_integer_value(value), s->o.context);
	else if (options[i].taken == LENGTH && !json_is_integer(value))
		openai_error(r, 400, "invalid_type", key, "option 'num_predict' is no whole number");
	else if (options[i].taken == LENGTH && json_integer_value(value) >= 0) /* -1, -2: as long as it likes */
		json_object_set(asked, "max_tokens", value);
	return r->status >= 400 ? -1 : 0;
}

static int read_options(struct openai *s, const json_t *sent, json_t *asked, struct http_reply *r)
{
	json_t *list = json_object_get(sent, "options"), *value;
	const char *key;

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].init)
			json_object_set_new(asked, options[i].ours, json_loads(options[i].init, JSON_DECODE_ANY, NULL));
	if (list && !json_is_null(list) && !json_is_object(list)) {
		openai_error(r, 400, "invalid_type", "options", "'options' is an object");
		return -1;
	}
	json_object_foreach(list, key, value)
		if (!json_is_null(value) && read_option(s, key, value, asked, r) < 0)
			return -1;
	return 0;
}

/* "json", or a schema. */
static int read_format(const json_t *sent, json_t *asked, struct http_reply *r)
{
	json_t *format = json_object_get(sent, "format");
	const char *word = json_string_value(format);

	if (!format || json_is_null(format) || (word && !*word))
		return 0;
	if (word && !strcmp(word, "json"))
		json_object_set_new(asked, "response_format", json_pack("{s:s}", "type", "json_object"));
	else if (json_is_object(format))
		json_object_set_new(asked, "response_format",
		                    json_pack("{s:s, s:{s:s, s:O, s:b}}", "type", "json_schema", "json_schema", "name",
		                              "format", "schema", format, "strict", 1));
	else
		openai_error(r, 400, "invalid_value", "format", "'format' is \"json\" or a schema");
	return r->status >= 400 ? -1 : 0;
}

/* What a request of either has beside its text; stream is true unless it says otherwise. */
static int read_common(struct openai *s, const json_t *sent, json_t *asked, struct http_reply *r)
{
	static const char *const refused[] = { "think", "images", "suffix", "template", "context", "width", "height",
		                               "steps" },
		*const cuts[] = { "truncate", "shift" }, *const same[] = { "logprobs", "top_logprobs", "tools",
		                                                            "documents", "num_documents" };
	json_t *stream = json_object_get(sent, "stream");

	for (size_t i = 0; i < ARRAY_LEN(refused) && r->status < 400; i++)
		if (json_object_get(sent, refused[i]) && !openai_is_nothing(json_object_get(sent, refused[i])))
			openai_error(r, 400, "unsupported_parameter", refused[i], "'%s' is not served here",
			             refused[i]);
	for (size_t i = 0; i < ARRAY_LEN(cuts) && r->status < 400; i++)
		if (json_is_true(json_object_get(sent, cuts[i])))
			openai_error(r, 400, "unsupported_value", cuts[i], "'%s': no prompt is cut here", cuts[i]);
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		if (json_object_get(sent, same[i]))
			json_object_set(asked, same[i], json_object_get(sent, same[i]));
	json_object_set_new(asked, "model", ollama_name(s, sent));
	json_object_set(asked, "stream", stream && !json_is_null(stream) ? stream : json_true());
	return r->status < 400 && read_options(s, sent, asked, r) == 0 && read_format(sent, asked, r) == 0 ? 0 : -1;
}

/* --- what is told --- */

json_t *ollama_time(double seconds)
{
	time_t whole = (time_t)seconds;
	struct tm utc;
	char day[24];

	gmtime_r(&whole, &utc);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc);
	return json_sprintf("%s.%06dZ", day, (int)((seconds - (double)whole) * 1e6));
}

static json_int_t nanoseconds(double seconds) { return seconds > 0 ? (json_int_t)(seconds * 1e9) : 0; }

/* A line with some text of the answer, which is taken. */
static json_t *line_json(const struct ask *a, json_t *text, bool over)
{
	json_t *j = json_pack("{s:s, s:o, s:b}", "model", a->model, "created_at", ollama_time(clock_wall_seconds()),
	                      "done", over);

	if (json_is_true(json_object_get(a->own, "chat")))
		json_object_set_new(j, "message", json_pack("{s:s, s:o}", "role", "assistant", "content", text));
	else
		json_object_set_new(j, "response", text);
	return j;
}

/* Arguments are an object here, so a call that was cut is none; NULL. */
static json_t *call_json(const struct called *call, size_t i)
{
	json_t *arguments = json_loadb(buf_str(&call->arguments), call->arguments.len, 0, NULL);

	return arguments ? json_pack("{s:s, s:{s:i, s:s, s:o}}", "id", call->id, "function", "index", (int)i, "name",
	                             call->name, "arguments", arguments) :
	                   NULL;
}

/* Calls from..to into the line's message. */
static void add_calls(const struct choice *c, size_t from, size_t to, json_t *line)
{
	json_t *list = json_array();

	for (size_t i = from; i < to; i++) {
		json_t *one = call_json(&c->calls[i], i);
		if (one)
			json_array_append_new(list, one);
	}
	if (json_array_size(list))
		json_object_set(json_object_get(line, "message"), "tool_calls", list);
	json_decref(list);
}

static void add_tokens(struct choice *c, json_t *line)
{
	if (c->tokens)
		json_object_set_new(line, "logprobs", c->tokens);
	c->tokens = NULL;
}

static void add_counts(const struct ask *a, json_t *j)
{
	double now = clock_seconds(), first = a->first > 0 ? a->first : now;
	json_t *gas = ask_gas_json(a);
	const char *finish = a->choices[0].finish;

	json_object_set_new(j, "done_reason",
	                    json_string(!strcmp(finish, "tool_calls") ? "stop" : finish));
	json_object_set_new(j, "total_duration", json_integer(nanoseconds(now - a->came)));
	json_object_set_new(j, "load_duration", json_integer(nanoseconds(a->began - a->came)));
	json_object_set_new(j, "prompt_eval_count", json_integer(a->prompt_tokens));
	json_object_set_new(j, "prompt_eval_duration", json_integer(nanoseconds(first - a->began)));
	json_object_set_new(j, "eval_count", json_integer(a->new_tokens));
	json_object_set_new(j, "eval_duration", json_integer(nanoseconds(now - first)));
	if (gas)
		json_object_set_new(j, "gas", gas);
	if (a->sources)
		json_object_set(j, "sources", a->sources);
}

static void piece(struct choice *c, const char *text, size_t n)
{
	json_t *line = line_json(c->ask, jsonx_text(text, n), false);

	add_tokens(c, line);
	ask_send(c->ask, "", line, "\n");
}

static void thought(struct choice *c, const char *text, size_t n)
{
	json_t *line = line_json(c->ask, json_string(""), false);

	json_object_set_new(json_object_get(line, "message"), "thinking", jsonx_text(text, n));
	ask_send(c->ask, "", line, "\n");
}

static void called(struct choice *c, size_t i)
{
	json_t *line = line_json(c->ask, json_string(""), false);

	add_calls(c, i, i + 1, line);
	add_tokens(c, line);
	ask_send(c->ask, "", line, "\n");
}

static void done(struct choice *c) { (void)c; }

static void end(struct ask *a)
{
	json_t *line = line_json(a, json_string(""), true);

	add_tokens(&a->choices[0], line);
	add_counts(a, line);
	ask_send(a, "", line, "\n");
}

static json_t *whole(struct ask *a)
{
	struct choice *c = &a->choices[0];
	json_t *j = line_json(a, jsonx_text(buf_str(&c->text), c->text.len), true);

	add_calls(c, 0, c->n_calls, j);
	if (c->thought.len)
		json_object_set_new(json_object_get(j, "message"), "thinking",
		                    jsonx_text(buf_str(&c->thought), c->thought.len));
	add_tokens(c, j);
	add_counts(a, j);
	return j;
}

static const struct ask_form form = {
	.type = "application/x-ndjson",
	.plain = true,
	.piece = piece,
	.thought = thought,
	.called = called,
	.done = done,
	.end = end,
	.whole = whole,
};

/* --- the calls --- */

/* Nothing is asked: the model is to be there, and is. */
static void loaded(struct openai *s, const json_t *sent, bool chat, struct http_reply *r)
{
	const json_t *keep = json_object_get(sent, "keep_alive");
	const char *reason = json_is_integer(keep) && json_integer_value(keep) == 0 ? "unload" : "load", *name;
	json_t *asked = json_pack("{s:o}", "model", ollama_name(s, sent)), *j;

	if (openai_model(s, asked, &name, r) != -2) {
		j = json_pack("{s:s, s:o, s:b, s:s}", "model", name, "created_at", ollama_time(clock_wall_seconds()),
		              "done", 1, "done_reason", reason);
		if (chat)
			json_object_set_new(j, "message", json_pack("{s:s, s:s}", "role", "assistant", "content", ""));
		else
			json_object_set_new(j, "response", json_string(""));
		openai_reply(r, j);
	}
	json_decref(asked);
}

static const char *const renamed[][2] = {
	{ "max_tokens", "num_predict" }, { "response_format", "format" }, { NULL }
};

/* asked is taken. */
static void start(struct openai *s, const struct http_request *q, json_t *asked, bool chat, bool told_as_chat,
                  struct http_reply *r)
{
	struct ask *a = ask_read(s, asked, chat, r);

	/* a completion is short unless it says otherwise; Ollama's is not */
	if (a && !json_object_get(asked, "max_tokens"))
		a->max_new_tokens = (size_t)s->o.context;
	json_decref(asked);
	if (!a) {
		openai_rename(r, renamed);
		return;
	}
	a->form = &form;
	a->key = told_as_chat ? "messages" : "prompt";
	a->own = json_pack("{s:b}", "chat", told_as_chat);
	ask_start(a, q);
}

/* Calls have no ids here, and what tools gave follows in their order: both get one. */
static void give_ids(json_t *m, int *called, int *given)
{
	const json_t *name = json_object_get(m, "tool_name");
	json_t *call;
	size_t i;

	json_array_foreach(json_object_get(m, "tool_calls"), i, call) {
		++*called;
		if (!json_object_get(call, "id"))
			json_object_set_new(call, "id", json_sprintf("%09d", *called));
		if (!json_object_get(call, "type"))
			json_object_set_new(call, "type", json_string("function"));
	}
	if (strcmp(message_role(m), "tool") != 0)
		return;
	++*given;
	if (!json_object_get(m, "tool_call_id"))
		json_object_set_new(m, "tool_call_id", json_sprintf("%09d", *given));
	if (json_is_string(name) && !json_object_get(m, "name"))
		json_object_set(m, "name", (json_t *)(uintptr_t)name);
}

static json_t *with_ids(const json_t *messages)
{
	json_t *all = json_deep_copy(messages), *m;
	int called = 0, given = 0;
	size_t i;

	json_array_foreach(all, i, m)
		give_ids(m, &called, &given);
	return all;
}

static void chat(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	static const char *const known[] = { "model", "messages", "stream", "format", "options", "keep_alive", "tools",
		                             "think", "logprobs", "top_logprobs", "truncate", "shift", "documents",
		                             "num_documents", NULL };
	json_t *messages = json_object_get(sent, "messages"), *one, *asked;
	size_t i;

	if (openai_unknown_key(sent, known, r))
		return;
	if (json_is_array(messages) ? !json_array_size(messages) : !messages || json_is_null(messages)) {
		loaded(s, sent, true, r);
		return;
	}
	json_array_foreach(messages, i, one)
		if (!openai_is_nothing(json_object_get(one, "images")) && json_object_get(one, "images") &&
		    r->status < 400)
			openai_error(r, 400, "unsupported_value", "messages",
			             "'images' of a message are not served here");
	asked = json_pack("{s:o}", "messages", with_ids(messages));
	if (r->status < 400 && read_common(s, sent, asked, r) == 0)
		start(s, q, asked, true, true, r);
	else
		json_decref(asked);
}

/* The prompt as the model's template writes it, or as it is. */
static void generated(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	static const char *const known[] = { "model", "prompt", "stream", "format", "options", "keep_alive", "system",
		                             "raw", "think", "images", "suffix", "template", "context", "logprobs",
		                             "top_logprobs", "truncate", "shift", "width", "height", "steps",
		                             "documents", "num_documents", NULL };
	json_t *prompt = json_object_get(sent, "prompt"), *system = json_object_get(sent, "system"), *asked;
	bool has_system = json_is_string(system) && json_string_length(system),
	     raw = json_is_true(json_object_get(sent, "raw")) || (!s->o.chat && !has_system);

	if (openai_unknown_key(sent, known, r))
		return;
	if (!prompt || json_is_null(prompt) || (json_is_string(prompt) && !json_string_length(prompt))) {
		loaded(s, sent, false, r);
		return;
	}
	if (!json_is_string(prompt))
		openai_error(r, 400, "invalid_type", "prompt", "'prompt' is a text");
	else if (raw && has_system)
		openai_error(r, 400, "unsupported_value", "system", "'system' has no place in a raw prompt");
	else if (raw && json_is_true(json_object_get(sent, "logprobs")))
		openai_error(r, 400, "unsupported_value", "logprobs", "'logprobs' of a raw prompt are not served here");
	asked = json_object();
	if (raw)
		json_object_set(asked, "prompt", prompt);
	else if (has_system)
		json_object_set_new(asked, "messages",
		                    json_pack("[{s:s, s:O}, {s:s, s:O}]", "role", "system", "content", system, "role",
		                              "user", "content", prompt));
	else
		json_object_set_new(asked, "messages", json_pack("[{s:s, s:O}]", "role", "user", "content", prompt));
	if (r->status < 400 && read_common(s, sent, asked, r) == 0)
		start(s, q, asked, !raw, false, r);
	else
		json_decref(asked);
}

const struct calls calls_ollama = {
	.rows = (const struct call[]){ { "POST", (const char *const[]){ "/api/chat", NULL }, chat },
	                               { "POST", (const char *const[]){ "/api/generate", NULL }, generated },
	                               { 0 } },
};
