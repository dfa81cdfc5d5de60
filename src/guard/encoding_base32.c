/* encoding_base32: RFC 4648, in capitals, as everybody writes it. */
#include "guard/base_n.h"

static int digit(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

static void find(struct finder *f)
{
	static const struct base_n b = { 5, 8, 7, digit, true };

	base_n_find(f, &b);
}

static void encode(struct buf *out, const char *s, size_t n)
{
	base_n_encode(out, s, n, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 8);
}

const struct encoding encoding_base32 = { .name = "base32", .prior = 18, .find = find, .encode = encode };
