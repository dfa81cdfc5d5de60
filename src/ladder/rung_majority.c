/* rung_majority: the answer that most rows to learn from have, to every question. It may win, and then nothing better is
 * worth its gas; what it reaches is the floor under all other rungs. */
#include <math.h>

#include "base/mem.h"
#include "ladder/ladder.h"

static int fits(struct ladder *l, struct err *e)
{
	return l->task->n_classes ? 0 : err_set(e, "these rows have no classes of which one could be the most frequent");
}

/* Of equals the first; *share: of the rows to learn from that have it. */
static int most_frequent(const struct task *t, double *share)
{
	size_t *rows = mem_array((size_t)t->n_classes, sizeof(*rows)), n = 0;
	int best = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->rows[i].side == SIDE_TRAIN && t->rows[i].class >= 0) {
			rows[t->rows[i].class]++;
			n++;
		}
	for (int c = 1; c < t->n_classes; c++)
		if (rows[c] > rows[best])
			best = c;
	*share = n ? (double)rows[best] / (double)n : NAN;
	mem_free(rows);
	return best;
}

static int price(struct ladder *l, struct rung_price *p, struct err *e)
{
	(void)l, (void)e;
	*p = (struct rung_price){ .make = { 1e-3, 1e-4, 1e-2 }, .answer = 1e-7 };
	return 0;
}

static int answer(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out, struct err *e)
{
	double share;
	int said = most_frequent(l->task, &share);
	(void)dir, (void)e;

	for (size_t i = 0; i < n; i++) {
		double hit = l->task->rows[at[i]].class == said;
		out[i] = outcome_none;
		out[i].hit = out[i].hit_norm = out[i].exact = out[i].f1 = hit;
		out[i].said = said;
		out[i].confidence = share;
	}
	return 0;
}

static json_t *leaves(struct ladder *l, const char *dir, struct err *e)
{
	double share;
	int said = most_frequent(l->task, &share);
	(void)dir, (void)e;

	return json_pack("{s:s, s:s, s:f}", "kind", "constant", "answer", l->task->classes[said], "confidence", share);
}

const struct rung rung_majority = {
	.name = "majority",
	.title = "the most frequent answer",
	.summary = "always the answer that most rows have",
	.fits = fits,
	.price = price,
	.answer = answer,
	.leaves = leaves,
	.no_model = true,
};
