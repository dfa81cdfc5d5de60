/* message_parts: parts that have a value into what templates read. See message_parts.h. */
#include "data/message_parts.h"

#include <string.h>

#include "base/buf.h"
#include "base/jsonx.h"
#include "base/mem.h"

static const char *type_of(const json_t *part)
{
	const char *type = json_string_value(json_object_get(part, "type"));
	return type ? type : "";
}

bool message_has_values(const json_t *message)
{
	const json_t *part;
	size_t i;

	json_array_foreach(json_object_get(message, "content"), i, part)
		if (json_object_get(part, "value") && !json_object_get(part, "text"))
			return true;
	return false;
}

struct sorted {
	struct buf text, thoughts;
	json_t *calls;
};

static int add_call(struct sorted *s, const json_t *value)
{
	struct err ignored = ERR_INIT;
	json_t *call = jsonx_load(json_string_value(value), json_string_length(value), "tool_call", &ignored);
	bool right = json_is_string(json_object_get(call, "name"));

	if (right)
		json_array_append_new(s->calls, json_pack("{s:s, s:O}", "type", "function", "function", call));
	json_decref(call);
	return right ? 0 : -1;
}

static int sort_part(struct sorted *s, const json_t *part)
{
	const json_t *value = json_object_get(part, "value");
	const char *type = type_of(part);

	if (!json_is_string(value))
		return -1;
	if (!strcmp(type, "tool_call"))
		return add_call(s, value);
	if (strcmp(type, "text") != 0 && strcmp(type, "reasoning") != 0)
		return -1;
	buf_add(!strcmp(type, "text") ? &s->text : &s->thoughts, json_string_value(value), json_string_length(value));
	return 0;
}

static json_t *joined(const json_t *message, const struct sorted *s)
{
	json_t *out = json_copy((json_t *)message);

	json_object_set_new(out, "content", json_stringn(buf_str(&s->text), s->text.len));
	if (s->thoughts.len)
		json_object_set_new(out, "reasoning_content", json_stringn(buf_str(&s->thoughts), s->thoughts.len));
	if (json_array_size(s->calls))
		json_object_set(out, "tool_calls", s->calls);
	return out;
}

static int sort_parts(struct sorted *s, const json_t *parts, struct err *e)
{
	const json_t *part;
	size_t i;

	json_array_foreach((json_t *)parts, i, part) {
		if (sort_part(s, part) == 0)
			continue;
		char *found = jsonx_line(part);
		err_set(e,
		        "part %zu of its content is %.60s; wanted is {type, value}: a text, reasoning, or a tool_call, "
		        "{name, arguments} as JSON text",
		        i + 1, found);
		mem_free(found);
		return -1;
	}
	return 0;
}

json_t *message_from_values(const json_t *message, struct err *e)
{
	struct sorted s = { BUF_INIT, BUF_INIT, json_array() };
	json_t *out = sort_parts(&s, json_object_get(message, "content"), e) == 0 ? joined(message, &s) : NULL;

	buf_release(&s.text);
	buf_release(&s.thoughts);
	json_decref(s.calls);
	return out;
}
