/* bound: one-sided bounds. The values of Tango's are those of a likelihood maximized numerically, multinomial with the
 * difference given (tools/golden/bound.py); Wilson's and Student's by formula with scipy's quantiles. */
#include "eval/bound.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "../test.h"

static bool near(double a, double b, double off) { return fabs(a - b) <= off; }

/* n pairs: so many gained, lost, right in both. */
static struct bound paired(size_t n, size_t gained, size_t lost, size_t both, double confidence)
{
	double *x = mem_array(n, sizeof(*x)), *from = mem_array(n, sizeof(*from));

	for (size_t i = 0; i < n; i++) {
		x[i] = i < gained || (i >= gained + lost && i < gained + lost + both);
		from[i] = i >= gained && i < gained + lost + both;
	}
	struct bound b = bound_of(&(struct bound_samples){ .x = x, .from = from, .n = n }, confidence);
	mem_free(x);
	mem_free(from);
	return b;
}

static void test_tango(struct test *t)
{
	static const struct { size_t n, gained, lost, both; double confidence, low; } cases[] = {
		{ 44, 0, 1, 43, 0.975, -0.118077101 },
		{ 100, 12, 5, 60, 0.95, 0.002337075 },
		{ 100, 5, 12, 60, 0.95, -0.142046615 },
		{ 30, 1, 1, 20, 0.95, -0.109096491 },
		{ 500, 40, 35, 300, 0.99, -0.031083344 },
		{ 12, 8, 0, 2, 0.9, 0.466020460 },
	};
	test_case(t, "paired hits: Tango's bound is that of the likelihood, and mirrors");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bound b = paired(cases[i].n, cases[i].gained, cases[i].lost, cases[i].both, cases[i].confidence);
		struct bound back = paired(cases[i].n, cases[i].lost, cases[i].gained, cases[i].both,
		                           cases[i].confidence);
		CHECK_MSG(t, near(b.low, cases[i].low, 1e-6), "case %zu: %.8f, %.8f was wanted", i, b.low,
		          cases[i].low);
		CHECK(t, near(b.high, -back.low, 1e-12));
	}
	test_case(t, "samples without a difference exclude no small loss");
	double z = bound_normal(0.95);
	CHECK(t, near(paired(5, 0, 0, 5, 0.95).low, -z * z / (5 + z * z), 1e-9));
	CHECK(t, near(z, 1.6448536269514722, 1e-12));
}

/* The bound must fail to cover in about 5 of 100 draws, whatever the samples are. */
static void test_coverage(struct test *t)
{
	enum { DRAWS = 2000, N = 40 };
	struct rng_stream r = { 7 };
	double x[N], from[N], weight[N];
	size_t above[3] = { 0 };

	test_case(t, "a bound holds in 95 of 100 draws: paired hits, numbers, weighted ones");
	for (int d = 0; d < DRAWS; d++) {
		for (int i = 0; i < N; i++) {
			float u = rng_next_float(&r), v = rng_next_float(&r);
			from[i] = u > 0;
			x[i] = v > 0.6F ? 1 - from[i] : from[i];
		}
		above[0] += bound_of(&(struct bound_samples){ .x = x, .from = from, .n = N }, 0.95).low > 0;
		for (int i = 0; i < N; i++) {
			x[i] = rng_next_float(&r) * rng_next_float(&r);
			weight[i] = 1.5 + rng_next_float(&r);
		}
		above[1] += bound_of(&(struct bound_samples){ .x = x, .n = N }, 0.95).low > 0;
		above[2] += bound_of(&(struct bound_samples){ .x = x, .weight = weight, .n = N }, 0.95).low > 0;
	}
	for (int k = 0; k < 3; k++)
		CHECK_MSG(t, above[k] > DRAWS * 0.035 && above[k] < DRAWS * 0.065, "%d: %zu of %d", k, above[k], DRAWS);
}

static void test_kin(struct test *t)
{
	double x[40], each[10];
	size_t kin[40];

	test_case(t, "four of each kind are no more than ten; fewer than ten say nothing");
	for (size_t i = 0; i < 40; i++) {
		x[i] = i % 10 < 6;
		kin[i] = i % 10;
		each[i % 10] = x[i];
	}
	struct bound b = bound_of(&(struct bound_samples){ .x = x, .cluster = kin, .n = 40 }, 0.95);
	double weight[10] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
	struct bound ten = bound_of(&(struct bound_samples){ .x = each, .weight = weight, .n = 10 }, 0.95);
	CHECK(t, b.units == 10 && near(b.low, ten.low, 1e-12));
	CHECK(t, near(ten.value - ten.low, 1.8331129 * sqrt(0.24 / 9), 2e-3));
	CHECK(t, isnan(bound_of(&(struct bound_samples){ .x = each, .weight = weight, .n = 9 }, 0.95).low));
	CHECK(t, isnan(bound_of(&(struct bound_samples){ .x = each, .n = 0 }, 0.95).low));
}

void test_bound(struct test *t)
{
	test_tango(t);
	test_coverage(t);
	test_kin(t);
}
