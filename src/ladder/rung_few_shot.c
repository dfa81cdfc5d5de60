/* rung_few_shot: examples from the rows stand before what is asked; the model learns from its context alone (Brown et
 * al. 2020). Nothing is trained, but every answer reads them. */
#include "ladder/prompted.h"

static int price(struct ladder *l, struct rung_price *p, struct err *e) { return prompted_price(l, false, p, e); }

static int answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	return prompted_answer(l, dir, false, at, n, out, e);
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	(void)l, (void)dir, (void)e;
	return json_pack("{s:s, s:s}", "kind", "prompt", "prompt", PROMPT_FILE);
}

const struct rung rung_few_shot = {
	.name = "few-shot",
	.summary = "some rows with their answers before what is asked",
	.order = 30,
	.fits = prompted_fits,
	.price = price,
	.make = prompted_make,
	.answer = answer,
	.leaves = leaves,
	.stays = true,
};
