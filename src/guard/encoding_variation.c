/* encoding_variation: bytes in variation selectors: 0 to 15 are U+FE00 and on, 16 to 255 U+E0100 and on; or U+E0100 + c
 * for a character c of ASCII, which some write. One selector behind a character is what they are for. */
#include "base/utf8.h"
#include "guard/encoding.h"

static int read(uint32_t c)
{
	if (c >= 0xFE00 && c <= 0xFE0F)
		return (int)(c - 0xFE00);
	return c >= 0xE0100 && c <= 0xE01EF ? (int)(c - 0xE0100) + 16 : -1;
}

static void offer(struct finder *f, size_t begin, size_t end, size_t n)
{
	if (n >= 3) {
		struct language l = language_look(f->put.s.data, f->put.s.len);
		for (size_t i = 0; i < f->put.s.len && !l.valid; i++) /* the other way of writing */
			f->put.s.data[i] = (char)(f->put.s.data[i] - 16);
		finder_offer_unseen(f, begin, end);
	}
	finder_drop(f);
}

static void find(struct finder *f)
{
	size_t begin = 0, end = 0, n = 0;
	uint32_t c;

	for (size_t i = 0, k; i <= f->n; i += k) {
		i = n ? i : encoding_past_ascii(f, i);
		c = 0;
		k = i < f->n ? utf8_decode(f->s + i, f->n - i, &c) : 1;
		int byte = read(c);
		if (byte >= 0) {
			char one = (char)byte;
			begin = n ? begin : i;
			end = i + k;
			n++;
			finder_put(f, &one, 1, i, i + k);
			continue;
		}
		if (n)
			offer(f, begin, end, n);
		n = 0;
		k = k ? k : 1;
	}
}

static void encode(struct buf *out, const char *s, size_t n)
{
	char four[4];

	for (size_t i = 0; i < n; i++) {
		uint8_t b = (uint8_t)s[i];
		buf_add(out, four, utf8_encode(b < 16 ? 0xFE00 + (uint32_t)b : 0xE0100 + (uint32_t)b - 16, four));
	}
}

const struct encoding encoding_variation = {
	.name = "variation",
	.raw = true,
	.signs = "\xEF\xF3",
	.find = find,
	.encode = encode,
};
