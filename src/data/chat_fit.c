/* chat_fit: by trial. See chat_fit.h. */
#include "data/chat_fit.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"

/* --- trying --- */

/* What the template makes of these messages. */
static bool try_messages(const struct text_codec *c, const struct conversation *x, json_t *messages, struct buf *text)
{
	struct conversation other = *x;
	struct err ignored = ERR_INIT;

	other.messages = messages;
	return chat_write(c, &other, json_array_size(messages), false, text, &ignored) == 0;
}

enum outcome { A_FAILS = 1, B_FAILS = 2, DIFFER = 4 }; /* none: both are written, and alike */

static int compare(const struct text_codec *c, const struct conversation *x, json_t *a, json_t *b)
{
	struct buf text_a = BUF_INIT, text_b = BUF_INIT;
	int out = try_messages(c, x, a, &text_a) ? 0 : A_FAILS;

	out |= try_messages(c, x, b, &text_b) ? 0 : B_FAILS;
	if (!out && (text_a.len != text_b.len || memcmp(buf_str(&text_a), buf_str(&text_b), text_a.len) != 0))
		out = DIFFER;
	buf_release(&text_a);
	buf_release(&text_b);
	return out;
}

/* A copy in which `change` has changed what it wants of copies of the messages. */
static json_t *changed(const json_t *messages, void (*change)(json_t *message, const void *ctx), const void *ctx)
{
	json_t *out = json_array(), *m;
	size_t i;

	json_array_foreach((json_t *)messages, i, m) {
		json_t *copy = json_copy(m);
		change(copy, ctx);
		json_array_append_new(out, copy);
	}
	return out;
}

/* Takes the reference. */
static void put_messages(struct conversation *x, json_t *messages)
{
	json_decref(x->messages);
	x->messages = messages;
}

/* --- content --- */

static const json_t *part_text(const json_t *part)
{
	const json_t *text = json_object_get(part, "text"), *type = json_object_get(part, "type");

	if (json_is_string(part))
		return part;
	bool of_text = !type || (json_is_string(type) && !strcmp(json_string_value(type), "text"));
	return json_is_string(text) && of_text ? text : NULL;
}

static int check_parts(const json_t *m, size_t i, struct err *e)
{
	const json_t *part;
	size_t k;

	json_array_foreach(json_object_get(m, "content"), k, part) {
		if (part_text(part))
			continue;
		const char *type = json_string_value(json_object_get(part, "type"));
		char *found = type ? mem_printf("of type \"%.40s\"", type) : jsonx_line(part);
		err_set(e, "message %zu (%.40s): part %zu of its content is %.60s; only texts can be read", i + 1,
		        message_role(m), k + 1, found);
		mem_free(found);
		return -1;
	}
	return 0;
}

static json_t *joined(const json_t *parts)
{
	struct buf all = BUF_INIT;
	const json_t *part;
	size_t i;

	json_array_foreach((json_t *)parts, i, part) {
		const json_t *text = part_text(part);
		buf_adds(&all, i ? "\n" : "");
		buf_add(&all, json_string_value(text), json_string_length(text));
	}
	json_t *out = json_stringn(buf_str(&all), all.len);
	buf_release(&all);
	return out;
}

json_t *chat_text(const json_t *content)
{
	const json_t *part;
	size_t i;

	if (json_is_string(content))
		return json_incref((json_t *)content);
	json_array_foreach((json_t *)content, i, part)
		if (!part_text(part))
			return NULL;
	return json_array_size(content) ? joined(content) : NULL;
}

static void join_content(json_t *m, const void *as_part)
{
	json_t *parts = json_object_get(m, "content");

	if (!json_is_array(parts))
		return;
	json_t *text = joined(parts);
	if (as_part)
		text = json_pack("[{s:s, s:o}]", "type", "text", "text", text);
	json_object_set_new(m, "content", text);
}

static int fit_lists(const struct text_codec *c, struct conversation *x, struct err *e)
{
	bool some = false;
	json_t *m;
	size_t i;

	json_array_foreach(x->messages, i, m) {
		some |= json_is_array(json_object_get(m, "content"));
		if (check_parts(m, i, e) < 0)
			return -1;
	}
	if (!some)
		return 0;
	json_t *lists = changed(x->messages, join_content, ""), *texts = changed(x->messages, join_content, NULL);
	if (compare(c, x, lists, texts))
		put_messages(x, json_incref(texts));
	json_decref(lists);
	json_decref(texts);
	return 0;
}

static bool lacks_content(const json_t *m)
{
	const json_t *content = json_object_get(m, "content");

	return json_array_size(json_object_get(m, "tool_calls")) && (!content || json_is_null(content));
}

static void fill_content(json_t *m, const void *ctx)
{
	(void)ctx;
	if (lacks_content(m))
		json_object_set_new(m, "content", json_string(""));
}

static void fit_null(const struct text_codec *c, struct conversation *x)
{
	bool some = false;
	json_t *m;
	size_t i;

	json_array_foreach(x->messages, i, m)
		some |= lacks_content(m);
	if (!some)
		return;
	json_t *filled = changed(x->messages, fill_content, NULL);
	int how = compare(c, x, x->messages, filled);
	if (how == DIFFER || how == A_FAILS)
		put_messages(x, json_incref(filled));
	json_decref(filled);
}

/* --- calls --- */

static json_t *parsed(const json_t *text)
{
	struct err ignored = ERR_INIT;
	json_t *j = jsonx_load(json_string_value(text), json_string_length(text), "arguments", &ignored);

	if (json_is_object(j))
		return j;
	json_decref(j);
	return NULL;
}

/* Arguments as objects, or (as_text) as JSON texts; what is no JSON object stays. */
static json_t *arguments_as(const json_t *arguments, bool as_text)
{
	json_t *object = json_is_string(arguments) ? parsed(arguments) : json_incref((json_t *)arguments);

	if (!json_is_object(object) || !as_text)
		return object;
	char *line = jsonx_line(object);
	json_decref(object);
	object = json_string(line);
	mem_free(line);
	return object;
}

static void recast(json_t *m, const void *as_text)
{
	const json_t *calls = json_object_get(m, "tool_calls"), *call;
	json_t *out = json_array();
	size_t i;

	json_array_foreach((json_t *)calls, i, call) {
		json_t *copy = json_deep_copy(call), *function = json_object_get(copy, "function"),
		       *holder = json_is_object(function) ? function : copy,
		       *arguments = arguments_as(json_object_get(holder, "arguments"), as_text);
		if (arguments)
			json_object_set_new(holder, "arguments", arguments);
		json_array_append_new(out, copy);
	}
	if (json_is_array(calls))
		json_object_set(m, "tool_calls", out);
	json_decref(out);
}

/* Of the calls' arguments: 1 objects, 2 texts, 3 both. */
static int arguments_found(const json_t *messages)
{
	const json_t *m, *call;
	size_t i, k;
	int found = 0;

	json_array_foreach((json_t *)messages, i, m)
		json_array_foreach(json_object_get(m, "tool_calls"), k, call) {
			const json_t *function = json_object_get(call, "function"),
			             *arguments = json_object_get(function ? function : call, "arguments");
			found |= json_is_object(arguments) ? 1 : json_is_string(arguments) ? 2 : 0;
		}
	return found;
}

static void fit_arguments(const struct text_codec *c, struct conversation *x)
{
	int found = arguments_found(x->messages);

	if (!found)
		return;
	json_t *objects = changed(x->messages, recast, NULL), *texts = changed(x->messages, recast, "");
	int how = compare(c, x, objects, texts);
	if (how == A_FAILS)
		put_messages(x, json_incref(texts));
	else if (how && (found & 2))
		put_messages(x, json_incref(objects));
	json_decref(objects);
	json_decref(texts);
}

/* --- thoughts --- */

static const char *const thoughts[] = { "reasoning_content", "reasoning", "thinking", "thinking_content", "thoughts" };

struct renaming { const char *from, *to; }; /* to: NULL: away */

static void rename_thoughts(json_t *m, const void *ctx)
{
	const struct renaming *r = ctx;
	json_t *v = json_object_get(m, r->from);

	if (!message_is_assistant(m) || !v)
		return;
	if (r->to)
		json_object_set(m, r->to, v);
	json_object_del(m, r->from);
}

/* Messages up to the last answer that has such thoughts; new, empty where none has. */
static json_t *up_to(const json_t *messages, const char *name)
{
	json_t *out = json_array();
	size_t n = json_array_size(messages);

	while (n && !(message_is_assistant(json_array_get(messages, n - 1)) &&
	              !column_is_empty(json_object_get(json_array_get(messages, n - 1), name))))
		n--;
	for (size_t i = 0; i < n; i++)
		json_array_append(out, json_array_get(messages, i));
	return out;
}

static bool is_written(const struct text_codec *c, const struct conversation *x, const json_t *messages,
                       const char *from, const char *to)
{
	struct renaming away = { from, NULL }, other = { from, to };
	json_t *without = changed(messages, rename_thoughts, &away), *with = changed(messages, rename_thoughts, &other);
	int how = compare(c, x, with, without);

	json_decref(without);
	json_decref(with);
	return how == DIFFER || how == B_FAILS;
}

static void fit_thoughts(const struct text_codec *c, struct conversation *x)
{
	for (size_t i = 0; i < ARRAY_LEN(thoughts); i++) {
		json_t *some = up_to(x->messages, thoughts[i]);
		bool read = !json_array_size(some) || is_written(c, x, some, thoughts[i], thoughts[i]);
		for (size_t k = 0; k < ARRAY_LEN(thoughts) && !read; k++) {
			if (k == i || !is_written(c, x, some, thoughts[i], thoughts[k]))
				continue;
			struct renaming r = { thoughts[i], thoughts[k] };
			put_messages(x, changed(x->messages, rename_thoughts, &r));
			read = true;
		}
		json_decref(some);
	}
}

int chat_fit(const struct text_codec *c, struct conversation *x, struct err *e)
{
	if (!c->template_)
		return err_set(e, "the model has no chat template");
	if (fit_lists(c, x, e) < 0)
		return -1;
	fit_null(c, x);
	fit_arguments(c, x);
	fit_thoughts(c, x);
	return 0;
}

/* --- what is read --- */

struct watch {
	const struct text_codec *codec;
	const struct conversation *x;
	bool prompt;
	const struct buf *text;
	const struct row *row;
	struct columns *seen;
};

/* Is the text another one of `other`? */
static void try_without(const struct watch *w, const char *name, const struct conversation *other)
{
	struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;
	size_t n = json_array_size(other->messages);

	if (chat_write(w->codec, other, n, w->prompt, &text, &ignored) < 0 || text.len != w->text->len ||
	    memcmp(buf_str(&text), buf_str(w->text), text.len) != 0)
		columns_meet(w->seen, name, w->row, NULL)->read = true;
	buf_release(&text);
}

static bool met(const struct watch *w, const char *name)
{
	bool try;

	columns_meet(w->seen, name, w->row, &try)->by_template = true;
	return try;
}

static void watch_tools(const struct watch *w)
{
	const char *name = json_object_get(w->row->json, "functions") ? "functions" : "tools";
	struct conversation other = *w->x;

	other.tools = NULL;
	if (w->x->tools && met(w, name))
		try_without(w, name, &other);
}

static void watch_more(const struct watch *w)
{
	const char *key;
	json_t *v;

	json_object_foreach(w->x->more, key, v) {
		bool own = !strcmp(key, "parallel_tool_calls");
		char *name = own ? mem_strdup(key) : mem_printf("chat_template_kwargs.%s", key);
		struct conversation other = *w->x;
		if (met(w, name)) {
			other.more = json_copy(w->x->more);
			json_object_del(other.more, key);
			try_without(w, name, &other);
			json_decref(other.more);
		}
		mem_free(name);
	}
}

static void take_away(json_t *m, const void *key) { json_object_del(m, key); }

/* Read by us, or by every template. */
static bool is_own(const char *key)
{
	return message_weighs(key) || !strcmp(key, "role") || !strcmp(key, "content");
}

static void watch_messages(const struct watch *w)
{
	const char *key;
	json_t *m, *v;
	size_t i;

	json_array_foreach(w->x->messages, i, m)
		json_object_foreach(m, key, v) {
			if (column_is_empty(v) || is_own(key))
				continue;
			char *name = mem_printf("messages: %s", key);
			struct conversation other = *w->x;
			if (met(w, name)) {
				other.messages = changed(w->x->messages, take_away, key);
				try_without(w, name, &other);
				json_decref(other.messages);
			}
			mem_free(name);
		}
}

void chat_watch(const struct text_codec *c, const struct conversation *x, bool prompt, const struct buf *text,
                const struct row *r, struct columns *seen)
{
	struct watch w = { c, x, prompt, text, r, seen };

	if (x->owns_system)
		columns_meet(seen, "system", r, NULL);
	watch_tools(&w);
	watch_more(&w);
	watch_messages(&w);
}
