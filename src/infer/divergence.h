/* divergence: how far what a model has become is from what it was, over the same tokens.
 *
 *     KL(base ‖ tuned) of a token's place = Σ_v p_v·(log p_v − log q_v)      p: base, q: tuned, v: all tokens
 *
 * (Kullback and Leibler 1951), in double, of every place of a document whose next token is learnt. Both sides are
 * computed here and now, micro-batch by micro-batch, in the same arithmetic; of logits no more than a micro-batch's are
 * ever there, twice. A tuned side that changes nothing gives exactly 0. */
#ifndef INFER_DIVERGENCE_H
#define INFER_DIVERGENCE_H

#include "infer/scorer.h"

struct divergence;

/* base, tuned: the topmost overlays of the two sides, or NULL. All are borrowed until divergence_free. */
int divergence_new(struct divergence **d, struct model *m, const struct overlay *base, const struct overlay *tuned,
                   struct device *device, int32_t max_length, struct err *e);
/* sum[i]: of document i, over its learnt tokens. progress as scorer_run's. */
int divergence_run(struct divergence *d, const struct document *const *docs, size_t n, double *sum,
                   int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e);
/* Of both sides; takes no memory but for the moment of timing. */
int divergence_forecast(struct divergence *d, const struct document *const *docs, size_t n, struct scorer_forecast *f,
                        struct err *e);
double divergence_flops(const struct divergence *d);   /* all operations computed so far, as the next */
double divergence_int_ops(const struct divergence *d);
void divergence_free(struct divergence *d);

#endif
