/* test_calibrate: contextual and batch calibration as the papers' formulas give them in NumPy (golden values of
 * tools/golden/in_context.py). */
#include "../test.h"

#include <math.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "eval/calibrate.h"

enum { ROWS = 7, FREE = 3, CHOICES = 4 };

static double number(const json_t *list, size_t i, size_t k)
{
	return json_number_value(json_array_get(json_array_get(list, i), k));
}

static void softmax(const json_t *list, size_t n, double *p)
{
	double x[CHOICES];

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < CHOICES; k++)
			x[k] = number(list, i, k);
		calibrate_softmax(x, CHOICES, p + i * CHOICES);
	}
}

static void check(struct test *t, const json_t *wanted, const double *p, const double *of, size_t n)
{
	const json_t *priors = json_object_get(wanted, "prior");
	double prior[CHOICES], q[CHOICES];

	calibrate_prior(of, n, CHOICES, prior);
	for (size_t k = 0; k < CHOICES; k++)
		CHECK(t, fabs(prior[k] - json_number_value(json_array_get(priors, k))) < 1e-12);
	for (size_t i = 0; i < ROWS; i++) {
		size_t best = calibrate_row(p + i * CHOICES, prior, CHOICES, q);
		CHECK(t, (json_int_t)best == json_integer_value(json_array_get(json_object_get(wanted, "answer"), i)));
		for (size_t k = 0; k < CHOICES; k++)
			CHECK(t, fabs(q[k] - number(json_object_get(wanted, "q"), i, k)) < 1e-12);
	}
}

void test_calibrate(struct test *t)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "in_context/values.json");
	json_t *all = jsonx_load_file(path, &e), *v = json_object_get(all, "calibration");
	double p[ROWS * CHOICES], free[FREE * CHOICES];

	CHECK_MSG(t, v, "%s", e.msg);
	softmax(json_object_get(v, "logprob"), ROWS, p);
	softmax(json_object_get(v, "free"), FREE, free);
	test_case(t, "contextual: over the mean of content-free inputs");
	check(t, json_object_get(v, "contextual"), p, free, FREE);
	test_case(t, "batch: over the mean of the rows");
	check(t, json_object_get(v, "batch"), p, p, ROWS);
	json_decref(all);
	mem_free(path);
}
