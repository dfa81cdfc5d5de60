/* template_filters: Jinja's filters and tests, as far as chat templates use them; tojson is transformers'. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "template/template_run.h"

/* --- helpers --- */

static int64_t whole(struct value v) { return v.type == V_INT ? v.i : v.b; }

static struct value as_list(const struct call *c)
{
	struct value list;
	struct err why = ERR_INIT;

	if (v_iterate(&c->r->mem, c->self, &list, &why) < 0)
		return run_fail(c->r, "%s", why.msg), v_list(&c->r->mem, V_LIST, 0);
	return list;
}

/* What Jinja's generators give; nothing for whatever is false. */
static struct value as_source(const struct call *c)
{
	return v_true(c->self) ? as_list(c) : v_list(&c->r->mem, V_LIST, 0);
}

static struct value lazy(const struct call *c, size_t cap)
{
	struct value list = v_list(&c->r->mem, V_LIST, cap);
	list.list->kind = LIST_GENERATOR;
	return list;
}

/* The same as a method of the value's text. */
static struct value by_method(const struct call *c, const char *name)
{
	struct call m = *c;
	m.self = run_text(c->r, c->self);
	return template_method(m.self, name)->call(&m);
}

static struct value f_upper(const struct call *c) { return by_method(c, "upper"); }
static struct value f_lower(const struct call *c) { return by_method(c, "lower"); }
static struct value f_capitalize(const struct call *c) { return by_method(c, "capitalize"); }
static struct value f_trim(const struct call *c) { return by_method(c, "strip"); }

static struct value f_replace(const struct call *c)
{
	struct value count = call_arg(c, 2, "count", NONE),
		     args[3] = { run_text(c->r, call_arg(c, 0, "old", NONE)),
		                 run_text(c->r, call_arg(c, 1, "new", NONE)),
		                 count.type == V_NONE ? v_int(-1) : count };
	return by_method(&(struct call){ .r = c->r, .self = c->self, .args = args, .n = 3 }, "replace");
}

static bool between_words(uint32_t c) { return unicode_is_space(c) || (c && c < 0x80 && strchr("-({[<", (char)c)); }

/* Words begin after white space, '-', '(', '{', '[' or '<'; each goes through upper and lower alone. */
static struct value f_title(const struct call *c)
{
	struct value text = run_text(c->r, c->self);
	struct buf out = RUN_TEXT(c->r);
	uint32_t ch;

	for (size_t at = 0, from, n; at < text.str.n;) {
		const char *s = text.str.s;
		n = MAX(utf8_decode(s + at, text.str.n - at, &ch), (size_t)1);
		unicode_recase(&out, s + at, n, UNICODE_UPPER);
		for (from = at += n; !between_words(ch) && at < text.str.n; at += between_words(ch) ? 0 : n)
			n = MAX(utf8_decode(s + at, text.str.n - at, &ch), (size_t)1);
		unicode_recase(&out, s + from, at - from, UNICODE_LOWER);
	}
	return run_take(c->r, &out);
}

static struct value f_length(const struct call *c)
{
	size_t n = 0;
	struct err why = ERR_INIT;

	return v_length(c->self, &n, &why) < 0 ? run_fail(c->r, "length: %s", why.msg) : v_int((int64_t)n);
}

static struct value f_string(const struct call *c) { return run_text(c->r, c->self); }

static struct value f_safe(const struct call *c)
{
	struct value text = run_text(c->r, c->self);
	text.safe = true;
	return text;
}

static struct value f_default(const struct call *c)
{
	bool missing =
		c->self.type == V_UNDEFINED || (v_true(call_arg(c, 1, "boolean", v_bool(false))) && !v_true(c->self));
	return missing ? call_arg(c, 0, "default_value", v_text("")) : c->self;
}

/* --- lists --- */

static struct value f_list(const struct call *c)
{
	struct value from = as_list(c), list = v_list(&c->r->mem, V_LIST, from.list->n);

	for (size_t i = 0; i < from.list->n; i++)
		v_push(&c->r->mem, list, from.list->items[i]);
	return list;
}

static struct value f_first(const struct call *c)
{
	if (c->self.type == V_STRING && c->self.str.n)
		return run_item(c->r, c->self, v_int(0));
	struct value list = as_list(c);
	return list.list->n ? list.list->items[0] : UNDEFINED("the first item of nothing");
}

static struct value f_last(const struct call *c)
{
	if (c->self.type == V_STRING && c->self.str.n)
		return run_item(c->r, c->self, v_int(-1));
	struct value list = as_list(c);
	return list.list->n ? list.list->items[list.list->n - 1] : UNDEFINED("the last item of nothing");
}

static struct value f_reverse(const struct call *c)
{
	struct value from = as_list(c), list = lazy(c, from.list->n);
	struct buf out = RUN_TEXT(c->r);

	for (size_t i = from.list->n; i-- > 0;)
		v_push(&c->r->mem, list, from.list->items[i]);
	if (c->self.type != V_STRING)
		return list;
	for (size_t i = 0; i < list.list->n; i++)
		run_print(c->r, &out, list.list->items[i]);
	return run_take(c->r, &out);
}

/* a.b.0 */
static struct value path(struct run_state *r, struct value v, struct value name)
{
	if (name.type == V_INT)
		return run_item(r, v, name);
	if (name.type != V_STRING)
		return run_fail(r, "an attribute's name is %s, a text was wanted", v_type_name(name));
	for (const char *s = name.str.s; !r->failed; s++) {
		size_t n = strcspn(s, "."), digits = strspn(s, "0123456789");
		v = run_item(r, v, n && digits == n ? v_int(strtol(s, NULL, 10)) : v_string(&r->mem, s, n));
		s += n;
		if (!*s)
			break;
	}
	return v;
}

static struct value f_attr(const struct call *c)
{
	struct value name = c->n ? c->args[0] : c->named[0];
	return c->self.type == V_DICT ? run_method(c->r, c->self, name.str.s) :
	                                run_attribute(c->r, c->self, name.str.s);
}

static struct value f_join(const struct call *c)
{
	struct value list = as_list(c), by = run_text(c->r, call_arg(c, 0, "d", v_text(""))),
		     attribute = call_arg(c, 1, "attribute", NONE);
	struct buf out = RUN_TEXT(c->r);

	for (size_t i = 0; i < list.list->n; i++) {
		buf_add(&out, by.str.s, i ? by.str.n : 0);
		run_print(c->r, &out,
		        attribute.type == V_NONE ? list.list->items[i] : path(c->r, list.list->items[i], attribute));
	}
	return run_take(c->r, &out);
}

static struct value f_map(const struct call *c)
{
	struct value from = as_source(c), list = lazy(c, from.list->n),
		     attribute = call_arg(c, SIZE_MAX, "attribute", NONE);
	struct value name = call_arg(c, 0, NULL, NONE),
		     init = call_arg(c, SIZE_MAX, "default", UNDEFINED("an attribute"));

	bool by_attribute = c->n == 0 && c->n_named && attribute.type != V_NONE;
	for (size_t k = 0; by_attribute && k < c->n_named; k++)
		if (strcmp(c->names[k], "attribute") != 0 && strcmp(c->names[k], "default") != 0)
			return run_fail(c->r, "map takes no argument '%.60s' beside attribute", c->names[k]);
	if (!by_attribute && name.type != V_STRING)
		return run_fail(c->r, "map wants a filter's name or attribute= alone");
	for (size_t i = 0; i < from.list->n && !c->r->failed; i++) {
		struct value v = from.list->items[i];
		v = by_attribute ? path(c->r, v, attribute) :
		                               run_filter(c, name.str.s, v, 1);
		v_push(&c->r->mem, list, by_attribute && v.type == V_UNDEFINED ? init : v);
	}
	return list;
}

/* Items for which a test holds; `attribute`: the first argument names what is tested. */
static struct value choose(const struct call *c, bool attribute, bool want)
{
	struct value from = as_source(c), list = lazy(c, from.list->n);
	size_t skip = attribute ? 1 : 0;
	struct value test = call_arg(c, skip, NULL, NONE);

	if (attribute && (!c->n || (c->args[0].type != V_STRING && c->args[0].type != V_INT)))
		return run_fail(c->r, "selectattr and rejectattr want an attribute's name");
	if (c->n > skip && test.type != V_STRING)
		return run_fail(c->r, "a test's name is %s, a text was wanted", v_type_name(test));
	if (c->n <= skip && c->n_named)
		return run_fail(c->r, "'%.60s' is an argument of no test", c->names[0]);
	for (size_t i = 0; i < from.list->n && !c->r->failed; i++) {
		struct value v = attribute ? path(c->r, from.list->items[i], c->args[0]) : from.list->items[i];
		bool holds = test.type == V_STRING ?
		                     run_test(c, test.str.s, v, skip + 1) :
		                     v_true(v);
		if (holds == want)
			v_push(&c->r->mem, list, from.list->items[i]);
	}
	return list;
}

static struct value f_select(const struct call *c) { return choose(c, false, true); }
static struct value f_reject(const struct call *c) { return choose(c, false, false); }
static struct value f_selectattr(const struct call *c) { return choose(c, true, true); }
static struct value f_rejectattr(const struct call *c) { return choose(c, true, false); }

static struct value sort_key(const struct call *c, struct value v, bool exact)
{
	return v.type == V_STRING && !exact ? by_method(&(struct call){ .r = c->r, .self = v }, "lower") : v;
}

/* Key i of what is compared: the item or its attribute, texts in small letters unless case_sensitive. */
static struct value key_of(const struct call *c, struct value item, struct value attribute, struct value exact)
{
	return sort_key(c, attribute.type == V_NONE ? item : path(c->r, item, attribute), v_true(exact));
}

static struct value f_unique(const struct call *c)
{
	struct value from = as_list(c), list = lazy(c, from.list->n), keys = v_list(&c->r->mem, V_LIST, from.list->n);
	struct value exact = call_arg(c, 0, "case_sensitive", v_bool(false)),
		     attribute = call_arg(c, 1, "attribute", NONE);

	for (size_t i = 0; i < from.list->n && !c->r->failed; i++) {
		struct value key = key_of(c, from.list->items[i], attribute, exact);
		if (!v_hashable(key))
			return run_fail(c->r, "unique: a %s cannot be hashed", v_type_name(key));
		bool seen = false;
		for (size_t j = 0; j < keys.list->n && !seen && run_steps(c->r, 1 + v_weight(key) / 64); j++)
			seen = v_equal(keys.list->items[j], key);
		if (seen)
			continue;
		v_push(&c->r->mem, list, from.list->items[i]);
		v_push(&c->r->mem, keys, key);
	}
	return list;
}

/* Stable insertion sort: lists in templates are short; the run's steps bound it. */
static void sort_items(const struct call *c, struct value *items, const struct value *keys_of, size_t n, bool down)
{
	struct value *keys = arena_array(&c->r->mem, n + 1, sizeof(*keys));
	struct err why = ERR_INIT;

	memcpy(keys, keys_of, n * sizeof(*keys));
	for (size_t i = 1; i < n && !c->r->failed; i++) {
		struct value item = items[i], key = keys[i];
		size_t j = i;
		for (int order; j > 0 && run_steps(c->r, 1 + v_weight(key) / 64); j--) {
			if (v_order(keys[j - 1], key, &order, &why) < 0) {
				run_fail(c->r, "sort: %s", why.msg);
				return;
			}
			if (down ? order >= 0 : order <= 0)
				break;
			items[j] = items[j - 1];
			keys[j] = keys[j - 1];
		}
		items[j] = item;
		keys[j] = key;
	}
}

/* The key of sort: an attribute may name several, with commas, of which a tuple is made. */
static struct value sort_keys(const struct call *c, struct value item, struct value attribute, bool exact)
{
	if (attribute.type != V_STRING || !memchr(attribute.str.s, ',', attribute.str.n))
		return key_of(c, item, attribute, v_bool(exact));
	struct value key = v_list(&c->r->mem, V_TUPLE, 2);
	for (const char *s = attribute.str.s;; s++) {
		size_t n = strcspn(s, ",");
		v_push(&c->r->mem, key, key_of(c, item, v_string(&c->r->mem, s, n), v_bool(exact)));
		s += n;
		if (!*s)
			return key;
	}
}

static struct value f_sort(const struct call *c)
{
	struct value list = f_list(c), attribute = call_arg(c, 2, "attribute", NONE);
	bool down = v_true(call_arg(c, 0, "reverse", v_bool(false))),
	     exact = v_true(call_arg(c, 1, "case_sensitive", v_bool(false)));
	struct value *keys = arena_array(&c->r->mem, list.list->n + 1, sizeof(*keys));

	for (size_t i = 0; i < list.list->n; i++)
		keys[i] = sort_keys(c, list.list->items[i], attribute, exact);
	sort_items(c, list.list->items, keys, list.list->n, down);
	return list;
}

static struct value f_items(const struct call *c)
{
	if (c->self.type == V_UNDEFINED)
		return lazy(c, 0);
	if (c->self.type != V_DICT)
		return run_fail(c->r, "items wants a dict, not %s", v_type_name(c->self));
	struct value list = template_method(c->self, "items")->call(&(struct call){ .r = c->r, .self = c->self });
	list.list->kind = LIST_GENERATOR;
	return list;
}

static struct value f_dictsort(const struct call *c)
{
	struct value list = f_items(c), by = call_arg(c, 1, "by", v_text("key"));
	bool exact = v_true(call_arg(c, 0, "case_sensitive", v_bool(false))),
	     down = v_true(call_arg(c, 2, "reverse", v_bool(false)));

	if (c->self.type == V_UNDEFINED)
		return run_undefined(c->r, c->self);
	if (!v_equal(by, v_text("key")) && !v_equal(by, v_text("value")))
		return run_fail(c->r, "dictsort: by is key or value");
	if (c->r->failed)
		return list;
	list = f_list(&(struct call){ .r = c->r, .self = list });
	struct value *keys = arena_array(&c->r->mem, list.list->n + 1, sizeof(*keys));
	for (size_t i = 0; i < list.list->n; i++)
		keys[i] = sort_key(c, list.list->items[i].list->items[v_equal(by, v_text("value"))], exact);
	sort_items(c, list.list->items, keys, list.list->n, down);
	return list;
}

static struct value f_sum(const struct call *c)
{
	struct value list = as_list(c), attribute = call_arg(c, 0, "attribute", NONE),
		     sum = call_arg(c, 1, "start", v_int(0));

	if (sum.type == V_STRING)
		return run_fail(c->r, "sum: texts are not summed, but joined");
	for (size_t i = 0; i < list.list->n; i++) {
		struct value v =
			attribute.type == V_NONE ? list.list->items[i] : path(c->r, list.list->items[i], attribute);
		if (!v_is_number(v) || !v_is_number(sum))
			return run_fail(c->r, "sum: %s is no number", v_type_name(v));
		if (v.type == V_FLOAT || sum.type == V_FLOAT)
			sum = v_float(v_number(v) + v_number(sum));
		else if (__builtin_add_overflow(whole(v), whole(sum), &sum.i))
			return run_fail(c->r, "a whole number grows too large");
		else
			sum.type = V_INT;
	}
	return sum;
}

static struct value extreme(const struct call *c, int sign)
{
	struct value list = as_list(c), attribute = call_arg(c, 1, "attribute", NONE),
		     exact = call_arg(c, 0, "case_sensitive", v_bool(false)),
		     best = UNDEFINED("the best of nothing"), best_key = NONE;
	struct err why = ERR_INIT;

	for (size_t i = 0; i < list.list->n; i++) {
		struct value key = key_of(c, list.list->items[i], attribute, exact);
		int order = -1;
		if (!run_charge(c->r, best_key, key))
			return best;
		if (i && v_order(best_key, key, &order, &why) < 0)
			return run_fail(c->r, "%s", why.msg);
		if (!i || order * sign < 0) {
			best = list.list->items[i];
			best_key = key;
		}
	}
	return best;
}

/* Rows of so many items, the last one filled up. */
static struct value f_batch(const struct call *c)
{
	struct value from = as_list(c), rows = lazy(c, 8), row = v_list(&c->r->mem, V_LIST, 8),
		     with = call_arg(c, 1, "fill_with", NONE);
	int64_t width = whole(call_arg(c, 0, "linecount", NONE));

	for (size_t i = 0; i < from.list->n && run_steps(c->r, 1); i++) {
		if ((int64_t)row.list->n == width) {
			v_push(&c->r->mem, rows, row);
			row = v_list(&c->r->mem, V_LIST, 8);
		}
		v_push(&c->r->mem, row, from.list->items[i]);
	}
	while (row.list->n && with.type != V_NONE && (int64_t)row.list->n < width && run_steps(c->r, 1))
		v_push(&c->r->mem, row, with);
	if (row.list->n)
		v_push(&c->r->mem, rows, row);
	return rows;
}

/* So many columns, the first ones longer by one where it does not come out even, or the others filled up. */
static struct value f_slice(const struct call *c)
{
	struct value from = as_list(c), columns = lazy(c, 8), with = call_arg(c, 1, "fill_with", NONE);
	int64_t n = whole(call_arg(c, 0, "slices", NONE)), size = (int64_t)from.list->n;
	size_t at = 0;

	if (n == 0)
		return run_fail(c->r, "slice: no columns");
	for (int64_t k = 0; k < n && run_steps(c->r, 1); k++) {
		struct value column = v_list(&c->r->mem, V_LIST, 8);
		for (int64_t i = 0; i < size / n + (k < size % n) && run_steps(c->r, 1); i++)
			v_push(&c->r->mem, column, from.list->items[at++]);
		if (with.type != V_NONE && k >= size % n)
			v_push(&c->r->mem, column, with);
		v_push(&c->r->mem, columns, column);
	}
	return columns;
}

static struct value f_max(const struct call *c) { return extreme(c, 1); }
static struct value f_min(const struct call *c) { return extreme(c, -1); }

/* --- numbers --- */

static struct value whole_of(const struct call *c, double f)
{
	return f > -0x1p63 && f < 0x1p63 ? v_int((int64_t)f) : run_fail(c->r, "%g is too large for a whole number", f);
}

/* May '_' stand between them? Between digits, which in a base of int() may be letters. */
static bool are_digits(uint32_t a, uint32_t b, int64_t base)
{
	return base == 10 ? unicode_is_decimal(a) && unicode_is_decimal(b) :
	                    unicode_is_alnum(a) && unicode_is_alnum(b);
}

/* A text's number as C reads it: without white space at its ends, Unicode's digits as ASCII's, and no '_' between two
 * digits. Empty where C would take what Python refuses: nan(x), 0x1p3, the separators U+001C to U+001F at the ends. */
static struct value number_text(const struct call *c, int64_t base)
{
	struct buf out = RUN_TEXT(c->r);
	const char *s = c->self.str.s;
	size_t n = c->self.str.n;
	uint32_t ch = 0, last = 0, following = 0;
	bool bad = false;

	for (size_t i = 0; i < n; i++)
		bad |= (s[i] >= 0x1C && s[i] <= 0x1F) || !s[i] || s[i] == '(' ||
		       (base == 10 && (s[i] == 'x' || s[i] == 'X'));
	unicode_strip(&s, &n);
	for (size_t at = 0, k; at < n && !bad; at += k, last = ch) {
		k = MAX(utf8_decode(s + at, n - at, &ch), (size_t)1);
		if (ch == '_' && at + k < n && utf8_decode(s + at + k, n - at - k, &following) &&
		    are_digits(last, following, base))
			continue;
		if (unicode_is_decimal(ch))
			buf_addc(&out, (char)('0' + unicode_decimal_value(ch)));
		else
			buf_add(&out, s + at, k);
	}
	return run_take(c->r, &out);
}

static struct value f_int(const struct call *c)
{
	struct value init = call_arg(c, 0, "default", v_int(0)), base = call_arg(c, 1, "base", v_int(10));
	char *end;

	if (c->self.type == V_FLOAT)
		return whole_of(c, c->self.f);
	if (v_is_number(c->self))
		return v_int(whole(c->self));
	if (c->self.type != V_STRING)
		return c->self.type == V_UNDEFINED ? run_undefined(c->r, c->self) : init;
	if (base.type != V_INT || (base.i != 0 && (base.i < 2 || base.i > 36)))
		return run_fail(c->r, "int: the base is not from 2 to 36");
	struct value text = number_text(c, base.i);
	errno = 0;
	long long i = strtoll(text.str.s, &end, (int)base.i);
	if (text.str.n && !*end)
		return errno ? run_fail(c->r, "a whole number grows too large") : v_int(i);
	text = number_text(c, 10);
	double real = strtod(text.str.s, &end);
	return text.str.n && !*end && isfinite(real) ? whole_of(c, real) : init;
}

static struct value f_float(const struct call *c)
{
	struct value init = call_arg(c, 0, "default", v_float(0));
	char *end;

	if (v_is_number(c->self))
		return v_float(v_number(c->self));
	if (c->self.type == V_UNDEFINED)
		return run_undefined(c->r, c->self);
	struct value text = c->self.type == V_STRING ? number_text(c, 10) : v_text("");
	double real = strtod(text.str.s, &end);
	return text.str.n && !*end ? v_float(real) : init;
}

static struct value f_abs(const struct call *c)
{
	if (!v_is_number(c->self))
		return run_fail(c->r, "abs: %s is no number", v_type_name(c->self));
	if (c->self.type == V_FLOAT)
		return v_float(fabs(c->self.f));
	return whole(c->self) == INT64_MIN ? run_fail(c->r, "a whole number grows too large") :
	                                     v_int(llabs(whole(c->self)));
}

/* Halves to even, of the exact value, as Python's round(). */
static double rounded(double x, int64_t digits)
{
	char text[400];

	if (digits < 0)
		return nearbyint(x / pow(10, (double)-digits)) * pow(10, (double)-digits);
	snprintf(text, sizeof(text), "%.*f", (int)digits, x);
	return strtod(text, NULL);
}

static struct value f_round(const struct call *c)
{
	struct value precision = call_arg(c, 0, "precision", v_int(0)),
		     method = call_arg(c, 1, "method", v_text("common"));
	int64_t digits = v_is_number(precision) && precision.type != V_FLOAT ? whole(precision) : INT64_MAX;

	if (!v_is_number(c->self) || digits > 30 || digits < -30)
		return run_fail(c->r, "round wants a number and at most 30 digits, not %s", v_type_name(c->self));
	if (v_equal(method, v_text("common"))) {
		double x = rounded(v_number(c->self), digits);
		return c->self.type == V_FLOAT ? v_float(x) : digits >= 0 ? v_int(whole(c->self)) : whole_of(c, x);
	}
	if (!v_equal(method, v_text("ceil")) && !v_equal(method, v_text("floor")))
		return run_fail(c->r, "round: a method common, ceil or floor was wanted");
	double scale = pow(10, (double)digits), x = v_number(c->self) * scale;
	return v_float((v_equal(method, v_text("ceil")) ? ceil(x) : floor(x)) / scale);
}

/* --- JSON --- */

/* The same with the keys of every dict in order. */
static struct value with_sorted_keys(const struct call *c, struct value v)
{
	struct value copy = v;

	if (!run_steps(c->r, 1))
		return v;
	if (v_is_list(v)) {
		copy = v_list(&c->r->mem, v.type, v.list->n);
		copy.list->kind = v.list->kind;
		for (size_t i = 0; i < v.list->n; i++)
			v_push(&c->r->mem, copy, with_sorted_keys(c, v.list->items[i]));
	} else if (v.type == V_DICT) {
		struct value keys = v_list(&c->r->mem, V_LIST, v.dict->n);
		copy = v_dict(&c->r->mem);
		for (size_t i = 0; i < v.dict->n; i++)
			v_push(&c->r->mem, keys, v.dict->keys[i]);
		sort_items(c, keys.list->items, keys.list->items, keys.list->n, false);
		for (size_t i = 0; i < keys.list->n; i++)
			v_set(&c->r->mem, copy, keys.list->items[i],
			      with_sorted_keys(c, *v_get(v, keys.list->items[i])));
	}
	return copy;
}

static const char *json_indent(const struct call *c)
{
	struct value indent = call_arg(c, 1, "indent", NONE);

	if (indent.type == V_NONE || indent.type == V_UNDEFINED)
		return NULL;
	if (indent.type == V_STRING)
		return indent.str.s;
	if (!v_is_number(indent) || indent.type == V_FLOAT || whole(indent) > 64)
		return run_fail(c->r, "tojson: an indent of at most 64 was wanted"), NULL;
	return arena_printf(&c->r->mem, "%*s", (int)MAX(whole(indent), 0), "");
}

/* transformers': tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False). */
static struct value f_tojson(const struct call *c)
{
	struct value separators = call_arg(c, 2, "separators", NONE), self = c->self;
	struct json_style style = { .indent = json_indent(c),
		                    .colon = ": ",
		                    .ascii = v_true(call_arg(c, 0, "ensure_ascii", v_bool(false))) };
	struct buf out = RUN_TEXT(c->r);
	struct err why = ERR_INIT;

	style.between = style.indent ? "," : ", ";
	if (v_is_list(separators) && separators.list->n == 2 && separators.list->items[0].type == V_STRING &&
	    separators.list->items[1].type == V_STRING) {
		style.between = separators.list->items[0].str.s;
		style.colon = separators.list->items[1].str.s;
	} else if (separators.type != V_NONE) {
		return run_fail(c->r, "tojson: two texts were wanted as separators");
	}
	if (v_true(call_arg(c, 3, "sort_keys", v_bool(false))))
		self = with_sorted_keys(c, self);
	if (v_json(&out, self, &style, &why) < 0) {
		buf_release(&out);
		return run_fail(c->r, "tojson: %s", why.msg);
	}
	return run_take(c->r, &out);
}

/* --- text --- */

static struct value f_escape(const struct call *c)
{
	return run_escaped(c->r, run_text(c->r, c->self));
}

static struct value f_forceescape(const struct call *c)
{
	struct value text = run_text(c->r, c->self);
	text.safe = false;
	return run_escaped(c->r, text);
}

static struct value f_center(const struct call *c)
{
	struct value width = call_arg(c, 0, "width", v_int(80));
	return by_method(&(struct call){ .r = c->r, .self = c->self, .args = &width, .n = 1 }, "center");
}

/* A text that is longer than length + leeway is cut before a space, or anywhere where words may be killed. */
static struct value f_truncate(const struct call *c)
{
	struct value end = call_arg(c, 2, "end", v_text("...")), slack = call_arg(c, 3, "leeway", NONE), text = c->self;
	int64_t length = whole(call_arg(c, 0, "length", v_int(255))), leeway = slack.type == V_NONE ? 5 : whole(slack),
		room = length - (int64_t)v_chars(end);

	if (text.type != V_STRING || text.safe)
		return run_fail(c->r, "truncate: a plain text was wanted, not %s", v_type_name(text));
	if (room < 0 || leeway < 0)
		return run_fail(c->r, "truncate: the length is less than that of the end, or the leeway negative");
	if ((int64_t)v_chars(text) - length <= leeway)
		return text;
	text.str.n = v_char_at(text, (size_t)room);
	const char *space = memrchr(text.str.s, ' ', text.str.n);
	if (space && !v_true(call_arg(c, 1, "killwords", v_bool(false))))
		text.str.n = (size_t)(space - text.str.s);
	return run_binary(c->r, "~", v_string(&c->r->mem, text.str.s, text.str.n), end);
}

/* %XX for what is no letter, digit or one of _.-~/ */
static struct value f_urlencode(const struct call *c)
{
	struct buf out = RUN_TEXT(c->r);

	if (v_is_list(c->self) || c->self.type == V_DICT)
		return run_fail(c->r, "urlencode: only texts and numbers are known here, not %s", v_type_name(c->self));
	struct value text = run_text(c->r, c->self);
	for (size_t i = 0; i < text.str.n; i++) {
		uint8_t b = (uint8_t)text.str.s[i];
		bool plain = b < 128 && b && (strchr("_.-~/", b) || (b >= '0' && b <= '9') ||
		                              ((b | 32) >= 'a' && (b | 32) <= 'z'));
		buf_addf(&out, plain ? "%c" : "%%%02X", b);
	}
	return run_take(c->r, &out);
}

/* Lines as Python's splitlines has them, joined by \n; the first and empty ones as the arguments say. */
static struct value f_indent(const struct call *c)
{
	struct value width = call_arg(c, 0, "width", v_int(4)), by = width;
	bool first = v_true(call_arg(c, 1, "first", v_bool(false))),
	     blank = v_true(call_arg(c, 2, "blank", v_bool(false)));
	struct buf out = RUN_TEXT(c->r);

	if (c->self.type != V_STRING)
		return run_fail(c->r, "indent: a text was wanted, not %s", v_type_name(c->self));
	if (width.type != V_STRING)
		by = run_binary(c->r, "*", v_text(" "), width);
	struct value text = run_binary(c->r, "~", c->self, v_text("\n")),
		     lines = by_method(&(struct call){ .r = c->r, .self = text }, "splitlines");
	for (size_t i = 0; i < lines.list->n && !c->r->failed; i++) {
		struct value line = lines.list->items[i];
		buf_adds(&out, i ? "\n" : "");
		if (i ? blank || line.str.n : first)
			buf_add(&out, by.str.s, by.str.n);
		buf_add(&out, line.str.s, line.str.n);
	}
	return run_take(c->r, &out);
}

/* Runs of what regular expressions call \w. */
static struct value f_wordcount(const struct call *c)
{
	struct value text = run_text(c->r, c->self);
	bool in_word = false, is;
	uint32_t ch = 0;
	int64_t words = 0;

	for (size_t at = 0; at < text.str.n; in_word = is) {
		at += MAX(utf8_decode(text.str.s + at, text.str.n - at, &ch), (size_t)1);
		is = ch == '_' || unicode_is_alnum(ch);
		words += is && !in_word;
	}
	return v_int(words);
}

/* One conversion of format: flags and width (spec, without the letter), the letter, the value; false: not possible. */
static bool format_one(const struct call *c, struct buf *out, const char *spec, char kind, struct value v)
{
	char full[24];

	if (kind == 's' || kind == 'r') {
		struct buf text = RUN_TEXT(c->r);
		if (v_opaque(v))
			run_fail(c->r, "%s is not printed here", v_type_name(v));
		(kind == 's' ? v_print : v_repr)(&text, v);
		struct value shown = run_take(c->r, &text);
		snprintf(full, sizeof(full), "%ss", spec);
		if (!strcmp(full, "%s"))
			buf_add(out, shown.str.s, shown.str.n);
		else if (v_chars(shown) == shown.str.n) /* C counts bytes */
			buf_addf(out, full, shown.str.s);
		else
			return false;
		return true;
	}
	if (!v_is_number(v) || (kind != 'd' && v.type == V_FLOAT && strchr("ixX", kind)))
		return false;
	if (strchr("dixX", kind)) {
		struct value i = v.type == V_FLOAT ? whole_of(c, v.f) : v_int(whole(v));
		if (c->r->failed || (i.i < 0 && strchr("xX", kind)))
			return false;
		snprintf(full, sizeof(full), "%sll%c", spec, kind);
		buf_addf(out, full, (long long)i.i);
		return true;
	}
	snprintf(full, sizeof(full), "%s%c", spec, kind);
	buf_addf(out, full, v_number(v));
	return true;
}

/* Flags, width and precision; their numbers have at most three digits. */
static size_t format_spec(const char *s, size_t n)
{
	size_t i = 1;

	while (i < n && s[i] && strchr("-+ #0", s[i]))
		i++;
	for (int part = 0; part < 2; part++) {
		for (int digits = 0; digits < 3 && i < n && s[i] >= '0' && s[i] <= '9'; digits++)
			i++;
		if (part == 0 && i < n && s[i] == '.')
			i++;
		else
			break;
	}
	return i;
}

/* "%s has %d" | format(a, b): plain conversions alone. */
static struct value f_format(const struct call *c)
{
	struct value text = run_text(c->r, c->self);
	struct buf out = RUN_TEXT(c->r);
	size_t next = 0;

	if (c->n_named)
		return run_fail(c->r, "format: values by name are not known here");
	for (size_t i = 0; i < text.str.n; i++) {
		if (text.str.s[i] != '%') {
			buf_addc(&out, text.str.s[i]);
			continue;
		}
		size_t n = format_spec(text.str.s + i, text.str.n - i);
		char kind = i + n < text.str.n ? text.str.s[i + n] : 0, spec[20];
		if (kind == '%') {
			buf_addc(&out, '%');
		} else {
			struct value v = next < c->n ? c->args[next] : UNDEFINED("an argument of format");
			snprintf(spec, sizeof(spec), "%.*s", (int)n, text.str.s + i);
			if (n >= 14 || !kind || !strchr("srdixXfeEgG", kind) || next++ >= c->n ||
			    !format_one(c, &out, spec, kind, v)) {
				buf_release(&out);
				return run_fail(c->r, "format: '%s%c' cannot show %s", spec, kind ? kind : '?',
				                v_type_name(v));
			}
		}
		i += n;
	}
	if (next == c->n)
		return run_take(c->r, &out);
	buf_release(&out);
	return run_fail(c->r, "format: %zu values for %zu places", c->n, next);
}

static const struct function filters[] = {
	{ "tojson", f_tojson, "ensure_ascii:a? indent:nis? separators:nl? sort_keys:a?" },
	{ "trim", f_trim, "chars:sn?" },
	{ "length", f_length, NULL },
	{ "count", f_length, NULL },
	{ "string", f_string, NULL },
	{ "default", f_default, "default_value:a? boolean:a?" },
	{ "d", f_default, "default_value:a? boolean:a?" },
	{ "upper", f_upper, NULL },
	{ "lower", f_lower, NULL },
	{ "capitalize", f_capitalize, NULL },
	{ "title", f_title, NULL },
	{ "replace", f_replace, "old:a new:a count:in?" },
	{ "safe", f_safe, NULL },
	{ "list", f_list, NULL },
	{ "first", f_first, NULL },
	{ "last", f_last, NULL },
	{ "reverse", f_reverse, NULL },
	{ "join", f_join, "d:a? attribute:nsi?" },
	{ "map", f_map, "* **" },
	{ "select", f_select, "* **" },
	{ "reject", f_reject, "* **" },
	{ "selectattr", f_selectattr, "* **" },
	{ "rejectattr", f_rejectattr, "* **" },
	{ "unique", f_unique, "case_sensitive:a? attribute:nsi?" },
	{ "sort", f_sort, "reverse:i? case_sensitive:a? attribute:nsi?" },
	{ "items", f_items, NULL },
	{ "dictsort", f_dictsort, "case_sensitive:a? by:s? reverse:i?" },
	{ "sum", f_sum, "attribute:nsi? start:a?" },
	{ "min", f_min, "case_sensitive:a? attribute:nsi?" },
	{ "max", f_max, "case_sensitive:a? attribute:nsi?" },
	{ "int", f_int, "default:a? base:i?" },
	{ "float", f_float, "default:a?" },
	{ "abs", f_abs, NULL },
	{ "round", f_round, "precision:i? method:s?" },
	{ "escape", f_escape, NULL },
	{ "e", f_escape, NULL },
	{ "indent", f_indent, "width:is? first:a? blank:a?" },
	{ "wordcount", f_wordcount, NULL },
	{ "attr", f_attr, "name:s" },
	{ "format", f_format, "* **" },
	{ "batch", f_batch, "linecount:i fill_with:a?" },
	{ "center", f_center, "width:i?" },
	{ "filesizeformat", NULL, NULL },
	{ "forceescape", f_forceescape, NULL },
	{ "groupby", NULL, NULL },
	{ "pprint", NULL, NULL },
	{ "random", NULL, NULL },
	{ "slice", f_slice, "slices:i fill_with:a?" },
	{ "striptags", NULL, NULL },
	{ "truncate", f_truncate, "length:i? killwords:a? end:s? leeway:in?" },
	{ "urlencode", f_urlencode, NULL },
	{ "urlize", NULL, NULL },
	{ "wordwrap", NULL, NULL },
	{ "xmlattr", NULL, NULL },
};

/* --- tests --- */

static struct value t_defined(const struct call *c) { return v_bool(c->self.type != V_UNDEFINED); }
static struct value t_undefined(const struct call *c) { return v_bool(c->self.type == V_UNDEFINED); }
static struct value t_none(const struct call *c) { return v_bool(c->self.type == V_NONE); }
static struct value t_boolean(const struct call *c) { return v_bool(c->self.type == V_BOOL); }
static struct value t_true(const struct call *c) { return v_bool(c->self.type == V_BOOL && c->self.b); }
static struct value t_false(const struct call *c) { return v_bool(c->self.type == V_BOOL && !c->self.b); }
static struct value t_integer(const struct call *c) { return v_bool(c->self.type == V_INT); }
static struct value t_float(const struct call *c) { return v_bool(c->self.type == V_FLOAT); }
static struct value t_number(const struct call *c) { return v_bool(v_is_number(c->self)); }
static struct value t_string(const struct call *c) { return v_bool(c->self.type == V_STRING); }
static struct value t_mapping(const struct call *c) { return v_bool(c->self.type == V_DICT); }
static struct value t_iterable(const struct call *c)
{
	return v_bool(c->self.type == V_STRING || v_is_list(c->self) || c->self.type == V_DICT ||
	              c->self.type == V_UNDEFINED);
}
static struct value t_sequence(const struct call *c)
{
	return v_bool(c->self.type == V_STRING || v_is_plain(c->self) ||
	              (c->self.type == V_LIST && c->self.list->kind == LIST_RANGE) || c->self.type == V_DICT ||
	              c->self.type == V_UNDEFINED);
}
static bool is_called(struct value v) { return v.type >= V_MACRO || v.type == V_UNDEFINED; } /* as Jinja has it */
static struct value t_callable(const struct call *c) { return v_bool(is_called(c->self)); }

static struct value t_sameas(const struct call *c)
{
	struct value other = call_arg(c, 0, "other", NONE);

	if (c->self.type != other.type || c->self.type == V_UNDEFINED)
		return v_bool(false);
	if (c->self.type == V_LIST || c->self.type == V_DICT)
		return v_bool(v_is_list(c->self) ? c->self.list == other.list : c->self.dict == other.dict);
	return v_bool(run_charge(c->r, c->self, other) && v_equal(c->self, other));
}

static bool is_equal(const struct call *c)
{
	struct value other = call_arg(c, 0, NULL, NONE);
	return run_charge(c->r, c->self, other) && v_equal(c->self, other);
}

static struct value t_eq(const struct call *c) { return v_bool(is_equal(c)); }
static struct value t_ne(const struct call *c) { return v_bool(!is_equal(c)); }

static int order_of(const struct call *c)
{
	struct value other = call_arg(c, 0, NULL, NONE);
	struct err why = ERR_INIT;
	int order = 0;

	if (run_charge(c->r, c->self, other) && v_order(c->self, other, &order, &why) < 0)
		run_fail(c->r, "%s", why.msg);
	return order;
}

static struct value t_lt(const struct call *c) { return v_bool(order_of(c) < 0); }
static struct value t_le(const struct call *c) { return v_bool(order_of(c) <= 0); }
static struct value t_gt(const struct call *c) { return v_bool(order_of(c) > 0); }
static struct value t_ge(const struct call *c) { return v_bool(order_of(c) >= 0); }

static struct value t_in(const struct call *c)
{
	return v_bool(run_holds(c->r, "in", c->self, call_arg(c, 0, "seq", NONE)));
}

static struct value remainder_is(const struct call *c, struct value by, int64_t want)
{
	if (!v_is_number(c->self))
		return run_fail(c->r, "a number was wanted, not %s", v_type_name(c->self));
	return v_bool(v_equal(run_binary(c->r, "%", c->self, by), v_int(want)));
}

static struct value t_odd(const struct call *c) { return remainder_is(c, v_int(2), 1); }
static struct value t_even(const struct call *c) { return remainder_is(c, v_int(2), 0); }
static struct value t_divisibleby(const struct call *c) { return remainder_is(c, call_arg(c, 0, "num", NONE), 0); }
static struct value t_escaped(const struct call *c) { return v_bool(c->self.type == V_STRING && c->self.safe); }

static struct value t_lower(const struct call *c) { return by_method(c, "islower"); }
static struct value t_upper(const struct call *c) { return by_method(c, "isupper"); }

static const struct function tests[] = {
	{ "defined", t_defined, NULL },
	{ "undefined", t_undefined, NULL },
	{ "none", t_none, NULL },
	{ "boolean", t_boolean, NULL },
	{ "true", t_true, NULL },
	{ "false", t_false, NULL },
	{ "integer", t_integer, NULL },
	{ "float", t_float, NULL },
	{ "number", t_number, NULL },
	{ "string", t_string, NULL },
	{ "mapping", t_mapping, NULL },
	{ "iterable", t_iterable, NULL },
	{ "sequence", t_sequence, NULL },
	{ "callable", t_callable, NULL },
	{ "sameas", t_sameas, "other:a" },
	{ "eq", t_eq, "/other:a" },
	{ "equalto", t_eq, "/other:a" },
	{ "ne", t_ne, "/other:a" },
	{ "lt", t_lt, "/other:a" },
	{ "lessthan", t_lt, "/other:a" },
	{ "le", t_le, "/other:a" },
	{ "gt", t_gt, "/other:a" },
	{ "greaterthan", t_gt, "/other:a" },
	{ "ge", t_ge, "/other:a" },
	{ "in", t_in, "seq:a" },
	{ "odd", t_odd, NULL },
	{ "even", t_even, NULL },
	{ "divisibleby", t_divisibleby, "num:if" },
	{ "lower", t_lower, NULL },
	{ "upper", t_upper, NULL },
	{ "escaped", t_escaped, NULL },
	{ "==", t_eq, "/other:a" },
	{ "!=", t_ne, "/other:a" },
	{ "<", t_lt, "/other:a" },
	{ "<=", t_le, "/other:a" },
	{ ">", t_gt, "/other:a" },
	{ ">=", t_ge, "/other:a" },
};

const struct function *run_look_up(const struct function *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

const struct function *template_filter(const char *name) { return run_look_up(filters, ARRAY_LEN(filters), name); }
const struct function *template_test(const char *name) { return run_look_up(tests, ARRAY_LEN(tests), name); }
