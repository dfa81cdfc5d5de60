/* py_literal: a descent over the literal's grammar, a character at a time; and the way back. Names and calls have no
 * meaning here: nothing is ever computed. */
#include "base/py_literal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

enum { DEPTH_MOST = 64, NUMBER_MOST = 64 };

struct reader {
	const char *text, *at, *end;
	int depth;
	struct err *e;
};

static json_t *fail(struct reader *r, const char *what)
{
	err_set(r->e, "byte %zu of the literal %.60s: %s", (size_t)(r->at - r->text), r->text, what);
	return NULL;
}

static void skip(struct reader *r)
{
	while (r->at < r->end && isspace((unsigned char)*r->at))
		r->at++;
}

static bool take(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
		return false;
	r->at += n;
	return true;
}

/* --- texts --- */

static bool hex(struct reader *r, int digits, struct buf *out)
{
	uint32_t c = 0;
	char bytes[4];

	for (; digits > 0; digits--, r->at++) {
		if (r->at >= r->end || !isxdigit((unsigned char)*r->at))
			return fail(r, "an escape is incomplete");
		c = c * 16 + (uint32_t)(isdigit((unsigned char)*r->at) ? *r->at - '0' : (*r->at | 32) - 'a' + 10);
	}
	if (!c || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return fail(r, "an escape is no character");
	buf_add(out, bytes, utf8_encode(c, bytes));
	return true;
}

/* After the backslash. What is no escape stays as it is. */
static bool escape(struct reader *r, struct buf *out)
{
	static const char letters[] = "ntr\\'\"abfv", meant[] = "\n\t\r\\'\"\a\b\f\v";
	char c = *r->at++;
	const char *at = c ? strchr(letters, c) : NULL;

	if (c == '\n')
		return true;
	if (at) {
		buf_addc(out, meant[at - letters]);
		return true;
	}
	if (c == 'x' || c == 'u' || c == 'U')
		return hex(r, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
	if (c == 'N' || (c >= '0' && c <= '7'))
		return fail(r, "an escape by name or in octal is not read here");
	buf_addc(out, '\\');
	buf_addc(out, c);
	return true;
}

static bool one_text(struct reader *r, struct buf *out)
{
	char quote = *r->at, thrice[4] = { quote, quote, quote, 0 };
	bool three = take(r, thrice);

	r->at += !three;
	while (r->at < r->end) {
		if (three ? take(r, thrice) : *r->at == quote) {
			r->at += !three;
			return true;
		}
		if (!three && *r->at == '\n')
			break;
		if (*r->at != '\\') {
			buf_addc(out, *r->at++);
			continue;
		}
		if (++r->at == r->end || !escape(r, out))
			break;
	}
	if (!r->e->msg[0])
		fail(r, "a text does not end");
	return false;
}

static bool is_quote(const struct reader *r) { return r->at < r->end && (*r->at == '\'' || *r->at == '"'); }

static json_t *text(struct reader *r)
{
	struct buf out = BUF_INIT;
	bool whole = true;

	for (; whole && is_quote(r); skip(r))
		whole = one_text(r, &out);
	json_t *made = whole ? json_stringn(buf_str(&out), out.len) : NULL;
	if (whole && !made)
		fail(r, "a text is not UTF-8");
	buf_release(&out);
	return made;
}

/* --- the others --- */

static json_t *number(struct reader *r)
{
	char digits[NUMBER_MOST + 1], *end;
	size_t n = 0;
	bool real = false;

	for (; r->at < r->end && n < NUMBER_MOST; r->at++) {
		bool sign = (*r->at == '-' || *r->at == '+') && (!n || (real && (digits[n - 1] | 32) == 'e'));
		if (!isdigit((unsigned char)*r->at) && !sign && !strchr(".eE_", *r->at))
			break;
		real |= *r->at == '.' || (*r->at | 32) == 'e';
		if (*r->at != '_')
			digits[n++] = *r->at;
	}
	digits[n] = 0;
	errno = 0;
	if (real) {
		double x = strtod(digits, &end);
		return *end || !n || !isfinite(x) ? fail(r, "a number is not well formed") : json_real(x);
	}
	long long i = strtoll(digits, &end, 10);
	return *end || end == digits || errno ? fail(r, "a value was wanted") : json_integer(i);
}

static json_t *value(struct reader *r);

/* After the bracket, up to the one that closes it. */
static json_t *items(struct reader *r, char close)
{
	json_t *made = json_array(), *item;
	size_t commas = 0;

	for (skip(r); r->at < r->end && *r->at != close; skip(r)) {
		if (!(item = value(r)))
			goto out;
		json_array_append_new(made, item);
		skip(r);
		if (r->at < r->end && *r->at == ',')
			commas += *r->at++ == ',';
		else if (r->at < r->end && *r->at != close)
			break;
	}
	if (!take(r, (char[]){ close, 0 })) {
		fail(r, "a list does not end");
		goto out;
	}
	if (close == ')' && json_array_size(made) == 1 && !commas) { /* brackets around a value, no tuple */
		item = json_incref(json_array_get(made, 0));
		json_decref(made);
		return item;
	}
	return made;
out:
	json_decref(made);
	return NULL;
}

static json_t *dict(struct reader *r)
{
	json_t *made = json_object(), *key = NULL, *item;

	for (skip(r); r->at < r->end && *r->at != '}'; skip(r)) {
		if (!is_quote(r) || !(key = text(r))) {
			if (!r->e->msg[0])
				fail(r, "a text was wanted as a key");
			goto out;
		}
		skip(r);
		if (!take(r, ":")) {
			fail(r, "a colon was wanted");
			goto out;
		}
		skip(r);
		if (!(item = value(r)))
			goto out;
		json_object_setn_new(made, json_string_value(key), json_string_length(key), item);
		json_decref(key);
		key = NULL;
		skip(r);
		if (!take(r, ","))
			break;
	}
	if (take(r, "}"))
		return made;
	fail(r, "a dict does not end");
out:
	json_decref(key);
	json_decref(made);
	return NULL;
}

static json_t *value(struct reader *r)
{
	json_t *made;

	if (r->at >= r->end)
		return fail(r, "a value was wanted");
	if (++r->depth > DEPTH_MOST)
		return fail(r, "more than 64 levels");
	if (is_quote(r))
		made = text(r);
	else if (take(r, "["))
		made = items(r, ']');
	else if (take(r, "("))
		made = items(r, ')');
	else if (take(r, "{"))
		made = dict(r);
	else if (take(r, "True"))
		made = json_true();
	else if (take(r, "False"))
		made = json_false();
	else if (take(r, "None"))
		made = json_null();
	else
		made = number(r);
	r->depth--;
	return made;
}

json_t *py_literal(const char *s, size_t n, struct err *e)
{
	struct err why = ERR_INIT;
	struct reader r = { .text = s, .at = s, .end = s + n, .e = &why };

	skip(&r);
	json_t *made = value(&r);
	skip(&r);
	if (made && r.at < r.end) {
		json_decref(made);
		made = fail(&r, "something stands behind it");
	}
	if (!made)
		err_set(e, "%s", why.msg);
	return made;
}

/* --- writing --- */

static void real(struct buf *out, double x)
{
	char text[40];

	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, x);
		if (strtod(text, NULL) == x)
			break;
	}
	/* Python writes exponents from 16 digits on and below a ten-thousandth. */
	if (fabs(x) >= 1e-4 && fabs(x) < 1e16 && strpbrk(text, "e"))
		snprintf(text, sizeof(text), "%.0f", x);
	buf_adds(out, text);
	if (!strpbrk(text, ".en"))
		buf_adds(out, ".0");
}

static void quoted(struct buf *out, const char *s, size_t n)
{
	char quote = memchr(s, '\'', n) && !memchr(s, '"', n) ? '"' : '\'';
	uint32_t c;

	buf_addc(out, quote);
	for (size_t i = 0, k; i < n; i += k) {
		k = utf8_decode(s + i, n - i, &c);
		if (!k) /* JSON's texts are UTF-8 */
			BUG("bytes that are no UTF-8");
		if (c == '\\' || c == (uint32_t)quote)
			buf_addf(out, "\\%c", (char)c);
		else if (c == '\n' || c == '\r' || c == '\t')
			buf_adds(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
		else if (unicode_is_printable(c))
			buf_add(out, s + i, k);
		else
			buf_addf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	}
	buf_addc(out, quote);
}

static void inside(struct buf *out, const json_t *v)
{
	const char *key;
	size_t i;
	json_t *item;

	buf_addc(out, json_is_array(v) ? '[' : '{');
	json_array_foreach((json_t *)(uintptr_t)v, i, item) {
		buf_adds(out, i ? ", " : "");
		py_repr(out, item);
	}
	i = 0;
	json_object_foreach((json_t *)(uintptr_t)v, key, item) {
		buf_adds(out, i++ ? ", " : "");
		quoted(out, key, strlen(key));
		buf_adds(out, ": ");
		py_repr(out, item);
	}
	buf_addc(out, json_is_array(v) ? ']' : '}');
}

void py_repr(struct buf *out, const json_t *v)
{
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_STRING: quoted(out, json_string_value(v), json_string_length(v)); break;
	case JSON_INTEGER: buf_addf(out, "%lld", (long long)json_integer_value(v)); break;
	case JSON_REAL: real(out, json_real_value(v)); break;
	case JSON_TRUE: buf_adds(out, "True"); break;
	case JSON_FALSE: buf_adds(out, "False"); break;
	case JSON_NULL: buf_adds(out, "None"); break;
	case JSON_ARRAY: case JSON_OBJECT: inside(out, v); break;
	}
}

void py_str(struct buf *out, const json_t *v)
{
	if (json_is_string(v))
		buf_add(out, json_string_value(v), json_string_length(v));
	else
		py_repr(out, v);
}
