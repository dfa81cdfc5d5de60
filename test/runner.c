/* runner: runs every test function, or those named on the command line, and says "N passed, N failed".
 *
 * usage: kungfu-test [--slowest N] [NAME …]     --slowest: which N cases took most processor time, children included */
#include "test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/io.h"

#define X(name) void test_##name(struct test *t);
#include "gen/test_list.h"
#undef X

static const struct { const char *name; void (*run)(struct test *); } tests[] = {
#define X(name) { #name, test_##name },
#include "gen/test_list.h"
#undef X
};

enum { CASES = 4096 };

static char tmp[256], case_name[256];
static struct took { double seconds; char name[120]; } took[CASES];
static int n_took;
static double began; /* of the case, by used() */

const char *test_tmp(void) { return tmp; }
const char *test_golden(void) { return "test/golden"; }

static double used(void)
{
	double seconds = 0;

	for (int children = 0; children < 2; children++) {
		struct rusage r;
		getrusage(children ? RUSAGE_CHILDREN : RUSAGE_SELF, &r);
		seconds += (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec);
		seconds += 1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
	}
	return seconds;
}

/* What came before the first case of a test is that case's. */
static void case_took(const struct test *t)
{
	if (n_took == CASES)
		return;
	took[n_took].seconds = used() - began;
	snprintf(took[n_took].name, sizeof(took[0].name), "%s: %s", t->group, t->name ? t->name : "");
	began += took[n_took++].seconds;
}

static int longer(const void *a, const void *b)
{
	const struct took *x = a, *y = b;
	return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : 0;
}

static void say_slowest(int n)
{
	qsort(took, (size_t)n_took, sizeof(*took), longer);
	for (int i = 0; i < n && i < n_took; i++)
		printf("%7.2f s  %s\n", took[i].seconds, took[i].name);
}

static void case_end(struct test *t)
{
	if (!t->case_open)
		return;
	case_took(t);
	if (t->case_failed)
		t->failed++;
	else
		t->passed++;
	t->case_open = t->case_failed = false;
}

void test_case(struct test *t, const char *fmt, ...)
{
	va_list ap;
	case_end(t);
	va_start(ap, fmt);
	vsnprintf(case_name, sizeof(case_name), fmt, ap);
	va_end(ap);
	t->name = case_name;
	t->case_open = true;
}

void test_fail(struct test *t, const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	t->case_failed = t->case_open = true;
	printf("FAIL %s: %s: %s:%d: ", t->group, t->name ? t->name : "", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct test t = { 0 };
	struct err e = ERR_INIT;
	int ran = 0, slowest = 0, names = 1;

	if (argc > 2 && !strcmp(argv[1], "--slowest")) {
		slowest = atoi(argv[2]);
		names = 3;
	}
	snprintf(tmp, sizeof(tmp), "/tmp/kungfu-test.XXXXXX");
	if (!mkdtemp(tmp))
		return 1;
	setenv("XDG_STATE_HOME", tmp, 1); /* never the user's own */
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		bool wanted = argc <= names;
		for (int j = names; j < argc; j++)
			wanted |= strcmp(argv[j], tests[i].name) == 0;
		if (!wanted)
			continue;
		int passed = t.passed, failed = t.failed;
		t.group = tests[i].name;
		t.name = NULL;
		tests[i].run(&t);
		case_end(&t);
		printf("%-24s %d passed, %d failed\n", tests[i].name, t.passed - passed, t.failed - failed);
		fflush(stdout);
		ran++;
	}
	io_remove_tree(tmp, &e);
	say_slowest(slowest);
	printf("%d passed, %d failed\n", t.passed, t.failed);
	return t.failed || !ran || !t.passed;
}
