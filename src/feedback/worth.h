/* worth: what more labels are worth: the error of a reward head (heads.h) on prompts that were held out, learnt from
 * all others, half of them, a quarter and so on, nested, over five splits; the power law through it (gas/curve.h) goes
 * on from there. What a label costs is a rater's time; both together say when to stop:
 *
 *     the next labels cost more than what they lower the error by is worth to you, or
 *     the error is that of the labels themselves (noise.h): no model can agree with them more
 *
 * The head is of a frozen model; a reward model that is trained whole learns more, and its own runs tell how much
 * (`kungfu gas marginal` on them). */
#ifndef FEEDBACK_WORTH_H
#define FEEDBACK_WORTH_H

#include "feedback/judgement.h"
#include "gas/curve.h"

enum { WORTH_SIZES = 4, WORTH_SPLITS = 5, WORTH_NEXT = 50 };

struct worth {
	struct curve_point points[WORTH_SIZES]; /* labels, error, its standard error over splits; the fewest first */
	size_t n;
	double labels;                  /* that there are to learn from, held-out ones among them */
	bool falls;                     /* the error fell from the fewest to the most */
	struct span error, gain;        /* at all labels; of the next WORTH_NEXT; NAN where it did not fall */
};

/* −1 and a sentence: no states are there, or fewer than 40 comparisons were decided. */
int worth_of(struct worth *out, const struct said *s, const struct comparison *c, size_t n, uint64_t seed,
             struct err *e);

#endif
