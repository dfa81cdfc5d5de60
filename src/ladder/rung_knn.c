/* rung_knn: what the rows answer that are nearest to a row, by the angle between the frozen model's states. */
#include "ladder/learnt.h"

static int price(struct ladder *l, struct rung_price *p, struct err *e)
{
	if (ladder_open_model(l, e) < 0)
		return -1;
	return learnt_state_price(l, 0.01 * learnt_state_seconds(l), p, e);
}

static int make(struct ladder *l, const char *dir, struct err *e) { return learnt_make(l, LEARNER_KNN, dir, e); }

const struct rung rung_knn = {
	.name = "knn",
	.title = "nearest rows",
	.summary = "what the rows have whose states are nearest",
	.order = 21,
	.fits = learnt_fits,
	.price = price,
	.make = make,
	.answer = learnt_answer,
	.leaves = learnt_leaves,
	.learns = true,
	.near = "probe",
};
