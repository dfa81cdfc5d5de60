/* rung_probe: logistic regression on the frozen model's state after what is asked, of the layer that is best in
 * cross-validation (PALP: Cho et al. 2022). One forward a row, no backward; at tens of rows often better than anything
 * that is tuned. */
#include "ladder/learnt.h"

static int price(struct ladder *l, struct rung_price *p, struct err *e)
{
	if (ladder_open_model(l, e) < 0)
		return -1;
	return learnt_state_price(l, learnt_state_seconds(l), p, e);
}

static int make(struct ladder *l, const char *dir, struct err *e) { return learnt_make(l, LEARNER_PROBE, dir, e); }

const struct rung rung_probe = {
	.name = "probe",
	.title = "probe",
	.summary = "logistic regression on the frozen model's states",
	.order = 20,
	.fits = learnt_fits,
	.price = price,
	.make = make,
	.answer = learnt_answer,
	.leaves = learnt_leaves,
	.learns = true,
};
