/* The pool: every item once, whatever the threads; nesting; denormals; many small jobs, with and without sleep. */
#include "../test.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"

struct tally {
	atomic_uint *times;
	atomic_int bad_thread, denormals;
	int threads;
};

/* A denormal product is zero where flushing is on. */
static bool denormals_live(void)
{
	volatile float tiny = 1e-30f;
	return tiny * tiny * 1e30f != 0 || tiny * 1e-10f != 0;
}

static void count_item(void *ctx, size_t item, int thread)
{
	struct tally *y = ctx;
	atomic_fetch_add(&y->times[item], 1);
	if (thread < 0 || thread >= y->threads)
		atomic_fetch_add(&y->bad_thread, 1);
	if (denormals_live())
		atomic_fetch_add(&y->denormals, 1);
}

static void every_item_once(struct test *t, int threads)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 7, 64, 1001 };
	test_case(t, "%d threads: every item once", threads);
	struct pool *p = pool_new(threads);
	CHECK(t, pool_threads(p) == threads);
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
		for (int round = 0; round < 20; round++) {
			struct tally y = { .times = mem_array(sizes[s] + 1, sizeof(atomic_uint)), .threads = threads };
			pool_run(p, sizes[s], count_item, &y);
			size_t wrong = 0;
			for (size_t i = 0; i < sizes[s]; i++)
				wrong += y.times[i] != 1;
			CHECK_MSG(t, wrong == 0 && y.bad_thread == 0, "%zu of %zu items wrong", wrong, sizes[s]);
			CHECK(t, y.denormals == 0);
			mem_free(y.times);
		}
	pool_free(p);
}

struct nest {
	struct pool *pool;
	atomic_int total, moved;
};

struct inner {
	struct nest *nest;
	int thread;
};

static void inner_item(void *ctx, size_t item, int thread)
{
	struct inner *in = ctx;
	atomic_fetch_add(&in->nest->total, (int)item);
	if (thread != in->thread)
		atomic_fetch_add(&in->nest->moved, 1);
}

static void outer_item(void *ctx, size_t item, int thread)
{
	struct inner in = { .nest = ctx, .thread = thread };
	(void)item;
	pool_run(in.nest->pool, 10, inner_item, &in);
}

static void nesting(struct test *t)
{
	struct nest n = { .pool = pool_new(3) };
	test_case(t, "nested calls run serially in their thread");
	pool_run(n.pool, 50, outer_item, &n);
	CHECK(t, n.total == 50 * 45 && n.moved == 0);
	pool_free(n.pool);
}

static void add_one(void *ctx, size_t item, int thread)
{
	(void)thread;
	((unsigned *)ctx)[item]++;
}

/* Thousands of short jobs in a row, a sleep between some: this is where a lost wake-up or a stale item would show. */
static void many_jobs(struct test *t, int threads)
{
	enum { ITEMS = 5, JOBS = 3000 };
	unsigned count[ITEMS] = { 0 };
	test_case(t, "%d threads: %d jobs one after another", threads, JOBS);
	struct pool *p = pool_new(threads);
	for (int job = 0; job < JOBS; job++) {
		pool_run(p, 2 + job % (ITEMS - 1), add_one, count);
		if (job % 500 == 0)
			usleep(300);
	}
	CHECK_MSG(t, count[0] == JOBS && count[1] == JOBS && count[4] == JOBS / 4, "%u %u %u", count[0], count[1], count[4]);
	pool_free(p);
}

static void guarded(struct test *t)
{
	unsigned count[100] = { 0 };
	test_case(t, "a job allocates nothing");
	struct pool *p = pool_new(2);
	pool_run(p, 100, add_one, count);
	mem_guard_arm();
	pool_run(p, 100, add_one, count);
	mem_guard_disarm();
	CHECK(t, count[99] == 2);
	pool_free(p);
}

void test_base_pool(struct test *t)
{
	test_case(t, "as many threads as processors");
	struct pool *p = pool_new(0);
	CHECK(t, cpu_count() >= 1 && pool_threads(p) == cpu_count());
	pool_free(p);
	pool_free(NULL);
	for (int threads = 1; threads <= 7; threads += 2)
		every_item_once(t, threads);
	nesting(t);
	many_jobs(t, 2);
	many_jobs(t, 4);
	guarded(t);
}
