/* schema_objects: objects and lists of a schema. What an object goes on with behind its k-th property are two rules,
 * one where a property was written already and one where none was, so that commas stand where they belong: as many
 * rules as properties, whichever of them may be left out. Additional names are all that no named property has, read
 * from a trie of these. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/chars.h"
#include "grammar/grammar.h"
#include "grammar/schema_parts.h"

/* --- names that are none of some --- */

struct name {
	const char *text;
	size_t n;
};

static int by_text(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int order = memcmp(x->text, y->text, MIN(x->n, y->n));

	return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* Characters that stand in a name as they are, without these. */
static void other_chars(struct buf *out, const struct char_set *but)
{
	struct char_set s = { 0 };

	char_set_add(&s, 0, 0x1f);
	char_set_add(&s, '"', '"');
	char_set_add(&s, '\\', '\\');
	char_set_add(&s, 0x7f, 0x7f);
	char_set_add_all(&s, but->range, but->n);
	char_set_tidy(&s, true);
	char_set_write(&s, false, out);
	char_set_release(&s);
}

/* What may follow the first `at` bytes, which all these names have: anything but what makes one of them. */
static void write_other(struct buf *out, const struct name *list, size_t n, size_t at)
{
	struct char_set next = { 0 };
	bool may_end = list[0].n > at;

	buf_adds(out, "(");
	for (size_t i = list[0].n == at, k; i < n; i = k) {
		uint32_t cp;
		size_t bytes = utf8_decode(list[i].text + at, list[i].n - at, &cp);
		for (k = i + 1;
		     k < n && list[k].n >= at + bytes && !memcmp(list[k].text + at, list[i].text + at, bytes);)
			k++;
		char_set_add(&next, cp, cp);
		if (cp < 0x20 || cp == '"' || cp == '\\' || cp == 0x7f)
			continue; /* no additional name has it */
		gbnf_quote(out, list[i].text + at, bytes);
		buf_adds(out, " ");
		write_other(out, list + i, k - i, at + bytes);
		buf_adds(out, " | ");
	}
	other_chars(out, &next);
	buf_adds(out, " name-char*");
	buf_adds(out, may_end ? " | \"\")" : ")");
	char_set_release(&next);
}

/* The rule of an additional name in its quotes. */
static unsigned write_other_name(struct schema_writer *w, const json_t *named)
{
	size_t n = json_object_size(named), i = 0;
	struct name *list = mem_array(n + 1, sizeof(*list));
	struct buf is = BUF_INIT;
	unsigned rule = schema_new_rule(w);
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)named, key, value)
		list[i++] = (struct name){ key, strlen(key) };
	qsort(list, n, sizeof(*list), by_text);
	write_other(&is, list, n, 0);
	buf_addf(w->out, "r%u ::= \"\\\"\" %s \"\\\"\"\n", rule, buf_str(&is));
	buf_release(&is);
	mem_free(list);
	return rule;
}

/* --- objects --- */

static bool is_named(const json_t *list, const char *name)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_is_string(json_array_get(list, i)) &&
		    !strcmp(json_string_value(json_array_get(list, i)), name))
			return true;
	return false;
}

static int check_object(const struct schema_writer *w, const json_t *s)
{
	const json_t *properties = json_object_get(s, "properties"), *required = json_object_get(s, "required");

	if (properties && !json_is_object(properties))
		return schema_refuse(w, "'properties' is an object");
	if (required && !json_is_array(required))
		return schema_refuse(w, "'required' is a list of names");
	for (size_t i = 0; i < json_array_size(required); i++)
		if (!json_is_string(json_array_get(required, i)))
			return schema_refuse(w, "'required' is a list of names");
	return 0;
}

/* The properties in their order, then those that are required and not named. */
static int list_properties(struct schema_writer *w, const json_t *s, struct object *o)
{
	const json_t *properties = json_object_get(s, "properties"), *required = json_object_get(s, "required"),
		     *more = json_object_get(s, "additionalProperties");
	const char *name;
	json_t *one;

	o->list = mem_array(json_object_size(properties) + json_array_size(required) + 1, sizeof(*o->list));
	json_object_foreach ((json_t *)(uintptr_t)properties, name, one) {
		bool is_required = is_named(required, name);
		if (!json_is_false(one))
			o->list[o->n++] = (struct property){ name, one, is_required };
		else if (is_required)
			return schema_refuse(w, "'%.60s' is required and not allowed", name);
	}
	for (size_t i = 0; i < json_array_size(required); i++) {
		name = json_string_value(json_array_get(required, i));
		bool had = json_object_get(properties, name);
		for (size_t k = 0; k < o->n; k++)
			had |= !strcmp(o->list[k].name, name);
		if (had)
			continue;
		if (json_is_false(more))
			return schema_refuse(w, "'%.60s' is required and not allowed", name);
		o->list[o->n++] = (struct property){ name, more ? more : json_true(), true };
	}
	return 0;
}

int schema_properties(struct schema_writer *w, const json_t *s, struct object *o)
{
	return check_object(w, s) < 0 || list_properties(w, s, o) < 0 ? -1 : 0;
}

/* The rule of a pair of an additional name. */
static int write_more(struct schema_writer *w, const json_t *s, struct object *o)
{
	const json_t *more = json_object_get(s, "additionalProperties");
	json_t *named = json_copy(json_object_get(s, "properties"));
	unsigned rule, name;

	if (!named)
		named = json_object();
	for (size_t i = 0; i < o->n; i++)
		json_object_set(named, o->list[i].name, json_true());
	bool any = more ? !json_is_false(more) : !json_object_size(named);
	size_t back = schema_down(w, "additionalProperties", NULL);
	o->other = -1;
	if (any && schema_below(w, more ? more : json_true(), &rule) < 0) {
		json_decref(named);
		return -1;
	}
	schema_up(w, back);
	if (any) {
		o->other = (int)schema_new_rule(w);
		name = json_object_size(named) ? write_other_name(w, named) : 0;
		buf_addf(w->out, "r%d ::= ", o->other);
		if (json_object_size(named))
			buf_addf(w->out, "r%u", name);
		else
			buf_adds(w->out, "json-string");
		buf_addf(w->out, " \":\" ws r%u\n", rule);
	}
	json_decref(named);
	return 0;
}

static int write_pair(struct schema_writer *w, const struct property *p, struct buf *out)
{
	json_t *name = json_string(p->name);
	char *text = json_dumps(name, JSON_ENCODE_ANY);
	unsigned rule;
	size_t back = schema_down(w, "properties", p->name);
	int status = schema_below(w, p->schema, &rule);

	if (status == 0) {
		gbnf_quote(out, text, strlen(text));
		buf_addf(out, " \":\" ws r%u", rule);
		schema_up(w, back);
	}
	mem_free(text);
	json_decref(name);
	return status;
}

/* Rules first + 2·k + (0 nothing was written, 1 something was) of what follows the k-th. */
static int write_rest(struct schema_writer *w, const struct object *o, unsigned first)
{
	for (size_t k = 0; k < o->n; k++) {
		const struct property *p = &o->list[k];
		struct buf pair = BUF_INIT;
		unsigned here = first + 2 * (unsigned)k;
		if (write_pair(w, p, &pair) < 0) {
			buf_release(&pair);
			return -1;
		}
		for (unsigned had = 0; had < 2; had++) {
			buf_addf(w->out, "r%u ::= %s%s r%u", here + had, had ? "\",\" ws " : "", buf_str(&pair),
			         here + 3);
			if (!p->required)
				buf_addf(w->out, " | r%u", here + 2 + had);
			buf_adds(w->out, "\n");
		}
		buf_release(&pair);
	}
	unsigned last = first + 2 * (unsigned)o->n;
	if (o->other < 0) {
		buf_addf(w->out, "r%u ::= \"}\"\nr%u ::= ws \"}\"\n", last, last + 1);
	} else {
		buf_addf(w->out, "r%u ::= r%d r%u | \"}\"\n", last, o->other, last + 1);
		buf_addf(w->out, "r%u ::= \",\" ws r%d r%u | ws \"}\"\n", last + 1, o->other, last + 1);
	}
	return 0;
}

/* A map of at most so many pairs. */
static int write_map(struct schema_writer *w, const struct object *o, int64_t most, bool one, struct buf *out)
{
	if (o->n || o->other < 0)
		return schema_refuse(w, "'maxProperties' and 'minProperties' are of objects without named properties");
	if (!one)
		buf_adds(out, "\"{\" ws \"}\"");
	if (most > 0)
		buf_addf(out, "%s\"{\" ws r%d (\",\" ws r%d){0,%lld} ws \"}\"", one ? "" : " | ", o->other, o->other,
		         (long long)most - 1);
	return 0;
}

static int write_object(struct schema_writer *w, const json_t *s, struct object *o, struct buf *out)
{
	int64_t least, most;

	if (schema_properties(w, s, o) < 0 || write_more(w, s, o) < 0 ||
	    schema_count(w, s, "minProperties", 0, &least) < 0 || schema_count(w, s, "maxProperties", -1, &most) < 0)
		return -1;
	size_t required = 0;
	for (size_t i = 0; i < o->n; i++)
		required += o->list[i].required;
	if (least > (int64_t)MAX(required, 1) || (most >= 0 && most < least))
		return schema_refuse(w, "'minProperties' above 1 is not understood: names may come twice");
	if (most >= 0 && most >= (int64_t)o->n && o->other < 0 && least <= (int64_t)required)
		most = -1; /* says nothing */
	if (most >= 0)
		return write_map(w, o, most, least == 1, out);
	if (least > (int64_t)required) {
		if (o->n)
			return schema_refuse(w, "'minProperties' is of objects without named properties");
		return write_map(w, o, GRAMMAR_REPEAT, true, out);
	}
	unsigned first = w->n_rules;
	w->n_rules += 2 * (unsigned)o->n + 2;
	if (write_rest(w, o, first) < 0)
		return -1;
	buf_addf(out, "\"{\" ws r%u", first);
	return 0;
}

int schema_object(struct schema_writer *w, const json_t *s, struct buf *out)
{
	struct object o = { 0 };
	int status = write_object(w, s, &o, out);

	mem_free(o.list);
	return status;
}

/* --- lists --- */

/* Items by their place, then those of one kind, or none (−1). */
struct list {
	const json_t *places;
	size_t n;
	int rest;
	int64_t least, most;
};

static int read_list(struct schema_writer *w, const json_t *s, struct list *l)
{
	const json_t *items = json_object_get(s, "items"), *prefix = json_object_get(s, "prefixItems"),
		     *more = json_object_get(s, "additionalItems"), *rest = items;
	unsigned rule;

	l->places = prefix;
	if (json_is_array(items)) { /* draft 7 */
		l->places = items;
		rest = more;
	} else if (more) {
		return schema_refuse(w, "'additionalItems' goes with a list of items");
	}
	if ((l->places && !json_is_array(l->places)) || (json_is_array(items) && prefix))
		return schema_refuse(w, "'prefixItems' is a list of schemas");
	if (json_is_true(json_object_get(s, "uniqueItems")))
		return schema_refuse(w, "'uniqueItems' is not understood");
	l->n = json_array_size(l->places);
	l->rest = -1;
	if (!rest && !l->n)
		rest = json_true();
	if (!rest || json_is_false(rest))
		return 0;
	size_t back = schema_down(w, "items", NULL);
	if (schema_below(w, rest, &rule) < 0)
		return -1;
	schema_up(w, back);
	l->rest = (int)rule;
	return 0;
}

/* What follows the k-th by place: rules first + k. */
static int write_places(struct schema_writer *w, const struct list *l, unsigned first)
{
	for (size_t k = 0; k < l->n; k++) {
		char number[24];
		unsigned rule;
		snprintf(number, sizeof(number), "%zu", k);
		size_t back = schema_down(w, "prefixItems", number);
		if (l->most >= 0 && (int64_t)k >= l->most) {
			schema_up(w, back);
			buf_addf(w->out, "r%u ::= ws \"]\"\n", first + (unsigned)k);
			continue;
		}
		if (schema_below(w, json_array_get(l->places, k), &rule) < 0)
			return -1;
		schema_up(w, back);
		buf_addf(w->out, "r%u ::= %sr%u r%u%s\n", first + (unsigned)k, k ? "\",\" ws " : "", rule,
		         first + (unsigned)k + 1,
		         (int64_t)k < l->least ? "" :
		         k                     ? " | ws \"]\"" :
		                                 " | \"]\"");
	}
	return 0;
}

/* Those of one kind, between least and most of them; comma: something stands before. */
static void write_rest_items(struct schema_writer *w, const struct list *l, unsigned rule, bool comma)
{
	int64_t least = MAX(l->least - (int64_t)l->n, 0), most = l->most < 0 ? -1 : l->most - (int64_t)l->n;
	char bound[32] = "";

	buf_addf(w->out, "r%u ::= ", rule);
	if (l->rest < 0 || most == 0 || (l->most >= 0 && most < 0)) {
		buf_adds(w->out, comma ? "ws \"]\"\n" : "\"]\"\n");
		return;
	}
	int64_t first = comma ? 0 : 1; /* written without a comma */
	if (most >= 0)
		snprintf(bound, sizeof(bound), "%lld", (long long)(most - first));
	if (comma) {
		buf_addf(w->out, "(\",\" ws r%d){%lld,%s} ws \"]\"\n", l->rest, (long long)least, bound);
		return;
	}
	buf_addf(w->out, "r%d (\",\" ws r%d){%lld,%s} ws \"]\"%s\n", l->rest, l->rest, (long long)MAX(least - 1, 0),
	         bound, least ? "" : " | \"]\"");
}

int schema_array(struct schema_writer *w, const json_t *s, struct buf *out)
{
	struct list l = { 0 };

	if (read_list(w, s, &l) < 0 || schema_count(w, s, "minItems", 0, &l.least) < 0 ||
	    schema_count(w, s, "maxItems", -1, &l.most) < 0)
		return -1;
	if ((l.most >= 0 && l.most < l.least) || (l.rest < 0 && l.least > (int64_t)l.n))
		return schema_refuse(w, "no list has so many items");
	unsigned first = w->n_rules;
	w->n_rules += (unsigned)l.n + 1;
	if (write_places(w, &l, first) < 0)
		return -1;
	write_rest_items(w, &l, first + (unsigned)l.n, l.n > 0);
	buf_addf(out, "\"[\" ws r%u", first);
	return 0;
}
