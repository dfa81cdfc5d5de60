/* svd: what comes out is a singular value decomposition, the largest values first, and truncated it is the best. */
#include "../test.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/svd.h"

static double dot(const double *a, const double *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* A matrix of `rank` with values that fall by `fall`. */
static float *sample(size_t rows, size_t cols, size_t rank, double fall)
{
	float *a = mem_array(rows * cols, sizeof(*a));
	struct rng_key key = { 7, RNG_TEST };
	double size = 1;

	for (size_t k = 0; k < rank; k++, size *= fall)
		for (size_t i = 0; i < rows; i++)
			for (size_t j = 0; j < cols; j++)
				a[i * cols + j] += (float)(size * rng_normal(key, i, 0, (uint32_t)k) *
				                           rng_normal(key, j, 1, (uint32_t)k));
	return a;
}

static void check_vectors(struct test *t, const double *x, size_t k, size_t n)
{
	for (size_t i = 0; i < k; i++)
		for (size_t j = 0; j <= i; j++)
			CHECK(t, fabs(dot(x + i * n, x + j * n, n) - (i == j)) < 1e-9);
}

/* Mᵀ·M·v = s²·v of each, and what is left of all numbers is what the other values are. */
static void check_values(struct test *t, const struct svd *s, const struct svd_matrix *m)
{
	double *y = mem_array(m->rows, sizeof(*y)), *z = mem_array(m->cols, sizeof(*z));

	for (size_t i = 0; i < s->k; i++) {
		m->apply(m->ctx, s->v + i * m->cols, y);
		for (size_t j = 0; j < m->rows; j++)
			CHECK(t, fabs(y[j] - s->s[i] * s->u[i * m->rows + j]) <= 1e-8 * s->s[0]);
		m->apply_transposed(m->ctx, s->u + i * m->rows, z);
		for (size_t j = 0; j < m->cols; j++)
			CHECK(t, fabs(z[j] - s->s[i] * s->v[i * m->cols + j]) <= 1e-8 * s->s[0]);
		CHECK(t, i == 0 || s->s[i] <= s->s[i - 1]);
	}
	mem_free(y);
	mem_free(z);
}

static double frobenius(const float *a, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)a[i] * a[i];
	return sum;
}

static void test_one(struct test *t, size_t rows, size_t cols, size_t rank, double fall, size_t k)
{
	float *a = sample(rows, cols, rank, fall);
	struct svd_matrix m = svd_of_floats(&(struct svd_floats){ a, rows, cols });
	struct svd s, all;

	test_case(t, "%zux%zu of rank %zu: the %zu largest", rows, cols, rank, k);
	CHECK(t, svd_largest(&s, &m, k, NULL) && s.k == MIN(k, MIN(rows, cols)));
	check_vectors(t, s.u, s.k, rows);
	check_vectors(t, s.v, s.k, cols);
	check_values(t, &s, &m);
	CHECK(t, svd_largest(&all, &m, MIN(rows, cols), NULL));
	double sum = 0;
	for (size_t i = 0; i < all.k; i++) {
		sum += all.s[i] * all.s[i];
		CHECK(t, i >= s.k || fabs(all.s[i] - s.s[i]) <= 1e-9 * all.s[0]);
	}
	CHECK(t, fabs(sum - frobenius(a, rows * cols)) <= 1e-9 * sum);
	CHECK(t, rank >= all.k || all.s[rank] <= 1e-6 * all.s[0]);
	svd_release(&s);
	svd_release(&all);
	mem_free(a);
}

static bool at_once(void) { return true; }

/* The looks that it takes before it ends, -1: never; how many were taken. */
static int looks, taken;

static bool at_last(void) { return taken++ == looks; }

/* A larger one is interrupted at whichever look says so: between the steps and within the small matrix's rotations. */
static void test_interrupted(struct test *t)
{
	float *a = sample(150, 60, 60, 0.98);
	struct svd_matrix m = svd_of_floats(&(struct svd_floats){ a, 150, 60 });
	struct svd s;

	test_case(t, "it is interrupted between any two steps");
	looks = -1;
	taken = 0;
	CHECK(t, svd_largest(&s, &m, 4, at_last));
	svd_release(&s);
	int all = taken;
	CHECK(t, all > 100);
	for (looks = 0; looks < all; looks += 7) {
		taken = 0;
		CHECK(t, !svd_largest(&s, &m, 4, at_last) && taken == looks + 1);
		svd_release(&s);
	}
	mem_free(a);
}

void test_svd(struct test *t)
{
	test_one(t, 1, 1, 1, 1, 1);
	test_one(t, 5, 1, 1, 1, 3);
	test_one(t, 24, 24, 24, 0.9, 4);
	test_one(t, 24, 40, 3, 0.5, 8);
	test_one(t, 150, 60, 60, 0.98, 4);
	test_one(t, 60, 150, 60, 0.98, 4);
	test_case(t, "a matrix of zeros, and the unit matrix");
	float zero[12] = { 0 }, unit[9] = { 1, 0, 0, 0, 1, 0, 0, 0, 1 };
	struct svd_matrix m = svd_of_floats(&(struct svd_floats){ zero, 4, 3 });
	struct svd s;
	CHECK(t, svd_largest(&s, &m, 2, NULL) && s.s[0] == 0 && s.s[1] == 0);
	check_vectors(t, s.u, 2, 4);
	check_vectors(t, s.v, 2, 3);
	svd_release(&s);
	m = svd_of_floats(&(struct svd_floats){ unit, 3, 3 });
	CHECK(t, svd_largest(&s, &m, 3, NULL));
	for (int i = 0; i < 3; i++)
		CHECK(t, fabs(s.s[i] - 1) < 1e-12);
	svd_release(&s);
	test_case(t, "it can be interrupted");
	CHECK(t, !svd_largest(&s, &m, 3, at_once));
	svd_release(&s);
	test_interrupted(t);
}
