/* label_head: what objectives that learn labels have in common: their loss stands on the outputs of a model that
 * classifies (model/classifier.h, graph_labels), which they make of the model as they open. */
#ifndef TRAIN_LABEL_HEAD_H
#define TRAIN_LABEL_HEAD_H

#include "model/classifier.h"
#include "train/objective.h"

/* n outputs of these names (NULL: LABEL_0 …). −1: transformers has no such class of the model. */
int label_head_make(const struct objective_run *o, int n, const char *const *names, enum problem p, struct err *e);
/* [targets, outputs]; and with the loss on it. */
uint32_t label_head_forward(const struct objective_run *o, struct graph *g, uint32_t hidden);
uint32_t label_head_record(const struct objective_run *o, struct graph *g, uint32_t hidden);

#endif
