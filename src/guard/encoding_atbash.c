/* encoding_atbash: the alphabet backwards, a for z. */
#include "guard/substitution.h"

static char turn(char c)
{
	if (c >= 'a' && c <= 'z')
		return (char)('a' + 'z' - c);
	return c >= 'A' && c <= 'Z' ? (char)('A' + 'Z' - c) : c;
}

static bool undo(const char *s, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = turn(s[i]);
	return true;
}

static void find(struct finder *f) { substitution_find(f, &(struct substitution){ .undo = undo, .most = 3.9 }); }

static void encode(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addc(out, turn(s[i]));
}

const struct encoding encoding_atbash = { .name = "atbash", .prior = 24, .once = true, .find = find, .encode = encode };
