/* call_chat: by trial, as data/chat_fit.h tells what a template reads: one tool, given in each way, to a conversation
 * of one question. */
#include "call/call_chat.h"

#include <string.h>

#include "base/mem.h"

/* --- ways --- */

static json_t *message(const char *role, json_t *content)
{
	return json_pack("{s:s, s:o}", "role", role, "content", content);
}

/* The tools as JSON text beside the system's content, which is there then. */
static void give_system(struct conversation *x)
{
	char *text = json_dumps(x->tools, 0);
	json_t *all = json_copy(x->messages), *first = json_array_get(all, 0);

	if (strcmp(message_role(first), "system") != 0)
		json_array_insert_new(all, 0, message("system", json_string("You are a helpful assistant.")));
	json_t *system = json_copy(json_array_get(all, 0));
	json_object_set_new(system, "tools", json_string(text));
	json_array_set_new(all, 0, system);
	json_decref(x->messages);
	x->messages = all;
	json_decref(x->tools);
	x->tools = NULL;
	mem_free(text);
}

static void give_xml_tools(struct conversation *x)
{
	json_t *more = x->more ? json_copy(x->more) : json_object();

	if (!json_object_get(more, "xml_tools") && !json_object_get(more, "python_tools"))
		json_object_set(more, "xml_tools", x->tools);
	json_decref(x->more);
	x->more = more;
	json_decref(x->tools);
	x->tools = NULL;
}

/* --- described --- */

static void describe(const json_t *tools, struct buf *out)
{
	size_t i;
	json_t *tool;

	buf_adds(out, "You can call these functions:\n<tools>\n");
	json_array_foreach ((json_t *)(uintptr_t)tools, i, tool) {
		json_t *function = json_object_get(tool, "function");
		char *line = json_dumps(function ? function : tool, 0);
		buf_addf(out, "%s\n", line);
		mem_free(line);
	}
	buf_adds(out, "</tools>\nTo call one, answer with its name and its arguments as JSON:\n<tool_call>\n{\"name\": "
	              "function name, \"arguments\": {argument name: value}}\n</tool_call>");
}

static void add_text(struct buf *out, const json_t *content)
{
	size_t i;
	json_t *part;

	if (json_is_string(content))
		buf_add(out, json_string_value(content), json_string_length(content));
	json_array_foreach ((json_t *)(uintptr_t)content, i, part)
		add_text(out, json_is_string(part) ? part : json_object_get(part, "text"));
}

/* An answer's calls behind its content. */
static json_t *called(const json_t *m)
{
	struct buf text = BUF_INIT;
	size_t i;
	json_t *call;

	add_text(&text, json_object_get(m, "content"));
	json_array_foreach (json_object_get(m, "tool_calls"), i, call) {
		const json_t *f = json_object_get(call, "function"), *arguments = json_object_get(f, "arguments");
		const char *name = json_string_value(json_object_get(f, "name"));
		char *object = json_is_string(arguments) ? NULL : json_dumps(arguments, JSON_ENCODE_ANY);
		buf_addf(&text, "%s<tool_call>\n{\"name\": \"%s\", \"arguments\": %s}\n</tool_call>",
		         text.len ? "\n" : "", name ? name : "",
		         object    ? object :
		         arguments ? json_string_value(arguments) :
		                     "{}");
		mem_free(object);
	}
	json_t *out = message("assistant", json_stringn(buf_str(&text), text.len));
	buf_release(&text);
	return out;
}

/* What a tool gave, in a message of the user's; several are one. */
static void add_given(json_t *out, const json_t *m, bool again)
{
	struct buf text = BUF_INIT;
	json_t *last = json_array_get(out, json_array_size(out) - 1);

	if (again) {
		add_text(&text, json_object_get(last, "content"));
		buf_addc(&text, '\n');
	}
	buf_adds(&text, "<tool_response>\n");
	add_text(&text, json_object_get(m, "content"));
	buf_adds(&text, "\n</tool_response>");
	json_t *content = json_stringn(buf_str(&text), text.len);
	if (again)
		json_object_set_new(last, "content", content);
	else
		json_array_append_new(out, message("user", content));
	buf_release(&text);
}

static json_t *written_out(const json_t *messages)
{
	json_t *out = json_array(), *m;
	bool given = false;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)messages, i, m) {
		bool tool = !strcmp(message_role(m), "tool");
		if (tool)
			add_given(out, m, given);
		else if (json_array_size(json_object_get(m, "tool_calls")))
			json_array_append_new(out, called(m));
		else
			json_array_append(out, m);
		given = tool;
	}
	return out;
}

/* The description behind the system's content, or before the user's. */
static json_t *with_description(const json_t *messages, const char *role, const char *text)
{
	json_t *out = json_copy((json_t *)(uintptr_t)messages);
	bool system = !strcmp(role, "system");
	struct buf content = BUF_INIT;
	size_t i = 0, n = json_array_size(out);

	while (i < n && strcmp(message_role(json_array_get(out, i)), role) != 0)
		i++;
	json_t *m = i < n ? json_copy(json_array_get(out, i)) : message(role, json_string(""));
	const json_t *had = json_object_get(m, "content");
	if (!system)
		buf_addf(&content, "%s\n\n", text);
	add_text(&content, had);
	if (system)
		buf_addf(&content, "%s%s", content.len ? "\n\n" : "", text);
	json_object_set_new(m, "content", json_stringn(buf_str(&content), content.len));
	if (i < n)
		json_array_set_new(out, i, m);
	else
		json_array_insert_new(out, 0, m);
	buf_release(&content);
	return out;
}

static bool is_written(const struct text_codec *codec, const struct conversation *x, json_t *messages)
{
	struct conversation other = *x;
	struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;

	other.messages = messages;
	bool written = chat_write(codec, &other, json_array_size(messages), true, &text, &ignored) == 0;
	buf_release(&text);
	return written;
}

static void give_described(const struct text_codec *codec, struct conversation *x)
{
	struct buf text = BUF_INIT;

	describe(x->tools, &text);
	json_decref(x->tools);
	x->tools = NULL;
	json_t *plain = written_out(x->messages), *all = with_description(plain, "system", buf_str(&text));
	if (!is_written(codec, x, all)) {
		json_decref(all);
		all = with_description(plain, "user", buf_str(&text));
	}
	json_decref(plain);
	json_decref(x->messages);
	x->messages = all;
	buf_release(&text);
}

/* --- which --- */

/* What the template writes of a question and a tool in this way; false: it fails. */
static bool try_way(const struct text_codec *codec, bool tool, enum call_way way, struct buf *text)
{
	struct conversation x = { .messages = json_array() };
	struct err ignored = ERR_INIT;

	json_array_append_new(x.messages, message("system", json_string("-")));
	json_array_append_new(x.messages, message("user", json_string("-")));
	x.tools = json_pack("[{s:s, s:{s:s, s:s, s:{s:s, s:{s:{s:s, s:s}}}}}]", "type", "function", "function", "name",
	                    "f", "description", "f", "parameters", "type", "object", "properties", "a", "type",
	                    "string", "description", "a");
	if (!tool) {
		json_decref(x.tools);
		x.tools = NULL;
	}
	if (tool && way == CALL_XML_TOOLS)
		give_xml_tools(&x);
	if (tool && way == CALL_SYSTEM_TOOLS)
		give_system(&x);
	bool written = chat_write(codec, &x, json_array_size(x.messages), true, text, &ignored) == 0;
	if (!written) { /* templates without a system's turn */
		buf_clear(text);
		json_array_remove(x.messages, 0);
		written = way != CALL_SYSTEM_TOOLS &&
		          chat_write(codec, &x, json_array_size(x.messages), true, text, &ignored) == 0;
	}
	conversation_release(&x);
	return written;
}

static bool takes(const struct text_codec *codec, enum call_way way)
{
	struct buf with = BUF_INIT, without = BUF_INIT;
	bool written = try_way(codec, true, way, &with), plain = try_way(codec, false, way, &without);
	bool other = !plain || with.len != without.len || memcmp(buf_str(&with), buf_str(&without), with.len) != 0;

	buf_release(&with);
	buf_release(&without);
	return written && other;
}

void call_chat_of(struct call_chat *c, const struct text_codec *codec)
{
	const char *tools = tokenizer_tool_template(codec->tokenizer), *text = tokenizer_template(codec->tokenizer);

	*c = (struct call_chat){ .way = CALL_VARIABLE };
	while (c->way != CALL_DESCRIBED && !takes(codec, c->way))
		c->way++;
	if (c->way == CALL_DESCRIBED)
		c->form = call_form_by_name("generic");
	else if (tools || text)
		c->form = call_form_of(tools ? tools : text);
	if (c->form && c->form->thought && (tools || text))
		c->thoughts = strstr(tools ? tools : text, c->form->thought_end);
}

void call_chat_fit(const struct call_chat *c, const struct text_codec *codec, struct conversation *x)
{
	if (c->way == CALL_DESCRIBED)
		give_described(codec, x);
	else if (c->way == CALL_SYSTEM_TOOLS)
		give_system(x);
	else if (c->way == CALL_XML_TOOLS)
		give_xml_tools(x);
}

bool call_chat_thinks(const struct call_chat *c, const char *prompt, size_t n)
{
	const char *thought = c->form ? c->form->thought : NULL;
	size_t m = thought ? strlen(thought) : 0;

	while (n && strchr(" \t\r\n", prompt[n - 1]))
		n--;
	return m && n >= m && !memcmp(prompt + n - m, thought, m);
}
