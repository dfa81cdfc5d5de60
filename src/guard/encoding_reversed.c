/* encoding_reversed: a text from its end to its beginning. Letters of ASCII alone tell it. */
#include "base/utf8.h"
#include "guard/substitution.h"

static bool undo(const char *s, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = s[n - 1 - i];
	return true;
}

static void find(struct finder *f)
{
	substitution_find(f, &(struct substitution){ .undo = undo, .turned = true, .most = 3.4 });
}

static void encode(struct buf *out, const char *s, size_t n)
{
	uint32_t c;

	for (size_t end = n; end > 0;) { /* character by character */
		size_t k = 1;
		while (k < 4 && k < end && utf8_decode(s + end - k, k, &c) != k)
			k++;
		if (utf8_decode(s + end - k, k, &c) != k)
			k = 1;
		buf_add(out, s + end - k, k);
		end -= k;
	}
}

const struct encoding encoding_reversed = { .name = "reversed", .prior = 32, .once = true, .find = find,
	                                   .encode = encode };
