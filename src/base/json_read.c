/* json_read: RFC 8259, one pass. Strings go eight bytes at once where none of these is a quote, a backslash or a
 * control; that the text is UTF-8 is known before. Left to Jansson: whatever is wrong, keys twice, keys with \u0000,
 * values deeper than DEEP, whole numbers of more than DIGITS characters, doubles of more than LONG or beyond their
 * range. */
#include "base/json_read.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

enum { DEEP = 100, LONG = 60, DIGITS = 18 };

struct reader {
	const char *at, *end;
	bool nul;
	struct buf text, key; /* of the string with escapes that is read; of the key */
};

static json_t *value(struct reader *r, int depth);

static int peek(const struct reader *r) { return r->at < r->end ? (uint8_t)*r->at : -1; }

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
}

/* Past the character c, if it is what stands here behind blanks. */
static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

/* --- strings --- */

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* Not 0: of the eight bytes one is `"`, `\` or a control. */
static uint64_t special(uint64_t x)
{
	uint64_t quote = x ^ ONES * '"', slash = x ^ ONES * '\\';

	return ((quote - ONES) | (slash - ONES) | (x - ONES * ' ')) & ~x & HIGHS;
}

/* Where characters that stand for themselves end. */
static const char *plain(const char *at, const char *end)
{
	for (;;) {
		uint64_t x;
		while (end - at >= 8 && (memcpy(&x, at, 8), !special(x)))
			at += 8;
		if (at == end || (uint8_t)*at < ' ' || *at == '"' || *at == '\\')
			return at;
		at++;
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* XXXX behind \u; −1: it is none. */
static int32_t four(struct reader *r)
{
	int32_t x = 0;

	if (r->end - r->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int d = hex_digit(*r->at++);
		if (d < 0)
			return -1;
		x = x << 4 | d;
	}
	return x;
}

static bool unicode(struct reader *r, struct buf *out)
{
	int32_t c = four(r), low;
	char bytes[4];

	if (c < 0 || (c >= 0xDC00 && c < 0xE000))
		return false;
	if (c >= 0xD800 && c < 0xDC00) {
		if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
			return false;
		r->at += 2;
		low = four(r);
		if (low < 0xDC00 || low >= 0xE000)
			return false;
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	}
	buf_add(out, bytes, utf8_encode((uint32_t)c, bytes));
	return true;
}

/* What stands behind a backslash. */
static bool escape(struct reader *r, struct buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = r->at < r->end ? *r->at++ : 0;
	const char *which = c ? strchr(from, c) : NULL;

	if (!which)
		return c == 'u' && unicode(r, out);
	buf_addc(out, to[which - from]);
	return true;
}

/* A string, r behind its quote: *s of n bytes, in the text or in `out`; false: Jansson is to see it. */
static bool string(struct reader *r, struct buf *out, const char **s, size_t *n)
{
	const char *from = r->at;

	r->at = plain(r->at, r->end);
	*s = from;
	*n = (size_t)(r->at - from);
	if (peek(r) == '"') {
		r->at++;
		return true;
	}
	buf_clear(out);
	while (buf_add(out, from, (size_t)(r->at - from)), peek(r) == '\\') {
		r->at++;
		if (!escape(r, out))
			return false;
		from = r->at;
		r->at = plain(r->at, r->end);
	}
	*s = buf_str(out);
	*n = out->len;
	return r->at < r->end && *r->at++ == '"' && !out->overflow;
}

static json_t *string_value(struct reader *r)
{
	const char *s;
	size_t n;

	if (!string(r, &r->text, &s, &n) || (!r->nul && memchr(s, 0, n)))
		return NULL;
	return json_stringn_nocheck(s, n);
}

/* --- numbers --- */

static size_t digits(struct reader *r)
{
	const char *from = r->at;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return (size_t)(r->at - from);
}

static json_t *number(struct reader *r)
{
	const char *from = r->at;
	bool minus = *from == '-', whole = true;
	char copy[LONG + 1], *stop;

	r->at += minus;
	const char *first = r->at;
	size_t n = digits(r);
	if (!n || (n > 1 && *first == '0'))
		return NULL;
	if (peek(r) == '.') {
		r->at++;
		whole = false;
		if (!digits(r))
			return NULL;
	}
	if ((peek(r) | 32) == 'e') {
		r->at++;
		whole = false;
		r->at += peek(r) == '+' || peek(r) == '-';
		if (!digits(r))
			return NULL;
	}
	size_t length = (size_t)(r->at - from);
	if (length > (size_t)(whole ? DIGITS : LONG))
		return NULL;
	memcpy(copy, from, length);
	copy[length] = 0;
	if (whole)
		return json_integer(strtoll(copy, NULL, 10));
	double x = strtod(copy, &stop);
	return *stop || !isfinite(x) ? NULL : json_real(x);
}

/* --- values --- */

static json_t *word(struct reader *r, const char *w, json_t *v)
{
	size_t n = strlen(w);

	if ((size_t)(r->end - r->at) < n || memcmp(r->at, w, n) != 0)
		return NULL;
	r->at += n;
	return v;
}

static bool members(struct reader *r, json_t *o, int depth)
{
	const char *s;
	size_t n;

	if (take(r, '}'))
		return true;
	do {
		if (!take(r, '"') || !string(r, &r->text, &s, &n) || memchr(s, 0, n))
			return false;
		size_t key = r->key.len, had = json_object_size(o);
		buf_add(&r->key, s, n); /* those of the values inside stand behind it */
		buf_addc(&r->key, 0);
		json_t *v = r->key.overflow || !take(r, ':') ? NULL : value(r, depth);
		bool is_set = v && json_object_set_new_nocheck(o, r->key.data + key, v) == 0;
		r->key.len = key;
		if (!is_set || json_object_size(o) == had)
			return false;
	} while (take(r, ','));
	return take(r, '}');
}

static bool items(struct reader *r, json_t *a, int depth)
{
	if (take(r, ']'))
		return true;
	do {
		json_t *v = value(r, depth);
		if (!v || json_array_append_new(a, v) < 0)
			return false;
	} while (take(r, ','));
	return take(r, ']');
}

static json_t *value(struct reader *r, int depth)
{
	skip_blanks(r);
	int c = peek(r);
	json_t *all;

	switch (c) {
	case '"': r->at++; return string_value(r);
	case 't': return word(r, "true", json_true());
	case 'f': return word(r, "false", json_false());
	case 'n': return word(r, "null", json_null());
	case '{':
	case '[':
		if (depth == DEEP)
			return NULL;
		r->at++;
		all = c == '{' ? json_object() : json_array();
		if (c == '{' ? members(r, all, depth + 1) : items(r, all, depth + 1))
			return all;
		json_decref(all);
		return NULL;
	default: return c == '-' || (c >= '0' && c <= '9') ? number(r) : NULL;
	}
}

json_t *json_read(const char *text, size_t n, bool nul)
{
	struct reader r = { .at = text, .end = text + n, .nul = nul, .text = BUF_INIT, .key = BUF_INIT };
	json_t *v = utf8_valid(text, n, NULL) ? value(&r, 0) : NULL;

	skip_blanks(&r);
	if (v && r.at != r.end) {
		json_decref(v);
		v = NULL;
	}
	buf_release(&r.text);
	buf_release(&r.key);
	return v;
}
