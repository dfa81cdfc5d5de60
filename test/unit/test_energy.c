/* What would break: counters that wrap, start again, vanish or cannot be read; domains that lie inside one another
 * counted twice; a figure that is called measured where nothing was; an estimate whose interval is narrower than what
 * is published. All counters are false ones in a folder. */
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../faults.h"
#include "../test.h"
#include "base/io.h"
#include "base/mem.h"
#include "gas/energy_parts.h"

static char root[256];

static void put(const char *path, const char *fmt, ...)
{
	char whole[512], text[512];
	struct err e = ERR_INIT;
	va_list ap;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	char *folder = mem_strndup(whole, (size_t)(io_basename(whole) - whole));
	if (io_mkdirs(folder, &e) < 0 || io_write(whole, text, (size_t)n, &e) < 0)
		abort();
	mem_free(folder);
}

static void fresh(const char *name)
{
	snprintf(root, sizeof(root), "%s/%s", test_tmp(), name);
	put("proc/meminfo", "MemTotal:       15625000 kB\nMemFree: 1 kB\n"); /* 16 GB */
	put("proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC 7742 64-Core\nflags\t: fpu sse\n\nprocessor\t: "
	                    "1\nmodel name\t: AMD EPYC 7742\nflags\t: fpu\n");
}

static void put_zone(const char *zone, const char *name, long long uj, long long range)
{
	char path[128];
	snprintf(path, sizeof(path), "sys/class/powercap/%s/name", zone);
	put(path, "%s\n", name);
	snprintf(path, sizeof(path), "sys/class/powercap/%s/energy_uj", zone);
	put(path, "%lld\n", uj);
	snprintf(path, sizeof(path), "sys/class/powercap/%s/max_energy_range_uj", zone);
	put(path, "%lld\n", range);
}

static void put_uj(const char *zone, long long uj)
{
	char path[128];
	snprintf(path, sizeof(path), "sys/class/powercap/%s/energy_uj", zone);
	put(path, "%lld\n", uj);
}

static struct energy *open_here(void)
{
	struct energy_place p = { .root = root, .idle_watts = NAN };
	return energy_open(&p);
}

/* What the time since `from` took, `seconds` of it, all of it ours. */
static struct energy_total since(struct energy *e, const struct energy_mark *from, double seconds)
{
	struct energy_load load = { seconds, seconds, NAN };
	struct energy_total t;
	energy_since(e, from, &load, &t);
	return t;
}

/* What an interval of so many seconds took; meanwhile the zone's counter, where one is named, went on to uj. */
static struct energy_total interval(struct energy *e, const char *zone, long long uj, double seconds)
{
	struct energy_mark m;

	energy_sample(e, 0);
	energy_mark(e, &m);
	if (zone)
		put_uj(zone, uj);
	energy_sample(e, seconds);
	return since(e, &m, seconds);
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-6 * fabs(b); }

static void check_rapl(struct test *t)
{
	struct energy_mark m;
	struct energy_total x;

	test_case(t, "packages and memory are added; cores, psys and the mmio door are not");
	fresh("rapl");
	put_zone("intel-rapl:0", "package-0", 1000000, 262143328850);
	put_zone("intel-rapl:0:0", "core", 500000, 262143328850);
	put_zone("intel-rapl:0:1", "dram", 200000, 65712999613);
	put_zone("intel-rapl:1", "package-1", 0, 262143328850);
	put_zone("intel-rapl:2", "psys", 5000000, 262143328850);
	put_zone("intel-rapl-mmio:0", "package-0", 1000000, 262143328850);
	struct energy *e = open_here();
	energy_sample(e, 0);
	energy_mark(e, &m);
	put_uj("intel-rapl:0", 11000000);
	put_uj("intel-rapl:0:0", 8500000);
	put_uj("intel-rapl:0:1", 3200000);
	put_uj("intel-rapl:1", 4000000);
	put_uj("intel-rapl:2", 90000000);
	put_uj("intel-rapl-mmio:0", 11000000);
	energy_sample(e, 1);
	x = since(e, &m, 1);
	CHECK_MSG(t, near(x.joules, 10 + 3 + 4), "%g J of %s", x.joules, x.source);
	CHECK(t, x.method == ENERGY_MEASURED && x.low < 17 && x.high > 17 && !x.reason[0]);
	CHECK_MSG(t, !strcmp(x.source, "rapl package-0, rapl dram-0, rapl package-1"), "%s", x.source);
	CHECK(t, energy_period(e) > 0);

	test_case(t, "idle and marginal power are told apart where idle power is known");
	e->place.idle_watts = 5;
	x = since(e, &m, 1);
	CHECK(t, near(x.idle, 5) && near(x.marginal, 12));

	test_case(t, "what others did meanwhile is theirs, and the bounds say that this is no measurement");
	struct energy_load load = { 1, 1, 2 };
	energy_since(e, &m, &load, &x);
	CHECK(t, near(x.share, 0.5) && near(x.joules, 8.5) && near(x.machine_joules, 17) && x.low <= 8.5 * 0.75 &&
	                 x.high >= 8.5 * 1.25);
	energy_close(e);
}

static void check_wrap_and_reset(struct test *t)
{
	struct energy_mark m;
	struct energy_total x;

	test_case(t, "a counter that begins again at its range loses nothing");
	fresh("wrap");
	put_zone("intel-rapl:0", "package-0", 90000000, 100000000);
	struct energy *e = open_here();
	x = interval(e, "intel-rapl:0", 5000000, 1);
	CHECK_MSG(t, near(x.machine_joules - 16 * memory_watts[1], 15) && !x.reason[0], "%g", x.joules);

	test_case(t, "a reset is no energy: its interval is left out, told, and the upper bound is wider");
	put_zone("intel-rapl:0", "package-0", 5000000, 262143000000);
	put("proc/meminfo", "");
	energy_close(e);
	e = open_here();
	energy_mark(e, &m);
	static const long long uj[] = { 5000000, 15000000, 25000000, 3000000, 13000000, 23000000 };
	for (int i = 0; i < 6; i++) {
		put_uj("intel-rapl:0", uj[i]);
		energy_sample(e, i);
	}
	x = since(e, &m, 5);
	CHECK_MSG(t, near(x.joules, 50) && x.high >= 60 && x.low <= 40, "%g, %g to %g", x.joules, x.low, x.high);
	CHECK_MSG(t, strstr(x.reason, "1 resets"), "%s", x.reason);
	energy_close(e);
}

static void check_memory(struct test *t)
{
	struct energy_total x;

	test_case(t, "a package without memory's counter: memory is modelled and named, and the whole is not called "
	             "measured");
	fresh("memory");
	put_zone("intel-rapl:0", "package-0", 0, 262143000000);
	struct energy *e = open_here();
	x = interval(e, "intel-rapl:0", 20000000, 2);
	CHECK_MSG(t, x.method == ENERGY_MIXED && !strcmp(x.source, "rapl package-0, model: 16 GB of memory"), "%s %s",
	          energy_method_name(x.method), x.source);
	CHECK_MSG(t,
	          near(x.joules, 20 + 2 * 16 * memory_watts[1]) && x.low <= 19 + 2 * 16 * memory_watts[0] &&
	                  x.high >= 21 + 2 * 16 * memory_watts[2],
	          "%g, %g to %g", x.joules, x.low, x.high);
	CHECK(t, energy_counts_processor(e));
	energy_close(e);

	test_case(t, "and where its size is not known, it is said not to be counted");
	put("proc/meminfo", "nothing\n");
	e = open_here();
	x = interval(e, "intel-rapl:0", 30000000, 1);
	CHECK_MSG(t, x.method == ENERGY_MIXED && strstr(x.source, "memory not counted") && near(x.joules, 10), "%g %s",
	          x.joules, x.source);
	energy_close(e);

	test_case(t, "a struct of zeros knows no idle power");
	struct energy_place zero = { .root = root };
	e = energy_open(&zero);
	x = interval(e, NULL, 0, 1);
	CHECK(t, isnan(x.idle) && isnan(x.marginal) && energy_idle_watts(e) > 0);
	energy_close(e);
}

static void check_stale(struct test *t)
{
	struct energy_mark m;
	struct energy_total x;
	struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char file[400];

	test_case(t, "a power file that nobody rewrites is no meter: it does not count, and the reason says so");
	fresh("stale");
	put("plug", "100\n");
	snprintf(file, sizeof(file), "%s/plug", root);
	struct energy_place p = { .root = root, .power_file = file };
	utimensat(AT_FDCWD, file, old, 0);
	struct energy *e = energy_open(&p);
	for (int i = 0; i < 3; i++) {
		energy_sample(e, i);
		if (i == 0)
			energy_mark(e, &m);
	}
	x = since(e, &m, 2);
	CHECK_MSG(t, x.method == ENERGY_ESTIMATED && strstr(x.reason, "nobody has rewritten it for 30 s"), "%s: %s",
	          energy_method_name(x.method), x.reason);

	test_case(t, "once it is written again it counts again");
	put("plug", "50\n");
	energy_sample(e, 3);
	energy_mark(e, &m);
	energy_sample(e, 4);
	x = since(e, &m, 1);
	CHECK_MSG(t, x.method == ENERGY_MEASURED && near(x.joules, 50), "%s %g", energy_method_name(x.method),
	          x.joules);

	test_case(t, "a clock that is set while it runs makes no file old, nor an old one new");
	faults_clock(86400, 0);
	energy_sample(e, 5);
	faults_clock(-86400, 0);
	energy_sample(e, 6);
	x = since(e, &m, 3);
	CHECK_MSG(t, x.method == ENERGY_MEASURED && near(x.joules, 150), "%s %g %s", energy_method_name(x.method),
	          x.joules, x.reason);
	faults_clock(0, 0);
	energy_close(e);

	test_case(t, "a power file that goes away");
	put("plug", "100\n");
	e = energy_open(&p);
	energy_sample(e, 0);
	energy_mark(e, &m);
	energy_sample(e, 1);
	unlink(file);
	for (int i = 2; i < 9; i++)
		energy_sample(e, i);
	x = since(e, &m, 8);
	CHECK_MSG(t, x.method == ENERGY_ESTIMATED && strstr(x.reason, "it is gone"), "%s", x.reason);
	energy_close(e);
}

static void check_vanish(struct test *t)
{
	struct energy_mark m;
	struct energy_total x;
	char path[400];

	test_case(t, "a counter that vanishes for most of the time is not counted: the model says so");
	fresh("vanish");
	put_zone("intel-rapl:0", "package-0", 0, 100000000);
	struct energy *e = open_here();
	energy_sample(e, 0);
	energy_mark(e, &m);
	put_uj("intel-rapl:0", 2000000);
	energy_sample(e, 1);
	snprintf(path, sizeof(path), "%s/sys/class/powercap/intel-rapl:0/energy_uj", root);
	unlink(path);
	for (int i = 2; i < 10; i++)
		energy_sample(e, i);
	x = since(e, &m, 9);
	CHECK_MSG(t, x.method == ENERGY_ESTIMATED && strstr(x.reason, "not counted"), "%s: %s",
	          energy_method_name(x.method), x.reason);
	energy_close(e);

	test_case(t, "a counter that cannot be read, or holds no number, is named with the reason");
	fresh("unreadable");
	put_zone("intel-rapl:0", "package-0", 0, 1);
	put("sys/class/powercap/intel-rapl:0/energy_uj", "not a number\n");
	put("sys/class/powercap/intel-rapl:1/name", "package-1\n");
	e = open_here();
	CHECK(t, e->n_channels == 0);
	bool text = false, gone = false;
	for (size_t i = 0; i < e->n_missing; i++) {
		text |= strstr(e->missing[i].what, "no number") != NULL;
		gone |= strstr(e->missing[i].what, "No such file") != NULL;
	}
	CHECK(t, text && gone);
	energy_close(e);
}

static void check_watts(struct test *t)
{
	struct energy_mark m;
	struct energy_total x;
	char file[400];

	test_case(t, "a smart plug's file is the whole machine: watts are integrated, and RAPL is not added");
	fresh("plug");
	put_zone("intel-rapl:0", "package-0", 0, 100000000);
	put("plug", "100\n");
	snprintf(file, sizeof(file), "%s/plug", root);
	struct energy_place p = { .root = root, .power_file = file, .idle_watts = NAN };
	struct energy *e = energy_open(&p);
	energy_sample(e, 0);
	energy_mark(e, &m);
	put("plug", "200");
	energy_sample(e, 1);
	energy_sample(e, 2);
	x = since(e, &m, 2);
	CHECK_MSG(t, near(x.joules, 350) && x.method == ENERGY_MEASURED && !strcmp(x.source, "power file"), "%g %s",
	          x.joules, x.source);
	CHECK(t, energy_period(e) == 0.2);
	energy_close(e);

	test_case(t, "hwmon's meter of the machine, by its driver; an unknown driver's sensor is left");
	fresh("hwmon");
	put("sys/class/hwmon/hwmon0/name", "nct6775\n");
	put("sys/class/hwmon/hwmon0/power1_input", "99000000\n");
	put("sys/class/hwmon/hwmon1/name", "power_meter\n");
	put("sys/class/hwmon/hwmon1/power1_average", "120000000\n");
	put("sys/class/hwmon/hwmon2/name", "corsairpsu\n");
	put("sys/class/hwmon/hwmon2/power1_label", "power 12v\n");
	put("sys/class/hwmon/hwmon2/power1_input", "70000000\n");
	e = open_here();
	x = interval(e, NULL, 0, 2);
	CHECK_MSG(t, near(x.joules, 240), "%g of %s", x.joules, x.source);
	energy_close(e);

	test_case(t, "a battery counts while it discharges, as volts times amperes where it tells no watts");
	fresh("battery");
	put("sys/class/power_supply/BAT0/status", "Discharging\n");
	put("sys/class/power_supply/BAT0/current_now", "1500000\n");
	put("sys/class/power_supply/BAT0/voltage_now", "12000000\n");
	e = open_here();
	energy_sample(e, 0);
	energy_mark(e, &m);
	energy_sample(e, 1);
	x = since(e, &m, 1);
	CHECK_MSG(t, near(x.joules, 18), "%g of %s", x.joules, x.source);
	put("sys/class/power_supply/BAT0/status", "Charging\n");
	for (int i = 2; i < 9; i++)
		energy_sample(e, i);
	CHECK(t, since(e, &m, 8).method == ENERGY_ESTIMATED);
	energy_close(e);

	test_case(t, "DCMI's answer");
	static const uint8_t answer[] = { 0, 0xdc, 0x2c, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40 };
	CHECK(t, dcmi_watts(answer, sizeof(answer)) == 300);
	CHECK(t, dcmi_watts(answer, sizeof(answer) - 1) < 0);
}

static void check_model(struct test *t)
{
	struct energy_total x;
	struct energy_load busy = { 10, 20, NAN }, waiting = { 10, 0, 0 };

	test_case(t, "without counters it is an estimate, named so, and its bounds span what is published");
	fresh("model");
	struct energy *e = open_here();
	energy_model(e, &busy, &x);
	CHECK(t, x.method == ENERGY_ESTIMATED && strstr(x.source, "EPYC 7002") && !strstr(x.source, "virtual"));
	CHECK_MSG(t, x.low <= 10 * 2 * 1.48 && x.high >= 10 * 2 * 1.99 && x.joules > x.low && x.joules < x.high,
	          "%g, %g to %g", x.joules, x.low, x.high);
	CHECK(t, !strcmp(processor_row("Intel(R) Xeon(R) CPU E3-1265L v2 @ 2.50GHz")->name, "Intel Xeon E3"));
	CHECK(t, near(x.idle, 10 * 2 * 0.42) && near(x.idle + x.marginal, x.joules));
	energy_model(e, &waiting, &x);
	CHECK(t, x.joules > 0 && x.joules < 10);
	energy_close(e);

	test_case(t, "a virtual machine's share is said to be one; an unknown processor has the spread of all");
	put("proc/cpuinfo", "processor\t: 0\nmodel name\t: Frobnicator 9\nflags\t: fpu hypervisor sse\n");
	e = open_here();
	energy_model(e, &busy, &x);
	CHECK(t, strstr(x.source, "estimate of a virtual machine's share") && x.high > 10 * x.low);
	energy_close(e);

	test_case(t, "where nothing is known there is no number, and the reason");
	snprintf(root, sizeof(root), "%s/nothing", test_tmp());
	e = open_here();
	energy_model(e, &busy, &x);
	CHECK(t, x.method == ENERGY_NONE && isnan(x.joules) && isnan(x.high) && x.reason[0]);
	energy_close(e);
}

/* A library of NVML's functions, made by the compiler that made this. */
static const char fake_nvml[] =
	"static unsigned long long mj = 1000;\n"
	"int nvmlInit_v2(void) { return 0; }\nint nvmlShutdown(void) { return 0; }\n"
	"int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }\n"
	"int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = (void *)(unsigned long)(i + 1); return 0; }\n"
	"int nvmlDeviceGetTotalEnergyConsumption(void *d, unsigned long long *x) { if (d == (void *)2) return 3; *x = "
        "mj += 50000; return 0; }\n";

static void check_nvml(struct test *t)
{
	char source[400], library[400], command[1000];

	test_case(t, "GPUs by a false NVML: joules of those that count; processor by the model: mixed");
	fresh("nvml");
	put("nvml.c", "%s", fake_nvml);
	snprintf(source, sizeof(source), "%s/nvml.c", root);
	snprintf(library, sizeof(library), "%s/libnvml.so", root);
	snprintf(command, sizeof(command), "cc -shared -fPIC -o '%s' '%s'", library, source);
	CHECK(t, system(command) == 0);
	struct energy_place p = { .root = root, .nvml = library, .idle_watts = NAN };
	struct energy *e = energy_open(&p);
	struct energy_total x = interval(e, NULL, 0, 1);
	CHECK_MSG(t,
	          x.method == ENERGY_MIXED && near(x.machine_joules, 50) && x.joules > 50 &&
	                  strstr(x.source, "nvml gpu-0, model"),
	          "%g %g %s", x.joules, x.machine_joules, x.source);
	energy_close(e);
}

void test_energy(struct test *t)
{
	check_rapl(t);
	check_wrap_and_reset(t);
	check_memory(t);
	check_stale(t);
	check_vanish(t);
	check_watts(t);
	check_model(t);
	check_nvml(t);
}
