/* encoding_base16: two hexadecimal digits a byte, run together or in pairs with a blank, a colon or a comma between,
 * 0x before each. */
#include "base/mem.h"
#include "guard/base_n.h"
#include "guard/escapes.h"

static const struct base_n base16 = { 4, 2, 8, "0123456789abcdef", "0123456789ABCDEF", false };

/* The pair at i, 0x before it or not: its end, 0: none. */
static size_t pair(const struct finder *f, size_t i, char *byte)
{
	if (i + 4 <= f->n && f->s[i] == '0' && (f->s[i + 1] | 32) == 'x')
		i += 2;
	if (i + 2 > f->n || escapes_hex(f->s[i]) < 0 || escapes_hex(f->s[i + 1]) < 0)
		return 0;
	*byte = (char)(escapes_hex(f->s[i]) << 4 | escapes_hex(f->s[i + 1]));
	return i + 2;
}

static void find_pairs(struct finder *f)
{
	for (size_t i = 0; i < f->n;) {
		size_t end = i, next, at = i;
		char byte;
		if (escapes_hex(f->s[i]) < 0) {
			i++;
			continue;
		}
		while ((next = pair(f, at, &byte)) && (next == f->n || escapes_hex(f->s[next]) < 0)) {
			finder_put(f, &byte, 1, at, next);
			end = at = next;
			if (at < f->n && f->s[at] == ',')
				at++;
			if (at < f->n && (f->s[at] == ' ' || f->s[at] == ':'))
				at++;
			if (at == end)
				break;
		}
		if (f->put.s.len >= 4)
			finder_offer(f, i, end, 8 * (double)f->put.s.len);
		finder_drop(f);
		i = MAX(end, i + 1);
		/* the rest of a longer run */
		while (i < f->n && escapes_hex(f->s[i]) >= 0 && escapes_hex(f->s[i - 1]) >= 0)
			i++;
	}
}

static void find(struct finder *f)
{
	base_n_find(f, &base16);
	find_pairs(f);
}

static void encode(struct buf *out, const char *s, size_t n) { base_n_encode(out, s, n, &base16); }

const struct encoding encoding_base16 = { .name = "base16", .prior = 18, .find = find, .encode = encode };
