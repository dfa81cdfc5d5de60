/* The pool: every item once, whatever the threads; nesting; denormals; many small jobs, with and without sleep. */
#include "../test.h"

#include <pthread.h>
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
static __attribute__((noinline)) bool denormals_live(void)
{
	volatile float tiny = 1e-30f;
	return tiny * tiny * 1e30f != 0 || tiny * 1e-10f != 0;
}

/* valgrind forgets the flags that flush denormals. */
static bool flags_are_obeyed(void)
{
	bool obeyed = true;
#if defined(__SSE__)
	unsigned long before = float_state();

	float_restore(before | 0x8040ul);
	obeyed = !denormals_live();
	float_restore(before);
#endif
	return obeyed;
}

static bool flushes;

static void count_item(void *ctx, size_t item, int thread)
{
	struct tally *y = ctx;
	atomic_fetch_add(&y->times[item], 1);
	if (thread < 0 || thread >= y->threads)
		atomic_fetch_add(&y->bad_thread, 1);
	if (flushes && denormals_live())
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

static void lists(struct test *t, int threads)
{
	static const size_t sizes[] = { 5, 0, 1, 300 };
	struct tally y[ARRAY_LEN(sizes)];
	struct pool_list list[ARRAY_LEN(sizes)];
	struct pool *p = pool_new(threads);

	test_case(t, "%d threads: several lists as one: every item of each once, an empty one too", threads);
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		y[s] = (struct tally){ .times = mem_array(sizes[s] + 1, sizeof(atomic_uint)), .threads = threads };
		list[s] = (struct pool_list){ &y[s], sizes[s] };
	}
	pool_run_lists(p, list, ARRAY_LEN(sizes), count_item);
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
		size_t wrong = y[s].times[sizes[s]];
		for (size_t i = 0; i < sizes[s]; i++)
			wrong += y[s].times[i] != 1;
		CHECK_MSG(t, wrong == 0 && y[s].bad_thread == 0, "%zu of %zu items wrong", wrong, sizes[s]);
		mem_free(y[s].times);
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
	CHECK_MSG(t, count[0] == JOBS && count[1] == JOBS && count[4] == JOBS / 4, "%u %u %u", count[0], count[1],
	          count[4]);
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

/* --- beside other threads: the guard is the caller's own, its pool's threads included, and nobody else's --- */

struct beside { struct pool *pool; unsigned char *seen; atomic_int stage; bool armed; };

static void see_guard(void *ctx, size_t item, int thread)
{
	struct beside *b = ctx;
	(void)thread;
	b->seen[item] = mem_guard_armed();
	usleep(50);
}

static void *allocate_beside(void *arg)
{
	struct beside *b = arg;
	atomic_store(&b->stage, 1);
	while (atomic_load(&b->stage) == 1)
		usleep(100);
	b->armed = mem_guard_armed();
	mem_free(mem_alloc(100));
	return NULL;
}

static void guard_is_ones_own(struct test *t)
{
	unsigned char seen[200] = { 0 };
	struct beside b = { .pool = pool_new(3), .seen = seen };
	pthread_t other;
	unsigned armed = 0, unarmed = 0;

	test_case(t, "the guard holds in the threads that work for who armed it, and in no other");
	CHECK(t, pthread_create(&other, NULL, allocate_beside, &b) == 0);
	while (atomic_load(&b.stage) == 0)
		usleep(100);
	mem_guard_arm();
	pool_run(b.pool, 200, see_guard, &b);
	atomic_store(&b.stage, 2);
	pthread_join(other, NULL);
	mem_guard_disarm();
	for (size_t i = 0; i < 200; i++)
		armed += seen[i];
	pool_run(b.pool, 200, see_guard, &b);
	for (size_t i = 0; i < 200; i++)
		unarmed += !seen[i];
	CHECK_MSG(t, armed == 200 && unarmed == 200 && !b.armed, "%u %u", armed, unarmed);
	pool_free(b.pool);
}

static void float_state_returns(struct test *t)
{
	unsigned long before = float_state();

	test_case(t, "float_restore takes flushing back");
#if defined(__SSE__)
	float_restore(before & ~0x8040ul);
	unsigned long plain = float_state();
	CHECK(t, denormals_live());
	struct pool *p = pool_new(1);
	CHECK(t, !flushes || (float_state() != plain && !denormals_live()));
	float_restore(plain);
	CHECK(t, float_state() == plain && denormals_live());
	pool_free(p);
#endif
	float_restore(before);
	CHECK(t, float_state() == before);
}

void test_base_pool(struct test *t)
{
	flushes = flags_are_obeyed();
	guard_is_ones_own(t);
	float_state_returns(t);
	test_case(t, "as many threads as processors");
	struct pool *p = pool_new(0);
	CHECK(t, cpu_count() >= 1 && pool_threads(p) == cpu_count());
	pool_free(p);
	pool_free(NULL);
	for (int threads = 1; threads <= 7; threads += 2)
		every_item_once(t, threads);
	lists(t, 1);
	lists(t, 3);
	nesting(t);
	many_jobs(t, 2);
	many_jobs(t, 4);
	guarded(t);
}
