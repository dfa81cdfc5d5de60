/* spike: when a step's loss stands far above those before it.
 *
 * Kept are the losses of the last `window` steps that were no spike. A loss is one where it is above their mean by more
 * than `threshold` of their standard deviations (Bessel's), which count as no less than a thousandth of the mean, once
 * there are SPIKE_LEAST of them; so is one that is no finite number. What is done then, and that after SPIKE_REWINDS
 * only the latter counts, is the loop's (train_loop.c). */
#ifndef TRAIN_SPIKE_H
#define TRAIN_SPIKE_H

#include <jansson.h>
#include <stdbool.h>

enum { SPIKE_LEAST = 10, SPIKE_REWINDS = 10 /* of a run at most */ };

struct spike {
	long window, n;            /* n: losses so far; the last `window` of them are kept */
	double *loss;              /* [window] number i stands at i % window */
	long rewinds;              /* so far */
};

void spike_init(struct spike *s, long window);
void spike_release(struct spike *s);
double spike_mean(const struct spike *s, double *deviation);   /* NAN: too few are there */
bool spike_is(const struct spike *s, double threshold, double loss);
void spike_add(struct spike *s, double loss);
json_t *spike_json(const struct spike *s);                     /* new; all but the window */
void spike_restore(struct spike *s, const json_t *j);          /* NULL: none so far */

#endif
