/* rows: what people said of an item becomes rows to learn from; the rules, once, for export and for training.
 *
 *     score        of an answer: less its place in a ranking; else 1 of the winner and 0 of the others, 0 of all where
 *                  it was a tie or both are bad; else its rating. An answer of which nothing was said has none
 *     ranked       {prompt, answers, scores}, where one answer is better than another: a reward model's, all pairs of
 *                  a prompt in one row
 *     preference   {prompt, chosen, rejected}: the best answer, of equal ones the first, over each that is worse by
 *                  `least` or more
 *     unpaired     {prompt, completion, label}: desirable the best, undesirable every answer that is worse by `least`
 *                  or more; both bad: all undesirable. By ratings alone: desirable from `desirable` on, undesirable
 *                  down from `undesirable`; those between teach nothing
 *     sft          {prompt, completion}: what a person wrote instead of an answer
 *
 * A correction is a ranked and a preference row, too: what was written over what was corrected, and of unpaired rows
 * one desirable. A label that was skipped, or that says that it is unsafe, gives none. Each label gives its own rows,
 * so an item that several judged counts as often, and where they disagree its rows do. */
#ifndef FEEDBACK_ROWS_H
#define FEEDBACK_ROWS_H

#include <jansson.h>

#include "feedback/store.h"

enum feedback_rows { ROWS_RANKED, ROWS_PREFERENCE, ROWS_UNPAIRED, ROWS_SFT };

struct feedback_rule {
	double least;                   /* difference of scores that counts; 0: any */
	double desirable, undesirable;  /* ratings; NAN: above, below the middle of the study's scale */
};

/* score: [it->n], NAN where nothing was said; whether two of them differ. */
bool feedback_scores(const struct feedback_item *it, const struct feedback_label *l, double *score);
/* Adds the label's rows to a list. A conversation's answers are messages of the assistant. −1: the item's prompt is
 * no JSON. */
int feedback_rows(enum feedback_rows kind, const struct feedback_rule *rule, const struct feedback_study *s,
                  const struct feedback_item *it, const struct feedback_label *l, json_t *list, struct err *e);

#endif
