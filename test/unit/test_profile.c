/* The machine's profile: one entry a (processor, instruction set, threads), and a file that anything may have happened
 * to. */
#include "../test.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "gas/profile.h"

static struct profile sample(const char *isa, int threads, double flops)
{
	struct profile p = { .processor = "A processor",
		             .threads = threads,
		             .sgemm_flops = flops,
		             .read_bytes = 2e10,
		             .copy_bytes = 3e10,
		             .barrier_seconds = 1e-6,
		             .date = "2026-01-31T12:00:00Z",
		             .op = { { "linear", 0.9 }, { "linear int8", 0.75 } },
		             .n_ops = 2 };
	snprintf(p.isa, sizeof(p.isa), "%s", isa);
	return p;
}

static double flops_of(const char *path, const char *isa, int threads)
{
	struct profile p;
	struct err e = ERR_INIT;
	return profile_load(&p, path, "A processor", isa, threads, &e) == 0 ? p.sgemm_flops : 0;
}

static void keeping(struct test *t, const char *path)
{
	struct err e = ERR_INIT;
	struct profile p, a = sample("avx2", 2, 1e11), b = sample("avx2", 1, 5e10), c = sample("avx2", 2, 1.5e11);

	test_case(t, "no file is no entry");
	CHECK(t, profile_load(&p, path, "A processor", "avx2", 2, &e) == 1 && p.sgemm_flops == 0);
	test_case(t, "an entry for each key, the later one stays");
	CHECK(t,
	      profile_store(&a, path, &e) == 0 && profile_store(&b, path, &e) == 0 && profile_store(&c, path, &e) == 0);
	CHECK(t, flops_of(path, "avx2", 2) == 1.5e11 && flops_of(path, "avx2", 1) == 5e10 &&
	                 flops_of(path, "ref", 2) == 0);
	CHECK(t, profile_load(&p, path, "A processor", "avx2", 2, &e) == 0 && !memcmp(&p, &c, sizeof(p)));
	CHECK(t, profile_load(&p, path, "Another", "avx2", 2, &e) == 1);
}

static void damaged(struct test *t, const char *path)
{
	static const char *const texts[] = { "{",
		                             "[]",
		                             "{\"profiles\": 3}",
		                             "{\"profiles\": [{\"threads\": \"two\"}]}",
		                             "{\"profiles\": [{\"read_bytes\": -1}]}",
		                             "{\"profiles\": [{\"op_shares\": {\"linear\": 0}}]}" };
	struct profile p, a = sample("avx2", 2, 1e11);

	test_case(t, "a damaged file is told, and replaced by the next measurement");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err e = ERR_INIT;
		CHECK(t, io_write(path, texts[i], strlen(texts[i]), &e) == 0);
		CHECK_MSG(t, profile_load(&p, path, "A processor", "avx2", 2, &e) == -1 && strstr(e.msg, path),
		          "%s: %s", texts[i], e.msg);
		CHECK(t, profile_store(&a, path, &e) == 0 && flops_of(path, "avx2", 2) == 1e11);
	}
}

/* What an older program wrote has no ops; a newer one may know more of them than there is room for. */
static void other_versions(struct test *t, const char *path)
{
	static const char old[] = "{\"profiles\": [{\"sgemm_flops\": 2, \"read_bytes\": 3}]}";
	struct buf many = BUF_INIT;
	struct err e = ERR_INIT;
	struct profile p;
	struct speeds s;

	test_case(t, "ops of a profile: none in older files; what there is no room for is left out");
	CHECK(t, io_write(path, old, strlen(old), &e) == 0);
	CHECK_MSG(t, profile_load(&p, path, "", "", 0, &e) == 0 && p.n_ops == 0, "%s", e.msg);
	s = profile_speeds(&p);
	CHECK(t, s.flops == 2 && s.bytes == 3 && s.int_ops == 0 && s.n_ops == 0);
	buf_adds(&many, "{\"profiles\": [{\"op_shares\": {\"a name that is longer than any op\": 1");
	for (int i = 0; i < 40; i++)
		buf_addf(&many, ", \"op%d\": %d", i, i + 1);
	buf_adds(&many, "}}]}");
	CHECK(t, io_write(path, many.data, many.len, &e) == 0 && profile_load(&p, path, "", "", 0, &e) == 0);
	s = profile_speeds(&p);
	CHECK(t, s.n_ops == SPEEDS_OPS && !strcmp(s.op[3].op, "op3") && s.op[3].share == 4);
	buf_release(&many);
}

void test_profile(struct test *t)
{
	char *path = mem_printf("%s/state/kungfu/machine.json", test_tmp());
	keeping(t, path);
	damaged(t, path);
	other_versions(t, path);
	mem_free(path);
}
