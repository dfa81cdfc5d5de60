/* encoding_spaced: letters with a blank after each, two or more blanks between words. */
#include "guard/signs.h"

static char read(const char *s, size_t n)
{
	return n == 1 && encoding_alnum(s[0]) ? s[0] : 0;
}

static void find(struct finder *f)
{
	signs_find(f, &(struct signs){ .read = read, .least = 6, .cost = 5.2, .wide_blanks = true });
}

static void encode(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_addc(out, s[i]);
		if (i + 1 < n && (s[i] & 0x80) == 0 && (s[i + 1] & 0x80) == 0)
			buf_addc(out, ' ');
	}
}

const struct encoding encoding_spaced = { .name = "spaced", .prior = 14, .find = find, .encode = encode };
