/* chars: sets of code points as ranges. */
#ifndef GRAMMAR_CHARS_H
#define GRAMMAR_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Code points from lo to hi. */
struct char_range {
	uint32_t lo, hi;
};

/* n ranges in any order as ranges that ascend and lie apart, or as those of all other code points; in has room for one
 * more and is used up, out has room for n + 1. How many they are. */
size_t char_ranges_tidy(struct char_range *in, size_t n, bool negated, struct char_range *out);

/* A set that grows. */
struct char_set {
	struct char_range *range;
	size_t n, cap;
};
void char_set_add(struct char_set *s, uint32_t lo, uint32_t hi);
void char_set_add_all(struct char_set *s, const struct char_range *list, size_t n);
void char_set_tidy(struct char_set *s, bool negated);
void char_set_release(struct char_set *s);

/* As GBNF: a class; or, in a JSON string's quotes, what a character of the set is written as there: `"`, `\` and
 * control characters escaped. Neither surrogates nor, in a JSON string, U+0000. false: it has none. s is tidy. */
bool char_set_write(const struct char_set *s, bool json, struct buf *out);
/* Bytes of UTF-8 as a GBNF text in quotes. */
void gbnf_quote(struct buf *out, const char *s, size_t n);

#endif
