/* next: which item a rater is shown next, and how long it will take.
 *
 * Some showings are of gold items and some repeat an own earlier one, by the study's shares; which ones, a keyed draw
 * of the rater and of how many labels he has given says, so that asking again answers the same. Else it is an item
 * that has fewer labels than the study wants and that he has not seen, the one with the most
 *
 *     information / expected seconds
 *
 *     information   of an item that nobody judged: what it would tell a reward model (heads.h), in nats, 1 where
 *                   items were not ranked; of one that was: how little is known of
 *                   it, the entropy of its posterior (raters.h), so second opinions go where raters differ
 *     seconds       exp(a + b·ln bytes of prompt and answers), fitted to the times of labels (least squares of
 *                   logarithms); the same for all where fewer than 20 are known
 *
 * Items that nobody judged come before second opinions. Equal ones come in an order of the rater's own, so that
 * raters who work at once seldom meet. */
#ifndef FEEDBACK_NEXT_H
#define FEEDBACK_NEXT_H

#include "feedback/judgement.h"

struct pace { double a, b; size_t n; };         /* n: times that it is of */

void pace_of(struct pace *p, const struct said *s);
double pace_seconds(const struct pace *p, const struct feedback_item *it);

struct next {
	ptrdiff_t item;                 /* its place in what was said, −1: nothing is left for this rater */
	int64_t repeat_of;              /* the label that is repeated, or 0 */
	bool gold;
	double seconds;                 /* expected */
	size_t left;                    /* items that he may still be shown, this one among them, gold ones not */
};

/* information: [n_items] in nats, NAN of an item that was not ranked; NULL: none was. */
void next_of(struct next *out, const struct said *s, int64_t rater, const double *information, uint64_t seed);

#endif
