/* base_n: RFC 4648's forms. A run is tried at its first character and, where it is long and that gives no text, at the
 * next ones of its first group: a letter before it must not hide it. A run whose characters are words already is tried
 * too, and gives bytes that no text has. */
#include "guard/base_n.h"

#include <string.h>

#include "base/mem.h"

enum { TRY_OTHERS = 16 };

static bool line_end(const struct finder *f, size_t i, size_t *next)
{
	if (f->s[i] == '\r' && i + 1 < f->n && f->s[i + 1] == '\n')
		*next = i + 2;
	else if (f->s[i] == '\n')
		*next = i + 1;
	else
		return false;
	return true;
}

/* The line at i is of the alphabet alone, to its end. */
static bool whole_line(const struct finder *f, const struct base_n *b, size_t i)
{
	size_t begin = i, next;

	while (i < f->n && b->digit(f->s[i]) >= 0)
		i++;
	while (b->padded && i < f->n && f->s[i] == '=')
		i++;
	return i > begin && (i == f->n || line_end(f, i, &next));
}

/* The end of the run that begins at `at`, and how many characters it has. Lines of 60 to 76 characters, as mail and
 * PEM have them, go on in the next. */
static size_t run_end(const struct finder *f, const struct base_n *b, size_t at, size_t *count)
{
	size_t i = at, line = at, next;

	for (*count = 0; i < f->n; i++) {
		if (b->digit(f->s[i]) >= 0) {
			++*count;
			continue;
		}
		if (i - line < 60 || i - line > 76 || !line_end(f, i, &next) || !whole_line(f, b, next))
			break;
		line = next;
		i = next - 1;
	}
	return i;
}

static void decode(struct finder *f, const struct base_n *b, size_t at, size_t end)
{
	uint32_t bits = 0;
	int have = 0;
	size_t from = at;

	for (size_t i = at; i < end; i++) {
		int d = b->digit(f->s[i]);
		if (d < 0)
			continue;
		if (have == 0)
			from = i;
		bits = bits << b->bits | (uint32_t)d;
		have += b->bits;
		if (have >= 8) {
			char c = (char)(bits >> (have - 8));
			have -= 8;
			finder_put(f, &c, 1, from, i + 1);
			from = i;
		}
	}
}

static bool try(struct finder *f, const struct base_n *b, size_t at, size_t end, size_t padded)
{
	decode(f, b, at, end);
	while (f->put.s.len && (f->put.s.data[f->put.s.len - 1] == 0)) /* a last group that is not whole */
		f->put.s.data[--f->put.s.len] = 0;
	return finder_offer(f, at, padded, 8 * (double)f->put.s.len + (padded > end ? 6 : 0));
}

void base_n_find(struct finder *f, const struct base_n *b)
{
	for (size_t i = 0, count; i < f->n;) {
		if (b->digit(f->s[i]) < 0) {
			i++;
			continue;
		}
		size_t end = run_end(f, b, i, &count), padded = end;
		while (b->padded && padded < f->n && padded < end + b->group && f->s[padded] == '=')
			padded++;
		if (count >= b->least && f->room(f->ctx, end - i) && !try(f, b, i, end, padded))
			for (size_t k = 1; k < b->group && count >= TRY_OTHERS; k++)
				if (try(f, b, i + k, end, padded))
					break;
		i = padded;
	}
}

void base_n_encode(struct buf *out, const char *s, size_t n, int bits, const char *alphabet, size_t pad_to)
{
	uint32_t held = 0, mask = (1u << bits) - 1;
	int have = 0;
	size_t began = out->len;

	for (size_t i = 0; i < n; i++) {
		held = held << 8 | (uint8_t)s[i];
		for (have += 8; have >= bits; have -= bits)
			buf_addc(out, alphabet[held >> (have - bits) & mask]);
	}
	if (have)
		buf_addc(out, alphabet[held << (bits - have) & mask]);
	while (pad_to && (out->len - began) % pad_to)
		buf_addc(out, '=');
}
