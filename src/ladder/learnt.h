/* learnt: what rungs have in common that fit a learner (learn/learner.h) and answer by it: the folder of such a rung
 * holds learner.json and learner.safetensors. */
#ifndef LADDER_LEARNT_H
#define LADDER_LEARNT_H

#include "ladder/ladder.h"
#include "learn/learner.h"

/* Classes are wanted, and rows of two of them. */
int learnt_fits(struct ladder *l, struct err *e);
/* On the rows to learn from: by their texts, or by a frozen model's states, which are computed once for all rungs. */
int learnt_make(struct ladder *l, enum learner_kind kind, const char *dir, struct err *e);
int learnt_answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e);
/* Seconds of a fit on words, and of one on states. */
double learnt_word_seconds(const struct ladder *l);
double learnt_state_seconds(const struct ladder *l);
int learnt_state_price(struct ladder *l, double fit, struct rung_price *p, struct err *e);
void learnt_release(struct ladder *l); /* the states */
json_t *learnt_leaves(struct ladder *l, const char *dir, struct err *e);

#endif
