/* rung_training: what rungs have in common that train the model: each is a method with its options (train/recipe.h),
 * its rate, size and length are the priors'. RUNG_TRAINING writes the rung's functions and row. */
#ifndef LADDER_RUNG_TRAINING_H
#define LADDER_RUNG_TRAINING_H

#include "ladder/ladder.h"

int rung_training_fits(struct ladder *l, struct err *e);
/* By an adapter in dir, or by the whole model that was trained there. */
int rung_adapter_answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out,
                        struct err *e);
json_t *rung_adapter_leaves(struct ladder *l, const char *dir, struct err *e);

#define RUNG_TRAINING(id, name_, order_, summary_, near_, ...) \
	static const char *const id##_options[] = { __VA_ARGS__, NULL }; \
	static int id##_price(struct ladder *l, struct rung_price *p, struct err *e) \
	{ \
		return ladder_price_training(l, &(struct training){ name_, id##_options }, p, e); \
	} \
	static int id##_make(struct ladder *l, const char *dir, struct err *e) \
	{ \
		return ladder_train(l, &(struct training){ name_, id##_options }, dir, e); \
	} \
	const struct rung rung_##id = { .name = name_, \
		                        .summary = summary_, \
		                        .order = order_, \
		                        .fits = rung_training_fits, \
		                        .price = id##_price, \
		                        .make = id##_make, \
		                        .answer = rung_adapter_answer, \
		                        .leaves = rung_adapter_leaves, \
		                        .near = near_, \
		                        .trains = true }

#endif
