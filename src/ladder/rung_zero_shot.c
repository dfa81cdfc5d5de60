/* rung_zero_shot: the model as it is. */
#include "ladder/ladder.h"

static int fits(struct ladder *l, struct err *e)
{
	return l->task->kind == TASK_LABELS ? err_set(e, "a model without a head that classifies says no labels") : 0;
}

static int answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	(void)dir;
	return ladder_answer(l, &(struct model_way){ .model = NULL }, at, n, out, e);
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	(void)l, (void)dir, (void)e;
	return json_pack("{s:s}", "kind", "base");
}

const struct rung rung_zero_shot = {
	.name = "zero-shot",
	.summary = "nothing is learnt: the bare model answers",
	.order = 10,
	.fits = fits,
	.price = ladder_price_model,
	.answer = answer,
	.leaves = leaves,
	.stays = true,
};
