/* test_ranges: rows of given scales: what training computes with is what the file's decoder reads, bit for bit; blocks
 * that the encoder made are themselves again; gradients as LSQ has them, beyond the range too. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "quant/quantize.h"
#include "quant/ranges.h"

enum { COLS = 128, BLOCKS = COLS / RANGE_BLOCK, BYTES = 4 * COLS };

static void fill(float *x, uint64_t seed)
{
	struct rng_key key = { seed, RNG_TEST };

	for (size_t i = 0; i < COLS; i++)
		x[i] = 0.05F * rng_normal(key, i, 0, 0);
}

static void test_type(struct test *t, enum dtype d)
{
	float x[COLS], q[COLS], read[COLS], scale[BLOCKS], again[BLOCKS];
	uint8_t blocks[BYTES], other[BYTES];

	test_case(t, "%s: numbers of given scales are what the file's decoder reads", dtypes[d].name);
	fill(x, 7);
	quantize_row(d, x, COLS, NULL, blocks);
	ranges_read(d, blocks, COLS, scale);
	dtypes[d].to_float(blocks, read, COLS);
	ranges_round(d, read, scale, COLS, q);
	CHECK(t, !memcmp(q, read, sizeof(q)));
	ranges_write(d, read, scale, COLS, other);
	dtypes[d].to_float(other, q, COLS);
	for (size_t i = 0; i < COLS; i++)
		CHECK_MSG(t, q[i] == read[i], "%zu: %g, was %g", i, (double)q[i], (double)read[i]);
	for (size_t i = 0; i < BLOCKS; i++)
		scale[i] *= i % 2 ? 0.61F : -1.37F;
	scale[3] = 0;
	ranges_round(d, x, scale, COLS, q);
	ranges_write(d, x, scale, COLS, blocks);
	dtypes[d].to_float(blocks, read, COLS);
	CHECK(t, !memcmp(q, read, sizeof(q)));
	ranges_read(d, blocks, COLS, again);
	for (size_t i = 0; i < BLOCKS; i++)
		CHECK(t, fabsf(again[i] - scale[i]) <= 1e-3F * fabsf(scale[i]));
}

/* Scales of 1/2: a number inside, one at each end's far side. */
static void test_gradient(struct test *t)
{
	float w[RANGE_BLOCK] = { 0.6F, 5, -5 }, g[RANGE_BLOCK] = { 2, 3, 5 }, scale = 0.5F, d;

	test_case(t, "gradients inside and beyond the range");
	ranges_gradient(DTYPE_Q4_0, w, &scale, RANGE_BLOCK, g, &d);
	CHECK_MSG(t, fabsf(d - (2 * (1 - 1.2F) + 3 * 7 - 5 * 8)) < 1e-5F, "%g", (double)d);
	CHECK(t, g[0] == 2 && g[1] == 0 && g[2] == 0);
}

void test_ranges(struct test *t);
void test_ranges(struct test *t)
{
	int types = 0;

	for (int d = 0; d < DTYPE_COUNT; d++)
		if (ranges_of((enum dtype)d)) {
			test_type(t, (enum dtype)d);
			types++;
		}
	CHECK_MSG(t, types == 3, "%d types", types);
	test_gradient(t);
}
