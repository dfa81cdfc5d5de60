/* test_label_scores: scores of labels and numbers against scikit-learn's and SciPy's of the same rows; their errors
 * against those that 4,000 samples drawn with replacement have; what cannot be said. */
#include "../test.h"

#include <math.h>

#include "base/mem.h"
#include "eval/label_scores.h"

static void check(struct test *t, double x, double wanted)
{
	CHECK_MSG(t, fabs(x - wanted) < 1e-13 * fmax(1, fabs(wanted)), "%.17g, %.17g was wanted", x, wanted);
}

static const int32_t has[] = { 2, 3, 0, 3, 1, 2, 2, 1, 3, 0, 1, 1, 2, 1, 0, 0, 0, 0, 0, 3,
	                       0, 2, 3, 0, 1, 1, 1, 3, 0, 3, 3, 3, 0, 1, 2, 1, 2, 2, 2, 0 };
static const int32_t said[] = { 2, 0, 2, 0, 0, 0, 2, 2, 2, 0, 0, 1, 2, 1, 0, 0, 1, 0, 0, 0,
	                        0, 1, 0, 0, 0, 1, 1, 0, 0, 2, 0, 0, 0, 0, 2, 2, 2, 2, 0, 0 };

/* Label 3 is never said, label 4 is nowhere and counts for nothing. */
static void test_single(struct test *t)
{
	static const double precision[] = { 0.43478260869565216, 0.6666666666666666, 0.5454545454545454, 0, 0 },
	                    recall[] = { 0.8333333333333334, 0.4, 0.6666666666666666, 0, 0 },
	                    f1[] = { 0.5714285714285714, 0.5, 0.6, 0, 0 };
	struct label_scores s;

	test_case(t, "one label a row: scikit-learn's numbers");
	label_scores_single(&s, 5, has, said, ARRAY_LEN(has));
	check(t, s.accuracy.mean, 0.5);
	check(t, s.macro_f1.mean, 0.4178571428571428);
	check(t, s.mcc.mean, 0.34939573810115954);
	for (int k = 0; k < 5; k++) {
		check(t, s.each[k].precision.mean, precision[k]);
		check(t, s.each[k].recall.mean, recall[k]);
		check(t, s.each[k].f1.mean, f1[k]);
	}
	CHECK(t, s.confusion[0 * 5 + 0] == 10 && s.confusion[3 * 5 + 0] == 7 && s.confusion[3 * 5 + 2] == 2);
	CHECK(t, s.each[3].rows == 9 && s.each[3].said == 0 && s.each[3].precision.n == 0 && s.each[4].rows == 0);
	test_case(t, "and errors as of samples drawn with replacement");
	CHECK_MSG(t, fabs(s.macro_f1.stderr_ / 0.06598 - 1) < 0.1, "macro F1: %.5f", s.macro_f1.stderr_);
	CHECK_MSG(t, fabs(s.mcc.stderr_ / 0.10017 - 1) < 0.1, "MCC: %.5f", s.mcc.stderr_);
	label_scores_release(&s);
}

static void test_multi(struct test *t)
{
	static const uint8_t a[12][3] = {
		{ 0, 0, 1 }, { 0, 0, 1 }, { 0, 1, 0 }, { 0, 1, 0 }, { 0, 0, 1 }, { 0, 0, 0 },
		{ 0, 1, 1 }, { 0, 1, 0 }, { 0, 0, 1 }, { 0, 1, 1 }, { 0, 0, 1 }, { 0, 0, 1 },
	}, b[12][3] = {
		{ 0, 0, 0 }, { 1, 1, 1 }, { 0, 1, 1 }, { 0, 1, 0 }, { 0, 0, 1 }, { 1, 0, 1 },
		{ 1, 1, 0 }, { 0, 1, 0 }, { 0, 0, 1 }, { 0, 1, 1 }, { 1, 0, 1 }, { 0, 1, 0 },
	};
	struct label_scores s;

	test_case(t, "several labels a row");
	label_scores_multi(&s, 3, a[0], b[0], 12);
	check(t, s.accuracy.mean, 0.4166666666666667);
	check(t, s.micro_f1.mean, 0.6451612903225806);
	check(t, s.macro_f1.mean, 0.5);
	CHECK(t, s.micro_f1.stderr_ > 0 && s.mcc.n == 0 && !s.confusion);
	label_scores_release(&s);
}

static void test_numbers(struct test *t)
{
	static const double x[] = { 1, 2, 2, 3.5, -1, 0, 2, 7, 7, 0.25 }, y[] = { 1.5, 2, 1, 3, -1.25, 0, 0, 6, 8, 0 },
	                    flat[10] = { 0 };
	struct label_scores s;

	test_case(t, "numbers, equal ones among them: SciPy's correlations");
	label_scores_numbers(&s, x, y, 10);
	check(t, s.mse.mean, 0.7625);
	check(t, s.rmse.mean, 0.873212459828649);
	check(t, s.mae.mean, 0.65);
	check(t, s.pearson.mean, 0.957587086598226);
	check(t, s.spearman.mean, 0.8972006153026083);
	CHECK_MSG(t, fabs(s.pearson.low - 0.8259354542357732) < 1e-4 && fabs(s.pearson.high - 0.99020000505046) < 1e-4,
	          "%.5f to %.5f", s.pearson.low, s.pearson.high);
	label_scores_release(&s);
	test_case(t, "a constant has no correlation, equal sides have all of it");
	label_scores_numbers(&s, x, flat, 10);
	CHECK(t, isnan(s.pearson.mean) && isnan(s.spearman.mean) && isnan(s.pearson.low));
	label_scores_release(&s);
	label_scores_numbers(&s, x, x, 10);
	check(t, s.pearson.mean, 1);
	check(t, s.spearman.mean, 1);
	CHECK(t, s.mse.mean == 0 && s.rmse.stderr_ == 0 && s.pearson.low == s.pearson.mean);
	label_scores_release(&s);
}

static void test_edges(struct test *t)
{
	struct label_scores s;

	test_case(t, "all right: 1, one class alone: no MCC; one row has no error");
	label_scores_single(&s, 4, has, has, ARRAY_LEN(has));
	CHECK(t, s.mcc.mean == 1 && s.macro_f1.mean == 1 && s.mcc.stderr_ == 0 && s.mcc.high == 1);
	label_scores_release(&s);
	label_scores_single(&s, 2, (const int32_t[]){ 0, 0 }, (const int32_t[]){ 0, 0 }, 2);
	CHECK(t, s.mcc.mean == 0 && isnan(s.mcc.stderr_) && s.macro_f1.mean == 1);
	label_scores_release(&s);
	label_scores_single(&s, 2, (const int32_t[]){ 0 }, (const int32_t[]){ 1 }, 1);
	CHECK(t, s.accuracy.mean == 0 && isnan(s.accuracy.stderr_) && s.macro_f1.mean == 0 && isnan(s.macro_f1.low));
	label_scores_release(&s);
}

void test_label_scores(struct test *t);
void test_label_scores(struct test *t)
{
	test_single(t);
	test_multi(t);
	test_numbers(t);
	test_edges(t);
}
