/* schema_pairs: an object whose properties are written one by one, not as JSON: calls of tools in XML or as Python's.
 * As in schema_objects.c what follows the k-th property are two rules, one where a property was written already and one
 * where none was. Behind a text that stands as it is there is a `!` (grammar/gbnf.h): where its end has come, it is no
 * part of the text. Each property's schema is written as JSON too, so what it has that is not understood is refused
 * the same. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/chars.h"
#include "grammar/schema_parts.h"

/* --- which values are texts --- */

enum { CHOICES_WITHIN = 16 };
enum kind { NOTHING, NONE_BUT_NULL, TEXT, TEXT_OR_NULL, ANY, JSON };

static enum kind both(enum kind a, enum kind b)
{
	if (a == NOTHING || a == b)
		return b;
	return MAX(a, b) <= TEXT_OR_NULL ? TEXT_OR_NULL : JSON;
}

static enum kind kind_of_value(const json_t *value)
{
	return json_is_string(value) ? TEXT : json_is_null(value) ? NONE_BUT_NULL : JSON;
}

static enum kind kind_of_type(const json_t *type)
{
	const char *name = json_string_value(type);

	return name && !strcmp(name, "string") ? TEXT : name && !strcmp(name, "null") ? NONE_BUT_NULL : JSON;
}

static const json_t *choices_of(const json_t *s, const char **keyword)
{
	*keyword = json_object_get(s, "anyOf") ? "anyOf" : "oneOf";
	return json_object_get(s, *keyword);
}

/* One of the choices, with what stands beside them. NULL and a sentence. */
static const json_t *choice_of(struct schema_writer *w, const json_t *s, size_t i)
{
	const char *keyword;
	const json_t *list = choices_of(s, &keyword), *beside = schema_without(w, s, keyword);

	return schema_says(beside) ? schema_merge(w, json_array_get(list, i), beside) : json_array_get(list, i);
}

/* NOTHING: a sentence was said. Choices within choices without end are none of texts. */
static enum kind kind_of(struct schema_writer *w, const json_t *s, int depth)
{
	enum kind kind = NOTHING;
	const char *keyword;

	s = schema_flat(w, s);
	if (!s || depth > CHOICES_WITHIN)
		return s ? JSON : NOTHING;
	if (!json_is_object(s) || !schema_says(s))
		return ANY;
	const json_t *choices = choices_of(s, &keyword), *values = json_object_get(s, "enum"),
		     *constant = json_object_get(s, "const"), *type = json_object_get(s, "type");
	for (size_t i = 0; i < json_array_size(choices); i++) {
		const json_t *one = choice_of(w, s, i);
		enum kind own = one ? kind_of(w, one, depth + 1) : NOTHING;
		if (own == NOTHING)
			return NOTHING;
		kind = both(kind, own);
	}
	if (choices)
		return kind;
	for (size_t i = 0; i < json_array_size(values); i++)
		kind = both(kind, kind_of_value(json_array_get(values, i)));
	if (values || constant)
		return values ? kind : kind_of_value(constant);
	if (json_object_get(s, "pattern") || !type)
		return JSON;
	for (size_t i = 0; i < json_array_size(type); i++)
		kind = both(kind, kind_of_type(json_array_get(type, i)));
	return json_is_array(type) ? kind : kind_of_type(type);
}

/* --- texts as they are --- */

static int write_value(const struct schema_writer *w, const json_t *value, const char *end, struct buf *out)
{
	const char *text = json_is_null(value) ? "null" : json_string_value(value);

	if (strstr(text, end))
		return schema_refuse(w, "a value has '%s' in it, where texts of this form end", end);
	gbnf_quote(out, text, strlen(text));
	return 0;
}

static int write_string(struct schema_writer *w, const json_t *s, const char *end, struct buf *out)
{
	const char *format = json_string_value(json_object_get(s, "format"));
	int64_t least, most;
	char bound[32] = "";

	if (format) {
		buf_adds(out, format);
		return 0;
	}
	if (schema_count(w, s, "minLength", 0, &least) < 0 || schema_count(w, s, "maxLength", -1, &most) < 0)
		return -1;
	if (!least && most < 0) {
		buf_adds(out, ".*");
		return 0;
	}
	if (most >= 0)
		snprintf(bound, sizeof(bound), "%lld", (long long)most);
	buf_addf(out, "[^\\x%02X]{%lld,%s}", (unsigned char)*end, (long long)least, bound);
	return 0;
}

static int write_one(struct schema_writer *w, const json_t *s, const json_t *type, const char *end, struct buf *out)
{
	if (kind_of_type(type) == NONE_BUT_NULL)
		return write_value(w, json_null(), end, out);
	return write_string(w, s, end, out);
}

/* Of a schema of kind TEXT or TEXT_OR_NULL, or null as a part of one. */
static int write_text(struct schema_writer *w, const json_t *s, const char *end, struct buf *out)
{
	const char *keyword;
	int status = 0;

	s = schema_flat(w, s);
	const json_t *choices = choices_of(s, &keyword), *values = json_object_get(s, "enum"),
		     *constant = json_object_get(s, "const"), *type = json_object_get(s, "type");
	const json_t *list = choices ? choices : values ? values : constant ? NULL : type;
	size_t n = json_is_array(list) ? json_array_size(list) : 1;
	for (size_t i = 0; i < n && status == 0; i++) {
		const json_t *one = json_is_array(list) ? json_array_get(list, i) : constant ? constant : type;
		buf_adds(out, i ? " | " : "");
		status = choices            ? write_text(w, choice_of(w, s, i), end, out) :
		         values || constant ? write_value(w, one, end, out) :
		                              write_one(w, s, one, end, out);
	}
	return status;
}

/* --- pairs --- */

/* VALUE close; what the reader is to know of it into kinds. */
static int write_behind(struct schema_writer *w, const char *name, const json_t *schema, const struct schema_pairs *p,
                        json_t *kinds, struct buf *out)
{
	static const char *const words[] = { [TEXT] = "text", [TEXT_OR_NULL] = "text?", [ANY] = "any" };
	unsigned rule;

	if (schema_below(w, schema, &rule) < 0)
		return -1;
	enum kind kind = p->end ? kind_of(w, schema, 0) : JSON;
	if (kind == NOTHING)
		return -1;
	if (kind == JSON || kind == NONE_BUT_NULL) {
		buf_addf(out, "r%u %s", rule, p->close);
		return 0;
	}
	json_object_set_new(kinds, name, json_string(words[kind]));
	buf_adds(out, "(");
	if (kind == ANY)
		buf_adds(out, ".*");
	else if (write_text(w, schema, p->end, out) < 0)
		return -1;
	buf_addf(out, ") %s !", p->close);
	return 0;
}

static bool may_be_named(const char *name, bool identifier)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	for (const char *c = name; *c && !identifier; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("<>\"'=", *c))
			return false;
	return *name && strlen(name) < 128 &&
	       (!identifier || (!name[strspn(name, letters)] && !strchr("0123456789", *name)));
}

/* As schema_objects.c's write_rest. */
static int write_named(struct schema_writer *w, const struct object *o, const struct schema_pairs *p, json_t *kinds,
                       unsigned first)
{
	for (size_t k = 0; k < o->n; k++) {
		const struct property *x = &o->list[k];
		unsigned here = first + 2 * (unsigned)k;
		struct buf behind = BUF_INIT;
		size_t back = schema_down(w, "properties", x->name);
		if (!may_be_named(x->name, p->identifiers))
			return schema_refuse(w, "calls of this model's form cannot have such a name");
		if (write_behind(w, x->name, x->schema, p, kinds, &behind) < 0) {
			buf_release(&behind);
			return -1;
		}
		schema_up(w, back);
		for (unsigned had = 0; had < 2; had++) {
			buf_addf(w->out, "r%u ::= %s %s ", here + had, had ? p->between : "", p->key);
			gbnf_quote(w->out, x->name, strlen(x->name));
			buf_addf(w->out, " %s %s r%u", p->behind, buf_str(&behind), here + 3);
			if (!x->required)
				buf_addf(w->out, " | r%u", here + 2 + had);
			buf_adds(w->out, "\n");
		}
		buf_release(&behind);
	}
	unsigned last = first + 2 * (unsigned)o->n;
	buf_addf(w->out, "r%u ::= \"\"\nr%u ::= \"\"\n", last, last + 1);
	return 0;
}

/* Any names, whose values are as `more` says. */
static int write_others(struct schema_writer *w, const json_t *more, const struct schema_pairs *p, json_t *kinds,
                        unsigned rule)
{
	struct buf behind = BUF_INIT;
	int status = write_behind(w, "*", more, p, kinds, &behind);

	if (status == 0)
		buf_addf(w->out, "r%u ::= r%u | \"\"\nr%u ::= %s [a-zA-Z_] [a-zA-Z0-9_]{0,62} %s %s (%s r%u)?\n", rule,
		         rule + 1, rule + 1, p->key, p->behind, buf_str(&behind), p->between, rule + 1);
	buf_release(&behind);
	return status;
}

static int write_object(struct schema_writer *w, const json_t *s, const struct schema_pairs *p, json_t *kinds,
                        struct object *o, unsigned *first)
{
	static const char *const not [] = { "anyOf", "oneOf", "enum", "const", "minProperties", "maxProperties" };
	const json_t *more = json_object_get(s, "additionalProperties");

	for (size_t i = 0; i < ARRAY_LEN(not ); i++)
		if (json_object_get(s, not [i]))
			return schema_refuse(w, "'%s' is not understood of arguments that are written one by one",
			                     not [i]);
	if (schema_properties(w, s, o) < 0)
		return -1;
	*first = w->n_rules;
	w->n_rules += 2 * (unsigned)o->n + 2;
	if (o->n || (more && json_is_false(more)))
		return write_named(w, o, p, kinds, *first);
	return write_others(w, more ? more : json_true(), p, kinds, *first);
}

int schema_pairs(struct schema_writer *w, const json_t *schema, const struct schema_pairs *p, json_t *kinds,
                 char name[16])
{
	struct object o = { 0 };
	unsigned first = 0, rule;

	w->root = schema;
	w->depth = 0;
	schema_up(w, 0);
	if (schema && schema_below(w, schema, &rule) < 0)
		return -1;
	const json_t *s = schema ? schema_flat(w, schema) : NULL;
	int status = schema && !s ? -1 : write_object(w, s, p, kinds, &o, &first);
	mem_free(o.list);
	snprintf(name, 16, "r%u", first);
	return status;
}
