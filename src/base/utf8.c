/* utf8: the table of well-formed sequences of the Unicode Standard (3.9, table 3-7). What cannot begin or go on a
 * character is replaced as the standard recommends and Python, Rust and browsers do: one U+FFFD for each maximal
 * part of a sequence that was well begun, else for each byte. */
#include "base/utf8.h"

#include <string.h>

/* Bytes that a sequence starting with `lead` has, and the range of its second byte; 0 for no lead byte. */
static size_t lead_length(uint8_t lead, uint8_t *low, uint8_t *high)
{
	*low = 0x80;
	*high = 0xBF;
	if (lead < 0x80)
		return 1;
	if (lead < 0xC2 || lead > 0xF4)
		return 0;
	if (lead < 0xE0)
		return 2;
	if (lead < 0xF0) {
		if (lead == 0xE0)
			*low = 0xA0;
		if (lead == 0xED)
			*high = 0x9F;
		return 3;
	}
	if (lead == 0xF0)
		*low = 0x90;
	if (lead == 0xF4)
		*high = 0x8F;
	return 4;
}

/* Bytes at s that belong together: a whole character (*want is the same number), or a well begun part of one of
 * *want bytes, or one byte that begins nothing (*want 0). */
static size_t part_length(const char *s, size_t n, size_t *want)
{
	uint8_t low, high;
	size_t have = 1;
	*want = lead_length((uint8_t)s[0], &low, &high);
	while (have < *want && have < n && (uint8_t)s[have] >= low && (uint8_t)s[have] <= high) {
		low = 0x80;
		high = 0xBF;
		have++;
	}
	return have;
}

size_t utf8_decode(const char *s, size_t n, uint32_t *cp)
{
	static const uint8_t lead_bits[5] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
	size_t want, have = part_length(s, n, &want);
	if (have != want)
		return 0;
	*cp = (uint8_t)s[0] & lead_bits[want];
	for (size_t i = 1; i < want; i++)
		*cp = *cp << 6 | ((uint8_t)s[i] & 0x3F);
	return want;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, cp >>= 6)
		out[i] = (char)(0x80 | (cp & 0x3F));
	out[0] = (char)(0xF0 << (4 - n) | cp);
	return n;
}

/* Eight bytes at once, while all are ASCII. */
static size_t ascii_run(const char *s, size_t n)
{
	size_t at = 0;

	for (uint64_t eight; at + 8 <= n; at += 8) {
		memcpy(&eight, s + at, 8);
		if (eight & 0x8080808080808080u)
			break;
	}
	return at;
}

bool utf8_valid(const char *s, size_t n, size_t *bad)
{
	for (size_t at = 0, want; at < n; at += want) {
		want = ascii_run(s + at, n - at);
		if (want || part_length(s + at, n - at, &want) == want)
			continue;
		if (bad)
			*bad = at;
		return false;
	}
	return true;
}

size_t utf8_count(const char *s, size_t n)
{
	size_t count = 0;
	for (size_t at = 0, want; at < n; count++)
		at += part_length(s + at, n - at, &want) == want ? want : 1;
	return count;
}

size_t utf8_complete(const char *s, size_t n)
{
	for (size_t back = 1; back <= 3 && back <= n; back++) {
		size_t want, have = part_length(s + n - back, back, &want);
		if (have == back && have < want)
			return n - back;
	}
	return n;
}

void utf8_repair(struct buf *out, const char *s, size_t n)
{
	for (size_t at = 0, want, have; at < n; at += have) {
		have = part_length(s + at, n - at, &want);
		if (have == want)
			buf_add(out, s + at, have);
		else
			buf_adds(out, "\xEF\xBF\xBD");
	}
}

bool utf8_is_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}
