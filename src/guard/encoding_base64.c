/* encoding_base64: RFC 4648, its alphabet for addresses too. */
#include "base/base64.h"
#include "guard/base_n.h"

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static void find(struct finder *f)
{
	static const struct base_n b = { 6, 4, 6, digit, true };

	base_n_find(f, &b);
}

static void encode(struct buf *out, const char *s, size_t n) { base64_write(out, (const uint8_t *)s, n); }

const struct encoding encoding_base64 = { .name = "base64", .prior = 18, .find = find, .encode = encode };
