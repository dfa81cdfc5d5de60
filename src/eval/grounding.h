/* grounding: which of the sources before a question an answer rests on, without a judge: by how much likelier it is
 * with a source than without it,
 *
 *     support_i = log P(answer | all sources) − log P(answer | all but source i)        in nats
 *
 * a sum over the answer's tokens, all by one model in one forest. Its interval (95 %) is the bootstrap's (Efron 1979):
 * so many sums over as many tokens drawn with replacement, drawn by a fixed seed. What two sources say alike neither
 * supports alone. */
#ifndef EVAL_GROUNDING_H
#define EVAL_GROUNDING_H

#include "eval/statistics.h"
#include "infer/scorer.h"

enum { GROUNDING_DRAWS = 2000 };

struct grounding {
	struct estimate *support;      /* [n] mean: the sum; n: tokens of the answer; mem_free */
	size_t n;
	double flops, int_ops;
	int64_t computed_tokens;
};

/* prompts[n + 1]: with all, then without each; none is empty. answer: at least one token. */
int grounding_measure(struct grounding *g, struct model *m, const struct overlay *o, struct device *d,
                      const struct tokens *prompts, size_t n, const struct tokens *answer, struct err *e);
/* What that would take for an answer of so many tokens. */
int grounding_forecast(struct scorer_forecast *f, struct model *m, const struct overlay *o, struct device *d,
                       const struct tokens *prompts, size_t n, size_t n_answer, struct err *e);
/* The sum of n numbers with the bootstrap's interval. */
struct estimate bootstrap_sum(const double *x, size_t n);

#endif
