/* dry_pass: what a forward or a training step computes and keeps, recorded for a model, with neither data nor memory:
 * parameters have shapes and need no numbers. */
#ifndef TRAIN_DRY_PASS_H
#define TRAIN_DRY_PASS_H

#include "model/model_pass.h"

/* A micro-batch of so many tokens in documents as long as the model takes, of which each has to predict the next: its
 * log-probabilities, and with `training` the gradients of the overlay's parameters. o may be NULL without. Planning,
 * by pass_plan, is the caller's. */
int dry_pass_begin(struct model_pass *p, struct device *d, const struct model *m, const struct overlay *o,
                   bool training, int32_t tokens, struct err *e);
/* What training takes beside the pass: parameters, their gradient, and what the standard optimizer keeps. */
size_t dry_pass_state_bytes(const struct device *d, const struct params *params);

#endif
