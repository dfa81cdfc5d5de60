/* test_gptq: integers of a block one by one, where the decoder says they are; factors that are the matrix again; rows
 * that err less, for what they are multiplied with, than those that the type's encoder makes, in every type. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "quant/codes.h"
#include "quant/gptq.h"
#include "quant/quantize.h"
#include "quant/quantize_matrix.h"

enum { COLS = 512, ROWS = 24, SEEN = 700, FEATURES = 60 };

static void fill(float *x, size_t n, uint64_t seed)
{
	struct rng_key key = { seed, RNG_TEST };

	for (size_t i = 0; i < n; i++)
		x[i] = rng_normal(key, i, 0, 0);
}

/* --- codes --- */

static void test_codes(struct test *t, enum dtype d)
{
	size_t n = dtypes[d].block;
	float x[CODES_NUMBERS], was[CODES_NUMBERS], is[CODES_NUMBERS];
	static float level[CODES_MOST][CODES_NUMBERS];
	static struct codes c;
	uint8_t block[CODES_BYTES], other[CODES_BYTES];

	test_case(t, "%s: an integer put changes its number alone, to what is said", dtypes[d].name);
	fill(x, n, 3);
	quantize_row(d, x, n, NULL, block);
	dtypes[d].to_float(block, was, n);
	codes_begin(&c, d);
	CHECK(t, c.n == codes_of(d) && c.n >= 4);
	codes_levels(&c, block, level);
	for (size_t i = 0; i < n; i++) {
		bool there = false;
		for (int code = 0; code < c.n; code++) {
			there |= level[code][i] == was[i];
			memcpy(other, block, sizeof(other));
			codes_put(d, other, (int)i, code);
			dtypes[d].to_float(other, is, n);
			bool alone = is[i] == level[code][i];
			is[i] = was[i];
			CHECK_MSG(t, alone && !memcmp(is, was, n * sizeof(*is)), "number %zu, %d", i, code);
		}
		CHECK_MSG(t, there, "number %zu: the encoder's own is none of them", i);
	}
}

/* --- factors --- */

/* Rows that a few features and noise make: columns depend on each other. */
static void make_moments(float *h, size_t n)
{
	float *a = mem_array(FEATURES * n, sizeof(*a)), *f = mem_array(FEATURES, sizeof(*f)),
	      *x = mem_array(n, sizeof(*x));
	struct rng_key key = { 5, RNG_TEST };

	fill(a, FEATURES * n, 1);
	memset(h, 0, n * n * sizeof(*h));
	for (size_t s = 0; s < SEEN; s++) {
		fill(f, FEATURES, 1000 + s);
		for (size_t i = 0; i < n; i++) {
			x[i] = rng_normal(key, s, (uint32_t)i, 0) * (i % 7 ? 0.7F : 4.0F);
			for (size_t k = 0; k < FEATURES; k++)
				x[i] += f[k] * a[k * n + i];
		}
		for (size_t i = 0; i < n; i++)
			for (size_t k = i; k < n; k++)
				h[i * n + k] += x[i] * x[k];
	}
	mem_free(a);
	mem_free(f);
	mem_free(x);
}

static void test_factors(struct test *t, size_t n)
{
	float *h = mem_array(n * n, sizeof(*h)), *u = mem_array(n * n, sizeof(*u));
	struct pool *pool = pool_new(2);
	struct err e = ERR_INIT;
	double mean = 0, most = 0;

	test_case(t, "%zu columns: factors are the matrix again", n);
	make_moments(h, n);
	memcpy(u, h, n * n * sizeof(*h));
	CHECK(t, gptq_factor(pool, u, n, SEEN, &e) == 0);
	for (size_t i = 0; i < n; i++)
		mean += (double)h[i * n + i] / (double)n;
	for (size_t i = 0; i < n; i++)
		for (size_t k = i; k < n; k++) {
			double sum = 0;
			for (size_t j = k; j < n; j++)
				sum += (j == i ? 1 : (double)u[i * n + j]) * (double)u[j * n + j] *
				       (j == k ? 1 : (double)u[k * n + j]);
			most = fmax(most, fabs(sum - (double)h[i * n + k] - (i == k ? gptq_damp(n, SEEN) * mean : 0)));
		}
	CHECK_MSG(t, most < 1e-4 * mean, "off by %g of %g", most, mean);
	pool_free(pool);
	mem_free(h);
	mem_free(u);
}

/* --- rows --- */

/* Σ over rows of e·H·eᵀ. */
static double error_of(enum dtype d, const float *x, const uint8_t *blocks, const float *h)
{
	double sum = 0;
	float e[COLS];

	for (size_t r = 0; r < ROWS; r++) {
		dtypes[d].to_float(blocks + r * dtype_row_bytes(d, COLS), e, COLS);
		for (size_t i = 0; i < COLS; i++)
			e[i] -= x[r * COLS + i];
		for (size_t i = 0; i < COLS; i++)
			for (size_t k = i; k < COLS; k++)
				sum += (double)e[i] * (double)e[k] * (double)h[i * COLS + k] * (i == k ? 1 : 2);
	}
	return sum;
}

static void test_rows(struct test *t, enum dtype d, const float *x, const float *h, const float *factors)
{
	size_t bytes = dtype_row_bytes(d, COLS);
	uint8_t *plain = mem_array(ROWS, bytes), *better = mem_array(ROWS, bytes), *again = mem_array(ROWS, bytes);
	struct pool *one = pool_new(1), *three = pool_new(3);
	float weights[COLS];
	struct err e = ERR_INIT;

	test_case(t, "%s errs less by half than its encoder, importance given", dtypes[d].name);
	for (size_t i = 0; i < COLS; i++)
		weights[i] = h[i * COLS + i];
	struct quantize_matrix m = { .name = "x", .from = DTYPE_F32, .to = d, .data = x, .rows = ROWS, .cols = COLS,
		                     .weights = weights, .out = plain };
	CHECK(t, quantize_matrix(one, &m, &e) == 0);
	m.factors = factors;
	m.out = better;
	CHECK(t, quantize_matrix(one, &m, &e) == 0);
	m.out = again;
	CHECK(t, quantize_matrix(three, &m, &e) == 0);
	CHECK(t, !memcmp(again, better, ROWS * bytes));
	double was = error_of(d, x, plain, h), is = error_of(d, x, better, h);
	CHECK_MSG(t, is < 0.5 * was, "%g, was %g", is, was);
	mem_free(plain);
	mem_free(better);
	mem_free(again);
	pool_free(one);
	pool_free(three);
}

void test_gptq(struct test *t);
void test_gptq(struct test *t)
{
	float *x = mem_array(ROWS * COLS, sizeof(*x)), *h = mem_array(COLS * COLS, sizeof(*h)),
	      *factors = mem_array(COLS * COLS, sizeof(*factors));
	struct pool *pool = pool_new(2);
	struct err e = ERR_INIT;
	int types = 0;

	test_case(t, "what is added to the diagonal: columns to rows, or a hundredth");
	CHECK(t, gptq_damp(512, 2048) == 0.25 && gptq_damp(10, 10000) == 0.01);
	test_factors(t, 20);
	test_factors(t, 100);
	fill(x, ROWS * COLS, 2);
	make_moments(h, COLS);
	memcpy(factors, h, COLS * COLS * sizeof(*h));
	CHECK(t, gptq_factor(pool, factors, COLS, 100 * COLS, &e) == 0);
	for (int d = 0; d < DTYPE_COUNT; d++)
		if (gptq_writes((enum dtype)d)) {
			test_codes(t, (enum dtype)d);
			test_rows(t, (enum dtype)d, x, h, factors);
			types++;
		}
	CHECK_MSG(t, types == 12, "%d types", types);
	mem_free(x);
	mem_free(h);
	mem_free(factors);
	pool_free(pool);
}
