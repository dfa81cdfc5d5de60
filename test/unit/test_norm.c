/* test_norm: a norm whose weight is as wide as a part of the row is that norm of each part by itself, bit for bit, and
 * a weight that fits no number of parts is refused. */
#include "../test.h"

#include "../op_case.h"

enum { ROWS = 70, PARTS = 3, WIDTH = 20 };

static uint32_t record(struct tape *t, bool layernorm, uint32_t x, size_t width)
{
	uint32_t w = tape_weight(t, "w", DTYPE_F32, 1, &width);

	return layernorm ? op_layernorm(t, x, w, tape_weight(t, "b", DTYPE_F32, 1, &width), 1e-5F) :
	                   op_rmsnorm(t, x, w, 1e-6F);
}

/* What comes of numbers that lie the same, as rows × cols. */
static float *normed(struct arena *mem, bool layernorm, size_t rows, size_t cols, float *x, float *w, float *b,
                     const struct kernels *k, struct pool *pool)
{
	struct op_case c = { 0 };
	float *y = arena_array(mem, rows * cols, sizeof(*y));

	op_case_init(&c, &batch_sample_cap, false);
	uint32_t in = tape_weight(&c.t, "x", DTYPE_F32, 2, (size_t[]){ rows, cols }),
		 out = record(&c.t, layernorm, in, WIDTH);
	op_case_plan(&c, k, pool);
	run_bind(&c.r, in, x);
	run_bind(&c.r, in + 1, w);
	if (layernorm)
		run_bind(&c.r, in + 2, b);
	run_step(&c.r, &(struct batch){ 0 });
	memcpy(y, run_f32(&c.r, out), rows * cols * sizeof(*y));
	op_case_release(&c);
	return y;
}

static void test_parts(struct test *t, bool layernorm, const struct kernels *k, struct pool *pool)
{
	struct arena mem = ARENA_INIT;
	struct rng_stream rng = { 8 };
	size_t n = ROWS * PARTS * WIDTH;
	float *x = random_floats(&mem, &rng, n), *w = random_floats(&mem, &rng, WIDTH),
	      *b = random_floats(&mem, &rng, WIDTH);
	float *parts = normed(&mem, layernorm, ROWS, PARTS * WIDTH, x, w, b, k, pool),
	      *rows = normed(&mem, layernorm, ROWS * PARTS, WIDTH, x, w, b, k, pool);

	test_case(t, "%s: %s of parts", k->name, layernorm ? "layernorm" : "rmsnorm");
	CHECK(t, !memcmp(parts, rows, n * sizeof(*parts)));
	arena_release(&mem);
}

static void test_refused(struct test *t, bool layernorm)
{
	struct tape tape;

	tape_init(&tape, &batch_sample_cap, false);
	test_case(t, "%s: parts that do not add up to the row", layernorm ? "layernorm" : "rmsnorm");
	CHECK(t, !record(&tape, layernorm, tape_weight(&tape, "x", DTYPE_F32, 2, (size_t[]){ 4, 16 }), 6));
	CHECK(t, strstr(tape.err.msg, "6 numbers"));
	tape_release(&tape);
}

void test_norm(struct test *t)
{
	const struct kernels *all[KERNEL_SETS];
	struct pool *pool = pool_new(3);
	size_t n = kernels_all(all);

	for (int layernorm = 0; layernorm < 2; layernorm++) {
		for (size_t i = 0; i < n; i++)
			test_parts(t, layernorm, all[i], pool);
		test_refused(t, layernorm);
	}
	pool_free(pool);
}
