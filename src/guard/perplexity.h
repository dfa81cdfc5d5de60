/* perplexity: windows of a text's tokens that a model finds unlikely (Jain et al. 2023: suffixes that were searched for
 * read as nothing). A window's perplexity is exp(mean cost), cost −log p of a token given what is before it; each
 * window lies half in the one before, the last ends with the text. Those above the bound that touch are one finding,
 * "perplexity.window". */
#ifndef GUARD_PERPLEXITY_H
#define GUARD_PERPLEXITY_H

#include <stdint.h>

#include "guard/guard.h"

struct guard_perplexity {
	double above;                  /* NAN or 0: nothing is looked at */
	int64_t window;                /* tokens */
	enum guard_verdict verdict;
};
enum { GUARD_PERPLEXITY_LEAST = 4 };   /* tokens of a text that is looked at */

/* at, cost: [n] where each token begins in a text of `bytes` bytes; what it cost, NAN: that is not known, and no part
 * of a mean. whole: other than 0, findings are of 0 to `whole`. */
void guard_perplexity_look(const struct guard_perplexity *p, const int32_t *at, const float *cost, size_t n,
                           size_t bytes, size_t whole, struct guard_result *r);

#endif
