/* encoding_ascii85: five characters for four bytes, in Adobe's alphabet ('!' to 'u', z for four zeros) and in that of
 * RFC 1924 (git, Python's b85). A stretch is what stands between blanks. */
#include <string.h>

#include "base/mem.h"
#include "guard/encoding.h"

enum { LEAST = 6 /* characters of a stretch */ };

/* What each byte is worth, by the digits in their order or, without them, from `!` on; −1: nothing. */
struct alphabet { int8_t digit[256]; };

static void alphabet_make(struct alphabet *a, const char *signs)
{
	memset(a->digit, -1, sizeof(a->digit));
	for (int k = 0; signs ? signs[k] : k < 85; k++)
		a->digit[signs ? (uint8_t)signs[k] : '!' + k] = (int8_t)k;
}

/* The bytes, in `four`, of a group of k characters at s, k of 2 to 5; false: no number of four bytes, or no text. */
static bool group(const char *s, size_t k, const struct alphabet *a, char four[4])
{
	uint64_t x = 0;

	for (size_t i = 0; i < 5; i++) {
		int d = i < k ? a->digit[(uint8_t)s[i]] : 84;
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
static bool try(struct finder *f, size_t begin, size_t end, const struct alphabet *a)
{
	size_t i = begin, k;
	char four[4];

	for (; i < end && f->room(f->ctx, 1); i += k) {
		k = MIN(end - i, (size_t)5);
		if (k < 2 || !group(f->s + i, k, a, four))
			break;
	}
	if (i + 1 < end)
		return false;
	for (i = begin; i + 1 < end; i += 5) {
		k = MIN(end - i, (size_t)5);
		group(f->s + i, k, a, four);
		for (size_t j = 0; j + 1 < k; j++)
			finder_put(f, four + j, 1, i + j, i + j + 1 + (j + 2 == k));
	}
	return finder_offer(f, begin, end, 8 * (double)f->put.s.len);
}

static const bool is_sign[256] = { ['!' ... '~'] = true };

/* Where from i on, which is no stretch's inside, one of LEAST or more begins; the text's end: none does. Of as many
 * characters as that the last is looked at first: where it is no sign, all before it are passed over. */
static size_t long_stretch(const struct finder *f, size_t i)
{
	while (i + LEAST <= f->n) {
		size_t k = i + LEAST;
		while (k > i && is_sign[(uint8_t)f->s[k - 1]])
			k--;
		if (k == i)
			return i;
		i = k;
	}
	return f->n;
}

static void find(struct finder *f)
{
	static const char of_1924[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                              "!#$%&()*+-;<=>?@^_`{|}~";
	struct alphabet adobe, rfc1924;

	alphabet_make(&adobe, NULL);
	alphabet_make(&rfc1924, of_1924);
	for (size_t i = 0, end; (i = long_stretch(f, i)) < f->n; i = end) {
		for (end = i + LEAST; end < f->n && is_sign[(uint8_t)f->s[end]];)
			end++;
		size_t from = i, to = end;
		if (to - from > 4 && !memcmp(f->s + from, "<~", 2))
			from += 2;
		if (to - from > 4 && !memcmp(f->s + to - 2, "~>", 2))
			to -= 2;
		if (to - from >= LEAST && !try(f, from, to, &adobe))
			try(f, from, to, &rfc1924);
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
