/* schema_merge: two schemas as one that allows what both do, and what $ref and allOf stand for. Only what can be said
 * by the keywords of one schema is merged; the rest is refused by its name. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/schema_parts.h"

enum { MADE = 20000, ROUNDS = 64 };

bool schema_only_describes(const char *keyword)
{
	static const char *const list[] = { "title",      "description", "default",   "examples",     "example",
		                            "$schema",    "$id",         "$comment",  "$defs",        "definitions",
		                            "deprecated", "readOnly",    "writeOnly", "discriminator" };

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		if (!strcmp(keyword, list[i]))
			return true;
	return false;
}

bool schema_says(const json_t *schema)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)schema, key, value)
		if (!schema_only_describes(key))
			return true;
	return json_is_false(schema);
}

static bool is_whole(const json_t *x)
{
	return json_is_integer(x) || (json_is_real(x) && json_real_value(x) == (double)(int64_t)json_real_value(x));
}

/* −1 where the type is none. */
int schema_is_of(const char *type, const json_t *x)
{
	return !type                    ? -1 :
	       !strcmp(type, "object")  ? json_is_object(x) :
	       !strcmp(type, "array")   ? json_is_array(x) :
	       !strcmp(type, "string")  ? json_is_string(x) :
	       !strcmp(type, "number")  ? json_is_number(x) :
	       !strcmp(type, "integer") ? is_whole(x) :
	       !strcmp(type, "boolean") ? json_is_boolean(x) :
	       !strcmp(type, "null")    ? json_is_null(x) :
	                                  -1;
}

/* Kept until the writer ends; takes j. */
static const json_t *keep(struct schema_writer *w, json_t *j)
{
	if (json_array_size(w->made) >= MADE) {
		json_decref(j);
		schema_refuse(w, "its merged choices are more than %d", MADE);
		return NULL;
	}
	json_array_append_new(w->made, j);
	return j;
}

const json_t *schema_without(struct schema_writer *w, const json_t *schema, const char *key)
{
	json_t *rest = json_copy((json_t *)(uintptr_t)schema);

	json_object_del(rest, key);
	json_array_append_new(w->made, rest);
	return rest;
}

/* --- references --- */

/* One name of a JSON pointer (RFC 6901), with a fragment's percent signs. */
static void name_of(const char *at, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		char hex[3] = { i + 2 < n + 0 ? at[i + 1] : 0, i + 2 < n ? at[i + 2] : 0, 0 };
		if (at[i] == '~' && i + 1 < n && (at[i + 1] == '0' || at[i + 1] == '1')) {
			buf_addc(out, at[++i] == '0' ? '~' : '/');
		} else if (at[i] == '%' && i + 2 < n && strspn(hex, "0123456789abcdefABCDEF") == 2) {
			buf_addc(out, (char)strtol(hex, NULL, 16));
			i += 2;
		} else {
			buf_addc(out, at[i]);
		}
	}
}

const json_t *schema_target(struct schema_writer *w, const json_t *ref)
{
	const char *text = json_string_value(ref), *at = text;
	const json_t *here = w->root;

	if (!text || (strcmp(text, "#") != 0 && strncmp(text, "#/", 2) != 0)) {
		schema_refuse(w, "'$ref' %.80s is no place of this schema (#/…)", text ? text : "");
		return NULL;
	}
	for (at++; *at == '/' && here;) {
		struct buf name = BUF_INIT;
		size_t n = strcspn(++at, "/");
		name_of(at, n, &name);
		char *end;
		unsigned long i = strtoul(buf_str(&name), &end, 10);
		here = json_is_array(here) ? (*end || end == buf_str(&name) ? NULL : json_array_get(here, i)) :
		                             json_object_get(here, buf_str(&name));
		buf_release(&name);
		at += n;
	}
	if (!here)
		schema_refuse(w, "'$ref' %.80s leads to nothing", text);
	return here;
}

/* --- merging --- */

/* The types of both: a list; integers are numbers. */
static json_t *both_types(const json_t *a, const json_t *b)
{
	json_t *left = json_is_string(a) ? json_pack("[O]", a) : json_deep_copy(a),
	       *right = json_is_string(b) ? json_pack("[O]", b) : json_deep_copy(b), *out = json_array();

	for (size_t i = 0; i < json_array_size(left); i++)
		for (size_t k = 0; k < json_array_size(right); k++) {
			json_t *x = json_array_get(left, i), *y = json_array_get(right, k);
			const char *s = json_string_value(x), *t = json_string_value(y);
			if (!s || !t)
				continue;
			if (!strcmp(s, t) || (!strcmp(s, "integer") && !strcmp(t, "number")))
				json_array_append(out, x);
			else if (!strcmp(s, "number") && !strcmp(t, "integer"))
				json_array_append(out, y);
		}
	json_decref(left);
	json_decref(right);
	return out;
}

/* Numbers are equal by their value. */
static bool same(const json_t *a, const json_t *b)
{
	return json_is_number(a) && json_is_number(b) ? json_number_value(a) == json_number_value(b) : json_equal(a, b);
}

static json_t *both_values(const json_t *a, const json_t *b)
{
	json_t *out = json_array();

	for (size_t i = 0; i < json_array_size(a); i++)
		for (size_t k = 0; k < json_array_size(b); k++)
			if (same(json_array_get(a, i), json_array_get(b, k))) {
				json_array_append(out, json_array_get(a, i));
				break;
			}
	return out;
}

static json_t *all_names(const json_t *a, const json_t *b)
{
	json_t *out = json_array();
	const json_t *lists[] = { a, b };

	for (int l = 0; l < 2; l++)
		for (size_t i = 0; i < json_array_size(lists[l]); i++)
			json_array_append(out, json_array_get(lists[l], i));
	return out;
}

static const json_t *property(const json_t *s, const char *name)
{
	const json_t *own = json_object_get(json_object_get(s, "properties"), name),
		     *other = json_object_get(s, "additionalProperties");

	return own ? own : other ? other : json_true();
}

/* One property of both, at the end of `out`. */
static int merge_property(struct schema_writer *w, const json_t *a, const json_t *b, const char *name, json_t *out)
{
	if (json_object_get(out, name))
		return 0;
	const json_t *both = schema_merge(w, property(a, name), property(b, name));
	if (!both)
		return -1;
	json_object_set(out, name, (json_t *)(uintptr_t)both);
	return 0;
}

static int merge_properties(struct schema_writer *w, const json_t *a, const json_t *b, json_t *out)
{
	const json_t *sides[] = { a, b }, *rest_a = json_object_get(a, "additionalProperties"),
		     *rest_b = json_object_get(b, "additionalProperties");
	json_t *all = json_object(), *one;
	const char *name;
	int status = 0;

	for (int k = 0; k < 2; k++)
		json_object_foreach (json_object_get(sides[k], "properties"), name, one)
			if (status == 0)
				status = merge_property(w, a, b, name, all);
	if (json_object_size(all) && status == 0)
		json_object_set(out, "properties", all);
	json_decref(all);
	if (status == 0 && (rest_a || rest_b)) {
		const json_t *rest = schema_merge(w, rest_a ? rest_a : json_true(), rest_b ? rest_b : json_true());
		if (!rest)
			return -1;
		json_object_set(out, "additionalProperties", (json_t *)(uintptr_t)rest);
	}
	return status;
}

/* Each choice of one with each of the other. */
static int merge_choices(struct schema_writer *w, const json_t *a, const json_t *b, json_t *out)
{
	json_t *all = json_array();

	for (size_t i = 0; i < json_array_size(a); i++)
		for (size_t k = 0; k < json_array_size(b); k++) {
			const json_t *both = schema_merge(w, json_array_get(a, i), json_array_get(b, k));
			if (!both) {
				json_decref(all);
				return -1;
			}
			if (!json_is_false(both))
				json_array_append(all, (json_t *)(uintptr_t)both);
		}
	json_object_set_new(out, "anyOf", all);
	return 0;
}

/* A keyword that both have. */
static int merge_key(struct schema_writer *w, const char *key, const json_t *x, const json_t *y, json_t *out)
{
	if (json_equal(x, y)) {
		json_object_set(out, key, (json_t *)(uintptr_t)x);
		return 0;
	}
	if (!strcmp(key, "type")) {
		json_object_set_new(out, key, both_types(x, y));
	} else if (!strcmp(key, "enum")) {
		json_object_set_new(out, key, both_values(x, y));
	} else if (!strcmp(key, "required")) {
		json_object_set_new(out, key, all_names(x, y));
	} else if (!strcmp(key, "anyOf")) {
		return merge_choices(w, x, y, out);
	} else if (!strcmp(key, "items") && !json_is_array(x) && !json_is_array(y)) {
		const json_t *both = schema_merge(w, x, y);
		if (!both)
			return -1;
		json_object_set(out, key, (json_t *)(uintptr_t)both);
	} else if (json_is_number(x) && json_is_number(y) && strcmp(key, "multipleOf") != 0) {
		bool most = !strncmp(key, "max", 3) || !strcmp(key, "exclusiveMaximum");
		bool first = json_number_value(x) < json_number_value(y);
		json_object_set(out, key, (json_t *)(uintptr_t)(most == first ? x : y));
	} else {
		return schema_refuse(w, "'%.40s' stands twice in what is to hold together", key);
	}
	return 0;
}

static bool is_of_object(const char *key) { return !strcmp(key, "properties") || !strcmp(key, "additionalProperties"); }

/* const as enum, oneOf (looked at) as anyOf: fewer keywords to merge. */
static const json_t *plain(struct schema_writer *w, const json_t *schema)
{
	const json_t *s = schema_flat(w, schema);
	json_t *copy;

	if (!s || !json_is_object(s))
		return s;
	const json_t *constant = json_object_get(s, "const"), *one = json_object_get(s, "oneOf");
	if (!constant && !one)
		return s;
	if ((constant && json_object_get(s, "enum")) || (one && json_object_get(s, "anyOf"))) {
		schema_refuse(w, "enum with const, or anyOf with oneOf, are not merged with others");
		return NULL;
	}
	for (size_t i = 0; i < json_array_size(one); i++)
		for (size_t k = 0; k < i; k++)
			if (!schema_apart(w, json_array_get(one, k), json_array_get(one, i))) {
				schema_refuse(w, "choices %zu and %zu of 'oneOf' may both be true", k, i);
				return NULL;
			}
	copy = json_copy((json_t *)(uintptr_t)s);
	if (constant) {
		json_object_set_new(copy, "enum", json_pack("[O]", constant));
		json_object_del(copy, "const");
	}
	if (one) {
		json_object_set(copy, "anyOf", (json_t *)(uintptr_t)one);
		json_object_del(copy, "oneOf");
	}
	return keep(w, copy);
}

static bool is_empty(const json_t *out, const char *key)
{
	const json_t *j = json_object_get(out, key);

	return json_is_array(j) && !json_array_size(j);
}

static const json_t *merge_plain(struct schema_writer *w, const json_t *a, const json_t *b)
{
	json_t *out = json_object(), *x;
	const char *key;
	int status = merge_properties(w, a, b, out);

	json_object_foreach ((json_t *)(uintptr_t)a, key, x) {
		const json_t *y = json_object_get(b, key);
		if (status < 0 || is_of_object(key) || schema_only_describes(key))
			continue;
		if (y)
			status = merge_key(w, key, x, y, out);
		else
			json_object_set(out, key, x);
	}
	json_object_foreach ((json_t *)(uintptr_t)b, key, x)
		if (!is_of_object(key) && !schema_only_describes(key) && !json_object_get(a, key))
			json_object_set(out, key, x);
	bool tuple = json_object_get(out, "prefixItems") || json_is_array(json_object_get(out, "items"));
	bool apart = (json_object_get(a, "items") || json_object_get(a, "prefixItems")) &&
	             (json_object_get(b, "items") || json_object_get(b, "prefixItems"));
	if (status == 0 && tuple && apart)
		status = schema_refuse(w, "two lists of items by their place are not merged");
	if (status < 0) {
		json_decref(out);
		return NULL;
	}
	if (is_empty(out, "type") || is_empty(out, "enum") || is_empty(out, "anyOf")) {
		json_decref(out);
		out = json_false();
	}
	return keep(w, out);
}

const json_t *schema_merge(struct schema_writer *w, const json_t *a, const json_t *b)
{
	if (++w->depth > 2 * ROUNDS) {
		schema_refuse(w, "what is to hold together nests too deep, or contains itself");
		return NULL;
	}
	const json_t *out = NULL;
	if (json_is_true(a) || json_is_false(b))
		out = b;
	else if (json_is_true(b) || json_is_false(a))
		out = a;
	else if ((a = plain(w, a)) && (b = plain(w, b)))
		out = !json_is_object(a) || !json_is_object(b) ? schema_merge(w, a, b) : merge_plain(w, a, b);
	w->depth--;
	return out;
}

const json_t *schema_flat(struct schema_writer *w, const json_t *schema)
{
	const json_t *ref = json_object_get(schema, "$ref"), *all = json_object_get(schema, "allOf"), *out;

	if (!json_is_object(schema) && !json_is_boolean(schema)) {
		schema_refuse(w, "a schema is an object, true or false");
		return NULL;
	}
	if (!ref && !all)
		return schema;
	if (all && !json_array_size(all)) {
		schema_refuse(w, "'allOf' is a list of schemas");
		return NULL;
	}
	if (++w->depth > 2 * ROUNDS) {
		schema_refuse(w, "what is to hold together nests too deep, or contains itself");
		return NULL;
	}
	out = schema_without(w, schema_without(w, schema, "$ref"), "allOf");
	if (!schema_says(out))
		out = json_true();
	if (ref) {
		const json_t *target = schema_target(w, ref);
		out = target ? schema_merge(w, target, out) : NULL;
	}
	for (size_t i = 0; out && i < json_array_size(all); i++)
		out = schema_merge(w, out, json_array_get(all, i));
	if (out && (json_object_get(out, "$ref") || json_object_get(out, "allOf")))
		out = schema_flat(w, out);
	w->depth--;
	return out;
}

/* --- choices that are apart --- */

/* A value that is certain to be one of a list: of enum, const. NULL: it is not. */
static const json_t *values_of(struct schema_writer *w, const json_t *s)
{
	const json_t *constant = json_object_get(s, "const"), *list = json_object_get(s, "enum");

	if (list)
		return list;
	if (!constant)
		return NULL;
	json_t *one = json_pack("[O]", constant);
	json_array_append_new(w->made, one);
	return one;
}

static bool values_apart(const json_t *a, const json_t *b)
{
	json_t *both = a && b ? both_values(a, b) : NULL;
	bool apart = both && !json_array_size(both);

	json_decref(both);
	return apart;
}

static bool types_apart(const json_t *a, const json_t *b)
{
	const json_t *x = json_object_get(a, "type"), *y = json_object_get(b, "type");
	json_t *both = x && y ? both_types(x, y) : NULL;
	bool apart = both && !json_array_size(both);

	json_decref(both);
	return apart;
}

/* Is none of the values of the other's type? */
static bool values_of_no_type(const json_t *values, const json_t *type)
{
	bool none = values && json_is_string(type);

	for (size_t i = 0; none && i < json_array_size(values); i++)
		none = schema_is_of(json_string_value(type), json_array_get(values, i)) == 0;
	return none;
}

static bool is_required(const json_t *s, const char *name)
{
	const json_t *list = json_object_get(s, "required");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_is_string(json_array_get(list, i)) &&
		    !strcmp(json_string_value(json_array_get(list, i)), name))
			return true;
	return false;
}

bool schema_apart(struct schema_writer *w, const json_t *a, const json_t *b)
{
	const char *name;
	json_t *x;

	a = json_object_get(a, "$ref") ? schema_target(w, json_object_get(a, "$ref")) : a;
	b = json_object_get(b, "$ref") ? schema_target(w, json_object_get(b, "$ref")) : b;
	const json_t *x_values = values_of(w, a), *y_values = values_of(w, b);
	if (types_apart(a, b) || values_apart(x_values, y_values) ||
	    values_of_no_type(x_values, json_object_get(b, "type")) ||
	    values_of_no_type(y_values, json_object_get(a, "type")))
		return true;
	json_object_foreach (json_object_get(a, "properties"), name, x) {
		const json_t *y = json_object_get(json_object_get(b, "properties"), name);
		if (y && is_required(a, name) && is_required(b, name) && values_apart(values_of(w, x), values_of(w, y)))
			return true;
	}
	return false;
}
