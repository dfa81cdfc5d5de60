/* jsonx: Jansson for reading, our own printer for writing.
 *
 * Numbers: Jansson refuses integers beyond 64 bits, but tokenizer_config.json often holds one (Python's 10^30 for
 * "no limit"). Such a text is read again with all numbers as doubles, and the whole ones up to 2^53 are made integers
 * again. Doubles are printed with the fewest digits that read back to the same value. */
#include "base/jsonx.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

enum { LOAD_FLAGS = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY };

/* The value to put in place of v: whole doubles become integers, all the way down. New reference. */
static json_t *integers_again(json_t *v)
{
	const char *key;
	size_t i;
	json_t *item;
	void *next;
	if (json_is_real(v)) {
		double x = json_real_value(v);
		if (fabs(x) <= 0x1p53 && x == floor(x))
			return json_integer((json_int_t)x);
	}
	json_object_foreach_safe(v, next, key, item)
		json_object_set_new(v, key, integers_again(item));
	json_array_foreach(v, i, item)
		json_array_set_new(v, i, integers_again(item));
	return json_incref(v);
}

static json_t *load(const char *text, size_t n, size_t flags, const char *where, struct err *e)
{
	json_error_t error;
	json_t *j = json_loadb(text, n, flags, &error);
	if (!j && json_error_code(&error) == json_error_numeric_overflow) {
		json_error_t again;
		json_t *reals = json_loadb(text, n, flags | JSON_DECODE_INT_AS_REAL, &again);
		if (reals) {
			j = integers_again(reals);
			json_decref(reals);
		}
	}
	if (!j)
		err_set(e, "%s: line %d column %d: %s", where, error.line, error.column, error.text);
	return j;
}

json_t *jsonx_load(const char *text, size_t n, const char *where, struct err *e)
{
	return load(text, n, LOAD_FLAGS, where, e);
}

json_t *jsonx_load_nul(const char *text, size_t n, const char *where, struct err *e)
{
	return load(text, n, LOAD_FLAGS | JSON_ALLOW_NUL, where, e);
}

json_t *jsonx_load_file(const char *path, struct err *e)
{
	struct buf b = BUF_INIT;
	json_t *j = NULL;
	int status = io_read(&b, path, e);
	if (status == 0 && text_instead(buf_str(&b), b.len))
		status = err_set(e, "%s is %s", path, text_instead(buf_str(&b), b.len));
	if (status == 0)
		j = jsonx_load(buf_str(&b), b.len, path, e);
	buf_release(&b);
	return j;
}

static void print_string(struct buf *b, const char *s, size_t n)
{
	static const char short_from[] = "\"\\\b\f\n\r\t", short_to[] = "\"\\bfnrt";
	size_t from = 0;
	buf_addc(b, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
			continue;
		buf_add(b, s + from, i - from);
		from = i + 1;
		const char *at = c ? strchr(short_from, c) : NULL;
		if (at)
			buf_add(b, (char[]){ '\\', short_to[at - short_from] }, 2);
		else
			buf_addf(b, "\\u%04x", c);
	}
	buf_add(b, s + from, n - from);
	buf_addc(b, '"');
}

static void print_integer(struct buf *b, json_int_t x)
{
	char text[24], *at = text + sizeof(text);
	unsigned long long left = x < 0 ? 0 - (unsigned long long)x : (unsigned long long)x;

	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (x < 0)
		*--at = '-';
	buf_add(b, at, (size_t)(text + sizeof(text) - at));
}

/* The shortest of 15, 16, 17 digits that reads back equal, with a point or exponent so that it stays a double. */
static void print_real(struct buf *b, double x)
{
	char text[40];
	if (fabs(x) < 1e15 && x == floor(x) && !signbit(x)) {
		print_integer(b, (json_int_t)x);
		buf_adds(b, ".0");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, x);
		if (strtod(text, NULL) == x)
			break;
	}
	buf_adds(b, text);
	if (!strpbrk(text, ".e"))
		buf_adds(b, ".0");
}

/* Starts a line at this depth; on one line (indent 0) nothing. */
static void new_line(struct buf *b, int indent, int depth)
{
	if (indent)
		buf_addf(b, "\n%*s", indent * depth, "");
}

static void print_value(struct buf *b, const json_t *j, int indent, int depth);

static void print_object(struct buf *b, const json_t *j, int indent, int depth)
{
	const char *key;
	json_t *item;
	bool first = true;
	buf_addc(b, '{');
	json_object_foreach((json_t *)j, key, item) {
		if (!first)
			buf_adds(b, indent ? "," : ", ");
		first = false;
		new_line(b, indent, depth + 1);
		print_string(b, key, strlen(key));
		buf_adds(b, ": ");
		print_value(b, item, indent, depth + 1);
	}
	if (!first)
		new_line(b, indent, depth);
	buf_addc(b, '}');
}

static void print_array(struct buf *b, const json_t *j, int indent, int depth)
{
	size_t n = json_array_size(j);
	buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_adds(b, indent ? "," : ", ");
		new_line(b, indent, depth + 1);
		print_value(b, json_array_get(j, i), indent, depth + 1);
	}
	if (n)
		new_line(b, indent, depth);
	buf_addc(b, ']');
}

static void print_value(struct buf *b, const json_t *j, int indent, int depth)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT: print_object(b, j, indent, depth); break;
	case JSON_ARRAY: print_array(b, j, indent, depth); break;
	case JSON_STRING: print_string(b, json_string_value(j), json_string_length(j)); break;
	case JSON_INTEGER: print_integer(b, json_integer_value(j)); break;
	case JSON_REAL: print_real(b, json_real_value(j)); break;
	case JSON_TRUE: buf_adds(b, "true"); break;
	case JSON_FALSE: buf_adds(b, "false"); break;
	case JSON_NULL: buf_adds(b, "null"); break;
	}
}

int jsonx_write_file(const char *path, const json_t *j, struct err *e)
{
	struct buf b = BUF_INIT;
	print_value(&b, j, 2, 0);
	buf_addc(&b, '\n');
	int rc = b.overflow ? err_set(e, "cannot write %s: its JSON is too large", path) :
	                      io_write(path, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

char *jsonx_line(const json_t *j)
{
	struct buf b = BUF_INIT;
	print_value(&b, j, 0, 0);
	if (b.overflow)
		BUG("a line of JSON beyond 1 GiB");
	return buf_detach(&b, NULL);
}

static const char *type_name(const json_t *v)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
		[JSON_INTEGER] = "an integer", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
		[JSON_FALSE] = "false",        [JSON_NULL] = "null",
	};
	return names[json_typeof(v)];
}

/* The value under key, NULL when absent or null. */
static const json_t *field(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return json_is_null(v) ? NULL : v;
}

static int wrong_type(struct err *e, const char *key, const json_t *v, const char *wanted)
{
	return err_set(e, "\"%s\" is %s, %s was wanted", key, type_name(v), wanted);
}

int jsonx_int(const json_t *o, const char *key, long long init, long long *out, struct err *e)
{
	const json_t *v = field(o, key);
	*out = init;
	if (v && !json_is_integer(v))
		return wrong_type(e, key, v, "an integer");
	if (v)
		*out = json_integer_value(v);
	return 0;
}

int jsonx_real(const json_t *o, const char *key, double init, double *out, struct err *e)
{
	const json_t *v = field(o, key);
	*out = init;
	if (v && !json_is_number(v))
		return wrong_type(e, key, v, "a number");
	if (v)
		*out = json_number_value(v);
	return 0;
}

int jsonx_bool(const json_t *o, const char *key, int init, int *out, struct err *e)
{
	const json_t *v = field(o, key);
	*out = init;
	if (v && !json_is_boolean(v))
		return wrong_type(e, key, v, "true or false");
	if (v)
		*out = json_is_true(v);
	return 0;
}

int jsonx_string(const json_t *o, const char *key, const char *init, const char **out, struct err *e)
{
	const json_t *v = field(o, key);
	*out = init;
	if (v && !json_is_string(v))
		return wrong_type(e, key, v, "a string");
	if (v)
		*out = json_string_value(v);
	return 0;
}

json_t *jsonx_object(const json_t *o, const char *key)
{
	json_t *x = json_object_get(o, key);

	return json_is_object(x) ? json_incref(x) : NULL;
}

json_t *jsonx_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

json_t *jsonx_text(const char *bytes, size_t n)
{
	struct buf text = BUF_INIT;

	utf8_repair(&text, bytes, n);
	json_t *j = json_stringn(buf_str(&text), text.len);
	buf_release(&text);
	return j;
}

json_t *jsonx_path(const char *path) { return jsonx_text(path, strlen(path)); }
