/* test_forecast: intervals around predictions contain what happens as often as they say, from the first run on, when
 * predictions are biased, and when misses are not normal. */
#include "../test.h"

#include <math.h>

#include "base/rng.h"
#include "gas/forecast.h"

/* Runs of 0.05 to 50 s; predictions off by a factor `bias` and a relative error drawn by `miss`. How many of runs
 * from..to fell into their interval. */
static int covered(double bias, double spread, bool heavy, uint32_t from, uint32_t to, uint64_t seed)
{
	struct rng_key key = { seed, RNG_TEST };
	struct forecast_past past[300];
	int inside = 0;

	for (uint32_t i = 0; i < to; i++) {
		double p = 0.05 * pow(1000, (double)rng_uniform(key, i, 0, 0)), z = (double)rng_normal(key, i, 1, 0);
		if (heavy)
			z = z < 0 ? 0.3 * z : 1.5 * z; /* other work can only make a run slower */
		double actual = p * bias * exp(spread * z);
		struct span s = forecast(p, forecast_sigma(forecast_time, p), forecast_time, past, i);
		if (i >= from)
			inside += s.low <= actual && actual <= s.high;
		past[i] = (struct forecast_past){ p, actual };
	}
	return inside;
}

static void test_coverage(struct test *t)
{
	int n;

	test_case(t, "without a past the prior's interval surrounds the prediction");
	struct span s = forecast(10, forecast_sigma(forecast_time, 10), forecast_time, NULL, 0);
	CHECK(t, s.mid == 10 && s.low < 9 && s.high > 11 && s.low > 7.5 && s.high < 12.5);

	test_case(t, "170 to 190 of 200 runs are inside, good predictions");
	n = covered(1, 0.05, false, 50, 250, 1);
	CHECK_MSG(t, n >= 170 && n <= 190, "%d", n);

	test_case(t, "the same when predictions are 30 percent too low");
	n = covered(1.3, 0.08, false, 50, 250, 2);
	CHECK_MSG(t, n >= 170 && n <= 190, "%d", n);

	test_case(t, "the same when misses are not normal");
	n = covered(1.1, 0.1, true, 50, 250, 3);
	CHECK_MSG(t, n >= 170 && n <= 190, "%d", n);

	test_case(t, "the first runs on a quiet machine are inside too");
	n = 0;
	for (uint64_t seed = 10; seed < 30; seed++)
		n += covered(1.05, 0.05, false, 0, 10, seed);
	CHECK_MSG(t, n >= 176, "%d of 200", n);
}

static void test_learning(struct test *t)
{
	struct forecast_past past[40] = { { NAN, 1 }, { 0, 1 }, { 1, INFINITY }, { -1, 2 } };

	test_case(t, "a steady miss moves the middle and narrows the interval; entries without numbers are left out");
	for (int i = 4; i < 40; i++)
		past[i] = (struct forecast_past){ 10, 12 + 0.01 * i };
	struct span s = forecast(20, forecast_sigma(forecast_time, 20), forecast_time, past, 40);
	CHECK_MSG(t, s.mid > 23.5 && s.mid < 25.5 && s.high - s.low < 2, "%g to %g to %g", s.low, s.mid, s.high);

	test_case(t,
	          "runs that always did what their own plan said leave what differs between processes: 1.64 · 140 KB");
	for (int i = 0; i < 40; i++)
		past[i] = (struct forecast_past){ 1e8, 1e8 };
	s = forecast(1e8, forecast_sigma(forecast_memory, 1e8), forecast_memory, past, 40);
	CHECK_MSG(t,
	          s.mid == 1e8 && fabs(s.high - 1e8 - 1.645 * 143360) < 500 && fabs(1e8 - s.low - 1.645 * 143360) < 500,
	          "%.0f to %.0f", s.low, s.high);

	test_case(t, "what was learnt is not widened where it is wider");
	for (int i = 0; i < 40; i++)
		past[i] = (struct forecast_past){ 1e8, 1e8 + 1e5 * (i - 20) };
	s = forecast(1e8, forecast_sigma(forecast_memory, 1e8), forecast_memory, past, 40);
	CHECK_MSG(t, s.low > 1e8 - 2e6 && s.low < 1e8 - 1.7e6 && s.high > 1e8 + 1.6e6 && s.high < 1e8 + 1.9e6,
	          "%.0f to %.0f", s.low, s.high);

	test_case(t, "nothing is said to take no time");
	s = forecast(0.01, forecast_sigma(forecast_time, 0.01), forecast_time, NULL, 0);
	CHECK(t, s.low > 0);
}

void test_forecast(struct test *t)
{
	test_coverage(t);
	test_learning(t);
}
