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

RUNG_LEARNT(tfidf, LEARNER_TFIDF, .name = "tfidf", .summary = "logistic regression on the words of what is asked",
            .order = 1, .fits = learnt_fits, .no_model = true);
