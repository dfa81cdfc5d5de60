/* answers: rows of any shape as what a learner reads: the text that a row asks, and what it answers as a label or a
 * number.
 *
 *     query,choices,gold      the gold choice; where all rows have the same choices, those are the labels
 *     a label's shapes        the label (one, not a list)
 *     prompt,completion · messages · conversations · instruction,output …
 *                             the last answer, white space at its ends aside
 *
 * The text is data/asked.h's. */
#ifndef LEARN_ANSWERS_H
#define LEARN_ANSWERS_H

#include "data/rows.h"
#include "learn/learner.h"

struct answers {
	struct arena mem;
	struct examples rows;       /* without features; its memory is this one's */
};

/* The labels that rows have, ascending by their bytes (whole numbers by their size), and each row's. Numbers where
 * every label is one and one of them at least is not whole, or where `numbers` asks for them.
 * −1: rows that ask or answer nothing, too many different answers to be labels, in file and line. */
int answers_learn(struct answers *a, const struct rows *r, bool numbers, struct err *e);
/* The same for labels that are known: a row with another one is refused. */
int answers_take(struct answers *a, const struct rows *r, const struct labels *known, struct err *e);
/* The texts alone: rows need no answer. */
int answers_ask(struct answers *a, const struct rows *r, struct err *e);
void answers_release(struct answers *a);

#endif
