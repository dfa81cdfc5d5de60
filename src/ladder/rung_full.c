/* rung_full: all weights are trained; what answers is a model of its own. */
#include "ladder/rung_training.h"

static const char *const options[] = { "method", "full", NULL };

static int price(struct ladder *l, struct rung_price *p, struct err *e)
{
	return ladder_price_training(l, &(struct training){ "full", options }, p, e);
}

static int make(struct ladder *l, const char *dir, struct err *e)
{
	return ladder_train(l, &(struct training){ "full", options }, dir, e);
}

static int answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	return ladder_answer(l, &(struct model_way){ .model = dir }, at, n, out, e);
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	(void)l, (void)dir, (void)e;
	return json_pack("{s:s, s:s}", "kind", "model", "model", ".");
}

const struct rung rung_full = {
	.name = "full",
	.summary = "the whole model is trained",
	.order = 80,
	.fits = rung_training_fits,
	.price = price,
	.make = make,
	.answer = answer,
	.leaves = leaves,
	.near = "lora",
	.trains = true,
};
