/* rung_rag: what an index of documents finds stands before what is asked (retrieval-augmented generation: Lewis et al.
 * 2020). Nothing is trained; every answer is looked for, and reads what was found. */
#include "ladder/ladder.h"

static int fits(struct ladder *l, struct err *e)
{
	if (!l->find)
		return err_set(e, "no documents were given (--documents docs.db)");
	if (l->task->kind != TASK_CHOICES && l->task->kind != TASK_ANSWERS)
		return err_set(e, "documents stand before rows with answers or choices alone");
	return 0;
}

static const struct model_way way = { .sources = true };

static int price(struct ladder *l, struct rung_price *p, struct err *e) { return ladder_forecast(l, &way, p, e); }

static int answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	(void)dir;
	return ladder_answer(l, &way, at, n, out, e);
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	(void)dir, (void)e;
	return json_pack("{s:s, s:O}", "kind", "sources", "documents", (json_t *)l->documents);
}

const struct rung rung_rag = {
	.name = "rag",
	.summary = "what is found in documents stands before what is asked",
	.order = 35,
	.fits = fits,
	.price = price,
	.answer = answer,
	.leaves = leaves,
	.stays = true,
	.reads = true,
};
