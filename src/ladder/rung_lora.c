/* rung_lora: LoRA on all linears, small: the training that most outcomes want at least (Hu et al. 2021). Here too is
 * what all rungs that train an adapter have in common. */
#include "ladder/rung_training.h"

int rung_training_fits(struct ladder *l, struct err *e)
{
	if (l->task->asks_only)
		return err_set(e, "rows without answers teach none");
	return l->task->side_n[SIDE_TRAIN] ? 0 : err_set(e, "there are no rows to learn from");
}

int rung_adapter_answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out,
                        struct err *e)
{
	return ladder_answer(l, &(struct model_way){ .adapter = dir }, at, n, out, e);
}

json_t *rung_adapter_leaves(struct ladder *l, const char *dir, struct err *e)
{
	(void)l, (void)dir, (void)e;
	return json_pack("{s:s, s:s}", "kind", "adapter", "adapter", ".");
}

RUNG_TRAINING(lora, "lora", 60, "an adapter of low rank on all linears", NULL, "method", "lora");
