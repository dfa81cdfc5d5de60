/* test_statistics: estimates against numbers of Python's statistics module and of the formulas written out; what a
 * sample cannot tell is NAN. */
#include "../test.h"

#include <math.h>

#include "eval/contest.h"
#include "eval/statistics.h"

static void check(struct test *t, double x, double wanted)
{
	CHECK_MSG(t, fabs(x - wanted) < 1e-13 * fmax(1, fabs(wanted)), "%.17g, %.17g was wanted", x, wanted);
}

static void test_means(struct test *t)
{
	struct estimate s = estimate_mean((double[]){ 1, 2, 4, 8.5 }, 4);

	test_case(t, "mean: sample standard deviation over the root of n");
	check(t, s.mean, 3.875);
	check(t, s.stderr_, 1.6630168369562588);
	check(t, s.low, 3.875 - 1.96 * 1.6630168369562588);
	check(t, s.high, 3.875 + 1.96 * 1.6630168369562588);
	CHECK(t, s.n == 4);

	test_case(t, "mean of one has no error, of none no value");
	s = estimate_mean((double[]){ 7 }, 1);
	check(t, s.mean, 7);
	CHECK(t, isnan(s.stderr_) && isnan(s.low) && isnan(s.high));
	s = estimate_mean(NULL, 0);
	CHECK(t, isnan(s.mean) && isnan(s.stderr_) && s.n == 0);

	test_case(t, "mean of few: Student's interval, scipy.stats.t.interval");
	s = estimate_few((double[]){ 1, 2 }, 2);
	CHECK(t, fabs(s.low - -4.8531023677) < 1e-9 && fabs(s.high - 7.8531023677) < 1e-9);
	s = estimate_few((double[]){ 1, 2, 4, 8.5, 3 }, 5);
	CHECK_MSG(t, fabs(s.low - 0.09062136) < 0.03 && fabs(s.high - 7.30937864) < 0.03, "%g %g", s.low, s.high);
}

static void test_proportions(struct test *t)
{
	double ones[] = { 1, 1, 1, 1, 1 }, zeros[] = { 0, 0, 0, 0, 0 };
	struct estimate s = estimate_proportion((double[]){ 1, 0, 1, 1, 0, 1, 1, 0, 1, 1 }, 10);

	test_case(t, "proportion: lm-eval's error, Wilson's interval");
	check(t, s.mean, 0.7);
	check(t, s.stderr_, 0.15275252316519466);
	check(t, s.low, 0.39677321997956516);
	check(t, s.high, 0.892210712513788);

	test_case(t, "proportion: none, all, one, nothing");
	s = estimate_proportion(zeros, 5);
	check(t, s.low, 0);
	check(t, s.high, 0.43449149475208104);
	check(t, s.stderr_, 0);
	s = estimate_proportion(ones, 5);
	check(t, s.low, 0.5655085052479191);
	check(t, s.high, 1);
	s = estimate_proportion(ones, 1);
	check(t, s.low, 0.20654329147389294);
	CHECK(t, isnan(s.stderr_));
	s = estimate_proportion(NULL, 0);
	CHECK(t, isnan(s.mean) && isnan(s.low) && isnan(s.high));
}

static void test_perplexities(struct test *t)
{
	struct estimate s = estimate_perplexity((double[]){ -10, -3.5, -20 }, (double[]){ 4, 2, 9 }, 3);

	test_case(t, "perplexity: of a ratio, symmetric in the logarithm");
	check(t, s.mean, 9.33091735645898);
	check(t, s.stderr_, 1.09936587468948);
	check(t, s.low, 7.406860928859177);
	check(t, s.high, 11.754779730483959);

	test_case(t, "the ratio of two perplexities may be below 1, and so may its interval");
	s = estimate_perplexity_ratio((double[]){ 0.3, 0.1 }, (double[]){ 2, 2 }, 2);
	CHECK(t, fabs(s.mean - exp(-0.1)) < 1e-12 && s.low < s.mean && fabs(s.low * s.high - s.mean * s.mean) < 1e-12);

	test_case(t, "perplexity: equal texts have no error, one text an unknown one");
	s = estimate_perplexity((double[]){ -3, -6 }, (double[]){ 2, 4 }, 2);
	check(t, s.mean, exp(1.5));
	check(t, s.stderr_, 0);
	s = estimate_perplexity((double[]){ -3 }, (double[]){ 2 }, 1);
	CHECK(t, isnan(s.stderr_) && isnan(s.low) && s.n == 1);
	s = estimate_perplexity((double[]){ -0.1, -9 }, (double[]){ 2, 4 }, 2);
	check(t, s.low, 1);
	s = estimate_perplexity(NULL, NULL, 0);
	CHECK(t, isnan(s.mean));
}

/* Numbers of Python's math.comb and of the formulas written out. */
static void test_contests(struct test *t)
{
	double a[] = { 1, 0, 1, 1, 0, 0, 1, 0 }, b[] = { 1, 1, 1, 1, 0, 1, 0, 1 };
	size_t cluster[] = { 0, 0, 1, 1, 2, 2, 3, 3 };
	struct contest c = contest(a, b, NULL, 8, 1), kin = contest(a, b, cluster, 8, 1);

	test_case(t, "contest: paired error, clusters, McNemar, smallest difference");
	check(t, c.difference, 0.25);
	check(t, c.stderr_, 0.25);
	check(t, c.smallest, 0.7003963045282421);
	check(t, kin.clustered, 0.125);
	CHECK(t, c.hits && c.only_a == 1 && c.only_b == 3 && kin.clusters == 4 && c.clusters == 8 && !c.decided);
	check(t, contest_mcnemar(5, 12), 0.143463134765625);
	check(t, contest_mcnemar(0, 6), 0.03125);
	check(t, contest_mcnemar(3, 3), 1);
	CHECK(t, fabs(contest_mcnemar(40, 70) - 0.005447429511444482) < 1e-12);

	test_case(t, "contest: the bound that holds at all times");
	CHECK(t, fabs(contest_bound(0.5, 100, 500) - 0.15176044951881265) < 1e-12);
	CHECK(t, fabs(contest_bound(1, 30, 30) - 0.5541508102571848) < 1e-12);

	test_case(t, "contest: the bootstrap's interval is about the normal one");
	double x[400], y[400];
	for (int i = 0; i < 400; i++) {
		x[i] = i % 2;
		y[i] = i % 10 == 0 || i % 2;
	}
	c = contest(x, y, NULL, 400, 7);
	CHECK_MSG(t, fabs(c.low - (c.difference - 1.96 * c.stderr_)) < 0.006 &&
	          fabs(c.high - (c.difference + 1.96 * c.stderr_)) < 0.006, "%g %g", c.low, c.high);
	CHECK_MSG(t, c.decided > CONTEST_LEAST && c.decided < 400, "%zu", c.decided);
}

void test_statistics(struct test *t)
{
	test_contests(t);
	test_means(t);
	test_proportions(t);
	test_perplexities(t);
}
