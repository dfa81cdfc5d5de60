/* test_gae: advantages and whitening by tables that were worked out by hand. */
#include "../test.h"

#include <math.h>

#include "train/gae.h"

static void check(struct test *t, const float *got, const double *want, size_t n)
{
	for (size_t i = 0; i < n; i++)
		CHECK_MSG(t, fabs((double)got[i] - want[i]) < 1e-6, "number %zu: %.7f, wanted %.7f", i, (double)got[i],
		          want[i]);
}

static void test_advantages(struct test *t)
{
	static const float reward[] = { 0, 0, 1 }, value[] = { 0.5F, 0.25F, 0.75F };
	float advantage[3], returns[3];

	test_case(t, "advantages and returns of three tokens");
	/* delta -0.25, 0.5, 0.25 */
	gae(reward, value, 3, 1, 0.5, advantage, returns);
	check(t, advantage, (const double[]){ 0.0625, 0.625, 0.25 }, 3);
	check(t, returns, (const double[]){ 0.5625, 0.875, 1 }, 3);
	/* lambda 1, gamma 0.5: the rewards to come, less the value */
	gae(reward, value, 3, 0.5, 1, advantage, returns);
	check(t, returns, (const double[]){ 0.25, 0.5, 1 }, 3);
	check(t, advantage, (const double[]){ -0.25, 0.25, 0.25 }, 3);
}

static void test_whitening(struct test *t)
{
	float a[] = { 1, 2 }, b[] = { 3, 4 };
	struct whitening w = { 0 };

	test_case(t, "two answers whitened together: variance 5/3");
	whitening_add(&w, a, 2);
	whitening_add(&w, b, 2);
	whitening_add_squares(&w, a, 2);
	whitening_add_squares(&w, b, 2);
	whiten(&w, a, 2, false);
	check(t, a, (const double[]){ -1.1618950, -0.3872983 }, 2);
	whiten(&w, b, 2, true);
	check(t, b, (const double[]){ 2.8872983, 3.6618950 }, 2);
}

void test_gae(struct test *t)
{
	test_advantages(t);
	test_whitening(t);
}
