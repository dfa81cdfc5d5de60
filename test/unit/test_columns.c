/* test_columns: ops that treat the columns of a row apart, number by number against the definition: split by sizes and
 * groups, rope on a part of the head by a table of its own. */
#include "../test.h"

#include "../op_case.h"

enum { ROWS = 37, GROUPS = 3, HEADS = 3, HEAD = 10, TURNED = 6 };

struct columns { struct arena mem; struct batch batch; struct op_case c; float *x; };

static uint32_t columns_begin(struct columns *k, size_t width)
{
	struct rng_stream rng = { 12 };

	*k = (struct columns){ 0 };
	batch_init(&k->batch, &batch_sample_cap);
	batch_sample(&k->batch, &rng, ROWS, 10);
	k->x = random_floats(&k->mem, &rng, ROWS * width);
	op_case_init(&k->c, &batch_sample_cap, false);
	return tape_state(&k->c.t, "x", AXIS_ROWS, 2, (size_t[]){ SAMPLE_ROWS, width });
}

static void columns_end(struct columns *k)
{
	op_case_release(&k->c);
	batch_release(&k->batch);
	arena_release(&k->mem);
}

static void test_split(struct test *t, struct columns *k, const struct kernels *kernels, struct pool *pool)
{
	static const size_t size[] = { 4, 1, 7 };
	const size_t group = 4 + 1 + 7;
	uint32_t x = columns_begin(k, GROUPS * group), part[3];
	bool same = true;

	test_case(t, "split: %d groups of 4, 1 and 7 columns", GROUPS);
	op_split(&k->c.t, x, GROUPS, 3, size, part);
	op_case_plan(&k->c, kernels, pool);
	run_bind(&k->c.r, x, k->x);
	run_step(&k->c.r, &k->batch);
	for (size_t i = 0; i < ROWS; i++)
		for (size_t g = 0; g < GROUPS; g++)
			for (size_t p = 0, at = 0; p < 3; at += size[p++])
				for (size_t j = 0; j < size[p]; j++)
					same &= run_f32(&k->c.r, part[p])[i * GROUPS * size[p] + g * size[p] + j] ==
					        k->x[i * GROUPS * group + g * group + at + j];
	CHECK(t, same);
	columns_end(k);
	columns_begin(k, 20);
	op_split(&k->c.t, 1, GROUPS, 3, size, part);
	CHECK(t, !part[0] && strstr(k->c.t.err.msg, "3 times 12"));
	columns_end(k);
}

/* The pair of number j among those that turn, the sign of its sine there, and which angle. */
static size_t other(size_t j, bool interleaved, double *sign, size_t *angle)
{
	size_t half = TURNED / 2;
	bool first = interleaved ? j % 2 == 0 : j < half;

	*sign = first ? -1 : 1;
	*angle = interleaved ? j / 2 : j % half;
	return interleaved ? j ^ 1 : first ? j + half : j - half;
}

static double turned(const float *head, const float *cs, size_t j, bool interleaved)
{
	double sign;
	size_t angle, pair;

	if (j >= TURNED)
		return head[j];
	pair = other(j, interleaved, &sign, &angle);
	return (double)head[j] * cs[angle] + sign * head[pair] * cs[TURNED / 2 + angle];
}

static void test_rope(struct test *t, struct columns *k, const struct kernels *kernels, struct pool *pool,
                      bool interleaved)
{
	const size_t width = HEADS * HEAD;
	uint32_t x = columns_begin(k, width),
		 table = tape_weight(&k->c.t, "table", DTYPE_F32, 2, (size_t[]){ SAMPLE_ROWS, TURNED });
	struct rng_stream rng = { 13 };
	float *cs = random_floats(&k->mem, &rng, SAMPLE_ROWS * TURNED);
	double *want = arena_array(&k->mem, ROWS * width, sizeof(*want));
	uint32_t y = op_rope(&k->c.t, x, table, HEADS, interleaved);

	test_case(t, "rope: %d of %d numbers of a head turn%s", TURNED, HEAD, interleaved ? ", interleaved" : "");
	op_case_plan(&k->c, kernels, pool);
	run_bind(&k->c.r, x, k->x);
	run_bind(&k->c.r, table, cs);
	run_step(&k->c.r, &k->batch);
	for (size_t i = 0; i < ROWS; i++)
		for (size_t j = 0; j < width; j++)
			want[i * width + j] = turned(k->x + i * width + j / HEAD * HEAD,
			                             cs + (size_t)k->batch.pos[i] * TURNED, j % HEAD, interleaved);
	CHECK(t, worst(run_f32(&k->c.r, y), want, ROWS * width) < 3e-7);
	columns_end(k);
}

void test_columns(struct test *t)
{
	struct err e = ERR_INIT;
	const struct kernels *kernels = kernels_get(NULL, &e);
	struct pool *pool = pool_new(3);
	struct columns k = { 0 };

	test_split(t, &k, kernels, pool);
	test_rope(t, &k, kernels, pool, false);
	test_rope(t, &k, kernels, pool, true);
	pool_free(pool);
}
