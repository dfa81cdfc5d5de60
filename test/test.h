/* test: a harness in forty lines. A file test/unit/test_x.c exports one function test_x(struct test *);
 * the runner calls them all (build/gen/test_list.h is made from the file names) and its exit status is the verdict.
 *
 *     void test_buf(struct test *t) { test_case(t, "grows"); CHECK(t, buf.len == 3); }
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>

struct test {
	const char *group, *name;
	int passed, failed;      /* cases */
	bool case_failed, case_open;
};

/* begins a case, ends the one before */
void test_case(struct test *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void test_fail(struct test *t, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#define CHECK(t, cond) ((cond) ? (void)0 : test_fail(t, __FILE__, __LINE__, "%s", #cond))
#define CHECK_MSG(t, cond, ...) ((cond) ? (void)0 : test_fail(t, __FILE__, __LINE__, __VA_ARGS__))

/* A folder for this run's files, removed at the end. */
const char *test_tmp(void);
/* test/golden, as given to the runner. */
const char *test_golden(void);

#endif
