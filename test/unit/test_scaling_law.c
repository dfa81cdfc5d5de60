/* test_scaling_law: the numbers that losses were made of are found again, SciPy's where there is noise; intervals hold
 * them; the best size for a budget is where the loss is least; what cannot be fitted is refused. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "learn/scaling_law.h"

/* Hoffmann et al. 2022, approach 3. */
static const struct scaling_law published = { 1.69, 406.4, 0.34, 410.7, 0.28 };

enum { SIZES = 5, RATIOS = 3, RUNS = SIZES * RATIOS };

static void make(struct scaling_point *p, double noise)
{
	static const double sizes[] = { 4e5, 1.3e6, 3e6, 8e6, 2.5e7 }, ratios[] = { 5, 20, 80 };
	struct rng_key key = { 1, RNG_TEST };

	for (size_t i = 0; i < RUNS; i++) {
		double n = sizes[i / RATIOS], tokens = n * ratios[i % RATIOS];
		p[i] = (struct scaling_point){ n, tokens, scaling_loss(&published, n, tokens) *
			                                   exp(noise * (double)rng_normal(key, i, 0, 0)) };
	}
}

static bool near(double a, double b, double part) { return fabs(a / b - 1) <= part; }

static void test_exact(struct test *t)
{
	struct scaling_point p[RUNS];
	struct scaling_fit *f = mem_alloc(sizeof(*f));
	struct err e = ERR_INIT;

	make(p, 0);
	test_case(t, "losses without noise give their numbers again");
	CHECK_MSG(t, scaling_fit(f, p, RUNS, 1, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, near(f->law.alpha, 0.34, 1e-3) && near(f->law.beta, 0.28, 1e-3) && near(f->law.e, 1.69, 1e-3) &&
	             near(f->law.a, 406.4, 0.02) && near(f->law.b, 410.7, 0.02),
	          "%g + %g/N^%g + %g/D^%g", f->law.e, f->law.a, f->law.alpha, f->law.b, f->law.beta);
	CHECK_MSG(t, f->error < 1e-5 && f->n_draws > 150, "%g, %d draws", f->error, f->n_draws);
	CHECK(t, near(scaling_reach(f, 2.5e7, 2e9), 1, 1e-9));
	mem_free(f);
}

static void test_noisy(struct test *t)
{
	char *path = mem_printf("%s/scaling_law.json", test_golden());
	struct scaling_point p[RUNS];
	struct scaling_fit *f = mem_alloc(sizeof(*f)), *again = mem_alloc(sizeof(*f));
	struct err e = ERR_INIT;
	json_t *golden = jsonx_load_file(path, &e), *runs = json_object_get(golden, "runs");
	json_t *law = json_object_get(golden, "law");

	test_case(t, "SciPy's fit of the same runs");
	for (size_t i = 0; i < RUNS; i++) {
		json_t *run = json_array_get(runs, i);
		p[i] = (struct scaling_point){ json_number_value(json_array_get(run, 0)),
			                       json_number_value(json_array_get(run, 1)),
			                       json_number_value(json_array_get(run, 2)) };
	}
	CHECK_MSG(t, scaling_fit(f, p, RUNS, 1, &e) == 0, "%s", e.msg);
	struct scaling_law want = { json_real_value(json_object_get(law, "e")),
		                    json_real_value(json_object_get(law, "a")),
		                    json_real_value(json_object_get(law, "alpha")),
		                    json_real_value(json_object_get(law, "b")),
		                    json_real_value(json_object_get(law, "beta")) };
	/* the minimum is flat along α and A: numbers agree to what its value is worth, losses much closer */
	CHECK_MSG(t, near(f->law.alpha, want.alpha, 0.01) && near(f->law.beta, want.beta, 0.01) &&
	             near(f->law.e, want.e, 0.01), "%g + %g/N^%g + %g/D^%g, SciPy %g + %g/N^%g + %g/D^%g", f->law.e,
	          f->law.a, f->law.alpha, f->law.b, f->law.beta, want.e, want.a, want.alpha, want.b, want.beta);
	for (size_t i = 0; i < RUNS; i++)
		CHECK(t, near(scaling_loss(&f->law, p[i].n, p[i].tokens), scaling_loss(&want, p[i].n, p[i].tokens),
		              3e-4));
	test_case(t, "intervals hold what the losses were made of, and are the same again");
	CHECK_MSG(t, f->alpha.low < 0.34 && f->alpha.high > 0.34 && f->beta.low < 0.28 && f->beta.high > 0.28,
	          "alpha %g to %g, beta %g to %g", f->alpha.low, f->alpha.high, f->beta.low, f->beta.high);
	struct scaling_range far = scaling_expect(f, 1e8, 2e9);
	CHECK_MSG(t, far.low <= scaling_loss(&published, 1e8, 2e9) && far.high >= scaling_loss(&published, 1e8, 2e9) &&
	             far.high - far.low < 0.3, "%g: %g to %g", far.value, far.low, far.high);
	CHECK(t, scaling_fit(again, p, RUNS, 1, &e) == 0 && !memcmp(f, again, sizeof(*f)));
	json_decref(golden);
	mem_free(path);
	mem_free(f);
	mem_free(again);
}

static void test_best(struct test *t)
{
	double n, tokens;

	test_case(t, "the best size is where the loss of a budget is least");
	scaling_optimal(&published, 1e18, &n, &tokens);
	CHECK(t, near(6 * n * tokens, 1e18, 1e-12));
	double best = scaling_loss(&published, n, tokens);
	CHECK(t, scaling_loss(&published, n * 1.1, tokens / 1.1) > best);
	CHECK(t, scaling_loss(&published, n / 1.1, tokens * 1.1) > best);
}

static void test_refused(struct test *t)
{
	struct scaling_point p[RUNS];
	struct scaling_fit *f = mem_alloc(sizeof(*f));
	struct err e = ERR_INIT;

	test_case(t, "runs that tell nothing are refused");
	make(p, 0);
	CHECK(t, scaling_fit(f, p, 5, 1, &e) < 0 && strstr(e.msg, "at least 6 runs"));
	for (size_t i = 0; i < RUNS; i++)
		p[i].n = 1e6;
	CHECK(t, scaling_fit(f, p, RUNS, 1, &e) < 0 && strstr(e.msg, "several sizes"));
	make(p, 0);
	p[3].loss = NAN;
	CHECK(t, scaling_fit(f, p, RUNS, 1, &e) < 0 && strstr(e.msg, "run 4"));
	mem_free(f);
}

void test_scaling_law(struct test *t);
void test_scaling_law(struct test *t)
{
	test_exact(t);
	test_noisy(t);
	test_best(t);
	test_refused(t);
}
