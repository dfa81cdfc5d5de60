/* regex: regular expressions whose time is linear in the text, whatever they and the text are.
 *
 * Thompson's automaton, made deterministic as it goes (states are kept, and forgotten together when there are too
 * many). There is no backtracking, hence no back-references and no looking around; these are refused by name. Texts
 * are UTF-8. The dot and classes of what is left out ([^a], \D) take the bytes of other characters one by one, so
 * a count counts them; a match goes to whole characters.
 *
 *     x  .  [a-z] [^a-z] \d \w \s \D \W \S  \b \B ^ $  ( ) (?: )  |  * + ? {m} {m,} {m,n}  (?i) at the beginning
 *
 * ^ and $ are a line's, as \b is of ASCII words. Counts go to 256, an expression to 20,000 states, a match to 4,096
 * bytes (a longer one is cut there). A match is the leftmost, of those the longest. */
#ifndef GUARD_REGEX_H
#define GUARD_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { REGEX_MATCH_MAX = 4096 };

struct regex_set;     /* several expressions beside each other; read by any number of threads */
struct regex_scratch; /* of one thread, for one set */

struct regex_set *regex_set_new(void);
/* Its number, from 0; −1 and a sentence that says where. */
int regex_set_add(struct regex_set *s, const char *pattern, struct err *e);
/* That one is looked for only in texts that have one of these words, n ≥ 1, wherever, in capitals or small letters.
 * They are small letters and borrowed. */
void regex_set_beside(struct regex_set *s, int number, const char *const *words, size_t n);
void regex_set_free(struct regex_set *s);

struct regex_scratch *regex_scratch_new(const struct regex_set *s);
void regex_scratch_free(struct regex_scratch *x);
/* Which of them match somewhere in the text: found[number]. A pass for all, and one for each that the text has what it
 * needs for. *work: bytes and states looked at are added; false: that came to more than `most`, and the rest was not
 * looked at. */
bool regex_set_search(struct regex_scratch *x, const char *text, size_t n, bool *found, uint64_t *work, uint64_t most);
/* The first match of one that was found, in the text that was searched last. */
void regex_first(const struct regex_scratch *x, int number, size_t *begin, size_t *end);
/* The first match of one of them that begins at `from` or later. */
bool regex_find(struct regex_scratch *x, int number, const char *text, size_t n, size_t from, size_t *begin,
                size_t *end, uint64_t *work);

#endif
