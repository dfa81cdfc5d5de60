/* regex_filter: which of many expressions may match in a text, told by what they need (guard/regex_need.h) in one pass
 * over it: the strings of all by Aho and Corasick's automaton, bytes of kinds by counting. */
#ifndef GUARD_REGEX_FILTER_H
#define GUARD_REGEX_FILTER_H

#include "guard/regex_need.h"

struct regex_filter;

/* need [n] is borrowed. */
struct regex_filter *regex_filter_new(const struct need *need, size_t n);
void regex_filter_free(struct regex_filter *f);
/* may[n]: false where an expression matches nowhere in the text. */
void regex_filter_look(struct regex_filter *f, const char *text, size_t n, bool *may);

#endif
