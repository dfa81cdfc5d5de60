/* schema: each schema is a rule, found again by where it stands in memory, so a schema within itself is a rule that
 * calls itself. What a rule says follows from what the schema has: a reference, choices, values, or a type at a time.
 */
#include "grammar/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/chars.h"
#include "grammar/grammar.h"
#include "grammar/schema_parts.h"

enum { NESTED = 128, CHOICES = 4096 };

int schema_refuse(const struct schema_writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = mem_vprintf(fmt, ap);
	va_end(ap);
	err_set(w->e, "the schema at #%.300s: %s", buf_str(&w->path), text);
	mem_free(text);
	return -1;
}

size_t schema_down(struct schema_writer *w, const char *keyword, const char *name)
{
	size_t back = w->path.len;

	buf_addf(&w->path, "/%s", keyword);
	if (name)
		buf_addf(&w->path, "/%.60s", name);
	return back;
}

void schema_up(struct schema_writer *w, size_t back)
{
	w->path.len = back;
	if (w->path.data)
		w->path.data[back] = 0;
}

unsigned schema_new_rule(struct schema_writer *w) { return w->n_rules++; }

/* --- which schema has which rule --- */

static size_t slot_of(const struct schema_writer *w, const json_t *schema)
{
	size_t k = ((uintptr_t)schema >> 4) * 0x9E3779B97F4A7C15ULL >> 20 & (w->n_slots - 1);

	while (w->slot[k] && w->known[w->slot[k] - 1].schema != schema)
		k = (k + 1) & (w->n_slots - 1);
	return k;
}

static void more_slots(struct schema_writer *w)
{
	w->n_slots = MAX(64, 2 * w->n_slots);
	mem_free(w->slot);
	w->slot = mem_array(w->n_slots, sizeof(*w->slot));
	for (size_t i = 0; i < w->n_known; i++)
		w->slot[slot_of(w, w->known[i].schema)] = (uint32_t)i + 1;
}

/* true: it is new, and its rule is still to be written. */
static bool know(struct schema_writer *w, const json_t *schema, unsigned *rule)
{
	if (2 * (w->n_known + 1) > w->n_slots)
		more_slots(w);
	size_t k = slot_of(w, schema);
	if (w->slot[k]) {
		*rule = w->known[w->slot[k] - 1].rule;
		return false;
	}
	if (w->n_known == w->cap_known) {
		w->cap_known = MAX(64, 2 * w->cap_known);
		w->known = mem_grow(w->known, w->cap_known, sizeof(*w->known));
	}
	*rule = schema_new_rule(w);
	w->known[w->n_known++] = (struct known){ schema, *rule };
	w->slot[k] = (uint32_t)w->n_known;
	return true;
}

/* --- what it says --- */

static const char *const of_strings[] = { "minLength", "maxLength", "pattern", "format", NULL };
static const char *const of_numbers[] = { "minimum",          "maximum",    "exclusiveMinimum",
	                                  "exclusiveMaximum", "multipleOf", NULL };
static const char *const of_objects[] = { "properties",    "required",      "additionalProperties",
	                                  "minProperties", "maxProperties", NULL };
static const char *const of_arrays[] = { "items",       "prefixItems", "additionalItems", "minItems", "maxItems",
	                                 "uniqueItems", NULL };
static const char *const of_all[] = { "type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf", NULL };

static bool in(const char *const *list, const char *key)
{
	for (; *list; list++)
		if (!strcmp(*list, key))
			return true;
	return false;
}

static bool has_one(const json_t *s, const char *const *list)
{
	for (; *list; list++)
		if (json_object_get(s, *list))
			return true;
	return false;
}

static int check_keywords(const struct schema_writer *w, const json_t *s)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)s, key, value)
		if (!schema_only_describes(key) && !in(of_strings, key) && !in(of_numbers, key) &&
		    !in(of_objects, key) && !in(of_arrays, key) && !in(of_all, key))
			return schema_refuse(w, "the keyword '%.60s' is not understood", key);
	if (json_object_get(s, "$id") && w->path.len)
		return schema_refuse(w, "an '$id' within a schema is not understood");
	return 0;
}

/* --- values --- */

void schema_value(const struct schema_writer *w, const json_t *value, struct buf *out)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY);
	struct buf own = BUF_INIT;
	bool quoted = false;

	for (const char *c = text; *c; c++) {
		bool word = w->python && !quoted && strchr("tfn", *c);
		if (*c == '"')
			quoted = !quoted;
		if (quoted && *c == '\\')
			buf_addc(&own, *c++);
		if (!word)
			buf_addc(&own, *c);
		else
			buf_adds(&own, *c == 't' ? "True" : *c == 'f' ? "False" : "None");
		if (word)
			c += *c == 'f' ? 4 : 3;
	}
	gbnf_quote(out, buf_str(&own), own.len);
	buf_release(&own);
	mem_free(text);
}

static int write_values(struct schema_writer *w, const json_t *s, struct buf *out)
{
	const json_t *list = json_object_get(s, "enum"), *constant = json_object_get(s, "const"),
		     *type = json_object_get(s, "type");
	bool any = false;

	if (has_one(s, of_strings) || has_one(s, of_numbers) || has_one(s, of_objects) || has_one(s, of_arrays))
		return schema_refuse(w, "enum and const stand beside type alone");
	if (list && !json_is_array(list))
		return schema_refuse(w, "'enum' is a list");
	for (size_t i = 0; i < (list ? json_array_size(list) : 1); i++) {
		const json_t *value = list ? json_array_get(list, i) : constant;
		bool fits = !type || schema_is_of(json_string_value(type), value);
		for (size_t k = 0; k < json_array_size(type); k++)
			fits |= schema_is_of(json_string_value(json_array_get(type, k)), value) == 1;
		if ((list && constant && !json_equal(value, constant)) || !fits)
			continue;
		buf_adds(out, any ? " | " : "");
		schema_value(w, value, out);
		any = true;
	}
	return any ? 0 : schema_refuse(w, "no value is allowed");
}

static const char *const *words_of(const struct schema_writer *w)
{
	static const char *const words[][3] = { { "true", "false", "null" }, { "True", "False", "None" } };

	return words[w->python];
}

static int write_type(struct schema_writer *w, const json_t *s, const char *type, struct buf *out)
{
	if (!strcmp(type, "string"))
		return schema_string(w, s, out);
	if (!strcmp(type, "number") || !strcmp(type, "integer"))
		return schema_number(w, s, *type == 'i', out);
	if (!strcmp(type, "object"))
		return schema_object(w, s, out);
	if (!strcmp(type, "array"))
		return schema_array(w, s, out);
	if (strcmp(type, "boolean") != 0 && strcmp(type, "null") != 0)
		return schema_refuse(w, "the type '%.40s' is none", type);
	const char *const *words = words_of(w);
	if (*type == 'b')
		buf_addf(out, "\"%s\" | \"%s\"", words[0], words[1]);
	else
		buf_addf(out, "\"%s\"", words[2]);
	return 0;
}

/* Of each type that is named. */
static int write_types(struct schema_writer *w, const json_t *s, const json_t *type, struct buf *out)
{
	if (json_is_string(type))
		return write_type(w, s, json_string_value(type), out);
	if (!json_array_size(type))
		return schema_refuse(w, "'type' is a text or a list of them");
	for (size_t i = 0; i < json_array_size(type); i++) {
		const char *one = json_string_value(json_array_get(type, i));
		buf_adds(out, i ? " | " : "");
		if (!one)
			return schema_refuse(w, "'type' is a text or a list of them");
		if (write_type(w, s, one, out) < 0)
			return -1;
	}
	return 0;
}

/* Of the types that the keywords are of. */
static int write_implied(struct schema_writer *w, const json_t *s, struct buf *out)
{
	static const struct {
		const char *type;
		const char *const *keywords;
	} kinds[] = {
		{ "object", of_objects }, { "array", of_arrays }, { "string", of_strings }, { "number", of_numbers }
	};
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!has_one(s, kinds[i].keywords))
			continue;
		buf_adds(out, any ? " | " : "");
		if (write_type(w, s, kinds[i].type, out) < 0)
			return -1;
		any = true;
	}
	if (!any)
		buf_adds(out, "json-value");
	return 0;
}

/* --- choices --- */

static int check_apart(struct schema_writer *w, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		for (size_t k = 0; k < i; k++)
			if (!schema_apart(w, json_array_get(list, k), json_array_get(list, i)))
				return schema_refuse(w,
				                     "choices %zu and %zu of 'oneOf' may both be true: no type and no "
				                     "required constant property tells them apart; 'anyOf' wants none",
				                     k, i);
	return 0;
}

static int write_choices(struct schema_writer *w, const json_t *s, const char *keyword, struct buf *out)
{
	const json_t *list = json_object_get(s, keyword), *beside = schema_without(w, s, keyword);
	bool says = schema_says(beside), any = false;
	char number[24];

	if (!json_array_size(list) || json_array_size(list) > CHOICES)
		return schema_refuse(w, "'%s' is a list of 1 to %d schemas", keyword, CHOICES);
	if (!strcmp(keyword, "oneOf") && check_apart(w, list) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		unsigned rule;
		snprintf(number, sizeof(number), "%zu", i);
		size_t back = schema_down(w, keyword, number);
		if (says)
			one = schema_merge(w, one, beside);
		if (!one)
			return -1;
		if (json_is_false(one)) {
			schema_up(w, back);
			continue;
		}
		if (schema_below(w, one, &rule) < 0)
			return -1;
		schema_up(w, back);
		buf_addf(out, "%sr%u", any ? " | " : "", rule);
		any = true;
	}
	return any ? 0 : schema_refuse(w, "no choice of '%s' is possible", keyword);
}

/* --- a schema --- */

static int write_schema(struct schema_writer *w, const json_t *s, struct buf *out)
{
	const json_t *ref = json_object_get(s, "$ref");
	unsigned rule;

	if (json_is_true(s)) {
		buf_adds(out, "json-value");
		return 0;
	}
	if (json_is_false(s))
		return schema_refuse(w, "'false' allows no value");
	if (!json_is_object(s))
		return schema_refuse(w, "a schema is an object, true or false");
	if (check_keywords(w, s) < 0)
		return -1;
	if (ref && !schema_says(schema_without(w, s, "$ref"))) {
		const json_t *target = schema_target(w, ref);
		if (!target || schema_below(w, target, &rule) < 0)
			return -1;
		buf_addf(out, "r%u", rule);
		return 0;
	}
	if (ref || json_object_get(s, "allOf")) {
		s = schema_flat(w, s);
		return s ? write_schema(w, s, out) : -1;
	}
	if (json_object_get(s, "anyOf"))
		return write_choices(w, s, "anyOf", out);
	if (json_object_get(s, "oneOf"))
		return write_choices(w, s, "oneOf", out);
	if (json_object_get(s, "enum") || json_object_get(s, "const"))
		return write_values(w, s, out);
	if (json_object_get(s, "type"))
		return write_types(w, s, json_object_get(s, "type"), out);
	return write_implied(w, s, out);
}

int schema_below(struct schema_writer *w, const json_t *schema, unsigned *rule)
{
	struct buf is = BUF_INIT;

	if (!know(w, schema, rule))
		return 0;
	if (++w->depth > NESTED)
		return schema_refuse(w, "schemas nest deeper than %d", NESTED);
	int status = write_schema(w, schema, &is);
	if (status == 0 && w->out->len + is.len > GRAMMAR_TEXT)
		status = schema_refuse(w, "the schema is too large");
	if (status == 0)
		buf_addf(w->out, "r%u ::= %s\n", *rule, buf_str(&is));
	buf_release(&is);
	w->depth--;
	return status;
}

struct schema_writer *schema_writer_new(struct buf *gbnf, struct err *e)
{
	struct schema_writer *w = mem_alloc(sizeof(*w));

	*w = (struct schema_writer){ .out = gbnf, .e = e, .made = json_array() };
	return w;
}

int schema_rule(struct schema_writer *w, const json_t *schema, char name[16])
{
	unsigned rule;

	w->root = schema;
	w->depth = 0;
	schema_up(w, 0);
	if (schema_below(w, schema, &rule) < 0)
		return -1;
	snprintf(name, 16, "r%u", rule);
	return 0;
}

void schema_writer_python(struct schema_writer *w) { w->python = true; }

static void write_base(struct buf *out, const char *const words[3])
{
	buf_adds(out, schema_base);
	buf_addf(out, "json-word ::= \"%s\" | \"%s\" | \"%s\"\n", words[0], words[1], words[2]);
}

void schema_writer_end(struct schema_writer *w)
{
	write_base(w->out, words_of(w));
	json_decref(w->made);
	mem_free(w->known);
	mem_free(w->slot);
	buf_release(&w->path);
	mem_free(w);
}

int grammar_of_schema(const json_t *schema, struct buf *gbnf, struct err *e)
{
	struct schema_writer *w = schema_writer_new(gbnf, e);
	char name[16];
	int status = schema_rule(w, schema, name);

	if (status == 0)
		buf_addf(gbnf, "root ::= %s\n", name);
	schema_writer_end(w);
	return status;
}

void grammar_of_json(struct buf *gbnf)
{
	const struct schema_writer plain = { .python = false };

	buf_adds(gbnf, "root ::= json-object\n");
	write_base(gbnf, words_of(&plain));
}
