/* noise: how many labels are wrong, and so how good a reward model can look on them.
 *
 * Of two values, ties left out: two raters who are each wrong in a share e of all agree in a = (1 − e)² + e² of
 * them, so
 *
 *     e = (1 − √(2a − 1))/2,   ½ for a ≤ ½
 *
 * A model that knew the truth would agree with 1 − e of single labels: the ceiling of any reward model on them. From
 * repeats of the same rater the same, which shows less: he may be wrong twice in the same way. Intervals are the
 * agreement's, of the bootstrap over units. NAN: more values than two, or no pairs. */
#ifndef FEEDBACK_NOISE_H
#define FEEDBACK_NOISE_H

#include "feedback/judgement.h"
#include "feedback/resample.h"

struct noise {
	struct bounds agreement, error; /* between raters */
	struct bounds own;              /* error, from repeats */
	size_t pairs, repeats;
};

void noise_of(struct noise *out, const struct said *s, const struct judgements *j, const struct resample *r);

#endif
