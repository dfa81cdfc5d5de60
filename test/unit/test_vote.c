/* test_vote: what answers come down to, and which one the most come down to. */
#include <string.h>

#include "../test.h"

#include "base/mem.h"
#include "eval/vote.h"

/* wanted: NULL where nothing is to be found. */
static void check(struct test *t, const char *rule, const char *text, const char *wanted)
{
	struct err e = ERR_INIT;
	struct extract *x;
	struct buf out = BUF_INIT;

	CHECK_MSG(t, extract_new(&x, rule, &e) == 0, "%s", e.msg);
	bool found = extract_answer(x, text, strlen(text), &out);
	CHECK_MSG(t, found == (wanted != NULL) && (!wanted || !strcmp(buf_str(&out), wanted)), "%s of \"%s\": %s", rule,
	          text, found ? buf_str(&out) : "(nothing)");
	buf_release(&out);
	extract_free(x);
}

static void test_extract(struct test *t)
{
	struct err e = ERR_INIT;
	struct extract *x;

	test_case(t, "whole, and the last line");
	check(t, "whole", " \n a b\n", "a b");
	check(t, "whole", " \n", NULL);
	check(t, "line", "so\nit is: \n 4 \n\n", "4");
	check(t, "line", "4", "4");
	test_case(t, "the last number");
	check(t, "number", "48/2 = 24 clips, 72 in all.", "72");
	check(t, "number", "it costs $1,234.50.", "1234.50");
	check(t, "number", "-3 or, as they say, -4,", "-4");
	check(t, "number", "none, at all...", NULL);
	test_case(t, "a pattern: its last match, its first group");
	check(t, "#### (-?[0-9]+)", "#### 1\n#### -22 and so", "-22");
	check(t, "[A-E]\\b", "A or B", "B");
	check(t, "x*", "abc", NULL);
	check(t, "é+", "caféé", "éé");
	CHECK(t, extract_new(&x, "(a", &e) < 0 && !x);
	CHECK_MSG(t, strstr(e.msg, "--extract (a: ") && strstr(e.msg, "at byte 2"), "%s", e.msg);
}

static void test_majority(struct test *t)
{
	char a[] = "4", b[] = "5", c[] = "4", d[] = "5";
	struct vote v;

	test_case(t, "the most votes; of equally many the answer that came first");
	v = vote((char *[]){ a, b, c }, 3);
	CHECK(t, v.first == 0 && v.votes == 2);
	v = vote((char *[]){ b, a, c, d }, 4);
	CHECK(t, v.first == 0 && v.votes == 2);
	v = vote((char *[]){ NULL, b, NULL, NULL }, 4);
	CHECK(t, v.first == 1 && v.votes == 1);
	v = vote((char *[]){ NULL, NULL }, 2);
	CHECK(t, v.votes == 0);
}

void test_vote(struct test *t)
{
	test_extract(t);
	test_majority(t);
}
