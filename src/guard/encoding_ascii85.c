/* encoding_ascii85: five characters for four bytes, in Adobe's alphabet ('!' to 'u', z for four zeros) and in that of
 * RFC 1924 (git, Python's b85). A stretch is what stands between blanks. */
#include <string.h>

#include "guard/encoding.h"

static int adobe(char c) { return c >= '!' && c <= 'u' ? c - '!' : -1; }

static int rfc1924(char c)
{
	static const char marks[] = "!#$%&()*+-;<=>?@^_`{|}~";

	if (c >= '0' && c <= '9')
		return c - '0';
	if (language_letter(c) >= 0)
		return language_letter(c) + (c < 'a' ? 10 : 36);
	const char *at = c ? strchr(marks, c) : NULL;
	return at ? (int)(at - marks) + 62 : -1;
}

/* The characters [at, at + k) of a group, k of 2 to 5; false: no number of four bytes, or no text. */
static bool group(struct finder *f, size_t at, size_t k, int (*digit)(char c))
{
	uint64_t x = 0;

	for (size_t i = 0; i < 5; i++) {
		int d = i < k ? digit(f->s[at + i]) : 84;
		if (d < 0)
			return false;
		x = x * 85 + (uint64_t)d;
	}
	if (x > UINT32_MAX)
		return false;
	char four[4] = { (char)(x >> 24), (char)(x >> 16), (char)(x >> 8), (char)x };
	for (size_t i = 0; i + 1 < k; i++)
		if (language_control(four[i]))
			return false;
	for (size_t i = 0; i + 1 < k; i++)
		finder_put(f, four + i, 1, at + i, at + i + 1 + (i + 2 == k));
	return true;
}

static bool try(struct finder *f, size_t begin, size_t end, int (*digit)(char c))
{
	size_t i = begin;

	while (i < end && f->room(f->ctx, 1)) {
		size_t k = end - i < 5 ? end - i : 5;
		if (k < 2 || !group(f, i, k, digit))
			break;
		i += k;
	}
	if (i + 1 < end) {
		finder_drop(f);
		return false;
	}
	return finder_offer(f, begin, end, 8 * (double)f->put.s.len);
}

static void find(struct finder *f)
{
	for (size_t i = 0; i < f->n;) {
		size_t end = i;
		while (end < f->n && f->s[end] > ' ' && f->s[end] < 127)
			end++;
		size_t from = i, to = end;
		if (to - from > 4 && !memcmp(f->s + from, "<~", 2))
			from += 2;
		if (to - from > 4 && !memcmp(f->s + to - 2, "~>", 2))
			to -= 2;
		if (to - from >= 6 && !try(f, from, to, adobe))
			try(f, from, to, rfc1924);
		i = end > i ? end : i + 1;
	}
}

static void encode(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i += 4) {
		size_t k = n - i < 4 ? n - i : 4;
		uint32_t x = 0;
		char five[5];
		for (size_t j = 0; j < 4; j++)
			x = x << 8 | (j < k ? (uint8_t)s[i + j] : 0);
		for (int j = 4; j >= 0; j--, x /= 85)
			five[j] = (char)('!' + x % 85);
		buf_add(out, five, k + 1);
	}
}

const struct encoding encoding_ascii85 = { .name = "ascii85", .prior = 24, .find = find, .encode = encode };
