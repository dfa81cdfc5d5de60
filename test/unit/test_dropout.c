/* test_dropout: what is dropped is a function of seed, step, micro-batch, site and element, and of nothing else. */
#include "../test.h"

#include "../op_case.h"

enum { ROWS = 96, COLS = 333, NUMBERS = ROWS * COLS };

/* columns: those that one mask for all rows leaves out, or NULL: p of the numbers. */
static void drop_some(const struct batch *b, uint32_t site, float p, const struct drop_columns *columns,
                      const struct kernels *k, int threads, float *y)
{
	struct op_case c = { 0 };
	struct pool *pool = pool_new(threads);
	float *ones = mem_array(NUMBERS, sizeof(*ones));

	for (int i = 0; i < NUMBERS; i++)
		ones[i] = 1;
	op_case_init(&c, &batch_sample_cap, false);
	uint32_t x = tape_state(&c.t, "x", AXIS_FIXED, 2, (size_t[]){ ROWS, COLS });
	uint32_t out = columns ? op_drop_columns(&c.t, x, *columns, site) : op_dropout(&c.t, x, p, site);
	op_case_plan(&c, k, pool);
	run_bind(&c.r, x, ones);
	run_step(&c.r, b);
	memcpy(y, run_f32(&c.r, out), NUMBERS * sizeof(*y));
	op_case_release(&c);
	mem_free(ones);
	pool_free(pool);
}

static void drop(const struct batch *b, uint32_t site, float p, const struct kernels *k, int threads, float *y)
{
	drop_some(b, site, p, NULL, k, threads, y);
}

static int differing(const float *a, const float *b)
{
	int n = 0;
	for (int i = 0; i < NUMBERS; i++)
		n += a[i] != b[i];
	return n;
}

/* Of how many steps all columns are gone, and of the others the share that is left. */
static void test_columns(struct test *t, struct batch *b, const struct kernels *k)
{
	float *y = mem_array(NUMBERS, sizeof(*y)), *z = mem_array(NUMBERS, sizeof(*z));
	int gone = 0, kept = 0, wrong = 0, steps = 40;

	test_case(t, "columns: one mask for all rows, scaled to the whole, now and then nothing is left");
	for (int s = 0; s < steps; s++, b->step++) {
		struct drop_columns d = { 0.3F, 0.25F, s % 2 };
		double sum = 0;
		int left = 0;
		drop_some(b, 3, 0, &d, k, 1, y);
		for (int i = 0; i < NUMBERS; i++)
			wrong += y[i] != y[i % COLS];
		for (int j = 0; j < COLS; j++) {
			left += y[j] != 0;
			sum += (double)y[j];
		}
		gone += left == 0;
		kept += left;
		wrong += left && fabs(sum - (d.scaled ? COLS : left)) > 1e-3;
	}
	drop_some(b, 3, 0, &(struct drop_columns){ 0.3F, 0, true }, k, 1, y);
	drop_some(b, 3, 0, &(struct drop_columns){ 0.3F, 0, true }, k, 3, z);
	CHECK_MSG(t, wrong == 0 && gone > 2 && gone < 20 && differing(y, z) == 0, "%d wrong, %d gone", wrong, gone);
	double share = kept / (double)((steps - gone) * COLS);
	CHECK_MSG(t, fabs(share - 0.7) < 5 * sqrt(0.21 / ((steps - gone) * COLS)), "%g left", share);
	mem_free(y);
	mem_free(z);
}

void test_dropout(struct test *t)
{
	const struct kernels *k = kernels_get("ref", NULL);
	struct rng_stream rng = { 1 };
	struct batch b;
	float *y = mem_array(NUMBERS, sizeof(*y)), *z = mem_array(NUMBERS, sizeof(*z));
	int kept = 0, other = 0;

	batch_init(&b, &batch_sample_cap);
	batch_sample(&b, &rng, ROWS, 50);
	drop(&b, 3, 0.3F, k, 1, y);
	for (int i = 0; i < NUMBERS; i++) {
		kept += y[i] != 0;
		other += y[i] != 0 && y[i] != 1 / (1 - 0.3F);
	}
	test_case(t, "keeps 1 - p of the numbers, scaled"); /* 5 standard deviations */
	CHECK_MSG(t, fabs(kept / (double)NUMBERS - 0.7) < 5 * sqrt(0.21 / NUMBERS) && other == 0,
	          "%d of %d, %d otherwise", kept, NUMBERS, other);
	drop(&b, 3, 0.3F, k, 3, z);
	test_case(t, "the same mask with 3 threads");
	CHECK(t, differing(y, z) == 0);
	drop(&b, 4, 0.3F, k, 1, z);
	test_case(t, "another mask at another site");
	CHECK(t, fabs(differing(y, z) / (double)NUMBERS - 0.42) < 0.02);
	b.micro++;
	drop(&b, 3, 0.3F, k, 1, z);
	test_case(t, "another mask in another micro-batch");
	CHECK(t, fabs(differing(y, z) / (double)NUMBERS - 0.42) < 0.02);
	b.micro--;
	b.step++;
	drop(&b, 3, 0.3F, k, 1, z);
	test_case(t, "another mask in another step");
	CHECK(t, fabs(differing(y, z) / (double)NUMBERS - 0.42) < 0.02);
	test_columns(t, &b, k);
	batch_release(&b);
	mem_free(y);
	mem_free(z);
}
