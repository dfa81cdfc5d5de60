/* coordinates: the check of muP that its authors ask for (Yang et al. 2022, appendix D.1): models of several widths
 * are trained for a few steps on one batch, and what comes out of every block, and the logits, are compared. Where
 * rates and deviations are right the size of a number, and how far it has moved, does not depend on the width.
 *
 *     slope = d log(mean |x|) / d log(width)     0: right; ½ to 1: it grows, and a rate that was tuned for a narrow
 *                                                model is too large for a wide one
 */
#ifndef TRAIN_COORDINATES_H
#define TRAIN_COORDINATES_H

#include <jansson.h>

#include "base/buf.h"
#include "op/device.h"

enum { COORDINATE_WIDTHS = 8, COORDINATE_STEPS = 16, COORDINATE_PLACES = 130 };

struct coordinate_options {
	int times[COORDINATE_WIDTHS];  /* how often as wide, rising; ends with 0 */
	int steps;                     /* 1 to COORDINATE_STEPS */
	double rate;                   /* of AdamW, at the width of the config */
	bool mup;                      /* or the same rate and deviations at every width */
	int documents, length;         /* of random tokens, the same at every step */
	uint64_t seed;
};

struct coordinates {
	/* what goes into each block, first the embeddings' rows; what leaves the last; the logits */
	int n_places, n_widths, n_steps;
	/* mean |x|, and mean |x − what it was before the first step|, before the first step and after each */
	double size[COORDINATE_WIDTHS][COORDINATE_STEPS + 1][COORDINATE_PLACES];
	double moved[COORDINATE_WIDTHS][COORDINATE_STEPS + 1][COORDINATE_PLACES];
	double loss[COORDINATE_WIDTHS][COORDINATE_STEPS + 1];
	/* after the last step, at every place */
	double size_slope[COORDINATE_PLACES], moved_slope[COORDINATE_PLACES];
	double worst;                  /* the largest of all slopes of `moved`, and of sizes but the logits' */
};

/* What passes: no number grows by more than the width to this power, nor moves so. */
#define COORDINATE_SLOPE 0.2

/* config: of the narrowest model, a config.json with a vocabulary's size. */
int coordinate_check(struct coordinates *out, const json_t *config, const struct coordinate_options *o,
                     struct device *d, struct err *e);
bool coordinate_passes(const struct coordinates *c);
/* A line a place, and whether it passes. */
void coordinate_table(const struct coordinates *c, const struct coordinate_options *o, struct buf *out);

#endif
