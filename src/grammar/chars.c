/* chars: sets of code points as sorted ranges, and as GBNF writes them, also within a JSON string, where some
 * characters are escaped (RFC 8259, 7). */
#include "grammar/chars.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int by_lo(const void *a, const void *b)
{
	const struct char_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

static size_t merge(const struct char_range *in, size_t n, struct char_range *out)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++)
		if (m && in[i].lo <= out[m - 1].hi + 1)
			out[m - 1].hi = MAX(out[m - 1].hi, in[i].hi);
		else
			out[m++] = in[i];
	return m;
}

size_t char_ranges_tidy(struct char_range *in, size_t n, bool negated, struct char_range *out)
{
	uint32_t next = 0;
	size_t k = 0;

	if (n)
		qsort(in, n, sizeof(*in), by_lo);
	size_t m = merge(in, n, out);
	if (!negated)
		return m;
	for (size_t i = 0; i < m; i++) {
		if (out[i].lo > next)
			in[k++] = (struct char_range){ next, out[i].lo - 1 };
		next = out[i].hi + 1;
	}
	if (next <= 0x10ffff)
		in[k++] = (struct char_range){ next, 0x10ffff };
	memcpy(out, in, k * sizeof(*in));
	return k;
}

void char_set_add(struct char_set *s, uint32_t lo, uint32_t hi)
{
	if (s->n + 1 >= s->cap) {
		s->cap = MAX(16, 2 * s->cap);
		s->range = mem_grow(s->range, s->cap, sizeof(*s->range));
	}
	s->range[s->n++] = (struct char_range){ lo, hi };
}

void char_set_add_all(struct char_set *s, const struct char_range *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		char_set_add(s, list[i].lo, list[i].hi);
}

void char_set_tidy(struct char_set *s, bool negated)
{
	struct char_range *out = mem_array(s->n + 2, sizeof(*out)), one;

	s->n = char_ranges_tidy(s->n ? s->range : &one, s->n, negated, out);
	mem_free(s->range);
	s->range = out;
	s->cap = s->n;
}

void char_set_release(struct char_set *s)
{
	mem_free(s->range);
	*s = (struct char_set){ 0 };
}

/* --- as GBNF --- */

static bool add_class(struct buf *out, const struct char_range *list, size_t n)
{
	if (!n)
		return false;
	buf_adds(out, "[");
	for (size_t i = 0; i < n; i++) {
		buf_addf(out, "\\U%08X", list[i].lo);
		if (list[i].hi != list[i].lo)
			buf_addf(out, "-\\U%08X", list[i].hi);
	}
	buf_adds(out, "]");
	return true;
}

/* What of a set lies in lo..hi. */
static void add_part(struct char_set *to, const struct char_set *s, uint32_t lo, uint32_t hi)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->range[i].lo <= hi && s->range[i].hi >= lo)
			char_set_add(to, MAX(s->range[i].lo, lo), MIN(s->range[i].hi, hi));
}

static bool has(const struct char_set *s, uint32_t cp)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->range[i].lo <= cp && cp <= s->range[i].hi)
			return true;
	return false;
}

/* Those that are escaped: short where there is such a form. */
static bool add_escaped(struct buf *out, const struct char_set *s, bool any)
{
	static const char of[] = "\"\\\b\f\n\r\t", written[] = "\"\\bfnrt";

	for (uint32_t cp = 1; cp < 0x5d; cp++) {
		const char *at = strchr(of, (int)cp);
		if ((cp >= 0x20 && !at) || !has(s, cp))
			continue;
		buf_adds(out, any ? " | " : "");
		any = true;
		if (!at)
			buf_addf(out, "\"\\\\u%04x\"", cp);
		else if (*at == '"' || *at == '\\')
			buf_addf(out, "\"\\\\\\%c\"", *at);
		else
			buf_addf(out, "\"\\\\%c\"", written[at - of]);
	}
	return any;
}

bool char_set_write(const struct char_set *s, bool json, struct buf *out)
{
	static const uint32_t plain[][2] = { { 0x20, 0x21 }, { 0x23, 0x5b }, { 0x5d, 0xd7ff }, { 0xe000, 0x10ffff } };
	static const uint32_t all[][2] = { { 0, 0xd7ff }, { 0xe000, 0x10ffff } };
	struct char_set part = { 0 };

	for (size_t i = 0; i < (json ? ARRAY_LEN(plain) : ARRAY_LEN(all)); i++)
		add_part(&part, s, (json ? plain : all)[i][0], (json ? plain : all)[i][1]);
	buf_adds(out, json ? "(" : "");
	bool any = add_class(out, part.range, part.n);
	if (json) {
		any = add_escaped(out, s, any);
		buf_adds(out, ")");
	}
	char_set_release(&part);
	return any;
}

void gbnf_quote(struct buf *out, const char *s, size_t n)
{
	buf_adds(out, "\"");
	for (size_t i = 0; i < n; i++)
		if (s[i] == '"' || s[i] == '\\')
			buf_addf(out, "\\%c", s[i]);
		else if ((unsigned char)s[i] < 0x20)
			buf_addf(out, "\\x%02X", (unsigned char)s[i]);
		else
			buf_addc(out, s[i]);
	buf_adds(out, "\"");
}
