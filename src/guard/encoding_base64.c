/* encoding_base64: RFC 4648, its alphabet for addresses too. */
#include "base/base64.h"
#include "guard/base_n.h"

static int digit(char c) { return base64_digit(c == '-' ? '+' : c == '_' ? '/' : c); }

static void find(struct finder *f)
{
	static const struct base_n b = { 6, 4, 6, digit, true };

	base_n_find(f, &b);
}

static void encode(struct buf *out, const char *s, size_t n) { base64_write(out, (const uint8_t *)s, n); }

const struct encoding encoding_base64 = { .name = "base64", .prior = 18, .find = find, .encode = encode };
