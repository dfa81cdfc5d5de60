/* encoding_base16: two hexadecimal digits a byte, run together or in pairs with a blank, a colon or a comma between,
 * 0x before each. */
#include "base/mem.h"
#include "guard/base_n.h"

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The pair at i, 0x before it or not: its end, 0: none. */
static size_t pair(const struct finder *f, size_t i, char *byte)
{
	if (i + 4 <= f->n && f->s[i] == '0' && (f->s[i + 1] | 32) == 'x')
		i += 2;
	if (i + 2 > f->n || digit(f->s[i]) < 0 || digit(f->s[i + 1]) < 0)
		return 0;
	*byte = (char)(digit(f->s[i]) << 4 | digit(f->s[i + 1]));
	return i + 2;
}

static void find_pairs(struct finder *f)
{
	for (size_t i = 0; i < f->n;) {
		size_t end = i, next, at = i;
		char byte;
		while ((next = pair(f, at, &byte)) && (next == f->n || digit(f->s[next]) < 0)) {
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
		while (i < f->n && digit(f->s[i]) >= 0 && digit(f->s[i - 1]) >= 0) /* the rest of a longer run */
			i++;
	}
}

static void find(struct finder *f)
{
	static const struct base_n b = { 4, 2, 8, digit, false };

	base_n_find(f, &b);
	find_pairs(f);
}

static void encode(struct buf *out, const char *s, size_t n) { base_n_encode(out, s, n, 4, "0123456789abcdef", 0); }

const struct encoding encoding_base16 = { .name = "base16", .prior = 18, .find = find, .encode = encode };
