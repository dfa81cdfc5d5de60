/* kernels: which tables this processor can execute, and the choice between them.
 *
 * A table is ref plus what its instruction set overlays, each set on top of the one below it (avx512 on avx2 on ref).
 * Asked is the processor, not the build: the binary holds every set of its architecture. */
#include "kernel/kernels.h"

#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "base/env.h"
#include "base/mem.h"

struct isa {
	const char *name;
	bool (*usable)(void);
	const char *needs; /* for the refusal */
	void (*install[6])(struct kernels *k); /* one on top of the other */
	bool by_name;      /* used where it is asked for alone */
};

static bool always(void)
{
	return true;
}

#if defined(__x86_64__)
/* Not every compiler knows this one by name. */
static bool has_f16c(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

/* Not every compiler knows this one by name either. */
static bool has_avxvnni(void)
{
	unsigned a, b, c, d;

	return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 4;
}

static bool has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

static bool has_avx512vnni(void)
{
	return has_avx512() && __builtin_cpu_supports("avx512vnni");
}

/* Tiles are known to the processor (AMX-TILE, AMX-INT8), switched on (XCR0: TILECFG, TILEDATA) and granted. */
static bool has_avx512amxint8(void)
{
	unsigned a, b, c, d, low, high;

	if (!has_avx512vnni() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & 1u << 24) || !(d & 1u << 25))
		return false;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low >> 17 & 3) == 3 && x86_amx_granted();
}

static bool has_avx512amx(void)
{
	unsigned a, b, c, d;

	return has_avx512amxint8() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && d & 1u << 22; /* AMX-BF16 */
}
#endif

#if defined(__aarch64__)
static bool has_neon(void)
{
	return getauxval(AT_HWCAP) & 1u << 1; /* HWCAP_ASIMD */
}
#endif

/* Ascending: the last usable one that need not be asked for is the best. */
static const struct isa isas[] = {
	{ "ref", always, "nothing", { NULL } },
#if defined(__x86_64__)
	{ "avx2", has_avx2, "AVX2, FMA and F16C", { x86_avx2_install, x86_avx2_int8_install } },
	{ "avxvnni",
	  has_avxvnni,
	  "AVX2, FMA, F16C and AVX-VNNI",
	  { x86_avx2_install, x86_avx2_int8_install, x86_avxvnni_install } },
	{ "avx512",
	  has_avx512,
	  "AVX-512 F, BW, VL and DQ",
	  { x86_avx2_install, x86_avx2_int8_install, x86_avx512_install } },
	{ "avx512vnni",
	  has_avx512vnni,
	  "AVX-512 F, BW, VL, DQ and VNNI",
	  { x86_avx2_install, x86_avx2_int8_install, x86_avx512_install, x86_avx512vnni_install } },
	{ "avx512amxint8",
	  has_avx512amxint8,
	  "AVX-512 F, BW, VL, DQ and VNNI, AMX-INT8 and a system that grants its tiles",
	  { x86_avx2_install, x86_avx2_int8_install, x86_avx512_install, x86_avx512vnni_install,
	    x86_avx512amxint8_install } },
	{ "avx512amx",
	  has_avx512amx,
	  "AVX-512 F, BW, VL, DQ and VNNI, AMX-INT8 and AMX-BF16 and a system that grants their tiles",
	  { x86_avx2_install, x86_avx2_int8_install, x86_avx512_install, x86_avx512vnni_install,
	    x86_avx512amxint8_install, x86_avx512amx_install },
	  true },
#endif
#if defined(__aarch64__)
	{ "neon", has_neon, "Advanced SIMD", { arm_neon_install } },
#endif
};

static struct kernels tables[ARRAY_LEN(isas)];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT; /* threads may ask at the same time */

/* What fills a table is compiled for its instruction set too: it may not even run elsewhere. */
static void tables_make(void)
{
	for (size_t i = 0; i < ARRAY_LEN(isas); i++) {
		struct kernels *k = &tables[i];
		if (!isas[i].usable())
			continue;
		ref_install(k);
		for (size_t j = 0; j < ARRAY_LEN(isas[i].install) && isas[i].install[j]; j++)
			isas[i].install[j](k);
		k->name = isas[i].name;
	}
}

static const struct kernels *table(size_t i)
{
	pthread_once(&tables_once, tables_make);
	return &tables[i];
}

bool kernels_fast_int8(const struct kernels *k)
{
	return k->q8_tile != table(0)->q8_tile;
}

size_t kernels_all(const struct kernels *out[KERNEL_SETS])
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(isas); i++)
		if (isas[i].usable())
			out[n++] = table(i);
	return n;
}

static const struct kernels *best(void)
{
	size_t last = 0;

	for (size_t i = 0; i < ARRAY_LEN(isas); i++)
		if (isas[i].usable() && !isas[i].by_name)
			last = i;
	return table(last);
}

static void names_of_usable(char *out, size_t size)
{
	const struct kernels *all[KERNEL_SETS];
	size_t n = kernels_all(all);

	out[0] = 0;
	for (size_t i = 0; i < n; i++) {
		strncat(out, i ? ", " : "", size - strlen(out) - 1);
		strncat(out, all[i]->name, size - strlen(out) - 1);
	}
}

const struct kernels *kernels_get(const char *name, struct err *e)
{
	const struct kernels *all[KERNEL_SETS];
	char names[128];

	name = name ? name : env_get("KUNGFU_ISA");
	size_t n = kernels_all(all);
	if (n == 0)
		BUG("not even ref can be used");
	if (!name)
		return best();
	names_of_usable(names, sizeof(names));
	for (size_t i = 0; i < ARRAY_LEN(isas); i++) {
		if (strcmp(isas[i].name, name) != 0)
			continue;
		if (isas[i].usable())
			return table(i);
		err_set(e, "kernels '%s' need %s, which this processor lacks; it can use %s", name, isas[i].needs,
		        names);
		return NULL;
	}
	err_set(e, "there are no kernels '%s' in this build (KUNGFU_ISA); this processor can use %s", name, names);
	return NULL;
}
