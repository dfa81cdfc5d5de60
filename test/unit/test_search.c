/* test_search: spaces, samplers, rungs, paired comparisons and what options explain, each by itself: no model is run.
 * A choice that changed would end every study otherwise than it began. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "search/explained.h"
#include "search/paired.h"
#include "search/propose.h"
#include "search/rungs.h"
#include "train/recipe.h"

#define GOLDEN_TPE 130.382033578
#define GOLDEN_RANDOM 116.181344867

static const char *const fixed[] = { "out", NULL };

static int read_text(struct space *s, const char *text, struct err *e)
{
	struct recipe r = { 0 };
	struct opt_parse p;

	opt_begin(&p, recipe_opts, &r, e);
	int status = space_read(s, text, strlen(text), "space.yaml", &p, fixed, e);
	opt_release(&p);
	return status;
}

static void test_spaces(struct test *t)
{
	struct space s;
	struct err e = ERR_INIT;
	char text[32];

	test_case(t, "a space: choices, ranges, conditions, in an order in which each can be asked");
	CHECK_MSG(t, read_text(&s, "lora_r: {min: 2, max: 64, log: true, when: {method: [lora, loha]}}\n"
	                           "target_modules: [[q_proj, v_proj], all-linear]\n"
	                           "learning-rate: {min: 1e-5, max: 1e-2, log: true}\n"
	                           "method: [lora, ia3]\nseed: 7\n", &e) == 0, "%s", e.msg);
	CHECK(t, s.n == 5 && !strcmp(s.param[0].name, "method") && !strcmp(s.param[1].name, "lora-r"));
	CHECK(t, s.param[1].range && s.param[1].integer && s.param[1].log && s.param[1].n_when == 1 &&
	         s.param[1].when[0].n == 2);
	CHECK(t, space_find(&s, "target_modules") &&
	         !strcmp(space_find(&s, "target-modules")->values[0], "q_proj,v_proj"));
	CHECK(t, space_find(&s, "seed")->n == 1 && !space_find(&s, "lora-alpha"));

	test_case(t, "whole numbers: both ends, and nothing beyond them");
	CHECK(t, space_number(&s.param[1], 0, 1) == 2 && space_number(&s.param[1], 0.9999999, 1) == 64);
	for (int i = 0; i < 1000; i++) {
		double x = space_number(&s.param[1], i / 1000.0, 1);
		CHECK(t, x >= 2 && x <= 64 && x == floor(x));
	}

	test_case(t, "numbers are what is written, to four digits");
	const struct space_param *rate = space_find(&s, "learning-rate");
	struct space_place at = { .active = true, .u = 0.5 };
	CHECK(t, !strcmp(space_text(rate, &at, 1, text), "0.0003162") && space_number(rate, 0.5, 1) == 0.0003162);
	CHECK(t, space_number(rate, 0, 1) == 1e-5 && space_number(rate, 0.99999999, 1) == 1e-2);
	space_release(&s);

	test_case(t, "a rate times the method's own");
	CHECK(t, read_text(&s, "learning_rate: {min: 0.1, max: 10, log: true, scale: method}\n", &e) == 0);
	CHECK(t, s.param[0].scaled && space_number(&s.param[0], 0.5, 2e-4) == 2e-4);
	space_release(&s);
}

static void test_bad_spaces(struct test *t)
{
	static const struct { const char *text, *says; } bad[] = {
		{ "", "names no option" },
		{ "lora_r: []", "line 1: lora-r: the list is empty" },
		{ "method: [lora]\nlora_rr: [4]", "line 2: unknown option lora_rr, did you mean lora-r?" },
		{ "lora_r: {min: 4}", "a range wants min and max" },
		{ "lora_r: {min: 8, max: 2}", "min 8 is not below max 2" },
		{ "method: {min: 1, max: 2}", "it is no number" },
		{ "lora_r: [4, x]", "a whole number was wanted" },
		{ "lora_r: [4, 4]", "4 stands there twice" },
		{ "learning_rate: {min: 0, max: 1, log: true}", "begins above 0" },
		{ "learning_rate: {min: a, max: 1}", "min: a number was wanted" },
		{ "learning_rate: {min: 0, max: 1, log: perhaps}", "log: true or false" },
		{ "lora_r: {min: 1, max: 99999}", "between 1 and 4096" },
		{ "out: [a, b]", "out is the same in all trials" },
		{ "lora_r: {choices: [4], when: {lora_r: 4}}", "cannot depend on itself" },
		{ "lora_r: {choices: [4], when: 3}", "`when` wants" },
		{ "lora_r: {choices: [4, 8], when: {seed: 1}}\nseed: {choices: [1, 2], when: {lora_r: 4}}",
		  "in a circle" },
		{ "lora_r: {choices: [4], what: 3}", "`what` is not known here" },
		{ "lora_r: [4]\nlora-r: [8]", "line 2: lora-r is given twice" },
		{ "lora_r: [4]\nlora_r: [8]", "line 2: lora_r is given twice" },
		{ "lora_r: [[1, 2]]", "one value was wanted here" },
		{ "seed: {min: 1, max: 3, scale: method}", "of learning_rate alone" },
		{ "method: &a [lora]", "anchors and aliases" },
		{ "method: [nothing]", "was wanted" },
		{ "- lora", "a mapping was wanted" },
		{ "method: [lora\n", "line 2" },
		{ "a: [[[[[[[[[[1]]]]]]]]]]", "nested too deep" },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct space s;
		struct err e = ERR_INIT;
		test_case(t, "no space: %s", bad[i].says);
		CHECK_MSG(t, read_text(&s, bad[i].text, &e) < 0 && strstr(e.msg, bad[i].says), "it says: %s", e.msg);
		CHECK_MSG(t, strstr(e.msg, "space.yaml") == e.msg, "%s", e.msg);
		space_release(&s);
	}
}

/* --- samplers --- */

enum { TRIALS = 60 };

static const char two[] = "learning_rate: {min: 0, max: 1}\nlora_alpha: [1, 2, 4, 8]\n";

/* A search for the lowest (x − 0.3)² + (which ≠ 2); how many of the last twenty are near it. */
static int near_the_best(enum propose_by by, uint64_t seed, double *sum)
{
	struct space s;
	struct err e = ERR_INIT;
	struct space_place at[TRIALS][2] = { 0 };
	struct propose_seen seen[TRIALS];
	int near = 0;

	if (read_text(&s, two, &e) < 0)
		return -1;
	*sum = 0;
	for (size_t i = 0; i < TRIALS; i++) {
		struct proposer p = { by, seed, &s, seen, i };
		for (size_t k = 0; k < 2; k++)
			at[i][k] = propose(&p, k, i, 0);
		double x = at[i][0].u, off = x - 0.3;
		*sum += x + at[i][1].choice;
		seen[i] = (struct propose_seen){ at[i], off * off + (at[i][1].choice != 2), 0 };
		near += i >= TRIALS - 20 && fabs(off) < 0.1 && at[i][1].choice == 2;
	}
	space_release(&s);
	return near;
}

static void test_samplers(struct test *t)
{
	double sum, again;

	test_case(t, "tpe finds the place, random does not care");
	int tpe = near_the_best(PROPOSE_TPE, 42, &sum), drawn = near_the_best(PROPOSE_RANDOM, 42, &again);
	CHECK_MSG(t, tpe >= 7 && drawn <= 4, "tpe %d of 20, random %d", tpe, drawn);
	tpe = near_the_best(PROPOSE_TPE, 7, &sum);
	CHECK_MSG(t, tpe >= 7, "tpe %d of 20", tpe);

	test_case(t, "the same seed, the same choices; golden");
	near_the_best(PROPOSE_TPE, 42, &sum);
	near_the_best(PROPOSE_TPE, 42, &again);
	CHECK(t, sum == again);
	near_the_best(PROPOSE_RANDOM, 42, &again);
	CHECK_MSG(t, fabs(sum - GOLDEN_TPE) < 1e-6 && fabs(again - GOLDEN_RANDOM) < 1e-6, "%.9f %.9f", sum, again);
}

static void test_failures(struct test *t)
{
	struct space s;
	struct err e = ERR_INIT;
	struct space_place at[12][2] = { 0 };
	struct propose_seen seen[12];
	size_t high = 0;

	test_case(t, "trials that failed, and such as did not get far, are worse than all others");
	CHECK(t, read_text(&s, two, &e) == 0);
	for (size_t i = 0; i < 12; i++) {
		at[i][0] = (struct space_place){ true, i < 2 ? 0.9 : 0.05 + 0.05 * (double)i, 0 };
		at[i][1] = (struct space_place){ true, 0, 0 };
		seen[i] = (struct propose_seen){ at[i], i < 2 ? 1 : i < 7 ? NAN : 0.1, i < 2 ? 2 : 0 };
	}
	struct proposer p = { PROPOSE_TPE, 1, &s, seen, 12 };
	for (size_t i = 0; i < 20; i++)
		high += propose(&p, 0, 12 + i, 0).u > 0.75;
	CHECK_MSG(t, high >= 15, "%zu of 20", high);
	CHECK(t, propose_is_old(&p, at[3]));
	at[3][0].u = 0.7777;
	struct space_place other[2] = { { true, 0.123, 0 }, { true, 0, 3 } };
	CHECK(t, !propose_is_old(&p, other));
	space_release(&s);
}

/* --- rungs --- */

/* Runs a whole search in which trial i comes to value[i] on every rung; how many go beyond each. */
static size_t run_rungs(struct rungs *r, const double *value, size_t *beyond, char *order, size_t room)
{
	struct standing all[64] = { 0 };
	size_t n = 0, used = 0;

	for (int guard = 0; guard < 1000; guard++) {
		struct rungs_next next = rungs_next(r, all, n);
		if (next.what == RUNGS_DONE)
			break;
		struct standing *x = &all[next.trial];
		if (next.what == RUNGS_BEGIN) {
			*x = (struct standing){ .first = next.first, .reached = next.first };
			n++;
		}
		if (used + 2 < room) {
			order[used++] = (char)((next.what == RUNGS_BEGIN ? 'a' : next.what == RUNGS_GO_ON ? 'A' : '0') +
			                       (char)next.trial);
			order[used] = 0;
		}
		int to = next.what == RUNGS_FINISH ? r->rungs : x->reached;
		for (; x->reached <= to; x->reached++) {
			x->value[x->reached] = value[next.trial];
			beyond[x->reached]++;
		}
		x->over = x->reached == r->rungs + 1;
	}
	return n;
}

static bool never(void *ctx, size_t trial, size_t best, int rung)
{
	(void)ctx;
	(void)rung;
	return trial != best;
}

static void test_rungs(struct test *t)
{
	double value[64], times;
	size_t beyond[RUNGS_MOST + 1] = { 0 };
	char order[200];

	for (size_t i = 0; i < 64; i++)
		value[i] = (double)((i * 37) % 64);
	test_case(t, "none: every trial to its end");
	struct rungs r = { .by = RUNGS_NONE, .rungs = 2, .eta = 3, .trials = 5 };
	CHECK(t, run_rungs(&r, value, beyond, order, sizeof(order)) == 5 && beyond[2] == 5 && beyond[0] == 0);
	CHECK(t, !strcmp(order, "abcde") && rungs_cost(&r, &times) == 5 && times == 5);

	test_case(t, "asha: a third of each rung goes on, as soon as it can");
	memset(beyond, 0, sizeof(beyond));
	r = (struct rungs){ .by = RUNGS_ASHA, .rungs = 2, .eta = 3, .trials = 9 };
	CHECK(t, run_rungs(&r, value, beyond, order, sizeof(order)) == 9);
	CHECK_MSG(t, beyond[0] == 9 && beyond[1] >= 3 && beyond[1] <= 5 && beyond[2] >= 1, "%zu %zu %zu", beyond[0],
	          beyond[1], beyond[2]);
	CHECK_MSG(t, !strncmp(order, "abcA", 4), "%s", order);

	test_case(t, "asha of so few that none is a third: the best is taken to its end");
	memset(beyond, 0, sizeof(beyond));
	r.trials = 2;
	run_rungs(&r, value, beyond, order, sizeof(order));
	CHECK_MSG(t, !strcmp(order, "ab0"), "%s", order);

	test_case(t, "what is surely worse than the best of its rung stays behind");
	memset(beyond, 0, sizeof(beyond));
	r = (struct rungs){ .by = RUNGS_ASHA, .rungs = 1, .eta = 2, .trials = 8, .worse = never };
	double falling[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	run_rungs(&r, falling, beyond, order, sizeof(order));
	CHECK_MSG(t, beyond[1] == 1, "%zu", beyond[1]);

	test_case(t, "hyperband: 9, 5 and 3 trials, of which 3 and 1, and 1 go on");
	memset(beyond, 0, sizeof(beyond));
	r = (struct rungs){ .by = RUNGS_HYPERBAND, .rungs = 2, .eta = 3, .trials = 17 };
	CHECK(t, run_rungs(&r, value, beyond, order, sizeof(order)) == 17);
	CHECK_MSG(t, beyond[0] == 9 && beyond[1] == 3 + 5 && beyond[2] == 1 + 1 + 3, "%zu %zu %zu", beyond[0],
	          beyond[1], beyond[2]);
	CHECK_MSG(t, fabs(rungs_cost(&r, &times) - (9 / 9.0 + 3 * 2 / 9.0 + 6 / 9.0 + 5 / 3.0 + 2 / 3.0 + 3)) < 1e-12 &&
	             times == 9 + 3 + 1 + 5 + 1 + 3, "%g, %g times", rungs_cost(&r, &times), times);

	test_case(t, "a cheap trial has finished before a rung");
	CHECK(t, rungs_share(&r, 0, 90, 90) == 1 / 9.0 && rungs_share(&r, 1, 90, 90) == 1 / 3.0);
	CHECK(t, rungs_share(&r, 1, 90, 20) == 1 && rungs_share(&r, 2, 90, 1e9) == 1);

	test_case(t, "what failed is promoted by nobody, and when all did it is over");
	struct standing bad[3] = { { .reached = 0, .over = true, .failed = true }, { .reached = 0, .over = true,
		.failed = true }, { .reached = 0, .over = true, .failed = true } };
	r = (struct rungs){ .by = RUNGS_ASHA, .rungs = 2, .eta = 3, .trials = 3 };
	CHECK(t, rungs_next(&r, bad, 3).what == RUNGS_DONE);
}

/* --- comparisons --- */

static void test_paired(struct test *t)
{
	double a[4] = { 1, 2, 3, 4 }, b[4] = { 1.5, 2.5, 3.5, 4.9 }, w[4] = { 1, 1, 1, 1 }, v[4] = { 1, 2, 3, 4 };

	test_case(t, "paired: what rows have in common falls out");
	struct paired p = paired_compare(a, b, w, 4), whole = paired_mean(b, w, 4);
	CHECK_MSG(t, fabs(p.difference - 0.6) < 1e-12 && fabs(p.stderr_ - 0.1) < 1e-12, "%g ± %g", p.difference,
	          p.stderr_);
	CHECK(t, whole.stderr_ > 5 * p.stderr_ && fabs(whole.difference - 3.1) < 1e-12);
	CHECK(t, fabs(p.low - (0.6 - 0.196)) < 1e-12 && fabs(p.high - (0.6 + 0.196)) < 1e-12);

	test_case(t, "paired: a mean of weighted rows; one row has no error, none no mean");
	CHECK(t, paired_mean(v, v, 4).difference == 1 && paired_mean(v, v, 4).stderr_ == 0);
	CHECK(t, isnan(paired_compare(a, b, w, 1).stderr_) && isnan(paired_mean(b, w, 0).difference));
}

static void test_explained(struct test *t)
{
	double value[12], where[7] = { 0.5, NAN, 0.1, 0.1, 0.9, 0.8, 0.4 };
	int group[12], bins[7];

	test_case(t, "explained: all, where groups are all there is; nothing, where they are chance");
	for (int i = 0; i < 12; i++) {
		group[i] = i % 3;
		value[i] = group[i];
	}
	CHECK(t, explained_share(value, group, 12, 3) == 1);
	for (int i = 0; i < 12; i++)
		value[i] = i / 3;
	CHECK(t, explained_share(value, group, 12, 3) == 0);

	test_case(t, "explained: Kelley's ε², by hand");
	double few[6] = { 1, 2, 3, 3, 4, 5 };
	int halves[6] = { 0, 0, 0, 1, 1, 1 };
	CHECK(t, fabs(explained_share(few, halves, 6, 2) - (10 - 4 - 1.0) / 10) < 1e-12);
	halves[5] = -1;
	CHECK(t, explained_share(few, halves, 6, 2) > 0);

	test_case(t, "explained: one group, no more trials than groups, no difference: nobody knows");
	CHECK(t, isnan(explained_share(few, (int[]){ 0, 0, 0, 0, 0, 0 }, 6, 1)));
	CHECK(t, isnan(explained_share(few, (int[]){ 0, 1, -1, -1, -1, -1 }, 6, 2)));
	CHECK(t, isnan(explained_share((double[]){ 1, 1, 1, 1 }, (int[]){ 0, 0, 1, 1 }, 4, 2)));

	test_case(t, "bins of equal numbers, equal places together");
	CHECK(t, explained_bins(where, bins, 7, 3) == 3 && bins[1] == -1 && bins[2] == bins[3] && bins[4] == bins[5] &&
	         bins[0] == bins[6] && bins[2] == 0 && bins[4] == 2);
	CHECK(t, explained_bins(where, bins, 2, 3) == 1 && bins[0] == 0);
}

void test_search(struct test *t)
{
	test_spaces(t);
	test_bad_spaces(t);
	test_samplers(t);
	test_failures(t);
	test_rungs(t);
	test_paired(t);
	test_explained(t);
}
