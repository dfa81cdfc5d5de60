/* json_schema: keywords as rows of a table, each a question to a value. See json_schema.h. */
#include "train/json_schema.h"

#include <math.h>
#include <regex.h>
#include <stdint.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"

struct json_schema { json_t *root; };

static bool allows(const json_t *schema, const json_t *x);

static bool is_whole(const json_t *x)
{
	return json_is_integer(x) || (json_is_real(x) && json_real_value(x) == floor(json_real_value(x)));
}

static bool is_of(const char *type, const json_t *x)
{
	return !strcmp(type, "object")  ? json_is_object(x) :
	       !strcmp(type, "array")   ? json_is_array(x) :
	       !strcmp(type, "string")  ? json_is_string(x) :
	       !strcmp(type, "number")  ? json_is_number(x) :
	       !strcmp(type, "integer") ? is_whole(x) :
	       !strcmp(type, "boolean") ? json_is_boolean(x) :
	                                  !strcmp(type, "null") && json_is_null(x);
}

/* Numbers are equal by their value. */
static bool same(const json_t *a, const json_t *b)
{
	return json_is_number(a) && json_is_number(b) ? json_number_value(a) == json_number_value(b) : json_equal(a, b);
}

/* Code points. */
static double characters(const json_t *x)
{
	const char *s = json_string_value(x);
	double n = 0;

	for (size_t i = 0; i < json_string_length(x); i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

static bool type(const json_t *schema, const json_t *k, const json_t *x)
{
	bool is = json_is_string(k) && is_of(json_string_value(k), x);
	(void)schema;

	for (size_t i = 0; i < json_array_size(k); i++)
		is |= is_of(json_string_value(json_array_get(k, i)), x);
	return is;
}

static bool enumerated(const json_t *schema, const json_t *k, const json_t *x)
{
	bool is = false;
	(void)schema;

	for (size_t i = 0; i < json_array_size(k); i++)
		is |= same(json_array_get(k, i), x);
	return is;
}

static bool constant(const json_t *schema, const json_t *k, const json_t *x)
{
	(void)schema;
	return same(k, x);
}

static bool properties(const json_t *schema, const json_t *k, const json_t *x)
{
	const char *key;
	json_t *of;
	bool all = true;
	(void)schema;

	json_object_foreach((json_t *)(uintptr_t)k, key, of) {
		const json_t *value = json_object_get(x, key);
		all = all && (!value || allows(of, value));
	}
	return all;
}

static bool additional(const json_t *schema, const json_t *k, const json_t *x)
{
	const json_t *named = json_object_get(schema, "properties");
	const char *key;
	json_t *value;
	bool all = true;

	json_object_foreach((json_t *)(uintptr_t)x, key, value)
		all = all && (json_object_get(named, key) || allows(k, value));
	return all;
}

static bool required(const json_t *schema, const json_t *k, const json_t *x)
{
	bool all = true;
	(void)schema;

	for (size_t i = 0; i < json_array_size(k) && json_is_object(x); i++)
		all = all && json_object_get(x, json_string_value(json_array_get(k, i)));
	return all;
}

static bool prefix_items(const json_t *schema, const json_t *k, const json_t *x)
{
	bool all = true;
	(void)schema;

	for (size_t i = 0; i < json_array_size(k) && i < json_array_size(x); i++)
		all = all && allows(json_array_get(k, i), json_array_get(x, i));
	return all;
}

static bool items(const json_t *schema, const json_t *k, const json_t *x)
{
	bool all = true;

	for (size_t i = json_array_size(json_object_get(schema, "prefixItems")); i < json_array_size(x); i++)
		all = all && allows(k, json_array_get(x, i));
	return all;
}

static bool unique(const json_t *schema, const json_t *k, const json_t *x)
{
	bool twice = false;
	(void)schema;

	for (size_t i = 0; i < json_array_size(x); i++)
		for (size_t j = 0; j < i; j++)
			twice |= same(json_array_get(x, i), json_array_get(x, j));
	return !json_is_true(k) || !twice;
}

static bool pattern(const json_t *schema, const json_t *k, const json_t *x)
{
	regex_t r;
	(void)schema;

	if (!json_is_string(x) || regcomp(&r, json_string_value(k), REG_EXTENDED | REG_NOSUB))
		return true;
	bool is = regexec(&r, json_string_value(x), 0, NULL, 0) == 0;
	regfree(&r);
	return is;
}

/* What a bound is of: NAN where it says nothing of such a value. */
static double size_of(const char *of, const json_t *x)
{
	if (strstr(of, "Length"))
		return json_is_string(x) ? characters(x) : NAN;
	if (strstr(of, "Items"))
		return json_is_array(x) ? (double)json_array_size(x) : NAN;
	if (strstr(of, "Properties"))
		return json_is_object(x) ? (double)json_object_size(x) : NAN;
	return json_is_number(x) ? json_number_value(x) : NAN;
}

static const char *const bounds[] = { "minLength", "maxLength", "minItems", "maxItems", "minProperties",
	                              "maxProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
	                              "multipleOf" };

static bool is_bound(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
		if (!strcmp(key, bounds[i]))
			return true;
	return false;
}

static bool within(const char *key, double bound, double x)
{
	if (!strcmp(key, "multipleOf"))
		return bound == 0 || fabs(x / bound - round(x / bound)) < 1e-9;
	if (!strcmp(key, "exclusiveMinimum"))
		return x > bound;
	if (!strcmp(key, "exclusiveMaximum"))
		return x < bound;
	return strncmp(key, "min", 3) == 0 ? x >= bound : x <= bound;
}

static size_t how_many(const json_t *k, const json_t *x)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(k); i++)
		n += allows(json_array_get(k, i), x);
	return n;
}

static bool any_of(const json_t *schema, const json_t *k, const json_t *x)
{
	(void)schema;
	return how_many(k, x) > 0;
}

static bool all_of(const json_t *schema, const json_t *k, const json_t *x)
{
	(void)schema;
	return how_many(k, x) == json_array_size(k);
}

static bool one_of(const json_t *schema, const json_t *k, const json_t *x)
{
	(void)schema;
	return how_many(k, x) == 1;
}

static bool not_of(const json_t *schema, const json_t *k, const json_t *x)
{
	(void)schema;
	return !allows(k, x);
}

/* NULL: it only describes. schemas: the value is a schema ('s'), a list ('l') or an object ('o') of schemas. */
static const struct keyword {
	const char *name;
	bool (*holds)(const json_t *schema, const json_t *k, const json_t *x);
	char schemas;
} keywords[] = {
	{ "type", type, 0 },
	{ "enum", enumerated, 0 },
	{ "const", constant, 0 },
	{ "properties", properties, 'o' },
	{ "additionalProperties", additional, 's' },
	{ "required", required, 0 },
	{ "items", items, 's' },
	{ "prefixItems", prefix_items, 'l' },
	{ "uniqueItems", unique, 0 },
	{ "pattern", pattern, 0 },
	{ "anyOf", any_of, 'l' },
	{ "allOf", all_of, 'l' },
	{ "oneOf", one_of, 'l' },
	{ "not", not_of, 's' },
	{ "title", NULL, 0 },
	{ "description", NULL, 0 },
	{ "default", NULL, 0 },
	{ "examples", NULL, 0 },
	{ "format", NULL, 0 },
	{ "$schema", NULL, 0 },
	{ "$id", NULL, 0 },
	{ "$comment", NULL, 0 },
};

static const struct keyword *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		if (!strcmp(keywords[i].name, name))
			return &keywords[i];
	return NULL;
}

static bool allows(const json_t *schema, const json_t *x)
{
	const char *key;
	json_t *k;
	bool all = !json_is_false(schema);

	json_object_foreach((json_t *)(uintptr_t)schema, key, k) {
		const struct keyword *w = find(key);
		double size = is_bound(key) ? size_of(key, x) : NAN;
		if (!isnan(size))
			all = all && within(key, json_number_value(k), size);
		else if (w && w->holds)
			all = all && w->holds(schema, k, x);
	}
	return all;
}

/* --- reading one --- */

static int check(const json_t *schema, const char *path, struct err *e);

static int check_value(const struct keyword *w, const json_t *k, const char *path, struct err *e)
{
	const char *key;
	json_t *of;
	regex_t r;

	if (!strcmp(w->name, "pattern")) {
		if (!json_is_string(k) || regcomp(&r, json_string_value(k), REG_EXTENDED | REG_NOSUB))
			return err_set(e, "%s: its pattern is no extended regular expression", path);
		regfree(&r);
	}
	if (w->schemas == 's')
		return check(k, path, e);
	for (size_t i = 0; w->schemas == 'l' && i < json_array_size(k); i++)
		if (check(json_array_get(k, i), path, e) < 0)
			return -1;
	if (w->schemas == 'o')
		json_object_foreach((json_t *)(uintptr_t)k, key, of)
			if (check(of, path, e) < 0)
				return -1;
	return 0;
}

static int check(const json_t *schema, const char *path, struct err *e)
{
	const char *key;
	json_t *k;

	if (!json_is_object(schema) && !json_is_boolean(schema))
		return err_set(e, "%s: a schema is an object, true or false", path);
	json_object_foreach((json_t *)(uintptr_t)schema, key, k) {
		const struct keyword *w = find(key);
		if (is_bound(key) && !json_is_number(k))
			return err_set(e, "%s: %s wants a number", path, key);
		if (!w && !is_bound(key))
			return err_set(e, "%s: the keyword %s of JSON Schema is not understood", path, key);
		if (w && check_value(w, k, path, e) < 0)
			return -1;
	}
	return 0;
}

int json_schema_open(struct json_schema **out, const char *path, struct err *e)
{
	json_t *j = jsonx_load_file(path, e);

	*out = NULL;
	if (!j || check(j, path, e) < 0) {
		json_decref(j);
		return -1;
	}
	*out = mem_alloc(sizeof(struct json_schema));
	(*out)->root = j;
	return 0;
}

void json_schema_close(struct json_schema *s)
{
	if (!s)
		return;
	json_decref(s->root);
	mem_free(s);
}

bool json_schema_allows(const struct json_schema *s, const json_t *value) { return allows(s->root, value); }

json_t *json_schema_read(const char *text, struct err *e)
{
	json_error_t why;
	json_t *j = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);

	if (!j)
		err_set(e, "line %d column %d: %s", why.line, why.column, why.text);
	return j;
}
