/* standings: who writes the better answers: ratings of models from comparisons, by maximum likelihood.
 *
 *     Bradley–Terry   P(a beats b) = π_a/(π_a + π_b), a tie being half a win
 *     Davidson        P(a beats b) = π_a/(π_a + π_b + m), P(tie) = m/(π_a + π_b + m), m being ν·√(π_a·π_b)
 *                     and ν fitted
 *                     (Bradley & Terry 1952; Davidson 1970)
 *
 *     rating = 1000 + 400·log10 π, π of mean logarithm 0: 400 more are odds of ten to one, as Chatbot Arena has it
 *
 * A likelihood has a greatest value only among models each of which won, directly or by others, against each other
 * one (Ford 1957). Such models are one group, whose mean is 1000; between groups there is no number: where one's
 * models won all that they met of another's, the order is known alone; where they never met, nothing is. Intervals are
 * of the bootstrap over items. */
#ifndef FEEDBACK_STANDINGS_H
#define FEEDBACK_STANDINGS_H

#include "feedback/judgement.h"
#include "feedback/resample.h"

struct standing {
	const char *model;              /* borrowed of the items */
	struct bounds rating;           /* NAN of one that is alone in its group */
	int group;                      /* from 0; of one that won all against another group, the smaller */
	int island;                     /* models of different ones never met, not by others either */
	double games, won, tied;        /* won: without ties */
};

struct standings {
	struct standing *at;            /* [n] by groups, the best first */
	size_t n;
	int groups, islands;
	double tie;                     /* Davidson's ν; NAN: ties are halves */
};

/* Of comparisons of two answers that name different models. In mem. davidson: ties by it, where there are any. */
void standings_of(struct standings *out, const struct said *s, const struct comparison *c, size_t n, bool davidson,
                  const struct resample *r, struct arena *mem);

#endif
