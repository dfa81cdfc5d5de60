/* encoding_ascii85: five characters for four bytes, in Adobe's alphabet ('!' to 'u', z for four zeros) and in that of
 * RFC 1924 (git, Python's b85). A stretch is what stands between blanks. */
#include <string.h>

#include "base/mem.h"
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

/* The bytes, in `four`, of a group of k characters at s, k of 2 to 5; false: no number of four bytes, or no text. */
static bool group(const char *s, size_t k, int (*digit)(char c), char four[4])
{
	uint64_t x = 0;

	for (size_t i = 0; i < 5; i++) {
		int d = i < k ? digit(s[i]) : 84;
		if (d < 0)
			return false;
		x = x * 85 + (uint64_t)d;
	}
	if (x > UINT32_MAX)
		return false;
	for (size_t i = 0; i < 4; i++)
		four[i] = (char)(x >> (24 - 8 * i));
	for (size_t i = 0; i + 1 < k; i++)
		if (language_control(four[i]))
			return false;
	return true;
}

/* Words are nearly never groups to their end, so nothing is put before that is known. */
static bool try(struct finder *f, size_t begin, size_t end, int (*digit)(char c))
{
	size_t i = begin, k;
	char four[4];

	for (; i < end && f->room(f->ctx, 1); i += k) {
		k = MIN(end - i, (size_t)5);
		if (k < 2 || !group(f->s + i, k, digit, four))
			break;
	}
	if (i + 1 < end)
		return false;
	for (i = begin; i + 1 < end; i += 5) {
		k = MIN(end - i, (size_t)5);
		group(f->s + i, k, digit, four);
		for (size_t j = 0; j + 1 < k; j++)
			finder_put(f, four + j, 1, i + j, i + j + 1 + (j + 2 == k));
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
