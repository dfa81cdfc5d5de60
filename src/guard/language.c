/* language: trigrams of letters by a table, everything else by its kind. The costs of kinds are round numbers: a
 * digit is one of ten among the rarer things (5 bits), a mark of prose 4, of programs 7, a letter of another script 6
 * beside the 16 or 24 bits that its bytes take. Prose has fewer than one mark of programs in 40 characters; that and
 * the share of letters are what tells it from code, whose names are English too. No other language has a table: its
 * words are known by their lengths alone, so a short text in it reads as nothing. */
#include "guard/language.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "guard/letters_table.h"

enum { BLANK = 26 };

#define UPPER_BITS 0.6 /* a capital, wherever */
#define ANY_LETTER 6.6 /* a letter that stands in no word: what is encoded twice is a text as well */
#define ENGLISH 3.7    /* bits a letter or blank at most; books have 2.9, names and short lines more */

/* In quarter bits. */
static int quarters(int a, int b, int c) { return letter_costs[27 * a + b][c] - '0'; }

struct state { int a, b; };

static void step(struct language *l, struct state *at, int c)
{
	double bits = quarters(at->a, at->b, c) / 4.0;

	l->bits += MIN(bits, ANY_LETTER);
	l->letter_bits += bits;
	*at = (struct state){ at->b, c };
}

/* Whatever ends a word: the blank that the model knows, once. */
static void end_word(struct language *l, struct state *at)
{
	if (at->b == BLANK)
		return;
	l->words++;
	step(l, at, BLANK);
}

static bool is_code(char c)
{
	static const bool is[128] = {
		['{'] = 1, ['}'] = 1, ['['] = 1, [']'] = 1, ['('] = 1, [')'] = 1, ['<'] = 1, ['>'] = 1, ['='] = 1,
		[';'] = 1, ['\\'] = 1, ['/'] = 1, ['_'] = 1, ['*'] = 1, ['&'] = 1, ['|'] = 1, ['#'] = 1, ['$'] = 1,
		['@'] = 1, ['^'] = 1, ['~'] = 1, ['`'] = 1, ['%'] = 1, ['+'] = 1,
	};

	return is[(uint8_t)c];
}

static void ascii(struct language *l, struct state *at, char c)
{
	int k = language_letter(c);

	if (k >= 0) {
		step(l, at, k);
		l->letters++;
		l->bits += c < 'a' ? UPPER_BITS : 0;
		return;
	}
	if (c == '\'' && at->b != BLANK) { /* inside a word, as in the books */
		l->marks++;
		l->bits += 2;
		return;
	}
	bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r', was = at->b == BLANK;
	end_word(l, at);
	if (blank) {
		l->blanks++;
		l->bits += was ? 1 : 0;
	} else if (c >= '0' && c <= '9') {
		l->digits++;
		l->bits += 5;
	} else if (language_control(c)) {
		l->valid = false;
		l->bits += 12;
	} else {
		bool code = is_code(c);
		l->code += code;
		l->marks += !code;
		l->bits += code ? 7 : 4;
	}
}

static void wide(struct language *l, struct state *at, uint32_t c)
{
	utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
	bool is_letter = (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ME);

	if (!is_letter)
		end_word(l, at);
	l->other_letters += is_letter;
	l->marks += !is_letter;
	l->bits += is_letter ? 6 : 8;
	if (k == UTF8PROC_CATEGORY_CN || k == UTF8PROC_CATEGORY_CO || k == UTF8PROC_CATEGORY_CC) {
		l->valid = false;
		l->bits += 16;
	}
}

struct language language_look(const char *s, size_t n)
{
	struct language l = { .valid = true };
	struct state at = { BLANK, BLANK };
	uint32_t c;

	for (size_t i = 0, k; i < n; i += k, l.characters++) {
		c = (uint8_t)s[i];
		k = c < 0x80 ? 1 : utf8_decode(s + i, n - i, &c);
		if (!k) {
			k = 1;
			l.valid = false;
			l.bits += 12;
			end_word(&l, &at);
		} else if (c < 0x80) {
			ascii(&l, &at, (char)c);
		} else {
			wide(&l, &at, c);
		}
	}
	end_word(&l, &at);
	return l;
}

bool language_reads(const struct language *l)
{
	size_t all = l->letters + l->other_letters;
	double n = (double)l->characters, text = (double)(all + l->blanks);

	if (!l->valid || all < 3 || text < 0.75 * n || (double)l->code > 0.025 * n || (double)l->digits > 0.15 * n)
		return false;
	double each = l->letters ? l->letter_bits / (double)(l->letters + l->words) : 9;
	if (4 * l->letters >= 3 * all && each <= ENGLISH + 2.0 / (double)l->words)
		return true;
	double length = (double)all / (double)(l->words ? l->words : 1);
	return text >= 0.85 * n && ((l->words >= 4 && length >= 2 && length <= 12) || 2 * l->other_letters > all);
}

int language_word(const char *s, size_t n, const char *letters, int most)
{
	struct state at = { BLANK, BLANK };
	int sum = 0;

	for (size_t i = 0; i < n && sum <= most; i++) {
		int c = language_letter(s[i]);
		if (c < 0)
			continue;
		c = letters ? letters[c] - 'a' : c;
		sum += quarters(at.a, at.b, c);
		at = (struct state){ at.b, c };
	}
	return sum + quarters(at.a, at.b, BLANK);
}

bool language_word_below(const char *s, size_t n, const int8_t number[256], bool turned, int most)
{
	struct state at = { BLANK, BLANK };
	const char *from = turned ? s + n - 1 : s;
	const int on = turned ? -1 : 1;
	int sum = 0;

	for (; n > 0 && sum < most; n--, from += on) {
		int c = number[(uint8_t)*from];
		if (c < 0)
			continue;
		sum += quarters(at.a, at.b, c);
		at = (struct state){ at.b, c };
	}
	return sum < most && sum + quarters(at.a, at.b, BLANK) < most;
}

bool language_may(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (language_control(s[i]))
			return false;
	return utf8_valid(s, n, NULL);
}
