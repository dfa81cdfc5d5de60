/* test_spike: which losses stand far above those before them. */
#include "../test.h"

#include <math.h>

#include "base/mem.h"
#include "train/spike.h"

static void test_threshold(struct test *t)
{
	struct spike s;
	double deviation;

	spike_init(&s, 12);
	test_case(t, "too few losses say nothing, but one that is no number is a spike");
	for (int i = 0; i < SPIKE_LEAST - 1; i++)
		spike_add(&s, i % 2);
	CHECK(t, isnan(spike_mean(&s, &deviation)) && !spike_is(&s, 1, 1e9) && spike_is(&s, 1, NAN) &&
	                 spike_is(&s, 1, INFINITY));
	test_case(t, "so many deviations above the mean of the last ones");
	for (int i = 0; i < 40; i++)
		spike_add(&s, i % 2 ? 4 : 2);
	/* twelve of 2 and 4: squares of 1 over 11 */
	CHECK(t, spike_mean(&s, &deviation) == 3 && fabs(deviation - sqrt(12.0 / 11)) < 1e-15);
	CHECK(t, !spike_is(&s, 3, 3 + 3 * deviation) && spike_is(&s, 3, 3 + 3.001 * deviation));
	CHECK(t, !spike_is(&s, 3, -99));
	test_case(t, "losses that are alike deviate by a thousandth");
	for (int i = 0; i < 12; i++)
		spike_add(&s, 2);
	CHECK(t, spike_mean(&s, &deviation) == 2 && deviation == 2e-3);
	CHECK(t, !spike_is(&s, 5, 2.009) && spike_is(&s, 5, 2.011));
	spike_release(&s);
}

static void test_restored(struct test *t)
{
	struct spike s, back;
	double a, b;

	test_case(t, "what is kept has the same bits");
	spike_init(&s, 12);
	spike_init(&back, 12);
	for (int i = 0; i < 31; i++)
		spike_add(&s, 1.0 / (i + 3));
	s.rewinds = 2;
	spike_add(&back, 7);
	json_t *j = spike_json(&s);
	spike_restore(&back, j);
	json_decref(j);
	CHECK(t, spike_mean(&s, &a) == spike_mean(&back, &b) && a == b && back.rewinds == 2);
	spike_restore(&back, NULL);
	CHECK(t, back.n == 0 && back.rewinds == 0);
	spike_release(&s);
	spike_release(&back);
}

void test_spike(struct test *t)
{
	test_threshold(t);
	test_restored(t);
}
