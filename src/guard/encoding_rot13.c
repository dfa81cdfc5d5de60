/* encoding_rot13: each letter thirteen places on. */
#include "guard/substitution.h"

static char turn(char c)
{
	char low = c | 32;

	return low >= 'a' && low <= 'z' ? (char)(c + (low < 'n' ? 13 : -13)) : c;
}

static void find(struct finder *f) { substitution_find(f, &(struct substitution){ .letter = turn, .most = 3.9 }); }

static void encode(struct buf *out, const char *s, size_t n) { substitution_letters(out, s, n, turn); }

const struct encoding encoding_rot13 = { .name = "rot13", .prior = 24, .once = true, .find = find, .encode = encode };
