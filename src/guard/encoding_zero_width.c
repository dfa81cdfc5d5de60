/* encoding_zero_width: bits in characters without width, after Rehberger's "sneaky bits": invisible times and plus
 * (U+2062, U+2064), or zero-width space and non-joiner (U+200B, U+200C), are 0 and 1; a character is its seven bits
 * without the zeros before them, or eight. U+200B between the former is a blank. */
#include "base/utf8.h"
#include "guard/encoding.h"

struct bits { uint32_t value; int n; size_t from; };

/* 0, 1; 2: a blank; −1: none. *pair: which two are in use, 0: none yet. */
static int read(uint32_t c, int *pair)
{
	int is = c == 0x2062 || c == 0x2064 ? 1 : c == 0x200B || c == 0x200C ? 2 : 0;

	if (!is || (*pair == 2 && is == 1))
		return -1;
	if (*pair == 1 && is == 2)
		return c == 0x200B ? 2 : -1;
	*pair = is;
	return c == 0x2064 || c == 0x200C;
}

/* Letters of prose have seven bits where their first is 1, and eight where it is 0. */
static void add(struct finder *f, struct bits *b, int bit, size_t i, size_t end)
{
	if (!b->n)
		b->from = i;
	b->value = b->value << 1 | (uint32_t)bit;
	b->n++;
	if (b->n == ((b->value >> (b->n - 1)) & 1 ? 7 : 8)) {
		char c = (char)b->value;
		finder_put(f, &c, 1, b->from, end);
		*b = (struct bits){ 0 };
	}
}

static void find(struct finder *f)
{
	size_t begin = 0, end = 0, n = 0;
	struct bits bits = { 0 };
	int pair = 0;
	uint32_t c;

	for (size_t i = 0, k; i <= f->n; i += k) {
		i = n ? i : encoding_past_ascii(f, i);
		c = 0;
		k = i < f->n ? utf8_decode(f->s + i, f->n - i, &c) : 1;
		int bit = read(c, &pair);
		if (bit >= 0) {
			begin = n ? begin : i;
			end = i + k;
			n++;
			if (bit == 2)
				finder_put(f, " ", 1, i, i + k);
			else
				add(f, &bits, bit, i, i + k);
			continue;
		}
		if (n >= 14)
			finder_offer_unseen(f, begin, end);
		finder_drop(f);
		n = 0;
		pair = 0;
		bits = (struct bits){ 0 };
		k = k ? k : 1;
	}
}

static void encode(struct buf *out, const char *s, size_t n)
{
	char three[4];

	for (size_t i = 0; i < n; i++) {
		uint8_t b = (uint8_t)s[i];
		if (b == ' ') {
			buf_add(out, three, utf8_encode(0x200B, three));
			continue;
		}
		for (int k = b >= 64 && b < 128 ? 6 : 7; k >= 0; k--)
			buf_add(out, three, utf8_encode(b >> k & 1 ? 0x2064 : 0x2062, three));
	}
}

const struct encoding encoding_zero_width = {
	.name = "zero-width",
	.raw = true,
	.signs = "\xE2",
	.find = find,
	.encode = encode,
};
