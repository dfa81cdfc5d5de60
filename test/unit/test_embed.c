/* test_embed: rows of a table, by token and by position, from storage forms that a frozen table comes in. */
#include "../test.h"

#include "../op_case.h"

enum { V = 96, C = 64 };

static void read_table(struct test *t, enum dtype dtype, enum embed_source source, struct pool *pool)
{
	struct op_case c = { 0 };
	struct rng_stream rng = { 12 };
	struct arena mem = ARENA_INIT;
	struct batch b;
	struct err e = ERR_INIT;
	size_t bytes;
	float want[C], *numbers = random_floats(&mem, &rng, V * C);
	bool equal = true;

	if (dtype_bytes(dtype, C, &bytes, &e) < 0)
		BUG("%s", e.msg);
	char *table = arena_alloc(&mem, V * bytes);
	dtypes[dtype].from_float(numbers, table, V * C);
	batch_init(&b, &batch_sample_cap);
	batch_sample(&b, &rng, 77, V);
	op_case_init(&c, &batch_sample_cap, false);
	uint32_t w = tape_weight(&c.t, "table", dtype, 2, (size_t[]){ V, C }), y = op_embed(&c.t, w, source);
	op_case_plan(&c, kernels_get("ref", NULL), pool);
	run_bind(&c.r, w, table);
	run_step(&c.r, &b);
	for (int i = 0; i < b.n_rows; i++) {
		const int32_t *index = source == EMBED_IDS ? b.ids : source == EMBED_TYPES ? b.type : b.pos;
		dtypes[dtype].to_float(table + (size_t)index[i] * bytes, want, C);
		equal &= memcmp(want, run_f32(&c.r, y) + (size_t)i * C, sizeof(want)) == 0;
	}
	static const char *const by[] = { "token", "type", "position" };
	test_case(t, "%s by %s", dtypes[dtype].name, by[source]);
	CHECK(t, equal);
	op_case_release(&c);
	batch_release(&b);
	arena_release(&mem);
}

void test_embed(struct test *t)
{
	struct pool *pool = pool_new(3);
	for (int d = 0; d < DTYPE_COUNT; d++)
		if (dtypes[d].from_float && dtypes[d].to_float)
			for (int s = EMBED_IDS; s <= EMBED_POSITIONS; s++)
				read_table(t, d, s, pool);
	pool_free(pool);
}
