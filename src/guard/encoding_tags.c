/* encoding_tags: ASCII in Unicode's tag characters (U+E0000 + c), which nobody sees. Emoji write three flags so (black
 * flag, a region's letters, U+E007F): those are none. */
#include "base/utf8.h"
#include "guard/encoding.h"

enum { FLAG = 0x1F3F4, CANCEL = 0xE007F };

static void find(struct finder *f)
{
	size_t begin = 0, n = 0, end = 0;
	uint32_t c, before = 0, leads = 0;
	bool cancelled = false;

	for (size_t i = 0, k; i <= f->n; i += k, before = c) {
		c = 0;
		k = i < f->n ? utf8_decode(f->s + i, f->n - i, &c) : 1;
		if (c >= 0xE0000 && c <= CANCEL) {
			char one = (char)(c - 0xE0000);
			leads = n ? leads : before;
			begin = n ? begin : i;
			end = i + k;
			n++;
			cancelled = c == CANCEL;
			if (one >= ' ' && one < 127)
				finder_put(f, &one, 1, i, i + k);
			continue;
		}
		if (n && !(leads == FLAG && cancelled && n <= 7))
			finder_offer_unseen(f, begin, end);
		finder_drop(f);
		n = 0;
		k = k ? k : 1;
	}
}

static void encode(struct buf *out, const char *s, size_t n)
{
	char four[4];

	for (size_t i = 0; i < n; i++)
		if (s[i] >= ' ' && s[i] < 127)
			buf_add(out, four, utf8_encode(0xE0000 + (uint32_t)s[i], four));
}

const struct encoding encoding_tags = { .name = "tags", .raw = true, .signs = "\xF3", .find = find, .encode = encode };
