/* conversation: a row's columns into what a template is given. See conversation.h. */
#include "data/conversation.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "data/columns.h"
#include "data/message_parts.h"
#include "data/shape.h"

const char *message_role(const json_t *message)
{
	const char *role = json_string_value(json_object_get(message, "role"));
	return role ? role : "";
}

bool message_is_assistant(const json_t *message) { return !strcmp(message_role(message), "assistant"); }

/* OpenAI's, LLaMA-Factory's, Axolotl's. */
static const char *const weights[] = { "weight", "loss_weight", "train" };

bool message_weighs(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(weights); i++)
		if (!strcmp(weights[i], key))
			return true;
	return false;
}

bool message_is_trained_on(const json_t *message)
{
	for (size_t i = 0; i < ARRAY_LEN(weights); i++) {
		const json_t *w = json_object_get(message, weights[i]);
		if (json_is_false(w) || (json_is_number(w) && json_number_value(w) == 0))
			return false;
	}
	return true;
}

static int refuse(struct err *e, const char *what, const json_t *found, const char *wanted)
{
	char *text = found ? jsonx_line(found) : mem_strdup("not there");

	err_set(e, "%s is %.60s; wanted is %s", what, text, wanted);
	mem_free(text);
	return -1;
}

/* --- messages --- */

static const char *role_of(const char *from)
{
	static const char *const roles[][2] = {
		{ "human", "user" },          { "user", "user" },         { "gpt", "assistant" },
		{ "assistant", "assistant" }, { "chatgpt", "assistant" }, { "model", "assistant" },
		{ "bot", "assistant" },       { "system", "system" },     { "tool", "tool" },
		{ "function", "tool" },       { "observation", "tool" },  { "function_call", "assistant" },
		{ "ipython", "tool" },
	};

	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (!strcmp(roles[i][0], from))
			return roles[i][1];
	return NULL;
}

static json_t *call_of(const json_t *function)
{
	return json_pack("{s:s, s:O}", "type", "function", "function", (json_t *)function);
}

/* LLaMA-Factory's value of a function_call: {name, arguments}, or a list of them, behind thoughts where it has some. */
static int read_calls(json_t *message, const json_t *value, struct err *e)
{
	static const char open[] = "<think>", close[] = "</think>";
	const char *text = json_string_value(value), *at = text, *end;
	struct err inner = ERR_INIT;

	if (!strncmp(text, open, strlen(open)) && (end = strstr(text, close)))
		at = end + strlen(close) + strspn(end + strlen(close), " \t\r\n");
	json_t *calls = jsonx_load(at, strlen(at), "calls", &inner), *list = json_array(), *one;
	size_t i;
	if (json_is_object(calls))
		json_array_append_new(list, call_of(calls));
	json_array_foreach(calls, i, one)
		json_array_append_new(list, call_of(one));
	bool right = json_array_size(list) > 0;
	json_array_foreach(list, i, one)
		right &= json_is_string(json_object_get(json_object_get(one, "function"), "name"));
	if (right) {
		json_object_set(message, "tool_calls", list);
		json_object_set_new(message, "content", json_stringn(text, (size_t)(at - text)));
	}
	json_decref(list);
	json_decref(calls);
	return right ? 0 : refuse(e, "the function_call", value, "{name, arguments} as JSON, or a list of them");
}

/* {from, value} → {role, content}; further keys stay. */
static json_t *from_turn(const json_t *turn, struct err *e)
{
	const char *from = json_string_value(json_object_get(turn, "from")), *role = from ? role_of(from) : NULL;
	json_t *value = json_object_get(turn, "value"), *out;

	if (!role || (!json_is_string(value) && !json_is_array(value))) {
		err_set(e, "%s%.40s%s, wanted from (human, gpt, observation, function_call, system or tool) and "
		           "value, a text",
		        from ? "from is \"" : "no from or no value", from ? from : "", from ? "\"" : "");
		return NULL;
	}
	out = json_copy((json_t *)turn);
	json_object_del(out, "from");
	json_object_del(out, "value");
	json_object_set_new(out, "role", json_string(role));
	json_object_set(out, "content", value);
	if (!strcmp(from, "function_call") && json_is_string(value) && read_calls(out, value, e) < 0) {
		json_decref(out);
		return NULL;
	}
	return out;
}

/* OpenAI's older names: function_call of an answer, the role function of what it gave. */
static json_t *from_openai(const json_t *message)
{
	json_t *call = json_object_get(message, "function_call"), *out = json_copy((json_t *)message);

	if (json_is_object(call) && !json_object_get(message, "tool_calls")) {
		json_object_del(out, "function_call");
		json_object_set_new(out, "tool_calls", json_pack("[o]", call_of(call)));
	}
	if (!strcmp(message_role(message), "function"))
		json_object_set_new(out, "role", json_string("tool"));
	return out;
}

/* A question's weight may say no more than that it is not trained on. */
static int check_weights(const json_t *m, struct err *e)
{
	bool answer = message_is_assistant(m);

	for (size_t i = 0; i < ARRAY_LEN(weights); i++) {
		const json_t *w = json_object_get(m, weights[i]);
		double v = json_is_number(w) ? json_number_value(w) : json_is_true(w);
		bool told = json_is_number(w) || json_is_boolean(w);
		if (!w || json_is_null(w) || (told && v == 0) || (answer && told && v == 1))
			continue;
		return refuse(e, weights[i], w, answer ? "0, not trained on, or 1" :
		                                         "0: only an assistant's message is trained on");
	}
	return 0;
}

/* New. */
static json_t *message_of_role(const json_t *m, struct err *e)
{
	if (!json_is_string(json_object_get(m, "role"))) {
		err_set(e, "it has no role");
		return NULL;
	}
	if (message_has_values(m))
		return message_from_values(m, e);
	return json_object_get(m, "function_call") || !strcmp(message_role(m), "function") ? from_openai(m) :
	                                                                                      json_incref((json_t *)m);
}

/* New. */
static json_t *message_from(const json_t *m, size_t i, struct err *e)
{
	bool turn = json_is_object(m) && !json_object_get(m, "role") && json_object_get(m, "from");
	char name[48];

	snprintf(name, sizeof(name), "%s %zu", turn ? "turn" : "message", i + 1);
	if (!json_is_object(m)) {
		refuse(e, name, m, "an object with role and content");
		return NULL;
	}
	json_t *out = turn ? from_turn(m, e) : message_of_role(m, e);
	if (out && check_weights(out, e) == 0)
		return out;
	json_decref(out);
	err_prefix(e, "%s", name);
	return NULL;
}

json_t *messages_from(const json_t *list, struct err *e)
{
	json_t *out = json_array();
	size_t n = json_is_array(list) ? json_array_size(list) : 1;

	for (size_t i = 0; i < n; i++) {
		json_t *m = message_from(json_is_array(list) ? json_array_get(list, i) : list, i, e);
		if (!m) {
			json_decref(out);
			return NULL;
		}
		json_array_append_new(out, m);
	}
	return out;
}

/* --- what stands beside them --- */

const char *const conversation_columns[] = { "system",
	                                     "tools",
	                                     "functions",
	                                     "parallel_tool_calls",
	                                     "chat_template_kwargs",
	                                     NULL };

bool conversation_takes(const char *key)
{
	for (size_t i = 0; conversation_columns[i]; i++)
		if (!strcmp(conversation_columns[i], key))
			return true;
	return false;
}

/* A value, or the value that a text has as JSON; new. NULL: there is none. */
static int read_json(const json_t *v, const char *key, bool list, json_t **out, struct err *e)
{
	struct err inner = ERR_INIT;
	json_t *read = NULL;

	*out = NULL;
	if (column_is_empty(v))
		return 0;
	if (json_is_string(v))
		read = jsonx_load(json_string_value(v), json_string_length(v), key, &inner);
	else
		read = json_incref((json_t *)v);
	if (json_is_null(read) || (list ? json_is_array(read) : json_is_object(read))) {
		if (!column_is_empty(read))
			*out = json_incref(read);
		json_decref(read);
		return 0;
	}
	json_decref(read);
	return refuse(e, key, v, list ? "a list, or one as JSON text" : "an object, or one as JSON text");
}

/* {name, parameters} → {type: function, function: {name, parameters}}; new. */
static json_t *wrapped(const json_t *tools)
{
	json_t *out = json_array(), *tool;
	size_t i;

	json_array_foreach((json_t *)tools, i, tool) {
		bool bare = json_is_string(json_object_get(tool, "name")) && !json_object_get(tool, "function");
		json_array_append_new(out, bare ? call_of(tool) : json_incref(tool));
	}
	return out;
}

static int take_tools(struct conversation *c, const struct shape *s, const json_t *with, struct err *e)
{
	json_t *functions = NULL;
	bool wrap = s && s->bare_tools;

	if (read_json(json_object_get(with, "tools"), "tools", true, &c->tools, e) < 0)
		return -1;
	if (!c->tools && read_json(json_object_get(with, "functions"), "functions", true, &functions, e) < 0)
		return -1;
	if (functions) {
		c->tools = functions;
		wrap = true;
	}
	if (c->tools && wrap) {
		json_t *all = wrapped(c->tools);
		json_decref(c->tools);
		c->tools = all;
	}
	return 0;
}

/* What transformers' apply_chat_template takes by these names is no variable of the template. */
static int check_variable(const char *key, struct err *e)
{
	static const char *const own[] = { "conversation", "messages", "chat_template", "add_generation_prompt",
		                           "continue_final_message", "tokenize", "padding", "truncation", "max_length",
		                           "return_tensors", "return_dict", "return_assistant_tokens_mask",
		                           "tokenizer_kwargs" };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (!strcmp(own[i], key))
			return err_set(e, "chat_template_kwargs: \"%s\" is no variable that a row may set", key);
	return 0;
}

static int take_more(struct conversation *c, const json_t *with, struct err *e)
{
	json_t *parallel = json_object_get(with, "parallel_tool_calls"), *v;
	const char *key;

	if (read_json(json_object_get(with, "chat_template_kwargs"), "chat_template_kwargs", false, &c->more, e) < 0)
		return -1;
	json_object_foreach(c->more, key, v)
		if (check_variable(key, e) < 0)
			return -1;
	if (json_object_get(c->more, "tools")) { /* as an argument of that name */
		json_t *more = json_copy(c->more), *tools = NULL;
		int status = read_json(json_object_get(more, "tools"), "chat_template_kwargs: tools", true, &tools, e);
		json_object_del(more, "tools");
		json_decref(c->more);
		json_decref(c->tools);
		c->more = more;
		c->tools = tools;
		if (status < 0)
			return -1;
	}
	if (!column_is_empty(parallel)) {
		json_t *more = c->more ? json_copy(c->more) : json_object();
		if (!json_object_get(more, "parallel_tool_calls"))
			json_object_set(more, "parallel_tool_calls", parallel);
		json_decref(c->more);
		c->more = more;
	}
	return 0;
}

/* A system's turn of the messages' own is the one. */
static int take_system(struct conversation *c, const json_t *with, struct err *e)
{
	json_t *system = json_object_get(with, "system");
	const char *role = message_role(json_array_get(c->messages, 0));

	if (column_is_empty(system))
		return 0;
	if (!json_is_string(system))
		return refuse(e, "system", system, "a text");
	c->owns_system = !strcmp(role, "system") || !strcmp(role, "developer");
	if (c->owns_system)
		return 0;
	json_array_insert_new(c->messages, 0, json_pack("{s:s, s:O}", "role", "system", "content", system));
	c->first++;
	return 0;
}

int conversation_make(struct conversation *c, const struct shape *s, const json_t *with, const json_t *messages,
                      size_t first, struct err *e)
{
	*c = (struct conversation){ .first = first };
	if (!json_is_array(messages) || !json_array_size(messages))
		return err_set(e, "a list of messages was wanted");
	c->messages = messages_from(messages, e);
	if (c->messages && take_system(c, with, e) == 0 && take_tools(c, s, with, e) == 0 && take_more(c, with, e) == 0)
		return 0;
	conversation_release(c);
	return -1;
}

void conversation_release(struct conversation *c)
{
	json_decref(c->messages);
	json_decref(c->tools);
	json_decref(c->more);
	*c = (struct conversation){ 0 };
}
