/* encoding_braille: letters of uncontracted English braille in Unicode's patterns (from U+2800; dot k is bit k - 1).
 * The sign for capitals (dot 6) is passed over, that for numbers makes a to j digits. Pictures of dots are braille
 * too: they spell nothing. */
#include <string.h>

#include "base/utf8.h"
#include "guard/encoding.h"

static const uint8_t letters[26] = {
	0x01, 0x03, 0x09, 0x19, 0x11, 0x0B, 0x1B, 0x13, 0x0A, 0x1A, 0x05, 0x07, 0x0D,
	0x1D, 0x15, 0x0F, 0x1F, 0x17, 0x0E, 0x1E, 0x25, 0x27, 0x3A, 0x2D, 0x3D, 0x35,
};
static const struct { uint8_t dots; char c; } marks[] = {
	{ 0x00, ' ' }, { 0x02, ',' }, { 0x04, '\'' }, { 0x24, '-' }, { 0x0C, '/' }, { 0x16, '!' }, { 0x26, '?' },
	{ 0x32, '.' }, { 0x12, ':' }, { 0x30, ';' }, { 0x06, ';' }, { 0x36, '(' },
};
enum { CAPITAL = 0x20, NUMBER = 0x3C, MARKS = sizeof(marks) / sizeof(marks[0]) };

/* 0: a sign that changes the next; −1: none. */
static int read(uint8_t dots, bool *number)
{
	if (dots == CAPITAL || dots == NUMBER) {
		*number = dots == NUMBER;
		return 0;
	}
	for (int i = 0; i < 26; i++)
		if (letters[i] == dots)
			return *number && i < 10 ? '0' + (i + 1) % 10 : 'a' + i;
	*number = false;
	for (int i = 0; i < MARKS; i++)
		if (marks[i].dots == dots)
			return marks[i].c;
	return -1;
}

static void find(struct finder *f)
{
	size_t begin = 0, end = 0, n = 0;
	bool number = false, good = true;
	uint32_t c;

	for (size_t i = 0, k; i <= f->n; i += k) {
		i = n ? i : encoding_past_ascii(f, i);
		k = i < f->n ? utf8_decode(f->s + i, f->n - i, &c) : 1;
		bool is = i < f->n && k == 3 && c >= 0x2800 && c < 0x2900;
		if (is) {
			int r = read((uint8_t)(c - 0x2800), &number);
			begin = n ? begin : i;
			end = i + k;
			good &= r >= 0;
			n++;
			char one = (char)r;
			if (r > 0)
				finder_put(f, &one, 1, i, i + k);
		} else if (n && i < f->n && k == 1 && (f->s[i] == ' ' || f->s[i] == '\n')) {
			number = false;
			finder_put(f, f->s + i, 1, i, i + 1);
		} else if (n) {
			if (good && n >= 3)
				finder_offer(f, begin, end, 8 * (double)n);
			finder_drop(f);
			n = 0;
			good = true;
		}
		k = k ? k : 1;
	}
}

static void encode(struct buf *out, const char *s, size_t n)
{
	char three[4];

	for (size_t i = 0; i < n; i++) {
		char low = s[i] | 32;
		int dots = low >= 'a' && low <= 'z' ? letters[low - 'a'] : -1;
		for (int k = 0; k < MARKS && dots < 0; k++)
			dots = marks[k].c == s[i] ? marks[k].dots : -1;
		if (dots > 0)
			buf_add(out, three, utf8_encode(0x2800 + (uint32_t)dots, three));
		else if (dots == 0)
			buf_addc(out, ' ');
	}
}

const struct encoding encoding_braille = {
	.name = "braille",
	.prior = 10,
	.signs = "\xE2",
	.find = find,
	.encode = encode,
};
