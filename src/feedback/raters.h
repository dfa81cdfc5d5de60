/* raters: how far each rater is to be trusted.
 *
 *     reliability   how often he says what is true, as all raters together have it (dawid_skene.h)
 *     repeats       the share of repeated showings in which he said the same as the first time
 *     gold          the share of gold items in which he named the known winner
 *
 *     blind clicks  his wealth, from 1, in a game of bets that he agrees less than honest raters do: after an
 *                   agreement x in [0, 1] it is multiplied by 1 + λ·(f − x), f = (c + a)/2 halfway between chance c
 *                   and what the others reach among themselves a, λ = (f − c)/(f·(1 − f)). The null is: his next
 *                   agreement is f or more on average. Under it wealth is a supermartingale, so it ever reaches 1/α
 *                   with probability α at most (Ville 1939; Waudby-Smith & Ramdas 2024): one may look after each
 *                   label. With α = 0.05 a rater is flagged at 20. It sees how a rater agrees, not why: read some
 *                   of his labels before you drop them. a is estimated, and it is supposed that most labels are honest
 *
 * A label is judged once each by: gold; its repeat; what others had said of the unit before (the share that equals it),
 * or else by the first who judges the unit after it. c is the chance of two draws of the values' shares (of n answers
 * 1/n for gold). Of agreement with others a is that of all pairs without this rater: with two raters there are none,
 * then only gold and repeats tell. Of gold and repeats a is the others' rate, where they have 20 or more, else it is
 * supposed to be 0.9 and 0.8. */
#ifndef FEEDBACK_RATERS_H
#define FEEDBACK_RATERS_H

#include "feedback/dawid_skene.h"
#include "feedback/resample.h"

struct wager { double wealth, peak; };          /* begin with 1, 1 */
/* agreed: in [0, 1]; honest ≤ chance, or either NAN: nothing is bet. */
void wager_bet(struct wager *w, double agreed, double chance, double honest);
#define WAGER_FLAG 20.0                         /* 1/α */

struct rate { double right, n; };               /* right/n */

struct rater_facts {
	int64_t id;
	const char *name;               /* borrowed */
	size_t labels, skipped;         /* that stand; skipped ones are no labels */
	double seconds, seconds_per_label; /* known ones' sum; their median, NAN: none known */
	struct rate repeats, gold;
	double reliability;             /* NAN: see above */
	struct wager wager;
	bool flagged;
};

/* Of all raters, [n_raters] in mem, in the order that they are given. */
struct rater_facts *raters_of(const struct said *s, const struct judgements *j, const struct dawid_skene *d,
                              const struct feedback_rater *raters, size_t n_raters, struct arena *mem);

#endif
