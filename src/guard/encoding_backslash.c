/* encoding_backslash: \u0061, \x61 and \141 as programs write characters. A surrogate's half is none. */
#include "base/utf8.h"
#include "guard/escapes.h"

static size_t digits(const struct finder *f, size_t i, size_t most, int base, uint32_t *x)
{
	size_t k = 0;

	for (*x = 0; k < most && i + k < f->n; k++) {
		int d = escapes_hex(f->s[i + k]);
		if (d < 0 || d >= base)
			break;
		*x = *x * (uint32_t)base + (uint32_t)d;
	}
	return k;
}

static size_t read(const struct finder *f, size_t i, char out[8], size_t *n)
{
	uint32_t c;
	char kind = i + 1 < f->n ? f->s[i + 1] : 0;
	size_t want = kind == 'u' ? 4 : kind == 'U' ? 8 : kind == 'x' ? 2 : 0;

	if (kind >= '0' && kind <= '3') {
		if (digits(f, i + 1, 3, 8, &c) != 3 || c < ' ')
			return 0;
		out[0] = (char)c;
		*n = 1;
		return 4;
	}
	if (!want || digits(f, i + 2, want, 16, &c) != want || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
		return 0;
	if (kind == 'x') {
		out[0] = (char)c;
		*n = 1;
	} else {
		*n = utf8_encode(c, out);
	}
	return want + 2;
}

static void find(struct finder *f) { escapes_find(f, &(struct escapes){ '\\', read, true }); }

static void encode(struct buf *out, const char *s, size_t n)
{
	uint32_t c;

	for (size_t i = 0, k; i < n; i += k) {
		k = utf8_decode(s + i, n - i, &c);
		if (!k) {
			k = 1;
			continue;
		}
		buf_addf(out, c > 0xFFFF ? "\\U%08X" : "\\u%04x", c);
	}
}

const struct encoding encoding_backslash = { .name = "backslash", .signs = "\\", .find = find, .encode = encode };
