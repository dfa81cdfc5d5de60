/* rung_tfidf: the words of what is asked, weighted (TF-IDF), and logistic regression on them: no model, a fraction of a
 * millisecond an answer. With the most frequent answer the floor that every other way has to be better than. */
#include "ladder/learnt.h"

/* Fits of some regularizations by cross-validation: words of all rows, a pass for each class and step. */
static int price(struct ladder *l, struct rung_price *p, struct err *e)
{
	double mid = learnt_word_seconds(l);
	(void)e;

	*p = (struct rung_price){ .make = { mid, mid / 5, mid * 5 }, .answer = 5e-5 };
	return 0;
}

static int make(struct ladder *l, const char *dir, struct err *e) { return learnt_make(l, LEARNER_TFIDF, dir, e); }

const struct rung rung_tfidf = {
	.name = "tfidf",
	.title = "words alone (TF-IDF)",
	.summary = "logistic regression on the words of what is asked",
	.order = 1,
	.fits = learnt_fits,
	.price = price,
	.make = make,
	.answer = learnt_answer,
	.leaves = learnt_leaves,
	.learns = true,
	.no_model = true,
};
