/* unicode: what Python's str says about characters, and its change of case, over all code points. Templates, answers
 * and choices are judged as programs in Python judge them. Rust's white space, which tokenizers go by, is
 * utf8_is_space: it has not U+001C to U+001F.
 *
 * General categories and simple cases are utf8proc's, so characters are as new as its Unicode; exceptions are tables
 * made by tools/golden/unicode.py. Texts are UTF-8; an invalid byte is U+FFFD to a question and stays as it is in a
 * change of case. */
#ifndef BASE_UNICODE_H
#define BASE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

bool unicode_is_space(uint32_t c);      /* bidirectional WS, B or S, or category Zs */
bool unicode_is_line_break(uint32_t c); /* where splitlines cuts; CR LF is one break */
bool unicode_is_decimal(uint32_t c);    /* digits that int() takes */
int unicode_decimal_value(uint32_t c);  /* 0 to 9, −1: no decimal */
bool unicode_is_digit(uint32_t c);      /* and superscripts, circled digits */
bool unicode_is_numeric(uint32_t c);    /* and fractions, Roman numerals, numbers of Han */
bool unicode_is_alpha(uint32_t c);
bool unicode_is_alnum(uint32_t c);
bool unicode_is_upper(uint32_t c);
bool unicode_is_lower(uint32_t c);
bool unicode_is_title(uint32_t c);      /* as of one character: a capital or a title letter */
bool unicode_is_cased(uint32_t c);
bool unicode_is_case_ignorable(uint32_t c);
bool unicode_is_punctuation(uint32_t c); /* a category P… */
bool unicode_is_printable(uint32_t c);  /* repr() shows it as it is */
bool unicode_is_identifier_start(uint32_t c);
bool unicode_is_identifier_part(uint32_t c);

/* Of a text of n bytes; an empty one is none of them, but printable. */
bool unicode_all(const char *s, size_t n, bool (*is)(uint32_t c));
bool unicode_text_is_upper(const char *s, size_t n);
bool unicode_text_is_lower(const char *s, size_t n);
bool unicode_text_is_title(const char *s, size_t n);
bool unicode_text_is_identifier(const char *s, size_t n);

/* The text without white space at its ends, as str.strip() leaves it: *s and *n move. */
void unicode_rstrip(const char *s, size_t *n);
void unicode_strip(const char **s, size_t *n);

enum unicode_case {
	UNICODE_LOWER, UNICODE_UPPER, UNICODE_TITLE, UNICODE_CAPITALIZE, UNICODE_SWAPCASE, UNICODE_CASEFOLD
};

/* Appends the text in another case: full mappings (ß is SS, a capital sigma at a word's end ς), at most three
 * characters for one. */
void unicode_recase(struct buf *out, const char *s, size_t n, enum unicode_case how);

#endif
