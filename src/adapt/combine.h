/* combine: what several adapters changed, as one new LoRA: PEFT's add_weighted_adapter. One adapter of any type, and
 * a whole model that was trained, become one too, cut to a rank: the nearest that a LoRA of that rank can be.
 *
 * A weight that one of them changes is a module of the result; where an adapter has nothing there, it is left out of
 * that module's sum, as in PEFT. r = lora_alpha, so the scale is 1 and all factors are as they are written. */
#ifndef ADAPT_COMBINE_H
#define ADAPT_COMBINE_H

#include "adapt/adapter.h"
#include "adapt/combination.h"

/* What was changed: by an adapter, or else by training all of a model of the same shape. Borrowed. */
struct change {
	const struct adapter *adapter;
	const struct model *tuned;
	const char *name;              /* for sentences */
	double weight;
};

struct combine_progress {
	const char *doing;             /* "looking for what was changed", "combining" */
	size_t done, n;                /* weights, modules */
	double seconds;                /* since this began */
};

/* What making all modules takes, by the first ones. */
struct combine_forecast {
	double seconds, left;          /* of all of them; of those that are not made yet */
	size_t numbers;                /* of the result */
};

struct combine {
	const struct model *model;
	const struct change *changes;  /* [n] */
	size_t n;
	struct combining how;          /* how.how: not OF_MODELS_ALONE */
	size_t svd_rank;               /* of OF_PRODUCT; 0: the largest rank of the adapters */
	bool (*interrupted)(void);     /* or NULL */
	void (*progress)(void *ctx, const struct combine_progress *p);               /* or NULL */
	/* Once, when the first modules are made; -1 ends it with that error. NULL: nobody wants to know. */
	int (*planned)(void *ctx, const struct combine_forecast *f, struct err *e);
	void *ctx;
};

struct combined {
	size_t modules, rank;
	/* of OF_PRODUCT: ‖what a rank cut off‖ / ‖all that was changed‖, Frobenius, over all modules; else 0 */
	double error;
	size_t left_out;               /* norms and biases that were changed, which a LoRA cannot hold */
};

/* Errors: adapters that are no pairs of low rank where factors are added; ranks that differ there; nothing changed;
 * interrupted. */
int combine_adapters(struct adapter *out, struct combined *result, const struct combine *c, struct err *e);

#endif
