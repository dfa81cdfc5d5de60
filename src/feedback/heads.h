/* heads: what a reward model would make of the labels so far: K small ones on the states of a frozen model, which was
 * run once (store.h: feedback_states), and where they differ.
 *
 *     r(x, y) = w·s(x, y) + v·ln bytes of y,     P(a is better) = σ(r(a) − r(b))
 *
 * s are the pooled states of prompt and answer. w is the most likely one with a normal prior of width 1/√penalty: of
 * the labels themselves for head 0, of draws of the prompts with replacement for the K others. The penalty is what
 * predicts held-out fifths of the prompts best.
 *
 *     information   of an item, in nats: H(mean_k p_k) − mean_k H(p_k), the entropy of what the heads say together
 *                   less their own (BALD; Houlsby et al. 2011): what one label tells of the head. Items that all heads
 *                   find even tell nothing, however close they are. Of more than two answers the sum over pairs
 *     margin        instead: H(p_0), large where the implicit margin is small (uncertainty sampling)
 *
 * A comparison counts once; ties are half of each. All is in double, so the same labels give the same numbers. */
#ifndef FEEDBACK_HEADS_H
#define FEEDBACK_HEADS_H

#include "feedback/judgement.h"

enum { HEADS = 8, HEADS_SEED = 1 };     /* as a rule: heads beside head 0, and of what is drawn */

struct heads {
	size_t n, width;                /* head 0 among them; of states */
	double scale, length_scale;     /* what differences are divided by */
	double *w;                      /* [n][width + 1]; the last is v */
	double penalty;
};

/* Of the comparisons of items that have states; fewer than 2: all w are 0. penalty 0: the one that predicts best. In
 * mem. */
void heads_fit(struct heads *h, const struct said *s, const struct comparison *c, size_t n,
               size_t n_heads, double penalty, uint64_t seed, struct arena *mem);
/* r(a) − r(b) by one head; the item has states. */
double heads_margin(const struct heads *h, size_t head, const struct said *s, size_t item,
                    int a, int b);
/* The share of decided comparisons whose winner head 0 names, a margin of 0 being half; NAN of none. */
double heads_accuracy(const struct heads *h, const struct said *s, const struct comparison *c,
                      size_t n);
/* information: [n_items], NAN of items without states. margin: by it instead. */
void heads_information(const struct heads *h, const struct said *s, bool margin,
                       double *information);

#endif
