/* test_economics: costs against numbers worked out by hand and by scipy, curves against scipy's curve_fit, forecasts
 * against draws whose truth is known. */
#include "../test.h"

#include <math.h>

#include "base/rng.h"
#include "gas/curve.h"
#include "gas/economics.h"

static void near(struct test *t, double x, double wanted, double relative)
{
	CHECK_MSG(t, fabs(x - wanted) <= relative * fabs(wanted), "%.12g, %.12g was wanted", x, wanted);
}

static void test_lines(struct test *t)
{
	struct cost_line tune = { { 1000, 900, 1100 }, { 2, 2, 2 } };

	test_case(t, "total and amortised cost");
	near(t, cost_total(&tune, 100).mid, 1200, 1e-12);
	near(t, cost_total(&tune, 100).low, 1100, 1e-12);
	near(t, cost_amortised(&tune, 100).mid, 12, 1e-12);
	near(t, cost_amortised(&tune, 1000).high, 3.1, 1e-12);

	test_case(t, "errors of independent parts add as squares, each side alone");
	struct span sum = span_add((struct span){ 10, 7, 14 }, (struct span){ 20, 16, 23 });
	near(t, sum.low, 25, 1e-12);
	near(t, sum.high, 35, 1e-12);
}

static void test_break_even(struct test *t)
{
	struct cost_line few_shot = { { 0, 0, 0 }, { 10, 10, 10 } }, tune = { { 1000, 1000, 1000 }, { 2, 2, 2 } };
	struct break_even b = break_even(&few_shot, &tune);

	test_case(t, "break-even of a price per use and a price once");
	CHECK(t, b.crosses && b.few == CHEAPER_A && b.many == CHEAPER_B);
	near(t, b.uses.mid, 125, 1e-12);
	near(t, b.uses.low, 125, 1e-12);
	near(t, b.uses.high, 125, 1e-12);
	b = break_even(&tune, &few_shot);
	CHECK(t, b.crosses && b.few == CHEAPER_B && b.many == CHEAPER_A);
	near(t, b.uses.mid, 125, 1e-12);

	test_case(t, "cheaper in both never crosses; equals neither");
	struct cost_line cheap = { { 0, 0, 0 }, { 1, 1, 1 } };
	b = break_even(&cheap, &tune);
	CHECK(t, !b.crosses && b.few == CHEAPER_A && b.many == CHEAPER_A && isnan(b.uses.mid));
	b = break_even(&cheap, &cheap);
	CHECK(t, !b.crosses && b.few == CHEAPER_NEITHER);

	test_case(t, "Fieller's interval, by the formula written out in numpy");
	struct cost_line x = { span_exact(0), span_error(0.5, 0.05) }, y = { span_error(100, 10), span_exact(0) };
	b = break_even(&x, &y);
	near(t, b.uses.mid, 200, 1e-12);
	near(t, b.uses.low, 158.0688860143597, 1e-10);
	near(t, b.uses.high, 253.0542284986194, 1e-10);

	test_case(t, "slopes that cannot be told apart leave the end open");
	x.per_use = span_error(0.5, 0.4);
	b = break_even(&x, &y);
	CHECK(t, isinf(b.uses.high) && b.uses.low > 50 && b.uses.low < 200);
}

/* Does the interval contain the true ratio in 90 % of draws? */
static void test_break_even_coverage(struct test *t)
{
	struct rng_key key = { 7, RNG_TEST };
	int inside = 0;

	test_case(t, "break-even's interval contains the truth in nine tenths of 2,000 draws");
	for (uint32_t i = 0; i < 2000; i++) {
		struct cost_line x = { span_exact(0), span_error(0.5 + 0.08 * rng_normal(key, i, 0, 0), 0.08) };
		struct cost_line y = { span_error(100 + 20 * rng_normal(key, i, 1, 0), 20), span_exact(0) };
		struct break_even b = break_even(&x, &y);
		inside += b.uses.low <= 200 && 200 <= b.uses.high;
	}
	CHECK_MSG(t, inside > 1760 && inside < 1840, "%d of 2,000", inside);
}

static void test_pareto(struct test *t)
{
	struct offer o[] = {
		/* better and dearer: on */
		{ { 0.70, 0.66, 0.74 }, { 100, 95, 105 } }, { { 0.72, 0.68, 0.76 }, { 300, 290, 310 } },
		{ { 0.69, 0.65, 0.73 }, { 120, 110, 130 } }, /* beaten by the first, but accuracies overlap */
		{ { 0.50, 0.46, 0.54 }, { 200, 190, 210 } }, /* surely beaten */
		{ { 0.70, 0.66, 0.74 }, { 100, 95, 105 } },  /* the first again: neither beats the other */
	};
	enum front f[5];

	test_case(t, "Pareto front, with what the intervals leave open");
	pareto(o, 5, f);
	CHECK(t, f[0] == FRONT_ON && f[1] == FRONT_ON && f[2] == FRONT_UNSURE && f[3] == FRONT_OFF && f[4] == FRONT_ON);
}

static void test_scale(struct test *t)
{
	struct span s = scale_elasticity((double[]){ 1, 2, 4, 8, 16 }, (double[]){ 1.0, 1.7, 2.9, 5.2, 9.1 }, 5);

	test_case(t, "elasticity, as scipy's linregress with Student's t");
	near(t, s.mid, 0.7984709967513419, 1e-9);
	near(t, s.low, 0.7777659492954795, 1e-4);
	near(t, s.high, 0.8191760442072044, 1e-4);
	CHECK(t, isnan(scale_elasticity((double[]){ 2, 2 }, (double[]){ 1, 3 }, 2).mid));
	near(t, scale_elasticity((double[]){ 1, 4 }, (double[]){ 3, 6 }, 2).mid, 0.5, 1e-12);
	s = span_mean((double[]){ 1, 2, 3 }, 3);
	near(t, s.mid, 2, 1e-12);
	near(t, s.high, 2 + 2.919985580353726 / sqrt(3), 1e-9);
	CHECK(t, span_mean((double[]){ 5 }, 1).low == 5);
	s = span_geometric((double[]){ 1, 10, 100 }, 3);
	near(t, s.mid, 10, 1e-9);
	near(t, s.low, pow(10, 1 - 2.919985580353726 / sqrt(3)), 1e-9);
}

static const struct curve_point points[] = {
	{ 100, 0.62, 0.02 }, { 200, 0.51, 0.018 }, { 400, 0.43, 0.016 }, { 800, 0.375, 0.015 }, { 1600, 0.34, 0.014 },
};

static void test_curve(struct test *t)
{
	struct curve c;
	struct err e = ERR_INIT;

	test_case(t, "a·n^−b + c, as scipy's curve_fit");
	CHECK(t, curve_fit(&c, points, 5, false, 42, &e) == 0);
	near(t, c.a, 4.21252817, 1e-4);
	near(t, c.b, 0.5308049, 1e-4);
	near(t, c.c, 0.2552343, 1e-4);
	near(t, curve_at(&c, 3200).mid, 0.3133096726070713, 1e-5);
	near(t, curve_gain(&c, 1600, 1700).mid, 0.002657022072838411, 1e-4);

	test_case(t, "the band is that of the delta method where that holds, and the same every time");
	struct span at = curve_at(&c, 800), again;
	near(t, span_sigma(at), 0.008628890693494916, 0.15);
	struct curve twin;
	CHECK(t, curve_fit(&twin, points, 5, false, 42, &e) == 0);
	again = curve_at(&twin, 800);
	CHECK(t, at.low == again.low && at.high == again.high);
	curve_release(&twin);

	test_case(t, "stop where one more label costs what it brings");
	struct span stop = curve_stop(&c, 1000, 0.05);
	near(t, 1000 * c.a * c.b * pow(stop.mid, -c.b - 1), 0.05, 1e-9);
	CHECK(t, stop.low < stop.mid && stop.mid < stop.high);
	curve_release(&c);

	test_case(t, "without a floor");
	CHECK(t, curve_fit(&c, points, 5, true, 42, &e) == 0);
	near(t, c.a, 1.67892059, 1e-4);
	near(t, c.b, 0.22197802, 1e-4);
	CHECK(t, c.c == 0);
	curve_release(&c);
}

static void test_curve_edges(struct test *t)
{
	struct curve c;
	struct err e = ERR_INIT;
	struct curve_point exact[] = { { 10, 2.1, 0 }, { 100, 1.0, 0 }, { 1000, 0.65, 0 } };

	test_case(t, "three points without errors: a curve, no band");
	CHECK(t, curve_fit(&c, exact, 3, false, 1, &e) == 0);
	CHECK(t, !c.has_band && isnan(curve_at(&c, 50).low));
	near(t, curve_at(&c, 100).mid, 1.0, 1e-6);
	curve_release(&c);

	test_case(t, "an error that rises is a flat curve");
	struct curve_point rising[] = { { 10, 0.1, 0.01 }, { 20, 0.2, 0.01 }, { 40, 0.3, 0.01 } };
	CHECK(t, curve_fit(&c, rising, 3, false, 1, &e) == 0);
	CHECK(t, c.a == 0 && fabs(c.c - 0.2) < 1e-9);
	curve_release(&c);

	test_case(t, "too few sizes, and no numbers, are refused");
	CHECK(t, curve_fit(&c, points, 2, false, 1, &e) < 0);
	struct curve_point same[] = { { 10, 0.1, 0.01 }, { 10, 0.2, 0.01 }, { 10, 0.3, 0.01 } };
	CHECK(t, curve_fit(&c, same, 3, true, 1, &e) < 0);
	struct curve_point bad[] = { { 0, 0.1, 0 }, { 20, 0.2, 0 }, { 40, NAN, 0 } };
	CHECK(t, curve_fit(&c, bad, 3, false, 1, &e) < 0);
}

/* The true curve lies in the band at a size between and at one beyond in about 90 % of draws. */
static void test_curve_coverage(struct test *t)
{
	struct rng_key key = { 11, RNG_TEST };
	const double n[] = { 50, 100, 200, 400, 800, 1600 };
	int between = 0, beyond = 0, draws = 60;
	struct err e = ERR_INIT;

	test_case(t, "the band contains the true curve in about nine tenths of draws");
	for (uint32_t i = 0; i < (uint32_t)draws; i++) {
		struct curve_point p[6];
		struct curve c;
		for (uint32_t j = 0; j < 6; j++)
			p[j] = (struct curve_point){
				n[j], 3 * pow(n[j], -0.5) + 0.2 + 0.015 * (double)rng_normal(key, i, j, 0), 0.015
			};
		CHECK(t, curve_fit(&c, p, 6, false, i, &e) == 0);
		struct span s = curve_at(&c, 300), far = curve_at(&c, 3200);
		double truth = 3 * pow(300, -0.5) + 0.2, far_truth = 3 * pow(3200, -0.5) + 0.2;
		between += s.low <= truth && truth <= s.high;
		beyond += far.low <= far_truth && far_truth <= far.high;
		curve_release(&c);
	}
	CHECK_MSG(t, between >= draws * 8 / 10, "%d of %d", between, draws);
	CHECK_MSG(t, beyond >= draws * 75 / 100, "%d of %d", beyond, draws);
}

void test_economics(struct test *t)
{
	test_lines(t);
	test_break_even(t);
	test_break_even_coverage(t);
	test_pareto(t);
	test_scale(t);
	test_curve(t);
	test_curve_edges(t);
	test_curve_coverage(t);
}
