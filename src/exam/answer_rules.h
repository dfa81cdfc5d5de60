/* answer_rules: expressions that are looked for where an answer begins: by what a refusal is known, what it is hedged
 * with. A rule is {id, within, folded, source}: its expression (guard/regex.h) over the folded text (guard/fold.h) of
 * the first `within` bytes. */
#ifndef EXAM_ANSWER_RULES_H
#define EXAM_ANSWER_RULES_H

#include <jansson.h>

#include "base/err.h"

struct answer_rules;

/* rules: a list. −1: a key, an expression that is none, by the rule's id. */
int answer_rules_open(struct answer_rules **r, const json_t *rules, struct err *e);
/* How many of them hold. Of one thread. */
size_t answer_rules_count(struct answer_rules *r, const char *text);
void answer_rules_free(struct answer_rules *r);

#endif
