/* runner: runs every test function, or those named on the command line, and says "N passed, N failed". */
#include "test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static char tmp[256], case_name[256];

const char *test_tmp(void) { return tmp; }
const char *test_golden(void) { return "test/golden"; }

static void case_end(struct test *t)
{
	if (!t->case_open)
		return;
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
	int ran = 0;

	snprintf(tmp, sizeof(tmp), "/tmp/kungfu-test.XXXXXX");
	if (!mkdtemp(tmp))
		return 1;
	setenv("XDG_STATE_HOME", tmp, 1); /* never the user's own */
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		bool wanted = argc < 2;
		for (int j = 1; j < argc; j++)
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
	printf("%d passed, %d failed\n", t.passed, t.failed);
	return t.failed || !ran || !t.passed;
}
