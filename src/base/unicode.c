/* unicode: Python's str over the Unicode Character Database. A property is a general category, more what a table adds
 * and less what one takes away; a case is utf8proc's simple one unless a table has several characters (the standard's
 * SpecialCasing without its conditions on languages); the one condition on context that Python knows is the final
 * sigma (The Unicode Standard, 3.13, table 3-17). Tables are sorted and searched by halves; ASCII never searches. */
#include "base/unicode.h"

#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"

struct range { uint32_t first, last; };
struct special { uint32_t from, to[3]; };

#include "base/unicode_tables.h"

enum { SIGMA = 0x3A3, SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2, DOTTED_I = 0x130, DOT_ABOVE = 0x307 };

#define HAS(table, c) has(table, ARRAY_LEN(table), c)
#define MAPS(table, c, to) maps(table, ARRAY_LEN(table), c, to)

static bool has(const struct range *table, size_t n, uint32_t c)
{
	size_t low = 0;

	while (low < n) {
		size_t half = low + (n - low) / 2;
		if (c >= table[half].first && c <= table[half].last)
			return true;
		if (c < table[half].first)
			n = half;
		else
			low = half + 1;
	}
	return false;
}

/* The characters that c becomes, 0: none of the table's. */
static size_t maps(const struct special *table, size_t n, uint32_t c, uint32_t to[3])
{
	size_t low = 0, k = 0;

	while (low < n && c >= 0x80) {
		size_t half = low + (n - low) / 2;
		if (c == table[half].from) {
			for (; k < 3 && table[half].to[k]; k++)
				to[k] = table[half].to[k];
			return k;
		}
		if (c < table[half].from)
			n = half;
		else
			low = half + 1;
	}
	return 0;
}

static utf8proc_category_t category(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c); }

bool unicode_is_space(uint32_t c) { return utf8_is_space(c) || (c >= 0x1C && c <= 0x1F); }

bool unicode_is_line_break(uint32_t c)
{
	return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool unicode_is_decimal(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }

/* Digits stand in tens that begin with their zero. */
int unicode_decimal_value(uint32_t c)
{
	int n = -1;

	for (; unicode_is_decimal(c); c--)
		n++;
	return n < 0 ? -1 : n % 10;
}

bool unicode_is_digit(uint32_t c) { return unicode_is_decimal(c) || HAS(other_digit, c); }

bool unicode_is_numeric(uint32_t c)
{
	utf8proc_category_t k = category(c);
	return (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO) || HAS(other_numeric, c);
}

bool unicode_is_alpha(uint32_t c)
{
	utf8proc_category_t k = category(c);
	return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool unicode_is_alnum(uint32_t c) { return unicode_is_alpha(c) || unicode_is_numeric(c); }
bool unicode_is_punctuation(uint32_t c)
{
	utf8proc_category_t k = category(c);

	return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool unicode_is_upper(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LU || HAS(other_upper, c); }
bool unicode_is_lower(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || HAS(other_lower, c); }
bool unicode_is_title(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LT || unicode_is_upper(c); }
bool unicode_is_cased(uint32_t c) { return unicode_is_title(c) || unicode_is_lower(c); }

bool unicode_is_case_ignorable(uint32_t c)
{
	switch (category(c)) {
	case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_SK: return true;
	default: return HAS(other_ignorable, c);
	}
}

bool unicode_is_printable(uint32_t c)
{
	switch (category(c)) {
	case UTF8PROC_CATEGORY_CC: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_CS: case UTF8PROC_CATEGORY_CO:
	case UTF8PROC_CATEGORY_CN: case UTF8PROC_CATEGORY_ZL: case UTF8PROC_CATEGORY_ZP: return false;
	case UTF8PROC_CATEGORY_ZS: return c == ' ';
	default: return true;
	}
}

static bool is_letter(uint32_t c) { return unicode_is_alpha(c) || category(c) == UTF8PROC_CATEGORY_NL; }

bool unicode_is_identifier_start(uint32_t c)
{
	return is_letter(c) ? !HAS(no_start, c) : HAS(other_start, c);
}

bool unicode_is_identifier_part(uint32_t c)
{
	switch (category(c)) {
	case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_PC:
		return !HAS(no_part, c);
	default: return is_letter(c) ? !HAS(no_part, c) : HAS(other_part, c);
	}
}

/* --- texts --- */

/* The bytes of the character at s, at least one. */
static size_t next(const char *s, size_t n, uint32_t *c)
{
	size_t k = utf8_decode(s, n, c);

	if (k)
		return k;
	*c = 0xFFFD;
	return 1;
}

/* The bytes of the character before s + n. */
static size_t before(const char *s, size_t n, uint32_t *c)
{
	for (size_t k = 1; k <= 4 && k <= n; k++)
		if (utf8_decode(s + n - k, k, c) == k)
			return k;
	*c = 0xFFFD;
	return 1;
}

bool unicode_all(const char *s, size_t n, bool (*is)(uint32_t c))
{
	uint32_t c;

	for (size_t at = 0; at < n;) {
		at += next(s + at, n - at, &c);
		if (!is(c))
			return false;
	}
	return n > 0 || is == unicode_is_printable;
}

bool unicode_text_is_upper(const char *s, size_t n)
{
	bool some = false;
	uint32_t c;

	for (size_t at = 0; at < n; some |= unicode_is_upper(c)) {
		at += next(s + at, n - at, &c);
		if (unicode_is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT)
			return false;
	}
	return some;
}

bool unicode_text_is_lower(const char *s, size_t n)
{
	bool some = false;
	uint32_t c;

	for (size_t at = 0; at < n; some |= unicode_is_lower(c)) {
		at += next(s + at, n - at, &c);
		if (unicode_is_title(c))
			return false;
	}
	return some;
}

bool unicode_text_is_title(const char *s, size_t n)
{
	bool some = false, in_word = false;
	uint32_t c;

	for (size_t at = 0; at < n; some |= in_word) {
		at += next(s + at, n - at, &c);
		if (in_word ? unicode_is_title(c) : unicode_is_lower(c))
			return false;
		in_word = unicode_is_cased(c);
	}
	return some;
}

bool unicode_text_is_identifier(const char *s, size_t n)
{
	uint32_t c;
	size_t first = n ? next(s, n, &c) : 0;

	return first && unicode_is_identifier_start(c) &&
	       (first == n || unicode_all(s + first, n - first, unicode_is_identifier_part));
}

static void unicode_lstrip(const char **s, size_t *n)
{
	uint32_t c;

	for (size_t k; *n && (k = next(*s, *n, &c)) && unicode_is_space(c); *n -= k)
		*s += k;
}

void unicode_rstrip(const char *s, size_t *n)
{
	uint32_t c;

	for (size_t k; *n && (k = before(s, *n, &c)) && unicode_is_space(c);)
		*n -= k;
}

void unicode_strip(const char **s, size_t *n)
{
	unicode_lstrip(s, n);
	unicode_rstrip(*s, n);
}

/* --- case --- */

/* A sigma from `at` to `end` ends a word: a cased letter before it, none behind it, but for what case ignores. */
static bool is_final(const char *s, size_t at, size_t end, size_t n)
{
	uint32_t c = 0;

	do {
		if (!at)
			return false;
		at -= before(s, at, &c);
	} while (unicode_is_case_ignorable(c));
	if (!unicode_is_cased(c))
		return false;
	for (; end < n; end += next(s + end, n - end, &c)) {
		next(s + end, n - end, &c);
		if (!unicode_is_case_ignorable(c))
			return !unicode_is_cased(c);
	}
	return true;
}

static size_t lower(uint32_t c, bool final, uint32_t to[3])
{
	to[0] = c == SIGMA && final ? FINAL_SIGMA :
	        c == DOTTED_I       ? 'i' :
	                              (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
	to[1] = DOT_ABOVE;
	return c == DOTTED_I ? 2 : 1;
}

static size_t upper(uint32_t c, uint32_t to[3])
{
	size_t k = MAPS(upper_special, c, to);

	if (!k)
		to[0] = (uint32_t)utf8proc_toupper((utf8proc_int32_t)c);
	return k ? k : 1;
}

static size_t title(uint32_t c, uint32_t to[3])
{
	size_t k = MAPS(title_special, c, to);

	if (!k)
		to[0] = (uint32_t)utf8proc_totitle((utf8proc_int32_t)c);
	return k ? k : 1;
}

static size_t fold(uint32_t c, uint32_t to[3])
{
	utf8proc_int32_t out[3];
	int boundary = 0;
	utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)c, out, 3, UTF8PROC_CASEFOLD, &boundary);

	if (k < 1 || k > 3) {
		to[0] = c;
		return 1;
	}
	for (utf8proc_ssize_t i = 0; i < k; i++)
		to[i] = (uint32_t)out[i];
	return (size_t)k;
}

static size_t swapped(uint32_t c, bool final, uint32_t to[3])
{
	to[0] = c;
	return unicode_is_upper(c) ? lower(c, final, to) : unicode_is_lower(c) ? upper(c, to) : 1;
}

void unicode_recase(struct buf *out, const char *s, size_t n, enum unicode_case how)
{
	bool in_word = false;

	for (size_t at = 0, end, k = 0; at < n; at = end) {
		uint32_t c, to[3] = { 0 };
		end = at + next(s + at, n - at, &c);
		bool final = c == SIGMA && is_final(s, at, end, n);
		switch (how) {
		case UNICODE_LOWER: k = lower(c, final, to); break;
		case UNICODE_UPPER: k = upper(c, to); break;
		case UNICODE_TITLE: k = in_word ? lower(c, final, to) : title(c, to); break;
		case UNICODE_CAPITALIZE: k = at ? lower(c, final, to) : title(c, to); break;
		case UNICODE_SWAPCASE: k = swapped(c, final, to); break;
		case UNICODE_CASEFOLD: k = fold(c, to); break;
		}
		in_word = how == UNICODE_TITLE && unicode_is_cased(c);
		if (k == 1 && to[0] == c)
			buf_add(out, s + at, end - at);
		for (size_t i = 0; i < k && !(k == 1 && to[0] == c); i++) {
			char bytes[4];
			buf_add(out, bytes, utf8_encode(to[i], bytes));
		}
	}
}
