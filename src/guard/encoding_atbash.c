/* encoding_atbash: the alphabet backwards, a for z. */
#include "guard/substitution.h"

static char turn(char c)
{
	if (c >= 'a' && c <= 'z')
		return (char)('a' + 'z' - c);
	return c >= 'A' && c <= 'Z' ? (char)('A' + 'Z' - c) : c;
}

static void find(struct finder *f) { substitution_find(f, &(struct substitution){ .letter = turn, .most = 3.9 }); }

static void encode(struct buf *out, const char *s, size_t n) { substitution_letters(out, s, n, turn); }

const struct encoding encoding_atbash = { .name = "atbash", .prior = 24, .once = true, .find = find, .encode = encode };
