/* cascade: two ways as one: the cheap one answers where its confidence is high enough, the dear one the rest
 * (FrugalGPT: Chen et al. 2023). Which two, and how high, is chosen by what both came to on the same rows; nothing is
 * answered anew for that. */
#ifndef LADDER_CASCADE_H
#define LADDER_CASCADE_H

#include "ladder/task.h"

struct cascade_part {
	const struct outcome *out; /* [n] on the same rows, in the same order */
	size_t n;
	double make_seconds, use_seconds;
	bool can_be_first; /* its confidence is of use, and it says it of every row */
};

struct cascade {
	size_t first, second; /* parts */
	double threshold;     /* of the first one's confidence */
	double share;         /* of the rows that the first one answers */
	double make_seconds, use_seconds;
	struct estimate score;
};

struct cascade_wish {
	enum measure measure; /* a share, or F1 */
	double goal;          /* NAN: the highest score is wanted */
	double uses, alpha;   /* the score is shown where its sequence at alpha is at the goal */
	double most_total;    /* of those that are shown: costs less than this in all; else infinite */
	double least_score;   /* of the others: scores more than this */
};

/* The cheapest that shows the goal, else the one with the highest score; false: none is as wanted. at[n]: the rows. */
bool cascade_choose(const struct task *t, const struct cascade_part *parts, size_t n, const size_t *at,
                    const struct cascade_wish *w, struct cascade *best);
/* What both come to together. */
void cascade_join(const struct cascade_part *first, const struct cascade_part *second, double threshold, size_t n,
                  struct outcome *out);

#endif
