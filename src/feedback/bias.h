/* bias: what decides a comparison beside the answers' worth: where an answer stood, and how long it is.
 *
 *     log P(first wins)/P(second wins) = side + length·ln((1 + bytes of the first)/(1 + bytes of the second))
 *                                        [+ s_first − s_second]
 *
 * A logistic model by maximum likelihood, a tie being half a win of each; errors are those of the likelihood's second
 * derivatives. side 0: where an answer stands changes nothing; length 1: twice as long, twice the odds. Where answers
 * name models that can be told apart (standings.h: one group), their strengths s are fitted beside, so that a model
 * that is better and longer counts as better: the style control of Chatbot Arena. Longer may be better: a length
 * coefficient is a bias only as far as one thinks that it is not. */
#ifndef FEEDBACK_BIAS_H
#define FEEDBACK_BIAS_H

#include "feedback/judgement.h"

struct coefficient { double value, stderr_; };  /* NAN: the labels do not tell */

struct bias {
	struct coefficient side, length;
	size_t n;                       /* comparisons that it is of: those whose sides are known */
	bool strengths;                 /* models' were fitted beside */
	double first_won, longer_won;   /* shares of what was decided, NAN: of none */
	size_t n_first, n_longer;       /* decided ones; longer: of different lengths, sides known or not */
};

void bias_of(struct bias *out, const struct said *s, const struct comparison *c, size_t n);

#endif
