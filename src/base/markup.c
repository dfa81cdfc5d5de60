/* markup: escapes, character by character; references by a table of names and by number. */
#include "base/markup.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/html_entities.h"
#include "base/mem.h"
#include "base/utf8.h"

static const char *escaped(uint32_t cp)
{
	switch (cp) {
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '&': return "&amp;";
	case '"': return "&quot;";
	case '\'': return "&#39;";
	}
	if ((cp < 0x20 && cp != '\t' && cp != '\n' && cp != '\r') || cp == 0xFFFE || cp == 0xFFFF)
		return "\uFFFD";
	return NULL;
}

void markup_text(struct buf *out, const char *s, size_t n)
{
	struct buf whole = BUF_INIT;
	utf8_repair(&whole, s, n);
	for (size_t at = 0, size; at < whole.len; at += size) {
		uint32_t cp;
		size = utf8_decode(whole.data + at, whole.len - at, &cp);
		const char *name = escaped(cp);
		if (name)
			buf_adds(out, name);
		else
			buf_add(out, whole.data + at, size);
	}
	buf_release(&whole);
}

/* --- references --- */

static void add_character(struct buf *out, uint32_t c)
{
	char utf8[4];
	buf_add(out, utf8, utf8_encode(c, utf8));
}

/* A number from 0x80 to 0x9F is meant in Windows-1252, where that has a character. */
static uint32_t of_windows(uint32_t c)
{
	static const uint16_t table[32] = {
		0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
		0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
		0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
	};
	return c >= 0x80 && c < 0xA0 ? table[c - 0x80] : c;
}

static bool is_no_character(uint32_t c)
{
	return (c < 0x20 && c != '\t' && c != '\n' && c != '\f' && c != '\r') || c == 0x7F ||
	       (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE;
}

/* &#…; at s: bytes taken, 0: it is none. */
static size_t number_reference(struct buf *out, const char *s, size_t n)
{
	bool hex = n > 2 && (s[2] | 32) == 'x';
	size_t at = hex ? 3 : 2, begin = at;
	uint32_t c = 0;

	for (; at < n && (hex ? isxdigit((unsigned char)s[at]) : isdigit((unsigned char)s[at])); at++) {
		int digit = isdigit((unsigned char)s[at]) ? s[at] - '0' : (s[at] | 32) - 'a' + 10;
		c = MIN((hex ? 16 : 10) * c + (uint32_t)digit, (uint32_t)0x110000);
	}
	if (at == begin)
		return 0;
	if (!c || (c >= 0xD800 && c < 0xE000) || c > 0x10FFFF)
		add_character(out, 0xFFFD);
	else if (!is_no_character(c))
		add_character(out, of_windows(c));
	return at + (at < n && s[at] == ';');
}

static int by_name(const void *key, const void *entity)
{
	return strcmp(key, ((const struct entity *)entity)->name);
}

/* &name; at s, or the longest old name without a semicolon. */
static size_t named_reference(struct buf *out, const char *s, size_t n)
{
	char name[34];
	size_t length = 0;

	while (1 + length < n && length < 32 && isalnum((unsigned char)s[1 + length])) {
		name[length] = s[1 + length];
		length++;
	}
	for (bool whole = 1 + length < n && s[1 + length] == ';'; length > 1; length--, whole = false) {
		name[length] = 0;
		const struct entity *e = bsearch(name, entities, ARRAY_LEN(entities), sizeof(*entities), by_name);
		if (!e || (!whole && !e->bare))
			continue;
		add_character(out, e->c);
		if (e->second)
			add_character(out, e->second);
		return 1 + length + whole;
	}
	return 0;
}

void markup_unescape(struct buf *out, const char *s, size_t n)
{
	for (size_t at = 0, taken; at < n; at += taken) {
		const char *next = memchr(s + at, '&', n - at);
		buf_add(out, s + at, next ? (size_t)(next - s) - at : n - at);
		if (!next)
			return;
		at = (size_t)(next - s);
		taken = at + 1 < n && s[at + 1] == '#' ? number_reference(out, s + at, n - at) :
		                                         named_reference(out, s + at, n - at);
		if (!taken) {
			buf_addc(out, '&');
			taken = 1;
		}
	}
}
