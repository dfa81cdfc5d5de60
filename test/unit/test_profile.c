/* The machine's profile: one entry a (processor, instruction set, threads), and a file that anything may have happened to. */
#include "../test.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "gas/profile.h"

static struct profile sample(const char *isa, int threads, double flops)
{
	struct profile p = { .processor = "A processor", .threads = threads, .sgemm_flops = flops, .read_bytes = 2e10, .copy_bytes = 3e10,
	                     .barrier_seconds = 1e-6, .date = "2026-01-31T12:00:00Z" };
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
	CHECK(t, profile_store(&a, path, &e) == 0 && profile_store(&b, path, &e) == 0 && profile_store(&c, path, &e) == 0);
	CHECK(t, flops_of(path, "avx2", 2) == 1.5e11 && flops_of(path, "avx2", 1) == 5e10 && flops_of(path, "ref", 2) == 0);
	CHECK(t, profile_load(&p, path, "A processor", "avx2", 2, &e) == 0 && !memcmp(&p, &c, sizeof(p)));
	CHECK(t, profile_load(&p, path, "Another", "avx2", 2, &e) == 1);
}

static void damaged(struct test *t, const char *path)
{
	static const char *const texts[] = { "{", "[]", "{\"profiles\": 3}", "{\"profiles\": [{\"threads\": \"two\"}]}", "{\"profiles\": [{\"read_bytes\": -1}]}" };
	struct profile p, a = sample("avx2", 2, 1e11);

	test_case(t, "a damaged file is told, and replaced by the next measurement");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct err e = ERR_INIT;
		CHECK(t, io_write(path, texts[i], strlen(texts[i]), &e) == 0);
		CHECK_MSG(t, profile_load(&p, path, "A processor", "avx2", 2, &e) == -1 && strstr(e.msg, path), "%s: %s", texts[i], e.msg);
		CHECK(t, profile_store(&a, path, &e) == 0 && flops_of(path, "avx2", 2) == 1e11);
	}
}

void test_profile(struct test *t)
{
	char *path = mem_printf("%s/state/kungfu/machine.json", test_tmp());
	keeping(t, path);
	damaged(t, path);
	mem_free(path);
}
