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
/* What the learner in dir would say of rows at[n] had it been fitted on some of the rows to learn from alone, of the
 * same layer: out[n_parts][n]; outcome_none of a part that nothing can be fitted on. */
int learnt_fewer(struct ladder *l, const char *dir, const struct rung_part *parts, size_t n_parts, const size_t *at,
                 size_t n, struct outcome *out, struct err *e);
/* Seconds of a fit on words. */
double learnt_word_seconds(const struct ladder *l);
/* Of states, and of a fit on them that takes `share` of what logistic regression takes. */
int learnt_state_price(struct ladder *l, double share, struct rung_price *p, struct err *e);
/* What reading a row for its state takes, found out once. */
int learnt_price_reading(struct ladder *l, struct rung_price *p, struct err *e);
void learnt_release(struct base_model *b); /* the states */
json_t *learnt_leaves(struct ladder *l, const char *dir, struct err *e);

/* What such a rung's file says: its learner, then the rest of its row; its price is a function of its own, price(). */
#define RUNG_LEARNT(id, kind_, ...) \
	static int id##_make(struct ladder *l, const char *dir, struct err *e) \
	{ \
		return learnt_make(l, kind_, dir, e); \
	} \
	const struct rung rung_##id = { .price = price, \
		                        .make = id##_make, \
		                        .answer = learnt_answer, \
		                        .leaves = learnt_leaves, \
		                        .fewer = learnt_fewer, \
		                        .learns = true, \
		                        __VA_ARGS__ }

#endif
