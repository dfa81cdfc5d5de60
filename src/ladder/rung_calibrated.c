/* rung_calibrated: examples before what is asked, and what the prompt makes of the choices where nothing is asked is
 * taken out (contextual calibration: Zhao et al. 2021). */
#include "ladder/prompted.h"

static int fits(struct ladder *l, struct err *e)
{
	if (l->task->kind != TASK_CHOICES || !l->task->n_classes)
		return err_set(e, "calibrating wants rows that all have the same choices");
	return prompted_fits(l, e);
}

static int price(struct ladder *l, struct rung_price *p, struct err *e) { return prompted_price(l, true, p, e); }

static int answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	return prompted_answer(l, dir, true, at, n, out, e);
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	(void)l, (void)dir, (void)e;
	return json_pack("{s:s, s:s, s:s}", "kind", "prompt", "prompt", PROMPT_FILE, "calibrate", "contextual");
}

const struct rung rung_calibrated = {
	.name = "calibrated",
	.summary = "examples, less what the prompt itself makes of the choices",
	.order = 31,
	.fits = fits,
	.price = price,
	.make = prompted_make,
	.answer = answer,
	.leaves = leaves,
	.stays = true,
	.near = "few-shot",
};
