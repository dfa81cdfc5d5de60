/* openai_tools: functions that a model may call. They go to its own chat template, what it answers is drawn by a
 * grammar of the template's form (call/call_grammar.h) and read by the same form (call/parser.h).
 *
 *     tool_choice    none: the model is told of no tool. auto: text or calls. required, a function's name: a call.
 *                    allowed_tools: only these, of which it is told all the same
 *     response_format … beside them: a call, or a text of the format; where a call is required, that
 *     strict: false  a function's arguments are any JSON object; else they are what its `parameters` allow, which
 *                    are refused where they cannot be compiled
 *
 * Ids of calls are nine letters and digits, as Mistral's templates want them. */
#include <string.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "call/call_grammar.h"
#include "call/parser.h"
#include "serve/openai_parts.h"

#define refuse(r, key, ...) (openai_error(r, 400, "invalid_value", key, __VA_ARGS__), -1)

/* --- what is asked --- */

static const json_t *function_of(const json_t *tool) { return json_object_get(tool, "function"); }

static const char *name_of(const json_t *tool)
{
	const char *name = json_string_value(json_object_get(function_of(tool), "name"));

	return name ? name : "";
}

static const char *type_of(const json_t *j)
{
	const char *type = json_string_value(json_object_get(j, "type"));

	return type ? type : "none";
}

static int check_tool(const json_t *tools, size_t i, struct http_reply *r)
{
	const json_t *tool = json_array_get(tools, i), *parameters = json_object_get(function_of(tool), "parameters"),
		     *type = json_object_get(parameters, "type");

	if (!json_is_object(tool) || strcmp(type_of(tool), "function") != 0)
		return refuse(r, "tools", "'tools' has a tool of type %.40s: function is served here", type_of(tool));
	if (!call_name_valid(name_of(tool)))
		return refuse(
			r, "tools",
			"'tools': number %zu has no name of 1 to 64 letters, digits, dots, dashes and underscores",
			i + 1);
	if (parameters && !json_is_null(parameters) && !json_is_object(parameters))
		return refuse(r, "tools", "'tools': the parameters of '%s' are no schema", name_of(tool));
	if (type && !json_is_null(type) && (!json_is_string(type) || strcmp(json_string_value(type), "object") != 0))
		return refuse(r, "tools", "'tools': the parameters of '%s' are of another type than object",
		              name_of(tool));
	const json_t *strict = json_object_get(function_of(tool), "strict");
	if (strict && !json_is_null(strict) && !json_is_boolean(strict))
		return refuse(r, "tools", "'tools': 'strict' of '%s' is not true or false", name_of(tool));
	for (size_t k = 0; k < i; k++)
		if (!strcmp(name_of(json_array_get(tools, k)), name_of(tool)))
			return refuse(r, "tools", "'tools' has '%s' twice", name_of(tool));
	return 0;
}

/* What tool_choice says. */
struct wanted {
	bool none, required;
	const json_t *only; /* [] of tools as tool_choice has them, or NULL: all */
	json_t *own;
};

static int read_word(const char *word, struct wanted *w, struct http_reply *r)
{
	w->none = !strcmp(word, "none");
	w->required = !strcmp(word, "required");
	return w->none || w->required || !strcmp(word, "auto") ?
	               0 :
	               refuse(r, "tool_choice",
	                      "'tool_choice' is %.40s: none, auto, required, a function or "
	                      "allowed_tools was wanted",
	                      word);
}

static int read_choice(const json_t *choice, struct wanted *w, struct http_reply *r)
{
	const json_t *allowed = json_object_get(choice, "allowed_tools"), *holder = allowed ? allowed : choice;
	const char *mode = json_string_value(json_object_get(holder, "mode"));

	if (!choice || json_is_null(choice))
		return 0;
	if (json_is_string(choice))
		return read_word(json_string_value(choice), w, r);
	if (!strcmp(type_of(choice), "function")) {
		w->required = true;
		w->only = w->own = json_pack("[O]", choice);
		return 0;
	}
	if (strcmp(type_of(choice), "allowed_tools") != 0)
		return read_word(json_is_object(choice) ? type_of(choice) : "no text and no object", w, r);
	w->only = json_object_get(holder, "tools");
	if (!json_array_size(w->only) || !mode || read_word(mode, w, r) < 0 || w->none)
		return r->status >= 400 ? -1 :
		                          refuse(r, "tool_choice",
		                                 "'tool_choice' allowed_tools wants a mode, auto or "
		                                 "required, and tools");
	return 0;
}

/* Of a tool in tool_choice: {"type", "function": {"name"}}, or {"type", "name"}. */
static const char *named(const json_t *tool)
{
	const char *name = json_string_value(json_object_get(tool, "name"));

	return name ? name : name_of(tool);
}

static int check_only(const json_t *tools, const struct wanted *w, struct http_reply *r)
{
	for (size_t i = 0; i < json_array_size(w->only); i++) {
		const char *name = named(json_array_get(w->only, i));
		size_t k = 0;
		while (k < json_array_size(tools) && strcmp(name_of(json_array_get(tools, k)), name) != 0)
			k++;
		if (k == json_array_size(tools))
			return refuse(r, "tool_choice", "'tool_choice' names '%.64s', which is none of 'tools'", name);
	}
	return 0;
}

static bool is_allowed(const struct wanted *w, const char *name)
{
	bool allowed = !w->only;

	for (size_t i = 0; i < json_array_size(w->only); i++)
		allowed |= !strcmp(named(json_array_get(w->only, i)), name);
	return allowed;
}

static int read_tools(const json_t *sent, const json_t **tools, struct wanted *w, struct http_reply *r)
{
	const json_t *list = json_object_get(sent, "tools");

	*tools = NULL;
	if (list && !json_is_null(list) && !json_is_array(list))
		return refuse(r, "tools", "'tools' is a list");
	if (read_choice(json_object_get(sent, "tool_choice"), w, r) < 0)
		return -1;
	if (!json_array_size(list))
		return w->required || w->only ?
		               refuse(r, "tool_choice", "'tool_choice' asks for a tool, and 'tools' has none") :
		               0;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (check_tool(list, i, r) < 0)
			return -1;
	if (check_only(list, w, r) < 0)
		return -1;
	*tools = w->none ? NULL : list;
	return 0;
}

/* --- the template --- */

/* How the template has tools. Asked by one call at a time. */
static const struct call_chat *chat_of(struct openai *s)
{
	struct text_codec codec = { s->o.model->tokenizer, s->o.chat };

	if (!s->calls_known) {
		call_chat_of(&s->call_chat, &codec);
		if (s->call_chat.form)
			call_form_marks(s->call_chat.form, &s->call_marks);
		s->calls_known = true;
	}
	return &s->call_chat;
}

int openai_give_tools(struct openai *s, const json_t *sent, struct conversation *x, struct http_reply *r)
{
	struct text_codec codec = { s->o.model->tokenizer, s->o.chat };
	struct wanted w = { 0 };
	const json_t *tools;
	int status = read_tools(sent, &tools, &w, r);

	json_decref(w.own);
	if (status < 0)
		return -1;
	if (!tools) {
		json_decref(x->tools);
		x->tools = NULL;
		return 0;
	}
	if (!chat_of(s)->form) {
		openai_error(
			r, 400, "unsupported_parameter", "tools",
			"'tools' are not served with this model: its chat template has calls written in a form that "
			"is not known here");
		return -1;
	}
	call_chat_fit(chat_of(s), &codec, x);
	return 0;
}

/* --- the grammar --- */

static bool is_false(const json_t *function, const char *key) { return json_is_false(json_object_get(function, key)); }

/* The schema of a function's arguments, kept by `made`; NULL: any object. */
static const json_t *schema_of(const json_t *tool, json_t *made)
{
	const json_t *function = function_of(tool), *parameters = json_object_get(function, "parameters");
	json_t *schema;

	if (is_false(function, "strict"))
		return NULL;
	if (!parameters || json_is_null(parameters)) {
		schema = json_pack("{s:s, s:b}", "type", "object", "additionalProperties", 0);
	} else {
		schema = json_copy((json_t *)(uintptr_t)parameters);
		json_object_set_new(schema, "type", json_string("object"));
	}
	json_array_append_new(made, schema);
	return schema;
}

static int write_grammar(struct ask *a, const json_t *tools, const struct wanted *w, struct call_rules *rules,
                         struct buf *gbnf, struct err *e)
{
	struct openai *s = a->s;
	struct call_tool *list = mem_array(json_array_size(tools) + 1, sizeof(*list));
	json_t *made = json_array();

	rules->kinds = a->kinds = json_object();
	for (size_t i = 0; i < json_array_size(tools); i++) {
		const json_t *tool = json_array_get(tools, i);
		if (is_allowed(w, name_of(tool)))
			list[rules->n_tools++] = (struct call_tool){ name_of(tool), schema_of(tool, made) };
	}
	rules->form = chat_of(s)->form;
	rules->thoughts = chat_of(s)->thoughts;
	rules->tools = list;
	rules->required = w->required;
	rules->format = a->format.len ? &a->format : NULL;
	int status = call_grammar(rules, gbnf, e);
	json_decref(made);
	mem_free(list);
	return status;
}

/* --- calls as they are read --- */

static void on_call(void *ctx, const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	struct choice *c = ctx;
	struct called *call;
	char of[80];

	c->calls = mem_grow(c->calls, c->n_calls + 1, sizeof(*c->calls));
	call = &c->calls[c->n_calls++];
	*call = (struct called){ .name = mem_strdup(name) };
	snprintf(of, sizeof(of), "%s %d %zu", c->ask->id, c->index, c->n_calls);
	uint64_t number = hash_64(of, strlen(of));
	for (size_t i = 0; i < CALL_ID; i++, number /= sizeof(letters) - 1)
		call->id[i] = letters[number % (sizeof(letters) - 1)];
	if (c->ask->stream && c->ask->form->call)
		c->ask->form->call(c, c->n_calls - 1);
}

static void on_arguments(void *ctx, const char *text, size_t n)
{
	struct choice *c = ctx;

	buf_add(&c->calls[c->n_calls - 1].arguments, text, n);
	if (c->ask->stream && c->ask->form->arguments)
		c->ask->form->arguments(c, c->n_calls - 1, text, n);
}

static void on_end(void *ctx, bool whole)
{
	struct choice *c = ctx;

	c->calls[c->n_calls - 1].whole = whole;
	if (c->ask->stream && c->ask->form->called)
		c->ask->form->called(c, c->n_calls - 1);
}

static void on_text(void *ctx, const char *text, size_t n) { choice_text(ctx, text, n); }

static void on_thought(void *ctx, const char *text, size_t n)
{
	struct choice *c = ctx;

	buf_add(&c->thought, text, n);
	if (c->ask->stream && c->ask->form->thought)
		c->ask->form->thought(c, text, n);
}

json_t *called_arguments(const struct called *call)
{
	return jsonx_text(buf_str(&call->arguments), call->arguments.len);
}

void choice_calls_release(struct choice *c)
{
	for (size_t i = 0; i < c->n_calls; i++) {
		mem_free(c->calls[i].name);
		buf_release(&c->calls[i].arguments);
	}
	mem_free(c->calls);
	buf_release(&c->thought);
	call_parser_free(c->parser);
}

/* --- a request --- */

int ask_tools(struct ask *a, const json_t *sent, const struct buf *prompt, struct http_reply *r)
{
	struct call_rules rules = { .parallel = !json_is_false(json_object_get(sent, "parallel_tool_calls")) };
	struct wanted w = { 0 };
	struct buf gbnf = BUF_INIT;
	struct err e = ERR_INIT;
	const json_t *tools;
	int status = read_tools(sent, &tools, &w, r);

	if (status == 0 && tools) {
		grammar_free(a->grammar); /* it is a part of what follows */
		a->grammar = NULL;
		rules.thinks = a->thinks = call_chat_thinks(chat_of(a->s), buf_str(prompt), prompt->len);
		if (write_grammar(a, tools, &w, &rules, &gbnf, &e) < 0)
			status = refuse(r, "tools", "'tools': %s%s", e.msg,
			                strncmp(e.msg, "tool ", 5) ? "" :
			                                             "; with \"strict\": false its arguments may be "
			                                             "any JSON object");
		else if (!(a->grammar = openai_grammar(a->s, &gbnf, true, &e)))
			status = refuse(r, "tools", "'tools': %s", e.msg);
		a->call_form = rules.form;
	}
	json_decref(w.own);
	buf_release(&gbnf);
	return status;
}

void ask_read_calls(struct ask *a)
{
	for (size_t i = 0; a->call_form && i < a->n_choices; i++) {
		struct call_events events = { on_text, on_thought, on_call, on_arguments, on_end, &a->choices[i] };
		struct call_answer how = { a->thinks, a->format.len > 0, a->kinds };
		a->choices[i].parser = call_parser_new(a->call_form, &how, &events);
	}
}
