/* responses: OpenAI's Responses call, without state: what was said before is sent along as `input`. It becomes a
 * request of chat (ask_read); the reply, whole or as events, is what openai-python's `responses` reads:
 *
 *     response.created, .in_progress, .output_item.added, .content_part.added, .output_text.delta …,
 *     .output_text.done, .content_part.done, .output_item.done, .completed or .incomplete
 *
 * Of a call of a function: .output_item.added, .function_call_arguments.delta …, .function_call_arguments.done,
 * .output_item.done; a message is an item then only if something is said. What the model thinks apart is not told.
 *
 * Whatever would have to be kept here (previous_response_id, store: true, conversation, background) is refused by its
 * name, as are inputs that are no text. */
#include "serve/openai_parts.h"

#include <string.h>
#include <time.h>

#include "base/jsonx.h"
#include "base/mem.h"

/* --- what is asked --- */

/* As chat's requests have them; NULL: not there. */
static const struct {
	const char *key, *chat;
} keys[] = {
	{ "model", "model" },
	{ "stream", "stream" },
	{ "temperature", "temperature" },
	{ "top_p", "top_p" },
	{ "top_logprobs", "top_logprobs" },
	{ "max_output_tokens", "max_completion_tokens" },
	{ "user", "user" },
	{ "metadata", "metadata" },
	{ "safety_identifier", "safety_identifier" },
	{ "prompt_cache_key", "prompt_cache_key" },
	{ "prompt_cache_retention", "prompt_cache_retention" },
	{ "service_tier", "service_tier" },
	{ "parallel_tool_calls", "parallel_tool_calls" },
	{ "seed", "seed" },
	{ "tool_choice", "tool_choice" },
	{ "documents", "documents" },
	{ "num_documents", "num_documents" },
	/* read below */
	{ "input" },
	{ "instructions" },
	{ "tools" },
	{ "text" },
	{ "include" },
	{ "truncation" },
	{ "store" },
	{ "stream_options" },
	{ "max_tool_calls" },
};

static const char *const renamed[][2] = {
	{ "messages", "input" },
	{ "max_completion_tokens", "max_output_tokens" },
	{ "response_format", "text.format" },
	{ NULL },
};

static const char *chat_role(const char *role) { return role && !strcmp(role, "developer") ? "system" : role; }

/* Text parts as chat has them; NULL and a refusal. New. */
static json_t *read_content(const json_t *content, struct http_reply *r)
{
	json_t *parts = json_array(), *part;
	size_t i;

	if (json_is_string(content)) {
		json_decref(parts);
		return json_incref((json_t *)content);
	}
	json_array_foreach((json_t *)content, i, part) {
		const char *type = json_string_value(json_object_get(part, "type"));
		const json_t *text = json_object_get(part, "text");
		bool is_text = type && (!strcmp(type, "input_text") || !strcmp(type, "output_text"));
		if (!is_text || !json_is_string(text)) {
			openai_error(r, 400, "unsupported_value", "input",
			             "'input' has a part of type %.40s: input_text and output_text are served here",
			             type ? type : "none");
			json_decref(parts);
			return NULL;
		}
		json_array_append_new(parts, json_pack("{s:s, s:O}", "type", "text", "text", text));
	}
	if (json_array_size(parts))
		return parts;
	openai_error(r, 400, "invalid_type", "input", "a message of 'input' has no text as its content");
	json_decref(parts);
	return NULL;
}

/* A call that the model made: of the answer before it, if that is the last message. */
static int add_call(json_t *messages, const json_t *item, struct http_reply *r)
{
	const json_t *id = json_object_get(item, "call_id"), *name = json_object_get(item, "name"),
		     *arguments = json_object_get(item, "arguments");
	json_t *last = json_array_get(messages, json_array_size(messages) - 1);
	const char *role = json_string_value(json_object_get(last, "role"));

	if (!json_is_string(id) || !json_is_string(name) || !json_is_string(arguments)) {
		openai_error(r, 400, "invalid_type", "input",
		             "a function_call of 'input' has call_id, name and arguments, "
		             "texts");
		return -1;
	}
	if (!role || strcmp(role, "assistant") != 0) {
		last = json_pack("{s:s, s:n}", "role", "assistant", "content");
		json_array_append_new(messages, last);
	}
	if (!json_object_get(last, "tool_calls"))
		json_object_set_new(last, "tool_calls", json_array());
	json_array_append_new(json_object_get(last, "tool_calls"),
	                      json_pack("{s:O, s:s, s:{s:O, s:O}}", "id", id, "type", "function", "function", "name",
	                                name, "arguments", arguments));
	return 0;
}

/* What it gave. */
static int add_output(json_t *messages, const json_t *item, struct http_reply *r)
{
	const json_t *id = json_object_get(item, "call_id");
	json_t *content = read_content(json_object_get(item, "output"), r);

	if (content && !json_is_string(id))
		openai_error(r, 400, "invalid_type", "input", "a function_call_output of 'input' has no call_id");
	if (content && json_is_string(id))
		json_array_append_new(messages, json_pack("{s:s, s:O, s:O}", "role", "tool", "tool_call_id", id,
		                                          "content", content));
	json_decref(content);
	return r->status >= 400 ? -1 : 0;
}

static int add_item(json_t *messages, const json_t *item, struct http_reply *r)
{
	const char *type = json_string_value(json_object_get(item, "type")),
		   *role = json_string_value(json_object_get(item, "role"));

	if (type && !strcmp(type, "function_call"))
		return add_call(messages, item, r);
	if (type && !strcmp(type, "function_call_output"))
		return add_output(messages, item, r);
	if (!json_is_object(item) || (type && strcmp(type, "message") != 0)) {
		openai_error(r, 400, "unsupported_value", "input",
		             "'input' has an item of type %.40s: messages, function_call and function_call_output are "
		             "served "
		             "here",
		             type ? type : "none");
		return -1;
	}
	if (!role) {
		openai_error(r, 400, "invalid_type", "input", "a message of 'input' has no role");
		return -1;
	}
	json_t *content = read_content(json_object_get(item, "content"), r);
	if (!content)
		return -1;
	json_array_append_new(messages, json_pack("{s:s, s:o}", "role", chat_role(role), "content", content));
	return 0;
}

static int read_input(const json_t *sent, json_t *chat, struct http_reply *r)
{
	const json_t *input = json_object_get(sent, "input"), *first = json_object_get(sent, "instructions");
	json_t *messages = json_array(), *item;
	size_t i;

	json_object_set_new(chat, "messages", messages);
	if (first && !json_is_null(first) && !json_is_string(first)) {
		openai_error(r, 400, "invalid_type", "instructions", "'instructions' is no text");
		return -1;
	}
	if (json_is_string(first))
		json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "system", "content", first));
	if (json_is_string(input)) {
		json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "user", "content", input));
		return 0;
	}
	if (!json_is_array(input) || !json_array_size(input)) {
		openai_error(r, 400, "invalid_type", "input", "'input' is a text or a list of messages, one at least");
		return -1;
	}
	json_array_foreach((json_t *)input, i, item)
		if (add_item(messages, item, r) < 0)
			return -1;
	return 0;
}

/* Functions as chat has them, whose keys stand in an object of their own. */
static void read_tools(const json_t *sent, json_t *chat)
{
	const json_t *tools = json_object_get(sent, "tools"), *tool;
	json_t *list = json_array();
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)tools, i, tool) {
		const char *type = json_string_value(json_object_get(tool, "type"));
		json_t *function = json_copy((json_t *)(uintptr_t)tool);
		if (type && !strcmp(type, "function")) {
			json_object_del(function, "type");
			function = json_pack("{s:s, s:o}", "type", type, "function", function);
		}
		json_array_append_new(list, function);
	}
	if (json_is_array(tools))
		json_object_set(chat, "tools", list);
	else if (tools)
		json_object_set(chat, "tools", (json_t *)(uintptr_t)tools);
	json_decref(list);
}

/* {"format": …} as chat's response_format, which has what belongs to a schema in an object of its own. */
static void read_format(const json_t *sent, json_t *chat)
{
	const json_t *format = json_object_get(json_object_get(sent, "text"), "format");
	const char *type = json_string_value(json_object_get(format, "type"));

	if (!format || json_is_null(format))
		return;
	if (!type || strcmp(type, "json_schema") != 0) {
		json_object_set(chat, "response_format", (json_t *)format);
		return;
	}
	json_t *schema = json_copy((json_t *)format);
	json_object_del(schema, "type");
	json_object_set_new(chat, "response_format", json_pack("{s:s, s:o}", "type", type, "json_schema", schema));
}

static int refuse_state(const json_t *sent, struct http_reply *r)
{
	const char *truncation = json_string_value(json_object_get(sent, "truncation"));
	const json_t *text = json_object_get(sent, "text");
	const char *key;
	json_t *value;

	if (json_is_true(json_object_get(sent, "store")))
		openai_error(r, 400, "unsupported_value", "store", "'store' is true, and no response is kept here: "
		                                                   "send what was said before as 'input'");
	else if (truncation && strcmp(truncation, "disabled") != 0)
		openai_error(r, 400, "unsupported_value", "truncation",
		             "'truncation' is %.40s: nothing is cut here, only disabled is served", truncation);
	json_object_foreach((json_t *)text, key, value)
		if (r->status < 400 && strcmp(key, "format") != 0 && !json_is_null(value))
			openai_error(r, 400, "unsupported_parameter", key, "'text.%.40s' is not served here", key);
	return r->status < 400 ? 0 : -1;
}

static int read_include(const json_t *sent, json_t *chat, struct http_reply *r)
{
	size_t i;
	json_t *one;

	if (json_is_number(json_object_get(sent, "top_logprobs")))
		json_object_set_new(chat, "logprobs", json_true());
	json_array_foreach(json_object_get(sent, "include"), i, one) {
		const char *name = json_string_value(one);
		if (!name || strcmp(name, "message.output_text.logprobs") != 0) {
			openai_error(r, 400, "unsupported_value", "include",
			             "'include' asks for %.60s: message.output_text.logprobs is served here",
			             name ? name : "something that is no text");
			return -1;
		}
		json_object_set_new(chat, "logprobs", json_true());
	}
	return 0;
}

/* The request as chat has it; NULL and a refusal. New. */
static json_t *read_request(const json_t *sent, struct http_reply *r)
{
	json_t *chat = json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)sent, key, value) {
		size_t i = 0;
		while (i < ARRAY_LEN(keys) && strcmp(key, keys[i].key))
			i++;
		if (i < ARRAY_LEN(keys) && keys[i].chat)
			json_object_set(chat, keys[i].chat, value);
		if (i < ARRAY_LEN(keys) || r->status >= 400 || openai_is_nothing(value))
			continue;
		openai_error(r, 400, "unsupported_parameter", key,
		             "'%.60s' is not served here: responses are without state, and of text", key);
	}
	if (r->status < 400 && refuse_state(sent, r) == 0 && read_input(sent, chat, r) == 0 &&
	    read_include(sent, chat, r) == 0) {
		read_format(sent, chat);
		read_tools(sent, chat);
		return chat;
	}
	json_decref(chat);
	return NULL;
}

/* --- what is told --- */

static const char *status_of(const struct choice *c)
{
	return !c->finish ? "in_progress" : !strcmp(c->finish, "length") ? "incomplete" : "completed";
}

static json_t *part_json(const struct ask *a, const struct choice *c)
{
	json_t *told = json_object_get(a->own, "told"), *sources = c->finish ? a->sources : NULL;

	return json_pack("{s:s, s:o, s:o, s:O*, s:O*}", "type", "output_text", "text",
	                 jsonx_text(buf_str(&c->text), c->text.len), "annotations", choice_annotations(c), "logprobs",
	                 told, "sources", sources);
}

static json_t *item_json(const struct ask *a, const struct choice *c, const char *status)
{
	json_t *content = json_array();

	if (status)
		json_array_append_new(content, part_json(a, c));
	return json_pack("{s:s, s:o, s:s, s:s, s:o}", "type", "message", "id", json_sprintf("msg_%s", a->id + 5),
	                 "status", status ? status : "in_progress", "role", "assistant", "content", content);
}

static json_t *call_json(const struct called *call, bool over)
{
	return json_pack("{s:s, s:o, s:s, s:s, s:o, s:s}", "type", "function_call", "id",
	                 json_sprintf("fc_%s", call->id), "call_id", call->id, "name", call->name, "arguments",
	                 over ? called_arguments(call) : json_string(""), "status",
	                 !over       ? "in_progress" :
	                 call->whole ? "completed" :
	                               "incomplete");
}

/* Where the message stands among what is put out, −1: it has none yet; and the i-th call. */
static int message_at(const struct ask *a) { return (int)json_integer_value(json_object_get(a->own, "message")); }

static int call_at(const struct ask *a, size_t i)
{
	int message = message_at(a);

	return (int)i + (message >= 0 && message <= (int)i);
}

static json_t *output_json(const struct ask *a, const struct choice *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_calls; i++)
		json_array_append_new(list, call_json(&c->calls[i], true));
	if (c->text.len || !c->n_calls)
		json_array_insert_new(list, (size_t)MAX(message_at(a), 0), item_json(a, c, status_of(c)));
	return list;
}

static json_t *usage_json(const struct ask *a)
{
	json_t *gas = ask_gas_json(a);

	return json_pack("{s:I, s:{s:I, s:i}, s:I, s:{s:i}, s:I, s:o*}", "input_tokens", (json_int_t)a->prompt_tokens,
	                 "input_tokens_details", "cached_tokens", (json_int_t)a->cached_tokens, "cache_write_tokens", 0,
	                 "output_tokens", (json_int_t)a->new_tokens, "output_tokens_details", "reasoning_tokens", 0,
	                 "total_tokens", (json_int_t)(a->prompt_tokens + a->new_tokens), "gas", gas);
}

/* With what it says by itself, where it is over. */
static json_t *response_json(const struct ask *a)
{
	const struct choice *c = &a->choices[0];
	json_t *j = json_deep_copy(json_object_get(a->own, "echo"));
	bool over = a->n_done == a->n_choices;

	json_object_set_new(j, "id", json_string(a->id));
	json_object_set_new(j, "created_at", json_integer(a->created));
	json_object_set_new(j, "model", json_string(a->model));
	json_object_set_new(j, "status", json_string(over ? status_of(c) : "in_progress"));
	json_object_set_new(j, "output", over ? output_json(a, c) : json_array());
	json_object_set_new(j, "usage", over ? usage_json(a) : json_null());
	json_object_set_new(j, "incomplete_details", over && !strcmp(c->finish, "length") ?
	                                                     json_pack("{s:s}", "reason", "max_output_tokens") :
	                                                     json_null());
	return j;
}

/* --- events --- */

static void send(struct ask *a, const char *type, json_t *j)
{
	json_t *sequence = json_object_get(a->own, "sequence");
	char before[80];

	json_object_set_new(j, "type", json_string(type));
	json_object_set_new(j, "sequence_number", json_integer(json_integer_value(sequence)));
	json_integer_set(sequence, json_integer_value(sequence) + 1);
	snprintf(before, sizeof(before), "event: %s\ndata: ", type);
	ask_send(a, before, j, "\n\n");
}

/* Where in the response it belongs, and one thing more, which is taken. */
static json_t *at_json(const struct ask *a, const char *key, json_t *value)
{
	return json_pack("{s:o, s:i, s:i, s:o}", "item_id", json_sprintf("msg_%s", a->id + 5), "output_index",
	                 message_at(a), "content_index", 0, key, value);
}

static void begin_message(struct choice *c)
{
	struct ask *a = c->ask;

	if (message_at(a) >= 0)
		return;
	json_object_set_new(a->own, "message", json_integer((json_int_t)c->n_calls));
	json_object_set_new(a->own, "open", json_true());
	send(a, "response.output_item.added",
	     json_pack("{s:i, s:o}", "output_index", message_at(a), "item", item_json(a, c, NULL)));
	send(a, "response.content_part.added", at_json(a, "part", part_json(a, c)));
}

static void begin(struct ask *a)
{
	send(a, "response.created", json_pack("{s:o}", "response", response_json(a)));
	send(a, "response.in_progress", json_pack("{s:o}", "response", response_json(a)));
	if (!a->call_form)
		begin_message(&a->choices[0]);
}

/* The log-probabilities that are due, which are kept for the end too. */
static json_t *take_tokens(struct choice *c)
{
	json_t *due = c->tokens ? c->tokens : json_array(), *told = json_object_get(c->ask->own, "told");

	c->tokens = NULL;
	if (told)
		json_array_extend(told, due);
	return due;
}

static void piece(struct choice *c, const char *text, size_t n)
{
	begin_message(c);
	json_t *j = at_json(c->ask, "delta", jsonx_text(text, n));

	json_object_set_new(j, "logprobs", take_tokens(c));
	send(c->ask, "response.output_text.delta", j);
}

/* What was said is there: the answer ends, or it calls. */
static void end_message(struct choice *c, const char *status)
{
	struct ask *a = c->ask;
	json_t *told = json_object_get(a->own, "told"), *j;

	if (!json_is_true(json_object_get(a->own, "open")))
		return;
	json_object_set_new(a->own, "open", json_false());
	json_decref(take_tokens(c));
	j = at_json(a, "text", jsonx_text(buf_str(&c->text), c->text.len));
	json_object_set_new(j, "logprobs", told ? json_copy(told) : json_array());
	send(a, "response.output_text.done", j);
	send(a, "response.content_part.done", at_json(a, "part", part_json(a, c)));
	send(a, "response.output_item.done",
	     json_pack("{s:i, s:o}", "output_index", message_at(a), "item", item_json(a, c, status)));
}

static void done(struct choice *c)
{
	if (!c->n_calls)
		begin_message(c);
	end_message(c, status_of(c));
}

/* Of a call, and one thing more, which is taken. */
static json_t *at_call(const struct choice *c, size_t i, const char *key, json_t *value)
{
	return json_pack("{s:o, s:i, s:o}", "item_id", json_sprintf("fc_%s", c->calls[i].id), "output_index",
	                 call_at(c->ask, i), key, value);
}

static void send_item(const struct choice *c, size_t i, const char *type, bool over)
{
	send(c->ask, type,
	     json_pack("{s:i, s:o}", "output_index", call_at(c->ask, i), "item", call_json(&c->calls[i], over)));
}

static void call(struct choice *c, size_t i)
{
	end_message(c, "completed");
	send_item(c, i, "response.output_item.added", false);
}

static void arguments(struct choice *c, size_t i, const char *text, size_t n)
{
	send(c->ask, "response.function_call_arguments.delta", at_call(c, i, "delta", jsonx_text(text, n)));
}

static void called(struct choice *c, size_t i)
{
	json_t *j = at_call(c, i, "arguments", called_arguments(&c->calls[i]));

	json_object_set_new(j, "name", json_string(c->calls[i].name));
	send(c->ask, "response.function_call_arguments.done", j);
	send_item(c, i, "response.output_item.done", true);
}

static void end(struct ask *a)
{
	send(a, !strcmp(a->choices[0].finish, "length") ? "response.incomplete" : "response.completed",
	     json_pack("{s:o}", "response", response_json(a)));
}

static json_t *whole(struct ask *a)
{
	json_decref(take_tokens(&a->choices[0]));
	return response_json(a);
}

static const struct ask_form form = {
	.type = "text/event-stream",
	.keeps = true,
	.begin = begin,
	.piece = piece,
	.call = call,
	.arguments = arguments,
	.called = called,
	.done = done,
	.end = end,
	.whole = whole,
};

/* --- the call --- */

static json_t *or_default(const json_t *sent, const char *key, json_t *init)
{
	json_t *value = json_object_get(sent, key);

	if (!value || json_is_null(value))
		return init;
	json_decref(init);
	return json_incref(value);
}

/* What every response repeats of its request. */
static json_t *echo_json(const json_t *sent)
{
	static const struct {
		const char *key, *init;
	} said[] = {
		{ "instructions", "null" }, { "max_output_tokens", "null" }, { "metadata", "{}" },
		{ "temperature", "1.0" },   { "top_p", "1.0" },              { "top_logprobs", "0" },
		{ "user", "null" },         { "text", "{\"format\": {\"type\": \"text\"}}" },
		{ "tool_choice", "\"auto\"" }, { "parallel_tool_calls", "true" }, { "tools", "[]" },
	};
	json_t *j = json_pack("{s:s, s:n, s:n, s:s, s:b, s:b}", "object", "response", "error",
	                      "previous_response_id", "truncation", "disabled", "store", 0, "background", 0);

	for (size_t i = 0; i < ARRAY_LEN(said); i++)
		json_object_set_new(j, said[i].key,
		                    or_default(sent, said[i].key, json_loads(said[i].init, JSON_DECODE_ANY, NULL)));
	return j;
}

static void responses(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	json_t *chat = read_request(sent, r);
	struct ask *a = chat ? ask_read(s, chat, true, r) : NULL;
	char id[sizeof(a->id)];

	json_decref(chat);
	if (!a) {
		openai_rename(r, renamed);
		return;
	}
	a->form = &form;
	a->key = "input";
	snprintf(id, sizeof(id), "resp_%s", a->id + strlen("chatcmpl-"));
	memcpy(a->id, id, sizeof(id));
	a->own = json_pack("{s:o, s:i, s:i}", "echo", echo_json(sent), "sequence", 0, "message", -1);
	if (a->logprobs)
		json_object_set_new(a->own, "told", json_array());
	ask_start(a, q);
}

const struct calls calls_responses = {
	.rows = (const struct call[]){ { "POST", (const char *const[]){ "/v1/responses", "/responses", NULL },
	                                 responses },
	                               { 0 } },
};
