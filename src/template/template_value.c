/* template_value: the values that a template computes with, and how they become text. What str, repr and json.dumps
 * write follows CPython 3. */
#include "template/template_value.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* --- making --- */

struct value v_bool(bool b) { return (struct value){ .type = V_BOOL, .b = b }; }
struct value v_int(int64_t i) { return (struct value){ .type = V_INT, .i = i }; }
struct value v_float(double f) { return (struct value){ .type = V_FLOAT, .f = f }; }
struct value v_text(const char *s) { return (struct value){ .type = V_STRING, .str = { s, strlen(s) } }; }

struct value v_string(struct arena *a, const char *s, size_t n)
{
	char *copy = arena_alloc(a, n + 1); /* a text may hold NULs */
	if (n)
		memcpy(copy, s, n);
	return (struct value){ .type = V_STRING, .str = { copy, n } };
}

/* A text of so many bytes stays in the block where it was written; shorter ones are copied beside each other. */
enum { OWN_BLOCK = 4096 };

struct value v_take(struct arena *a, struct buf *b)
{
	struct value v = { .type = V_STRING, .str = { .n = b->len } };

	if (b->arena == a && b->len >= OWN_BLOCK) {
		char *text = arena_resize(a, b->data, b->len + 1);
		text[b->len] = 0; /* its end may have been cut off */
		v.str.s = text;
		b->data = NULL;
	} else {
		v = v_string(a, buf_str(b), b->len);
	}
	buf_release(b);
	return v;
}

static void *grow(struct arena *a, void *old, size_t n, size_t cap, size_t size)
{
	void *p = arena_array(a, cap, size);
	if (n)
		memcpy(p, old, n * size);
	return p;
}

struct value v_list(struct arena *a, enum vtype type, size_t cap)
{
	struct vlist *l = arena_alloc(a, sizeof(*l));
	*l = (struct vlist){ .cap = cap, .items = cap ? arena_array(a, cap, sizeof(struct value)) : NULL };
	return (struct value){ .type = type, .list = l };
}

size_t v_weight(struct value v)
{
	switch (v.type) {
	case V_STRING: return 1 + v.str.n / 16;
	case V_LIST: case V_TUPLE: return 1 + v.list->weight;
	case V_DICT: return 1 + v.dict->weight;
	default: return 1;
	}
}

int v_depth(struct value v)
{
	return v.type == V_LIST || v.type == V_TUPLE ? v.list->depth : v.type == V_DICT ? v.dict->depth : 0;
}

bool v_opaque(struct value v)
{
	switch (v.type) {
	case V_LIST: return v.list->opaque || v.list->kind == LIST_GENERATOR || v.list->kind == LIST_RANGE;
	case V_TUPLE: return v.list->opaque;
	case V_DICT: return v.dict->opaque;
	case V_NAMESPACE: case V_MACRO: case V_FUNCTION: case V_METHOD: return true;
	default: return false;
	}
}

bool v_hashable(struct value v)
{
	bool hashable = v.type != V_LIST || v.list->kind == LIST_GENERATOR || v.list->kind == LIST_RANGE;

	for (size_t i = 0; v.type == V_TUPLE && hashable && i < v.list->n; i++)
		hashable = v_hashable(v.list->items[i]);
	return hashable && v.type != V_DICT;
}

static void weigh(struct value item, size_t *weight, int *depth)
{
	if (__builtin_add_overflow(*weight, v_weight(item), weight))
		*weight = SIZE_MAX / 2;
	*depth = MAX(*depth, v_depth(item) + 1);
}

void v_push(struct arena *a, struct value list, struct value item)
{
	struct vlist *l = list.list;
	if (l->n == l->cap)
		l->items = grow(a, l->items, l->n, l->cap = l->cap ? 2 * l->cap : 8, sizeof(*l->items));
	l->items[l->n++] = item;
	l->opaque |= v_opaque(item);
	weigh(item, &l->weight, &l->depth);
}

struct value v_dict(struct arena *a)
{
	return (struct value){ .type = V_DICT, .dict = arena_alloc(a, sizeof(struct vdict)) };
}

/* Of what is equal the same: whole and other numbers, tuples by their items. */
static uint64_t hash_of(struct value v)
{
	uint64_t h[2] = { v.type, 0 };

	if (v_is_number(v)) {
		double d = v_number(v) + 0.0; /* no negative zero */
		return hash_64(&d, sizeof(d));
	}
	if (v.type == V_STRING)
		return hash_64(v.str.s, v.str.n);
	for (size_t i = 0; v.type == V_TUPLE && i < v.list->n; i++) {
		h[1] = hash_of(v.list->items[i]);
		h[0] = hash_64(h, sizeof(h));
	}
	return h[0];
}

/* The slot of a key, or the free one where it would stand. */
static uint32_t *slot_of(const struct vdict *d, struct value key)
{
	size_t i = hash_of(key) & (d->n_slots - 1);

	while (d->slots[i] && !v_equal(d->keys[d->slots[i] - 1], key))
		i = (i + 1) & (d->n_slots - 1);
	return &d->slots[i];
}

enum { FEW_KEYS = 8 };

/* Key number n - 1 is new. */
static void index_key(struct arena *a, struct vdict *d)
{
	if (d->n <= FEW_KEYS)
		return;
	if (2 * d->n <= d->n_slots) {
		*slot_of(d, d->keys[d->n - 1]) = (uint32_t)d->n;
		return;
	}
	d->n_slots = d->n_slots ? 2 * d->n_slots : 4 * FEW_KEYS;
	d->slots = arena_array(a, d->n_slots, sizeof(*d->slots));
	for (size_t i = 0; i < d->n; i++)
		*slot_of(d, d->keys[i]) = (uint32_t)i + 1;
}

const struct value *v_get(struct value dict, struct value key)
{
	if (dict.dict->n_slots) {
		uint32_t at = *slot_of(dict.dict, key);
		return at ? &dict.dict->values[at - 1] : NULL;
	}
	for (size_t i = 0; i < dict.dict->n; i++)
		if (v_equal(dict.dict->keys[i], key))
			return &dict.dict->values[i];
	return NULL;
}

const struct value *v_get_text(struct value dict, const char *key) { return v_get(dict, v_text(key)); }

/* A key that is not there yet. */
static void add_item(struct arena *a, struct vdict *d, struct value key, struct value item)
{
	weigh(key, &d->weight, &d->depth);
	weigh(item, &d->weight, &d->depth);
	d->opaque |= v_opaque(key) || v_opaque(item);
	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 8;
		d->keys = grow(a, d->keys, d->n, cap, sizeof(*d->keys));
		d->values = grow(a, d->values, d->n, cap, sizeof(*d->values));
		d->cap = cap;
	}
	d->keys[d->n] = key;
	d->values[d->n++] = item;
	index_key(a, d);
}

void v_set(struct arena *a, struct value dict, struct value key, struct value item)
{
	struct vdict *d = dict.dict;
	struct value *old = (struct value *)(uintptr_t)v_get(dict, key);

	if (!old) {
		add_item(a, d, key, item);
		return;
	}
	weigh(item, &d->weight, &d->depth);
	d->opaque |= v_opaque(item);
	*old = item;
}

static struct value list_from_json(struct arena *a, const json_t *j)
{
	struct value list = v_list(a, V_LIST, json_array_size(j));
	const json_t *item;
	size_t i;

	json_array_foreach((json_t *)j, i, item)
		v_push(a, list, v_from_json(a, item));
	return list;
}

static struct value dict_from_json(struct arena *a, const json_t *j)
{
	struct value dict = v_dict(a);
	const char *key;
	json_t *item;

	json_object_foreach((json_t *)j, key, item)
		add_item(a, dict.dict, v_string(a, key, strlen(key)), v_from_json(a, item)); /* JSON's keys differ */
	return dict;
}

struct value v_from_json(struct arena *a, const json_t *j)
{
	switch (j ? json_typeof(j) : JSON_NULL) {
	case JSON_OBJECT: return dict_from_json(a, j);
	case JSON_ARRAY: return list_from_json(a, j);
	case JSON_STRING: return v_string(a, json_string_value(j), json_string_length(j));
	case JSON_INTEGER: return v_int(json_integer_value(j));
	case JSON_REAL: return v_float(json_real_value(j));
	case JSON_TRUE: return v_bool(true);
	case JSON_FALSE: return v_bool(false);
	case JSON_NULL: break;
	}
	return NONE;
}

/* --- asking --- */

bool v_is_list(struct value v) { return v.type == V_LIST || v.type == V_TUPLE; }
bool v_is_plain(struct value v) { return v_is_list(v) && v.list->kind == LIST_PLAIN; }
bool v_is_sequence(struct value v)
{
	return v.type == V_STRING || v_is_plain(v) || (v.type == V_LIST && v.list->kind == LIST_RANGE);
}

bool v_is_number(struct value v) { return v.type == V_INT || v.type == V_FLOAT || v.type == V_BOOL; }
double v_number(struct value v) { return v.type == V_FLOAT ? v.f : v.type == V_INT ? (double)v.i : v.b; }

bool v_true(struct value v)
{
	switch (v.type) {
	case V_UNDEFINED: case V_NONE: return false;
	case V_BOOL: return v.b;
	case V_INT: return v.i != 0;
	case V_FLOAT: return v.f != 0;
	case V_STRING: return v.str.n > 0;
	case V_LIST: case V_TUPLE: return v.list->n > 0 || v.list->kind == LIST_GENERATOR;
	case V_DICT: return v.dict->n > 0;
	case V_NAMESPACE: case V_MACRO: case V_FUNCTION: case V_METHOD: break;
	}
	return true;
}

/* Every item of a is one of b; for the views of dicts, which are sets. */
static bool within(const struct vlist *a, const struct vlist *b)
{
	for (size_t i = 0, j; i < a->n; i++) {
		for (j = 0; j < b->n && !v_equal(a->items[i], b->items[j]); j++)
			;
		if (j == b->n)
			return false;
	}
	return a->n == b->n;
}

static bool lists_equal(const struct vlist *a, const struct vlist *b)
{
	bool sets = (a->kind == LIST_KEYS || a->kind == LIST_ITEMS) && (b->kind == LIST_KEYS || b->kind == LIST_ITEMS);

	if (sets)
		return within(a, b);
	if (a->kind != b->kind || a->kind == LIST_GENERATOR || a->kind == LIST_VALUES)
		return a == b;
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!v_equal(a->items[i], b->items[i]))
			return false;
	return true;
}

static bool dicts_equal(struct value a, struct value b)
{
	if (a.dict->n != b.dict->n)
		return false;
	for (size_t i = 0; i < a.dict->n; i++) {
		const struct value *other = v_get(b, a.dict->keys[i]);
		if (!other || !v_equal(a.dict->values[i], *other))
			return false;
	}
	return true;
}

bool v_equal(struct value a, struct value b)
{
	if (v_is_number(a) && v_is_number(b))
		return a.type == V_FLOAT || b.type == V_FLOAT ?
		               v_number(a) == v_number(b) :
		               (a.type == V_INT ? a.i : a.b) == (b.type == V_INT ? b.i : b.b);
	if (a.type != b.type)
		return false;
	switch (a.type) {
	case V_STRING: return a.str.n == b.str.n && !memcmp(a.str.s, b.str.s, a.str.n);
	case V_LIST: case V_TUPLE: return lists_equal(a.list, b.list);
	case V_DICT: return dicts_equal(a, b);
	case V_UNDEFINED: case V_NONE: return true;
	default: return a.dict == b.dict;
	}
}

const char *v_type_name(struct value v)
{
	static const char *const names[] = { "Undefined", "NoneType", "bool",      "int",   "float",    "str",   "list",
		                             "tuple",     "dict",     "Namespace", "Macro", "function", "method" };
	static const char *const kinds[] = { "list",      "generator",   "range",
		                             "dict_keys", "dict_values", "dict_items" };
	return v.type == V_LIST ? kinds[v.list->kind] : names[v.type];
}

/* UTF-8 sorts bytewise as its code points do. */
static int order_strings(struct value a, struct value b)
{
	int c = memcmp(a.str.s, b.str.s, MIN(a.str.n, b.str.n));
	return c ? c : (a.str.n > b.str.n) - (a.str.n < b.str.n);
}

static int order_lists(const struct vlist *a, const struct vlist *b, int *order, struct err *e)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (!v_equal(a->items[i], b->items[i]))
			return v_order(a->items[i], b->items[i], order, e);
	*order = (a->n > b->n) - (a->n < b->n);
	return 0;
}

int v_order(struct value a, struct value b, int *order, struct err *e)
{
	if (v_is_number(a) && v_is_number(b)) {
		double x = v_number(a), y = v_number(b);
		*order = (x > y) - (x < y);
		return 0;
	}
	if (a.type == V_STRING && b.type == V_STRING) {
		*order = order_strings(a, b);
		return 0;
	}
	if (v_is_plain(a) && v_is_plain(b) && a.type == b.type)
		return order_lists(a.list, b.list, order, e);
	return err_set(e, "'%s' and '%s' cannot be ordered", v_type_name(a), v_type_name(b));
}

size_t v_chars(struct value s) { return utf8_count(s.str.s, s.str.n); }

size_t v_char_at(struct value s, size_t index)
{
	size_t at = 0;
	uint32_t c;

	for (; index && at < s.str.n; index--)
		at += MAX(utf8_decode(s.str.s + at, s.str.n - at, &c), (size_t)1);
	return at;
}

int v_length(struct value v, size_t *n, struct err *e)
{
	switch (v.type) {
	case V_STRING: *n = v_chars(v); return 0;
	case V_LIST: case V_TUPLE: 
		*n = v.list->n;
		return v.list->kind == LIST_GENERATOR ? err_set(e, "a generator has no length") : 0;
	case V_DICT: *n = v.dict->n; return 0;
	case V_UNDEFINED: *n = 0; return 0;
	default: return err_set(e, "object of type '%s' has no length", v_type_name(v));
	}
}

/* A list of them takes fifty times the text's memory. */
enum { CHARACTERS_MAX = 1 << 20 };

static struct value characters(struct arena *a, struct value s)
{
	struct value list = v_list(a, V_LIST, v_chars(s));
	uint32_t c;

	for (size_t at = 0, len; at < s.str.n; at += len) {
		len = MAX(utf8_decode(s.str.s + at, s.str.n - at, &c), (size_t)1);
		v_push(a, list, v_string(a, s.str.s + at, len));
	}
	return list;
}

int v_iterate(struct arena *a, struct value v, struct value *list, struct err *e)
{
	switch (v.type) {
	case V_LIST: case V_TUPLE:
		*list = v.type == V_LIST && v.list->spent ? v_list(a, V_LIST, 0) : v;
		v.list->spent = v.list->kind == LIST_GENERATOR;
		return 0;
	case V_STRING:
		if (v_chars(v) > CHARACTERS_MAX)
			return err_set(e, "a text of more than %d characters is not taken apart", CHARACTERS_MAX);
		*list = characters(a, v);
		return 0;
	case V_UNDEFINED: *list = v_list(a, V_LIST, 0); return 0;
	case V_DICT:
		*list = v_list(a, V_LIST, v.dict->n);
		for (size_t i = 0; i < v.dict->n; i++)
			v_push(a, *list, v.dict->keys[i]);
		return 0;
	default: return err_set(e, "'%s' object is not iterable", v_type_name(v));
	}
}

bool v_contains(struct value whole, struct value part, bool *found)
{
	*found = false;
	if (whole.type == V_STRING) {
		if (part.type == V_STRING)
			*found = memmem(whole.str.s, whole.str.n, part.str.s, part.str.n) != NULL;
		return part.type == V_STRING;
	}
	if (whole.type == V_DICT)
		*found = v_get(whole, part) != NULL;
	for (size_t i = 0; v_is_list(whole) && i < whole.list->n; i++)
		*found |= v_equal(whole.list->items[i], part);
	return v_is_list(whole) || whole.type == V_DICT || whole.type == V_UNDEFINED;
}

/* --- printing --- */

static void print_float(struct buf *out, double f)
{
	char text[40];
	int digits = 1;

	if (isnan(f) || isinf(f)) {
		buf_adds(out, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
		return;
	}
	while (snprintf(text, sizeof(text), "%.*e", digits - 1, f), strtod(text, NULL) != f)
		digits++;
	int exponent = atoi(strchr(text, 'e') + 1);
	if (exponent >= -4 && exponent < 16) {
		snprintf(text, sizeof(text), "%.*f", MAX(digits - 1 - exponent, 0), f);
		buf_addf(out, "%s%s", text, strchr(text, '.') ? "" : ".0");
	} else {
		buf_adds(out, text); /* both languages write at least two digits of the exponent */
	}
}

static void repr_char(struct buf *out, uint32_t c, const char *bytes, size_t n, char quote)
{
	if (c == '\n' || c == '\r' || c == '\t')
		buf_adds(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
	else if (c == '\\' || c == (uint32_t)quote)
		buf_addf(out, "\\%c", (char)c);
	else if (unicode_is_printable(c))
		buf_add(out, bytes, n);
	else
		buf_addf(out, c < 256 ? "\\x%02x" : c < 65536 ? "\\u%04x" : "\\U%08x", c);
}

static void repr_string(struct buf *out, struct value s)
{
	bool single = memchr(s.str.s, '\'', s.str.n) != NULL, twice = memchr(s.str.s, '"', s.str.n) != NULL;
	char quote = single && !twice ? '"' : '\'';

	buf_addc(out, quote);
	for (size_t at = 0, n; at < s.str.n; at += n) {
		uint32_t c = 0xfffd;
		n = MAX(utf8_decode(s.str.s + at, s.str.n - at, &c), (size_t)1);
		repr_char(out, c, s.str.s + at, n, quote);
	}
	buf_addc(out, quote);
}

static void repr_items(struct buf *out, const struct vlist *l)
{
	for (size_t i = 0; i < l->n; i++) {
		buf_adds(out, i ? ", " : "");
		v_repr(out, l->items[i]);
	}
}

static void repr_dict(struct buf *out, const struct vdict *d)
{
	buf_addc(out, '{');
	for (size_t i = 0; i < d->n; i++) {
		buf_adds(out, i ? ", " : "");
		v_repr(out, d->keys[i]);
		buf_adds(out, ": ");
		v_repr(out, d->values[i]);
	}
	buf_addc(out, '}');
}

void v_repr(struct buf *out, struct value v)
{
	switch (v.type) {
	case V_STRING: repr_string(out, v); break;
	case V_NONE: buf_adds(out, "None"); break;
	case V_BOOL: buf_adds(out, v.b ? "True" : "False"); break;
	case V_INT: buf_addf(out, "%lld", (long long)v.i); break;
	case V_FLOAT: print_float(out, v.f); break;
	case V_DICT: repr_dict(out, v.dict); break;
	case V_UNDEFINED: buf_adds(out, "Undefined"); break;
	case V_LIST:
		if (v.list->kind != LIST_PLAIN)
			buf_addf(out, "%s(", v_type_name(v));
		buf_addc(out, '[');
		repr_items(out, v.list);
		buf_adds(out, v.list->kind != LIST_PLAIN ? "])" : "]");
		break;
	case V_TUPLE:
		buf_addc(out, '(');
		repr_items(out, v.list);
		buf_adds(out, v.list->n == 1 ? ",)" : ")");
		break;
	case V_NAMESPACE: case V_MACRO: case V_FUNCTION: case V_METHOD: buf_addf(out, "<%s>", v_type_name(v)); break;
	}
}

void v_print(struct buf *out, struct value v)
{
	if (v.type == V_STRING)
		buf_add(out, v.str.s, v.str.n);
	else if (v.type != V_UNDEFINED)
		v_repr(out, v);
}

static void json_escape(struct buf *out, uint32_t c)
{
	if (c >= 0x10000)
		buf_addf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
	else
		buf_addf(out, "\\u%04x", c);
}

static void json_string_to(struct buf *out, const char *s, size_t n, bool ascii)
{
	static const char plain[] = "\"\\\n\r\t\b\f", letter[] = "\"\\nrtbf";

	buf_addc(out, '"');
	for (size_t i = 0, len; i < n; i += len) {
		const char *at = s[i] ? strchr(plain, s[i]) : NULL;
		uint32_t c = (uint8_t)s[i];
		len = ascii ? MAX(utf8_decode(s + i, n - i, &c), (size_t)1) : 1;
		if (at)
			buf_addf(out, "\\%c", letter[at - plain]);
		else if (c < 0x20 || (ascii && c > 0x7e))
			json_escape(out, c);
		else
			buf_addc(out, s[i]);
	}
	buf_addc(out, '"');
}

struct json_writer { struct buf *out; const struct json_style *style; struct err *e; };

static int json_value(const struct json_writer *w, struct value v, int depth);

/* Between items, before the first and after the last: a line of its own with an indent. */
static void json_break(const struct json_writer *w, int depth, bool first, bool last)
{
	if (!first && !last)
		buf_adds(w->out, w->style->between);
	if (!w->style->indent)
		return;
	buf_addc(w->out, '\n');
	for (int i = last ? 0 : -1; i < depth && !w->out->overflow; i++)
		buf_adds(w->out, w->style->indent);
}

static int json_list(const struct json_writer *w, const struct vlist *l, int depth)
{
	buf_addc(w->out, '[');
	for (size_t i = 0; i < l->n && !w->out->overflow; i++) {
		json_break(w, depth, i == 0, false);
		if (json_value(w, l->items[i], depth + 1) < 0)
			return -1;
	}
	if (l->n)
		json_break(w, depth, false, true);
	buf_addc(w->out, ']');
	return 0;
}

static int json_key(const struct json_writer *w, struct value key)
{
	struct buf text = { .arena = w->out->arena };

	if (key.type == V_BOOL || key.type == V_NONE)
		buf_adds(&text, key.type == V_NONE ? "null" : key.b ? "true" : "false");
	else if (key.type == V_STRING || key.type == V_INT || key.type == V_FLOAT)
		v_print(&text, key);
	else
		return err_set(w->e, "keys of JSON must be text, not %s", v_type_name(key));
	json_string_to(w->out, buf_str(&text), text.len, w->style->ascii);
	buf_release(&text);
	return 0;
}

static int json_dict(const struct json_writer *w, const struct vdict *d, int depth)
{
	buf_addc(w->out, '{');
	for (size_t i = 0; i < d->n && !w->out->overflow; i++) {
		json_break(w, depth, i == 0, false);
		if (json_key(w, d->keys[i]) < 0)
			return -1;
		buf_adds(w->out, w->style->colon);
		if (json_value(w, d->values[i], depth + 1) < 0)
			return -1;
	}
	if (d->n)
		json_break(w, depth, false, true);
	buf_addc(w->out, '}');
	return 0;
}

static int json_value(const struct json_writer *w, struct value v, int depth)
{
	switch (v.type) {
	case V_NONE: buf_adds(w->out, "null"); return 0;
	case V_BOOL: buf_adds(w->out, v.b ? "true" : "false"); return 0;
	case V_INT: v_repr(w->out, v); return 0;
	case V_FLOAT:
		if (isnan(v.f) || isinf(v.f))
			buf_adds(w->out, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
		else
			v_repr(w->out, v);
		return 0;
	case V_STRING: json_string_to(w->out, v.str.s, v.str.n, w->style->ascii); return 0;
	case V_LIST: case V_TUPLE:
		return !v_is_plain(v) ? err_set(w->e, "%s cannot be written as JSON; make it a list", v_type_name(v)) :
		                        json_list(w, v.list, depth);
	case V_DICT: return json_dict(w, v.dict, depth);
	default: return err_set(w->e, "object of type %s cannot be written as JSON", v_type_name(v));
	}
}

int v_json(struct buf *out, struct value v, const struct json_style *style, struct err *e)
{
	struct json_writer w = { out, style, e };
	return json_value(&w, v, 0);
}
