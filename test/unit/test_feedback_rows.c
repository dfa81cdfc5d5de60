/* test_feedback_rows: which rows a label becomes, by the rules of feedback/rows.h. */
#include "../test.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "feedback/rows.h"

#include <math.h>
#include <string.h>

static const struct feedback_study study = { .scale = 5 };
static const struct feedback_rule any = { 0, NAN, NAN };

static struct feedback_item item_of(const char *prompt)
{
	return (struct feedback_item){ .prompt = prompt, .n = 3, .answers = { "a", "b", "c" } };
}

/* Nothing is said yet. */
static struct feedback_label silent(void)
{
	struct feedback_label l = { .winner = FEEDBACK_NONE, .edited_answer = FEEDBACK_NONE };

	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		l.rating[i] = NAN;
	return l;
}

static void check(struct test *t, enum feedback_rows kind, const struct feedback_rule *rule,
                  const struct feedback_item *it, const struct feedback_label *l, const char *want)
{
	json_t *list = json_array();
	struct err e = ERR_INIT;

	CHECK_MSG(t, feedback_rows(kind, rule, &study, it, l, list, &e) == 0, "%s", e.msg);
	char *got = jsonx_line(list);
	CHECK_MSG(t, !strcmp(got, want), "%s, wanted %s", got, want);
	mem_free(got);
	json_decref(list);
}

static void test_comparisons(struct test *t)
{
	struct feedback_item it = item_of("\"p\"");
	struct feedback_label l = silent();

	test_case(t, "a winner is over all others, in a conversation as messages; ties and skipped ones say nothing");
	it.n = 2;
	l.winner = 1;
	check(t, ROWS_PREFERENCE, &any, &it, &l, "[{\"prompt\": \"p\", \"chosen\": \"b\", \"rejected\": \"a\"}]");
	check(t, ROWS_RANKED, &any, &it, &l, "[{\"prompt\": \"p\", \"answers\": [\"a\", \"b\"], "
	      "\"scores\": [0.0, 1.0]}]");
	check(t, ROWS_UNPAIRED, &any, &it, &l, "[{\"prompt\": \"p\", \"completion\": \"a\", \"label\": false}, "
	                                       "{\"prompt\": \"p\", \"completion\": \"b\", \"label\": true}]");
	check(t, ROWS_SFT, &any, &it, &l, "[]");
	it.prompt = "[{\"role\": \"user\", \"content\": \"p\"}]";
	check(t, ROWS_PREFERENCE, &any, &it, &l,
	      "[{\"prompt\": [{\"role\": \"user\", \"content\": \"p\"}], "
	      "\"chosen\": [{\"role\": \"assistant\", \"content\": \"b\"}], "
	      "\"rejected\": [{\"role\": \"assistant\", \"content\": \"a\"}]}]");
	l.unsafe = true;
	check(t, ROWS_PREFERENCE, &any, &it, &l, "[]");
	l = silent();
	l.tie = true;
	check(t, ROWS_PREFERENCE, &any, &it, &l, "[]");
	check(t, ROWS_UNPAIRED, &any, &it, &l, "[]");
	it = item_of("\"p\"");
	it.n = 2;
	l.tie = false;
	l.both_bad = true;
	check(t, ROWS_RANKED, &any, &it, &l, "[]");
	check(t, ROWS_UNPAIRED, &any, &it, &l, "[{\"prompt\": \"p\", \"completion\": \"a\", \"label\": false}, "
	                                       "{\"prompt\": \"p\", \"completion\": \"b\", \"label\": false}]");
}

static void test_ratings(struct test *t)
{
	struct feedback_item it = item_of("\"p\"");
	struct feedback_label l = silent();
	const struct feedback_rule two = { 2, NAN, NAN }, high = { 0, 5, 1 };

	test_case(t, "ratings: the best over what is worse by enough; thresholds, the middle teaches nothing");
	l.rating[0] = 3;
	l.rating[1] = 4;
	l.rating[2] = 1;
	check(t, ROWS_PREFERENCE, &any, &it, &l, "[{\"prompt\": \"p\", \"chosen\": \"b\", \"rejected\": \"a\"}, "
	                                         "{\"prompt\": \"p\", \"chosen\": \"b\", \"rejected\": \"c\"}]");
	check(t, ROWS_PREFERENCE, &two, &it, &l, "[{\"prompt\": \"p\", \"chosen\": \"b\", \"rejected\": \"c\"}]");
	check(t, ROWS_UNPAIRED, &any, &it, &l, "[{\"prompt\": \"p\", \"completion\": \"b\", \"label\": true}, "
	                                       "{\"prompt\": \"p\", \"completion\": \"c\", \"label\": false}]");
	check(t, ROWS_UNPAIRED, &high, &it, &l, "[{\"prompt\": \"p\", \"completion\": \"c\", \"label\": false}]");
	test_case(t, "a ranking counts before ratings; an answer without a place is left out");
	l.rank[0] = 2;
	l.rank[2] = 1;
	check(t, ROWS_RANKED, &any, &it, &l, "[{\"prompt\": \"p\", \"answers\": [\"a\", \"c\"], "
	      "\"scores\": [-2.0, -1.0]}]");
}

static void test_corrections(struct test *t)
{
	struct feedback_item it = item_of("\"p\"");
	struct feedback_label l = silent();

	test_case(t, "a correction: an answer to learn, and better than what was corrected");
	l.edited = "c!";
	l.edited_answer = 2;
	check(t, ROWS_SFT, &any, &it, &l, "[{\"prompt\": \"p\", \"completion\": \"c!\"}]");
	check(t, ROWS_PREFERENCE, &any, &it, &l, "[{\"prompt\": \"p\", \"chosen\": \"c!\", \"rejected\": \"c\"}]");
	check(t, ROWS_RANKED, &any, &it, &l, "[{\"prompt\": \"p\", \"answers\": [\"c!\", \"c\"], "
	      "\"scores\": [1.0, 0.0]}]");
	check(t, ROWS_UNPAIRED, &any, &it, &l, "[{\"prompt\": \"p\", \"completion\": \"c!\", \"label\": true}]");
	l.edited = "c";
	check(t, ROWS_PREFERENCE, &any, &it, &l, "[]");
	l.skipped = true;
	check(t, ROWS_SFT, &any, &it, &l, "[]");
}

void test_feedback_rows(struct test *t)
{
	test_comparisons(t);
	test_ratings(t);
	test_corrections(t);
}
