/* base_n: RFC 4648's forms. A run is tried at its first character and, where it is long and that gives no text, at the
 * next ones of its first group: a letter before it must not hide it. A run whose characters are words already is tried
 * too, and gives bytes that no text has. */
#include "guard/base_n.h"

#include <string.h>

#include "base/mem.h"

enum { TRY_OTHERS = 16 };

struct reading {
	struct finder *f;
	const struct base_n *b;
	int8_t digit[256]; /* −1: none of the alphabet */
};

static int digit_at(const struct reading *r, size_t i) { return r->digit[(uint8_t)r->f->s[i]]; }

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
static bool whole_line(const struct reading *r, size_t i)
{
	const struct finder *f = r->f;
	size_t begin = i, next;

	while (i < f->n && digit_at(r, i) >= 0)
		i++;
	while (r->b->padded && i < f->n && f->s[i] == '=')
		i++;
	return i > begin && (i == f->n || line_end(f, i, &next));
}

/* The end of the run that begins at `at`, and how many characters it has. Lines of 60 to 76 characters, as mail and
 * PEM have them, go on in the next. */
static size_t run_end(const struct reading *r, size_t at, size_t *count)
{
	size_t i = at, line = at, next;

	for (*count = 0; i < r->f->n; i++) {
		size_t from = i;
		while (i < r->f->n && digit_at(r, i) >= 0)
			i++;
		*count += i - from;
		if (i == r->f->n || i - line < 60 || i - line > 76 || !line_end(r->f, i, &next) || !whole_line(r, next))
			break;
		line = next;
		i = next - 1;
	}
	return i;
}

struct bits { uint32_t held; int have; };

/* A digit more; its byte where it makes one whole, else −1. */
static int next_byte(struct bits *x, int digit, int bits)
{
	x->held = x->held << bits | (uint32_t)digit;
	x->have += bits;
	if (x->have < 8)
		return -1;
	x->have -= 8;
	return (uint8_t)(x->held >> x->have);
}

/* How many bytes of a character are to follow its first; −1: it is not UTF-8's. */
static int follow(int byte)
{
	if (byte < 0x80)
		return 0;
	return byte < 0xC2 || byte > 0xF4 ? -1 : byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
}

/* How many bytes of the run are a text as far as controls and the lengths of characters tell, without zeros at its end,
 * which a last group that is not whole leaves; 0: they are none. */
static size_t text_bytes(const struct reading *r, size_t at, size_t end)
{
	struct bits x = { 0 };
	size_t n = 0, text = 0;
	int more = 0;

	for (size_t i = at; i < end; i++) {
		int d = digit_at(r, i), byte = d < 0 ? -1 : next_byte(&x, d, r->b->bits);
		if (byte < 0)
			continue;
		n++;
		if (!byte)
			continue;
		if (text + 1 != n || language_control((char)byte))
			return 0;
		if (more && (byte & 0xC0) != 0x80)
			return 0;
		more = more ? more - 1 : follow(byte);
		if (more < 0)
			return 0;
		text = n;
	}
	return more ? 0 : text;
}

static void decode(const struct reading *r, size_t at, size_t end, size_t bytes)
{
	struct bits x = { 0 };
	size_t from = at;

	for (size_t i = at; i < end && r->f->put.s.len < bytes; i++) {
		int d = digit_at(r, i);
		if (d < 0)
			continue;
		from = x.have ? from : i;
		int byte = next_byte(&x, d, r->b->bits);
		if (byte >= 0) {
			char c = (char)byte;
			finder_put(r->f, &c, 1, from, i + 1);
			from = i;
		}
	}
}

static bool try(const struct reading *r, size_t at, size_t end, size_t padded)
{
	size_t bytes = text_bytes(r, at, end);

	if (!bytes)
		return false;
	decode(r, at, end, bytes);
	return finder_offer(r->f, at, padded, 8 * (double)bytes + (padded > end ? 6 : 0));
}

/* Where from i on, which is no run's inside, a run begins that is long enough; the text's end: none does. Of as many
 * characters as that the last is looked at first: where it is no digit, all before it are passed over. */
static size_t long_run(const struct reading *r, size_t i)
{
	while (i + r->b->least <= r->f->n) {
		size_t k = i + r->b->least;
		while (k > i && digit_at(r, k - 1) >= 0)
			k--;
		if (k == i)
			return i;
		i = k;
	}
	return r->f->n;
}

void base_n_find(struct finder *f, const struct base_n *b)
{
	struct reading r = { .f = f, .b = b };

	memset(r.digit, -1, sizeof(r.digit));
	for (int k = 0; b->alphabet[k]; k++)
		r.digit[(uint8_t)b->alphabet[k]] = r.digit[(uint8_t)b->also[k]] = (int8_t)k;
	for (size_t i = 0, count; (i = long_run(&r, i)) < f->n;) {
		size_t end = run_end(&r, i, &count), padded = end;
		while (b->padded && padded < f->n && padded < end + b->group && f->s[padded] == '=')
			padded++;
		if (count >= b->least && f->room(f->ctx, end - i) && !try(&r, i, end, padded))
			for (size_t k = 1; k < b->group && count >= TRY_OTHERS; k++)
				if (try(&r, i + k, end, padded))
					break;
		i = padded;
	}
}

void base_n_encode(struct buf *out, const char *s, size_t n, const struct base_n *b)
{
	uint32_t held = 0, mask = (1u << b->bits) - 1;
	int have = 0;
	size_t began = out->len;

	for (size_t i = 0; i < n; i++) {
		held = held << 8 | (uint8_t)s[i];
		for (have += 8; have >= b->bits; have -= b->bits)
			buf_addc(out, b->alphabet[held >> (have - b->bits) & mask]);
	}
	if (have)
		buf_addc(out, b->alphabet[held << (b->bits - have) & mask]);
	while (b->padded && (out->len - began) % b->group)
		buf_addc(out, '=');
}
