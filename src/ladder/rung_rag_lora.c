/* rung_rag_lora: LoRA on rows before which stands what documents have, and answers with it: the model learns what to
 * take from what is found (retrieval-augmented fine-tuning: Zhang et al. 2024). Documents are found for the rows to
 * learn from as they are for those that are asked, those that do not help among them. */
#include "ladder/rung_training.h"

static const char *const options[] = { "method", "lora", NULL };
static const struct training training = { "rag-lora", options, .sources = true };

static int fits(struct ladder *l, struct err *e)
{
	return rung_find("rag")->fits(l, e) < 0 ? -1 : rung_training_fits(l, e);
}

static int price(struct ladder *l, struct rung_price *p, struct err *e)
{
	return ladder_price_training(l, &training, p, e);
}

static int make(struct ladder *l, const char *dir, struct err *e) { return ladder_train(l, &training, dir, e); }

static int answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	return ladder_answer(l, &(struct model_way){ .adapter = dir, .sources = true }, at, n, out, e);
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	(void)dir, (void)e;
	return json_pack("{s:s, s:s, s:O}", "kind", "adapter", "adapter", ".", "documents", (json_t *)l->documents);
}

const struct rung rung_rag_lora = {
	.name = "rag-lora",
	.summary = "a small adapter learns to answer from what is found in documents",
	.order = 65,
	.fits = fits,
	.price = price,
	.make = make,
	.answer = answer,
	.leaves = leaves,
	.near = "lora",
	.near_too = "rag",
	.trains = true,
	.reads = true,
};
