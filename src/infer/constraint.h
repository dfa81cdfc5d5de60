/* constraint: an answer that is to be a text of a grammar, while it is drawn. What is not allowed is no candidate: it
 * is taken away before the sampler's steps, whose shares and bests are then of what is allowed. */
#ifndef INFER_CONSTRAINT_H
#define INFER_CONSTRAINT_H

#include "grammar/grammar.h"

struct constraint {
	struct grammar_match *match; /* NULL: nothing is constrained */
	size_t n;                    /* tokens that were drawn */
	size_t over, stuck;          /* after so many nothing may follow; the so manyeth could be none; 0: not so */
};

void constraint_begin(struct constraint *c, struct grammar *g); /* or NULL; borrowed until the end */
void constraint_end(struct constraint *c);
/* Bits of the tokens that may be drawn next; NULL: there is none, and what is drawn is not of the answer. */
const uint64_t *constraint_allowed(struct constraint *c);
void constraint_take(struct constraint *c, int32_t id); /* it was drawn */
bool constraint_ended(const struct constraint *c);      /* nothing more is drawn; c may be NULL */

#endif
