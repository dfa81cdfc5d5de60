/* openai_form: answers as OpenAI's clients of chat and of completions read them, whole and as server-sent events. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/jsonx.h"

/* What a choice says of tokens; takes them. */
static json_t *logprobs_json(const struct ask *a, json_t **tokens)
{
	json_t *t = *tokens;

	*tokens = NULL;
	if (!t)
		return json_null();
	return a->chat ? json_pack("{s:o, s:n}", "content", t, "refusal") : t;
}

static json_t *head_json(const struct ask *a, bool chunk)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:s}", "id", a->id, "object",
	                 !a->chat ? "text_completion" :
	                 chunk    ? "chat.completion.chunk" :
	                            "chat.completion",
	                 "created", (json_int_t)a->created, "model", a->model, "system_fingerprint", a->s->fingerprint);
}

static json_t *usage_json(const struct ask *a)
{
	json_t *j = json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)a->prompt_tokens,
	                      "completion_tokens", (json_int_t)a->new_tokens, "total_tokens",
	                      (json_int_t)(a->prompt_tokens + a->new_tokens), "prompt_tokens_details", "cached_tokens",
	                      (json_int_t)a->cached_tokens),
	       *gas = ask_gas_json(a);

	if (a->guessed)
		json_object_set_new(j, "completion_tokens_details",
		                    json_pack("{s:I, s:I}", "accepted_prediction_tokens", (json_int_t)a->right,
		                              "rejected_prediction_tokens", (json_int_t)(a->guessed - a->right)));
	if (gas)
		json_object_set_new(j, "gas", gas);
	return j;
}

/* --- events --- */

/* One choice's; delta: of chat, taken; text of completions. */
static void send_choice(struct choice *c, json_t *delta, const char *text, size_t n, const char *finish)
{
	struct ask *a = c->ask;
	json_t *j = head_json(a, true), *choice = json_pack("{s:i}", "index", c->index);

	if (a->chat)
		json_object_set_new(choice, "delta", delta);
	else
		json_object_set_new(choice, "text", jsonx_text(text, n));
	if (finish)
		choice_put_sources(c, a->chat ? delta : choice);
	json_object_set_new(choice, "logprobs", logprobs_json(a, &c->tokens));
	json_object_set_new(choice, "finish_reason", finish ? json_string(finish) : json_null());
	json_object_set_new(j, "choices", json_pack("[o]", choice));
	if (a->include_usage)
		json_object_set_new(j, "usage", json_null());
	ask_send(a, "data: ", j, "\n\n");
}

static void begin(struct ask *a)
{
	for (size_t i = 0; i < a->n_choices; i++) {
		struct choice *c = &a->choices[i];
		const char *echo = a->echo ? a->prompt_texts[c->prompt - a->prompts] : "";
		if (a->chat)
			send_choice(c, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL, 0, NULL);
		else if (*echo)
			send_choice(c, NULL, echo, strlen(echo), NULL);
	}
}

static void piece(struct choice *c, const char *text, size_t n)
{
	send_choice(c, c->ask->chat ? json_pack("{s:o}", "content", jsonx_text(text, n)) : NULL, text, n, NULL);
}

static void thought(struct choice *c, const char *text, size_t n)
{
	send_choice(c, json_pack("{s:o}", "reasoning_content", jsonx_text(text, n)), NULL, 0, NULL);
}

/* arguments are taken. */
static json_t *call_json(const struct called *call, json_t *arguments)
{
	return json_pack("{s:s, s:s, s:{s:s, s:o}}", "id", call->id, "type", "function", "function", "name", call->name,
	                 "arguments", arguments);
}

/* Of a call: its index with what is new of it, which is taken. */
static void send_call(struct choice *c, size_t i, json_t *call)
{
	json_object_set_new(call, "index", json_integer((json_int_t)i));
	send_choice(c, json_pack("{s:[o]}", "tool_calls", call), NULL, 0, NULL);
}

static void call(struct choice *c, size_t i)
{
	send_call(c, i, call_json(&c->calls[i], json_string("")));
}

static void arguments(struct choice *c, size_t i, const char *text, size_t n)
{
	send_call(c, i, json_pack("{s:{s:o}}", "function", "arguments", jsonx_text(text, n)));
}

static void done(struct choice *c)
{
	send_choice(c, c->ask->chat ? json_object() : NULL, "", 0, c->finish);
}

static void end(struct ask *a)
{
	static const char last[] = "data: [DONE]\n\n";

	if (a->include_usage) {
		json_t *j = head_json(a, true);
		json_object_set_new(j, "choices", json_array());
		json_object_set_new(j, "usage", usage_json(a));
		ask_send(a, "data: ", j, "\n\n");
	}
	ask_put(a, last, sizeof(last) - 1);
}

/* --- whole --- */

/* text is taken; of an answer that only calls it is null. */
static json_t *message_json(const struct choice *c, json_t *text)
{
	json_t *j = json_pack("{s:s, s:o, s:n}", "role", "assistant", "content", text, "refusal");
	json_t *calls = json_array();

	for (size_t i = 0; i < c->n_calls; i++)
		json_array_append_new(calls, call_json(&c->calls[i], called_arguments(&c->calls[i])));
	if (c->n_calls)
		json_object_set(j, "tool_calls", calls);
	if (c->n_calls && !c->text.len)
		json_object_set_new(j, "content", json_null());
	if (c->thought.len)
		json_object_set_new(j, "reasoning_content", jsonx_text(buf_str(&c->thought), c->thought.len));
	json_decref(calls);
	return j;
}

static json_t *choice_json(struct choice *c)
{
	struct ask *a = c->ask;
	json_t *j = json_pack("{s:i}", "index", c->index), *text = jsonx_text(buf_str(&c->text), c->text.len);
	json_t *message = a->chat ? message_json(c, text) : NULL;

	choice_put_sources(c, message ? message : j);
	json_object_set_new(j, a->chat ? "message" : "text", a->chat ? message : text);
	json_object_set_new(j, "logprobs", logprobs_json(a, &c->tokens));
	json_object_set_new(j, "finish_reason", json_string(c->finish));
	return j;
}

static json_t *whole(struct ask *a)
{
	json_t *j = head_json(a, false), *choices = json_array();

	for (size_t i = 0; i < a->n_choices; i++)
		json_array_append_new(choices, choice_json(&a->choices[i]));
	json_object_set_new(j, "choices", choices);
	json_object_set_new(j, "usage", usage_json(a));
	return j;
}

const struct ask_form openai_form = {
	.type = "text/event-stream",
	.begin = begin,
	.piece = piece,
	.thought = thought,
	.call = call,
	.arguments = arguments,
	.done = done,
	.end = end,
	.whole = whole,
};
