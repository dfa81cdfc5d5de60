/* clean: see clean.h. A row's bytes are mended before it is read as JSON, since JSON is UTF-8. A \u0000 in it is
 * a character as others are, and goes with the controls. The normal form comes last; its Unicode is utf8proc's. */
#include "corpus/clean.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/err.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

void clean_counts_add(struct clean_counts *to, const struct clean_counts *c)
{
	to->bad_bytes += c->bad_bytes;
	to->bad_texts += c->bad_texts;
	to->newlines += c->newlines;
	to->controls += c->controls;
	to->normalized += c->normalized;
}

/* Appends what is UTF-8; a run of bytes that is none becomes one U+FFFD, as a rule, or nothing. */
static void mend(const struct clean_options *o, const char *s, size_t n, struct buf *out, struct clean_counts *c)
{
	size_t i = 0, bad;

	while (i < n && !utf8_valid(s + i, n - i, &bad)) {
		uint32_t cp;
		size_t from = i + bad;
		buf_add(out, s + i, bad);
		for (i = from; i < n && !utf8_decode(s + i, n - i, &cp);)
			i++;
		c->bad_bytes += i - from;
		if (o->bad == CLEAN_BAD_REPLACE)
			buf_adds(out, "\xef\xbf\xbd");
	}
	buf_add(out, s + i, n - i);
}

/* The text of a row, or an empty one and why. */
static enum clean_verdict take_column(const struct clean_options *o, struct buf *b)
{
	struct err ignored = ERR_INIT;
	json_t *row = jsonx_load_nul(buf_str(b), b->len, "", &ignored);
	const json_t *text = json_object_get(row, o->text_column);
	enum clean_verdict v = !json_is_object(row)  ? CLEAN_BROKEN_ROW :
	                       !json_is_string(text) ? CLEAN_NO_COLUMN :
	                                               CLEAN_TEXT;

	buf_clear(b);
	if (v == CLEAN_TEXT)
		buf_add(b, json_string_value(text), json_string_length(text));
	json_decref(row);
	return v;
}

/* Bytes of a control character at s, 0: it is none. */
static size_t control_at(const char *s, size_t n)
{
	unsigned char a = (unsigned char)s[0], b = n > 1 ? (unsigned char)s[1] : 0;

	if (a < ' ' || a == 127)
		return a != '\t' && a != '\n' && a != '\r';
	if (a == 0xc2 && b >= 0x80 && b < 0xa0)
		return 2;
	return n > 2 && !memcmp(s, "\xef\xbb\xbf", 3) ? 3 : 0;
}

/* In place: line ends and controls. */
static void tidy(const struct clean_options *o, struct buf *b, struct clean_counts *c)
{
	size_t to = 0, n;

	for (size_t i = 0; i < b->len; i += n) {
		const char *s = b->data + i;
		n = o->keep_controls ? 0 : control_at(s, b->len - i);
		if (n) {
			c->controls++;
			continue;
		}
		n = 1;
		if (*s != '\r' || o->keep_newlines) {
			b->data[to++] = *s;
			continue;
		}
		c->newlines++;
		n = i + 1 < b->len && s[1] == '\n' ? 2 : 1;
		b->data[to++] = '\n';
	}
	if (b->len)
		b->data[b->len = to] = 0;
}

static bool is_ascii(const struct buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if ((unsigned char)b->data[i] >= 0x80)
			return false;
	return true;
}

static void normalize(const struct clean_options *o, struct buf *b, struct clean_counts *c)
{
	utf8proc_option_t form = UTF8PROC_STABLE | UTF8PROC_COMPOSE | (o->form == CLEAN_NFKC ? UTF8PROC_COMPAT : 0);
	utf8proc_int32_t *characters;

	if (o->form == CLEAN_NONE || is_ascii(b))
		return;
	utf8proc_ssize_t n =
		utf8proc_decompose((const utf8proc_uint8_t *)b->data, (utf8proc_ssize_t)b->len, NULL, 0, form);
	if (n < 0)
		BUG("utf8proc: %s", utf8proc_errmsg(n));
	characters = mem_array((size_t)n + 1, sizeof(*characters));
	n = utf8proc_decompose((const utf8proc_uint8_t *)b->data, (utf8proc_ssize_t)b->len, characters, n, form);
	n = n < 0 ? n : utf8proc_reencode(characters, n, form);
	if (n < 0)
		BUG("utf8proc: %s", utf8proc_errmsg(n));
	if ((size_t)n != b->len || memcmp(characters, b->data, b->len) != 0) {
		c->normalized++;
		buf_clear(b);
		buf_add(b, characters, (size_t)n);
	}
	mem_free(characters);
}

static bool is_white(const struct buf *b)
{
	const char *s = buf_str(b);
	size_t n = b->len;

	unicode_strip(&s, &n);
	return !n;
}

enum clean_verdict clean_text(const struct clean_options *o, const char *data, size_t n, bool row, struct buf *out,
                              struct clean_counts *c)
{
	uint64_t bad = c->bad_bytes;

	buf_clear(out);
	mend(o, data, n, out, c);
	bad = c->bad_bytes - bad;
	c->bad_texts += bad > 0;
	if (bad && o->bad == CLEAN_BAD_DROP)
		return CLEAN_BAD_BYTES;
	enum clean_verdict v = row ? take_column(o, out) : CLEAN_TEXT;
	if (v != CLEAN_TEXT)
		return v;
	tidy(o, out, c);
	normalize(o, out, c);
	return is_white(out) ? CLEAN_EMPTY : CLEAN_TEXT;
}
