/* pattern: a regular expression of a tokenizer, matched piece by piece.
 *
 * The expressions in tokenizer files are written for Oniguruma with its Ruby syntax; here PCRE2 runs them (UTF, UCP,
 * JIT). What both read the same passes through, what differs is translated, and what cannot be is refused by a
 * sentence. */
#ifndef TOKEN_PATTERN_H
#define TOKEN_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct pattern;
struct pattern_scratch; /* one a thread, for any pattern */

struct pattern *pattern_new(const char *source, size_t n, bool literal, struct err *e); /* source: valid UTF-8 */
void pattern_free(struct pattern *p);
struct pattern_scratch *pattern_scratch_new(void);
void pattern_scratch_free(struct pattern_scratch *s);
/* The first match that begins at `from` or later: 1, 0 for none, −1 with a sentence. text: valid UTF-8. */
int pattern_next(const struct pattern *p, struct pattern_scratch *s, const char *text, size_t n, size_t from,
                 size_t *begin, size_t *end, struct err *e);

#endif
