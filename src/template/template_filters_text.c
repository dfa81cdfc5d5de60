/* template_filters_text: Jinja's filters of texts: cases, cuts, escapes, format. */
#include "template/template_filters.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/py_re.h"
#include "base/unicode.h"
#include "base/utf8.h"

static struct value f_upper(const struct call *c) { return filter_method(c, "upper"); }
static struct value f_lower(const struct call *c) { return filter_method(c, "lower"); }
static struct value f_capitalize(const struct call *c) { return filter_method(c, "capitalize"); }
static struct value f_trim(const struct call *c) { return filter_method(c, "strip"); }

static struct value f_replace(const struct call *c)
{
	struct value count = call_arg(c, 2, "count", NONE),
		     args[3] = { run_text(c->r, call_arg(c, 0, "old", NONE)),
		                 run_text(c->r, call_arg(c, 1, "new", NONE)),
		                 count.type == V_NONE ? v_int(-1) : count };
	return filter_method(&(struct call){ .r = c->r, .self = c->self, .args = args, .n = 3 }, "replace");
}

/* lm-eval's own: re.sub. */
static struct value f_regex_replace(const struct call *c)
{
	struct value text = run_text(c->r, c->self), pattern = run_text(c->r, call_arg(c, 0, "pattern", NONE)),
		     with = run_text(c->r, call_arg(c, 1, "repl", NONE));
	struct buf out = RUN_TEXT(c->r);
	struct err why = ERR_INIT;
	struct py_re *re = NULL;

	if (!c->r->strict)
		return run_fail(c->r, "the filter 'regex_replace' is not known here");
	int status = py_re_new(&re, pattern.str.s, &why);
	if (status == 0)
		status = py_re_sub(re, with.str.s, text.str.s, text.str.n, &out, &why);
	py_re_free(re);
	return status < 0 ? run_fail(c->r, "%s", why.msg) : run_take(c->r, &out);
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
	return filter_method(&(struct call){ .r = c->r, .self = c->self, .args = &width, .n = 1 }, "center");
}

/* A text that is longer than length + leeway is cut before a space, or anywhere where words may be killed. */
static struct value f_truncate(const struct call *c)
{
	struct value end = call_arg(c, 2, "end", v_text("...")), slack = call_arg(c, 3, "leeway", NONE), text = c->self;
	int64_t length = filter_whole(call_arg(c, 0, "length", v_int(255))),
		leeway = slack.type == V_NONE ? 5 : filter_whole(slack),
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
		     lines = filter_method(&(struct call){ .r = c->r, .self = text }, "splitlines");
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
		struct value i = v.type == V_FLOAT ? filter_integer(c, v.f) : v_int(filter_whole(v));
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

const struct function filters_of_text[] = {
	{ "trim", f_trim, "chars:sn?" },
	{ "upper", f_upper, NULL },
	{ "lower", f_lower, NULL },
	{ "capitalize", f_capitalize, NULL },
	{ "title", f_title, NULL },
	{ "replace", f_replace, "old:a new:a count:in?" },
	{ "regex_replace", f_regex_replace, "pattern:s repl:s" },
	{ "escape", f_escape, NULL },
	{ "e", f_escape, NULL },
	{ "indent", f_indent, "width:is? first:a? blank:a?" },
	{ "wordcount", f_wordcount, NULL },
	{ "format", f_format, "* **" },
	{ "center", f_center, "width:i?" },
	{ "forceescape", f_forceescape, NULL },
	{ "truncate", f_truncate, "length:i? killwords:a? end:s? leeway:in?" },
	{ "urlencode", f_urlencode, NULL },
	{ 0 },
};
