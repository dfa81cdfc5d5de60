/* vote: what an answer comes down to, and which of several answers the most come down to: self-consistency (Wang et al.
 * 2022).
 *
 *     whole      the text without white space at its ends
 *     line       the last line that is not empty
 *     number     the last number, without $, thousands' commas and a full stop at its end: what lm-eval's
 *                flexible-extract and its ignored characters leave of GSM8K's answers
 *     PATTERN    the last match of a regular expression (PCRE2): its first group, or all of it
 *
 * An answer in which nothing is found has no vote, and is equal to none. Of equally many votes the answer that came
 * first wins. */
#ifndef EVAL_VOTE_H
#define EVAL_VOTE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define EXTRACT_HELP \
	"what an answer comes down to: whole (the default), line, number, or a regular expression, whose last match " \
	"counts, by its first group"
#define VOTE_TEMPERATURE 0.7      /* of the draws, where none is given (Wang et al.: 0.5 to 0.7) */

struct extract;
int extract_new(struct extract **out, const char *rule, struct err *e);
/* What text comes down to, appended; false: nothing was found. */
bool extract_answer(const struct extract *x, const char *text, size_t n, struct buf *out);
void extract_free(struct extract *x);

struct vote {
	size_t first;              /* the first of the answers that won */
	size_t votes;              /* how many came down to it; 0: none has a vote */
};
/* answers: [n] as extract_answer has them, NULL: nothing was found. */
struct vote vote(char *const *answers, size_t n);

#endif
