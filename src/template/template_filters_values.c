/* template_filters_values: Jinja's filters of any value and of numbers; tojson is transformers'. */
#include "template/template_filters.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

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

/* --- numbers --- */

struct value filter_integer(const struct call *c, double f)
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
		return filter_integer(c, c->self.f);
	if (v_is_number(c->self))
		return v_int(filter_whole(c->self));
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
	return text.str.n && !*end && isfinite(real) ? filter_integer(c, real) : init;
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
	return filter_whole(c->self) == INT64_MIN ? run_fail(c->r, "a whole number grows too large") :
	                                     v_int(llabs(filter_whole(c->self)));
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
	int64_t digits = v_is_number(precision) && precision.type != V_FLOAT ? filter_whole(precision) : INT64_MAX;

	if (!v_is_number(c->self) || digits > 30 || digits < -30)
		return run_fail(c->r, "round wants a number and at most 30 digits, not %s", v_type_name(c->self));
	if (v_equal(method, v_text("common"))) {
		double x = rounded(v_number(c->self), digits);
		if (c->self.type == V_FLOAT)
			return v_float(x);
		return digits >= 0 ? v_int(filter_whole(c->self)) : filter_integer(c, x);
	}
	if (!v_equal(method, v_text("ceil")) && !v_equal(method, v_text("floor")))
		return run_fail(c->r, "round: a method common, ceil or floor was wanted");
	double scale = pow(10, (double)digits), x = v_number(c->self) * scale;
	return v_float((v_equal(method, v_text("ceil")) ? ceil(x) : floor(x)) / scale);
}

/* 13.0 kB, or by 1024: 12.7 KiB. The powers are exact in a long double. */
static struct value f_filesizeformat(const struct call *c)
{
	static const char units[] = "kMGTPEZY";
	bool binary = v_true(call_arg(c, 0, "binary", v_bool(false)));
	struct value size = f_float(&(struct call){ .r = c->r, .self = c->self, .args = &NONE, .n = 1 });
	struct buf out = RUN_TEXT(c->r);
	long double base = binary ? 1024 : 1000, unit = base * base;
	size_t i = 0;

	if (size.type != V_FLOAT)
		return run_fail(c->r, "filesizeformat: %s is no number", v_type_name(c->self));
	if (size.f == 1)
		return v_text("1 Byte");
	if (size.f < (double)base)
		return run_binary(c->r, "~", filter_integer(c, size.f), v_text(" Bytes"));
	for (; i + 2 < sizeof(units) && !((long double)size.f < unit); i++)
		unit *= base;
	const char *prefix = binary && !i ? "K" : (const char[]){ units[i], 0 };
	buf_addf(&out, "%.1f %s%s", (double)base * size.f / (double)unit, prefix, binary ? "iB" : "B");
	return run_take(c->r, &out);
}

/* --- JSON --- */

struct value filter_sorted(const struct call *c, struct value v, bool loose)
{
	struct value copy = v;

	if (!run_steps(c->r, 1))
		return v;
	if (v_is_list(v) && (!loose || v_is_plain(v))) {
		copy = v_list(&c->r->mem, v.type, v.list->n);
		copy.list->kind = v.list->kind;
		for (size_t i = 0; i < v.list->n; i++)
			v_push(&c->r->mem, copy, filter_sorted(c, v.list->items[i], loose));
	} else if (v.type == V_DICT) {
		struct value keys = v_list(&c->r->mem, V_LIST, v.dict->n);
		copy = v_dict(&c->r->mem);
		for (size_t i = 0; i < v.dict->n; i++)
			v_push(&c->r->mem, keys, v.dict->keys[i]);
		filter_sort(c, keys.list->items, keys.list->items, keys.list->n, loose ? SORT_LOOSE : SORT_UP);
		for (size_t i = 0; i < keys.list->n; i++)
			v_set(&c->r->mem, copy, keys.list->items[i],
			      filter_sorted(c, *v_get(v, keys.list->items[i]), loose));
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
	if (!v_is_number(indent) || indent.type == V_FLOAT || filter_whole(indent) > 64)
		return run_fail(c->r, "tojson: an indent of at most 64 was wanted"), NULL;
	return arena_printf(&c->r->mem, "%*s", (int)MAX(filter_whole(indent), 0), "");
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
		self = filter_sorted(c, self, false);
	if (v_json(&out, self, &style, &why) < 0) {
		buf_release(&out);
		return run_fail(c->r, "tojson: %s", why.msg);
	}
	return run_take(c->r, &out);
}

const struct function filters_of_values[] = {
	{ "safe", f_safe, NULL },
	{ "tojson", f_tojson, "ensure_ascii:a? indent:nis? separators:nl? sort_keys:a?" },
	{ "int", f_int, "default:a? base:i?" },
	{ "float", f_float, "default:a?" },
	{ "abs", f_abs, NULL },
	{ "round", f_round, "precision:i? method:s?" },
	{ "filesizeformat", f_filesizeformat, "binary:a?" },
	{ "length", f_length, NULL },
	{ "count", f_length, NULL },
	{ "string", f_string, NULL },
	{ "default", f_default, "default_value:a? boolean:a?" },
	{ "d", f_default, "default_value:a? boolean:a?" },
	{ 0 },
};
