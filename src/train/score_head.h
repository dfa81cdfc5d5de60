/* score_head: a linear without bias on the state of a text's last token, S·n(h_last), beside whatever a method trains:
 * the head of transformers' …ForSequenceClassification of decoders, "score". It begins as 0. What objectives that
 * learn labels have in common; n is the final norm. */
#ifndef TRAIN_SCORE_HEAD_H
#define TRAIN_SCORE_HEAD_H

#include "train/objective.h"

/* −1: transformers has no such class of the model, or the adapter is of the head that stands aside. */
int score_head_check(const struct objective_run *o, struct err *e);
/* [outputs, C], the objective's one parameter. */
void score_head_params(const struct objective_run *o, struct params *p, size_t outputs);
/* [targets, outputs]; and with the loss on it. */
uint32_t score_head_forward(const struct objective_run *o, struct graph *g, uint32_t hidden);
uint32_t score_head_record(const struct objective_run *o, struct graph *g, uint32_t hidden);

#endif
