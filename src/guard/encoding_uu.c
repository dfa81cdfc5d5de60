/* encoding_uu: a line is a character for its length in bytes, 1 to 45, and four characters for three of them; with
 * `begin` and `end` around it or not. Text may stand before it in its line, as a person would quote it. */
#include <string.h>

#include "base/mem.h"
#include "guard/encoding.h"

enum { LONGEST = 62 }; /* characters of a line */

static int digit(char c) { return c >= ' ' && c <= '`' ? (c - ' ') & 63 : -1; }

/* The bytes of a line that begins at i and must end at `end`; 0: it is none. */
static size_t line(struct finder *f, size_t i, size_t end)
{
	int n = digit(f->s[i]);
	size_t want = n > 0 ? ((size_t)n + 2) / 3 * 4 : 0, had = f->put.s.len;

	/* blanks at the end may have been cut */
	if (n < 1 || n > 45 || end - i - 1 > want || end - i - 1 + 3 < want)
		return 0;
	for (size_t k = 0; k < want; k += 4) {
		uint32_t x = 0;
		for (size_t j = 0; j < 4; j++) {
			size_t at = i + 1 + k + j;
			int d = at < end ? digit(f->s[at]) : 0;
			if (d < 0)
				return 0;
			x = x << 6 | (uint32_t)d;
		}
		for (int j = 0; j < 3 && f->put.s.len < had + (size_t)n; j++) {
			char c = (char)(x >> (16 - 8 * j));
			finder_put(f, &c, 1, i + 1 + k, MIN(i + 1 + k + 4, end));
		}
	}
	return (size_t)n;
}

static size_t line_end(const struct finder *f, size_t i)
{
	const char *at = memchr(f->s + i, '\n', f->n - i);
	size_t end = at ? (size_t)(at - f->s) : f->n;

	return end > i && f->s[end - 1] == '\r' ? end - 1 : end;
}

/* Where in the line a coded part may begin: its start, or behind a blank. */
static bool begin_in(struct finder *f, size_t start, size_t end, size_t *begin)
{
	size_t had = f->put.s.len, first = end - start > LONGEST ? end - LONGEST : start;

	for (size_t i = first; i < end; i++) {
		if (i > start && f->s[i - 1] != ' ')
			continue;
		if (!f->room(f->ctx, 1))
			return false;
		*begin = i;
		if (line(f, i, end))
			return true;
		f->put.s.len = had;
	}
	return false;
}

static void find(struct finder *f)
{
	size_t first = 0, last = 0;

	for (size_t i = 0, end; i < f->n; i = end + 1) {
		end = line_end(f, i);
		size_t begin = i;
		bool first_of_all = f->put.s.len == 0;
		if (begin_in(f, i, end, &begin) && (first_of_all || begin == i)) {
			first = first_of_all ? begin : first;
			last = end;
		} else {
			finder_offer(f, first, last, 8 * (double)f->put.s.len);
		}
		while (end < f->n && f->s[end] != '\n')
			end++;
	}
	finder_offer(f, first, last, 8 * (double)f->put.s.len);
}

static void encode(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i += 45) {
		size_t k = MIN(n - i, (size_t)45);
		buf_addc(out, (char)(' ' + k));
		for (size_t j = 0; j < k; j += 3) {
			uint32_t x = 0;
			for (size_t m = 0; m < 3; m++)
				x = x << 8 | (j + m < k ? (uint8_t)s[i + j + m] : 0);
			for (int m = 18; m >= 0; m -= 6)
				buf_addc(out, (x >> m & 63) ? (char)(' ' + (x >> m & 63)) : ' ');
		}
		buf_addc(out, '\n');
	}
}

const struct encoding encoding_uu = { .name = "uu", .prior = 20, .find = find, .encode = encode };
