/* Memory: products, big blocks, the guard, what the kernel says, control groups in a made-up tree. */
#include "../test.h"

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/io.h"
#include "base/mem.h"

static void small(struct test *t)
{
	size_t n;
	test_case(t, "small allocations");
	char *p = mem_alloc(0), *q = mem_array(100, 3);
	CHECK(t, p && q && q[299] == 0);
	q = mem_grow(q, 1000, 3);
	q[2999] = 1;
	mem_free(p);
	mem_free(q);
	mem_free(NULL);
	p = mem_printf("%s %d", "x", 5);
	CHECK(t, strcmp(p, "x 5") == 0);
	mem_free(p);
	test_case(t, "products and sums that overflow");
	CHECK(t, size_mul(1u << 31, 1u << 31, &n) && n == (size_t)1 << 62 &&
	                 !size_mul((size_t)1 << 33, (size_t)1 << 31, &n));
	CHECK(t, size_add(SIZE_MAX - 1, 1, &n) && n == SIZE_MAX && !size_add(SIZE_MAX, 1, &n) &&
	                 size_mul(0, SIZE_MAX, &n) && n == 0);
}

static void big(struct test *t)
{
	enum { BYTES = 48 << 20 };
	struct err e = ERR_INIT;
	unsigned char *p;
	void *q;
	test_case(t, "big blocks are aligned, zero, and resident once touched");
	size_t before = mem_rss();
	CHECK(t, mem_map((void **)&p, BYTES, "a test", &e) == 0 && (uintptr_t)p % (2 << 20) == 0);
	CHECK_MSG(t, mem_rss() < before + BYTES / 4, "%zu to %zu before touching", before, mem_rss());
	p[5] = 7;
	mem_touch(p + 3, BYTES - 3);
	CHECK_MSG(t, mem_rss() + (1 << 20) > before + BYTES, "%zu to %zu", before, mem_rss());
	CHECK(t, p[5] == 7 && p[BYTES - 1] == 0 && mem_rss_peak() >= mem_rss());
	mem_unmap(p, BYTES);
	CHECK(t, mem_rss() < before + BYTES / 4);
	CHECK(t, mem_map(&q, 0, "nothing", &e) == 0 && q);
	mem_unmap(q, 0);
	mem_unmap(NULL, 5);
	test_case(t, "a block that cannot be had is an error with its bytes");
	CHECK(t, mem_map(&q, (size_t)1 << 60, "the plan", &e) == -1 && !q);
	CHECK_MSG(t, strstr(e.msg, "no memory for the plan: 1.15 EB wanted"), "%s", e.msg);
	CHECK(t, mem_map(&q, SIZE_MAX, "too much", &e) == -1);
	CHECK(t, mem_available() > 1 << 20);
}

/* Does fn abort? In a child, whose words are not shown. */
static bool aborts(void (*fn)(void))
{
	int status;
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		fn();
		_exit(0);
	}
	return waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void allocate_guarded(void)
{
	mem_guard_arm();
	mem_free(mem_alloc(10));
}

static void grow_guarded(void)
{
	mem_guard_arm();
	mem_free(mem_grow(NULL, 10, 1));
}

static void impossible_array(void) { mem_free(mem_array(SIZE_MAX / 2, 3)); }

static void guard(struct test *t)
{
	test_case(t, "the guard aborts on an allocation");
	CHECK(t, aborts(allocate_guarded) && aborts(grow_guarded) && !mem_guard_armed());
	mem_guard_arm();
	bool armed = mem_guard_armed();
	mem_guard_disarm();
	CHECK(t, armed);
	mem_free(mem_alloc(10));
	test_case(t, "an array whose size overflows is a bug");
	CHECK(t, aborts(impossible_array));
}

/* Writes a file below the test's folder, making its folders. */
static void put(const char *folder, const char *name, const char *text)
{
	struct err e = ERR_INIT;
	char *dir = io_join(test_tmp(), folder), *path = io_join(dir, name);
	if (io_mkdirs(dir, &e) || io_write(path, text, strlen(text), &e))
		printf("%s\n", e.msg);
	mem_free(dir);
	mem_free(path);
}

static void groups(struct test *t)
{
	char member[300], root[300];
	struct cgroup_place at = { member, root };
	snprintf(member, sizeof(member), "%s/cg/self", test_tmp());
	snprintf(root, sizeof(root), "%s/cg/v2", test_tmp());
	test_case(t, "cgroup version 2: the smallest limit on the way up");
	put("cg", "self", "0::/a/b\n");
	put("cg/v2/a/b", "cpu.max", "max 100000\n");
	put("cg/v2/a", "cpu.max", "250000 100000\n");
	put("cg/v2/a/b", "memory.max", "4000000000\n");
	put("cg/v2/a/b", "memory.current", "1500000000\n");
	put("cg/v2/a/b", "memory.stat", "anon 5\ninactive_file 500000000\nactive_file 7\n");
	put("cg/v2/a", "memory.max", "max\n");
	CHECK_MSG(t, fabs(cgroup_cpus(&at) - 2.5) < 1e-9, "%g", cgroup_cpus(&at));
	CHECK_MSG(t, cgroup_memory_left(&at) == 3000000000u, "%zu", cgroup_memory_left(&at));
	put("cg/v2", "memory.max", "100\n");
	put("cg/v2", "memory.current", "500\n");
	CHECK(t, cgroup_memory_left(&at) == 0);
	test_case(t, "cgroup version 1");
	snprintf(root, sizeof(root), "%s/cg/v1", test_tmp());
	put("cg", "self", "12:cpu,cpuacct:/job\n5:memory:/job\n1:name=systemd:/x\n0::/\n");
	put("cg/v1/cpu,cpuacct/job", "cpu.cfs_quota_us", "150000\n");
	put("cg/v1/cpu,cpuacct/job", "cpu.cfs_period_us", "100000\n");
	put("cg/v1/cpu,cpuacct", "cpu.cfs_quota_us", "-1\n");
	put("cg/v1/memory", "memory.limit_in_bytes", "9223372036854771712\n");
	put("cg/v1/memory/job", "memory.limit_in_bytes", "1000000\n");
	put("cg/v1/memory/job", "memory.usage_in_bytes", "600000\n");
	put("cg/v1/memory/job", "memory.stat", "cache 0\ntotal_inactive_file 100000\n");
	CHECK_MSG(t, fabs(cgroup_cpus(&at) - 1.5) < 1e-9, "%g", cgroup_cpus(&at));
	CHECK_MSG(t, cgroup_memory_left(&at) == 500000, "%zu", cgroup_memory_left(&at));
	test_case(t, "cgroup: no limit, a membership outside the mount");
	put("cg", "self", "0::/elsewhere/entirely\n");
	CHECK(t, cgroup_cpus(&at) == 0 && cgroup_memory_left(&at) == SIZE_MAX);
	put("cg/v1", "cpu.max", "50000 100000\n");
	CHECK(t, cgroup_cpus(&at) == 0.5);
	member[0] = 0;
	CHECK(t, cgroup_cpus(&at) == 0 && cgroup_memory_left(&at) == SIZE_MAX);
}

void test_base_mem(struct test *t)
{
	small(t);
	big(t);
	guard(t);
	groups(t);
}
