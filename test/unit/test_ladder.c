/* test_ladder: what `kungfu adapt` decides by: intervals against SciPy's numbers (tools/golden/bounds.py) and by draws,
 * goals as people write them, rows parted by what they ask, which way is next and when to stop. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "ladder/bound.h"
#include "ladder/cascade.h"
#include "ladder/climb.h"
#include "ladder/goal.h"
#include "ladder/ladder.h"

static void near(struct test *t, double x, double wanted, double within)
{
	CHECK_MSG(t, fabs(x - wanted) <= within, "%.15g, %.15g was wanted", x, wanted);
}

static const struct {
	double sum, n, alpha, low, high;
} wilsons[] = {
	{ 114, 120, .05, 0.906228564517944, 0.973927270009639 },
	{ 3, 10, .05, 0.126876583903198, 0.558300204130165 },
	{ 0, 7, .05, 0, 0.278762695452542 },
	{ 9, 9, .1, 0.845675941187351, 1 },
	{ 37.5, 60, .025, 0.498485449230184, 0.736471587734294 },
}, sequences[] = {
	{ 60, 100, .05, 0.434314747941, 0.751429756067 },
	{ 3, 10, .1, 0.0419099635359, 0.716131796543 },
	{ 0, 7, .05, 0, 0.478617123866 },
	{ 9, 9, .1, 0.642075523788, 1 },
	{ 37.5, 60, .025, 0.403489615003, 0.815293637268 },
};

static void test_bounds(struct test *t)
{
	struct bounds b;

	test_case(t, "one look: Wilson's interval");
	for (size_t i = 0; i < ARRAY_LEN(wilsons); i++) {
		b = bound_wilson(wilsons[i].sum, wilsons[i].n, wilsons[i].alpha);
		near(t, b.low, wilsons[i].low, 1e-12);
		near(t, b.high, wilsons[i].high, 1e-12);
	}
	test_case(t, "many looks: the confidence sequence of values in 0…1");
	for (size_t i = 0; i < ARRAY_LEN(sequences); i++) {
		b = bound_sequence(sequences[i].sum, sequences[i].n, sequences[i].alpha);
		near(t, b.low, sequences[i].low, 1e-10);
		near(t, b.high, sequences[i].high, 1e-10);
	}
	test_case(t, "many looks: of any mean");
	b = bound_mean_sequence(2.5, .1, 100, .05);
	near(t, b.low, 2.19645536033641, 1e-12);
	b = bound_mean_sequence(0.3, .02, 400, .1);
	near(t, b.high, 0.357517433961502, 1e-12);
	test_case(t, "of nothing all is possible");
	b = bound_sequence(0, 0, .05);
	CHECK(t, b.low == 0 && b.high == 1);
	b = bound_mean_sequence(1, NAN, 1, .05);
	CHECK(t, b.low == -INFINITY && b.high == INFINITY);
	test_case(t, "how many must be right: 0.90 of 120 wants 114, of 10 more than all");
	CHECK(t, bound_needed(120, 0.9, .05) == 114);
	CHECK(t, bound_needed(10, 0.9, .05) == 11);
	CHECK(t, ceil(bound_rows(0.93, 0.9, .05)) == 196);
	test_case(t, "the chance that a test shows it: scipy's betabinom and norm");
	CHECK(t, fabs(bound_chance(66, 67, 57, 0.9, .05) - 0.6726372902606) < 1e-9);
	CHECK(t, fabs(bound_chance(36, 67, 57, 0.5, .05) - 0.2233829014400) < 1e-9);
	CHECK(t, bound_chance(10, 10, 10, 0.9, .05) == 0); /* not even all */
	CHECK(t, fabs(bound_mean_chance(0.8, 0.05, 100, 50, 0.6, .05) - 0.8330738948910) < 1e-9);
	CHECK(t, bound_mean_chance(0.8, NAN, 1, 50, 0.6, .05) == 0);
}

/* Whoever looks after each row and stops where the truth is outside is misled no more often than promised. */
static void test_promise(struct test *t)
{
	enum { PATHS = 400, ROWS = 150 };
	struct rng_key key = { 5, RNG_TEST };
	int missed = 0;

	test_case(t, "a sequence holds at all looks together");
	for (uint32_t path = 0; path < PATHS; path++) {
		double sum = 0;
		bool out = false;
		for (uint32_t i = 1; i <= ROWS; i++) {
			sum += rng_uniform(key, path, i, 0) < 0.7F;
			struct bounds b = bound_sequence(sum, i, .1);
			out |= b.low > 0.7 || b.high < 0.7;
		}
		missed += out;
	}
	CHECK_MSG(t, missed <= PATHS / 10, "%d of %d", missed, PATHS);
	CHECK_MSG(t, missed >= PATHS / 100, "%d of %d: it is far too wide", missed, PATHS);
}

static const struct {
	const char *text, *wanted;
} bad_goals[] = {
	{ "", "no goal" },
	{ "accuracy", "no goal" },
	{ "accuracy>=", "no number" },
	{ "speed>=3", "'speed' is nothing that is measured" },
	{ "accuracy<=0.9", "accuracy is better when it is higher" },
	{ "perplexity>=3", "perplexity is better when it is lower" },
	{ "accuracy>=90", "between 0 and 1" },
	{ "accuracy>=0.9 and accuracy>=0.8", "there twice" },
	{ "latency<=200ms", "alone says nothing" },
	{ "accuracy>=0.9 and latency<=200", "latency wants a unit" },
	{ "accuracy>=0.9 and memory<=lots", "no size" },
	{ "perplexity<=1", "the least is 1" },
	{ "reward<=1", "reward is better when it is higher" },
	{ "accuracy>=0.9kg", "no unit" },
	{ "accuracy>=0.8 or f1>=0.2", "joined by `and`" },
};

static void test_goals(struct test *t)
{
	struct err e = ERR_INIT;
	struct goal g;

	test_case(t, "goal: terms joined by and, with units");
	CHECK_MSG(t, goal_parse(&g, "latency<=200ms and accuracy >= 90% AND memory<=1G, joules_per_answer<=2", &e) == 0,
	          "%s", e.msg);
	CHECK(t, g.n == 4 && goal_score(&g) == &g.term[1]);
	near(t, g.term[0].value, 0.2, 1e-15);
	near(t, g.term[1].value, 0.9, 1e-15);
	near(t, g.term[2].value, 1e9, 0);
	CHECK(t, g.term[3].what == MEASURE_JOULES && !g.term[3].at_least);
	CHECK(t, !strcmp(goal_term_text(&g.term[1]), "accuracy >= 0.9"));
	CHECK(t, goal_term_met(&g.term[1], 0.9) && !goal_term_met(&g.term[1], NAN));
	for (size_t i = 0; i < ARRAY_LEN(bad_goals); i++) {
		test_case(t, "goal: '%s' is refused", bad_goals[i].text);
		CHECK(t, goal_parse(&g, bad_goals[i].text, &e) < 0);
		CHECK_MSG(t, strstr(e.msg, bad_goals[i].wanted), "%s", e.msg);
	}
}

/* --- sides --- */

enum { ROWS = 300 };

static void make_rows(struct rows *r, struct split_row *x, char text[ROWS][40])
{
	*r = (struct rows){ .items = mem_array(ROWS, sizeof(struct row)), .n = ROWS };
	for (int i = 0; i < ROWS; i++) {
		snprintf(text[i], 40, "%s %d%s", i % 3 ? "What is it," : "what IS it", i / 2, i % 2 ? "?" : " ");
		x[i] = (struct split_row){ text[i], i % 10 ? "many" : "few" };
		r->items[i] = (struct row){ json_pack("{s:i}", "g", i / 30), "rows", (size_t)i + 1 };
	}
}

static void test_later_sides(struct test *t, const struct rows *all, const struct split_row *x)
{
	static const size_t later[] = { 200, 240 };
	struct split_options o = { .choose = 0.2, .test = 0.2, .seed = 1 }, more = o;
	struct rows first = { .items = all->items, .n = 200 };
	enum side a[ROWS], b[ROWS];
	int since[ROWS];
	size_t n[3] = { 0 };
	struct err e = ERR_INIT;

	test_case(t, "sides: rows that come later leave those that were there where they are, and are parted alike");
	more.later = later;
	more.n_later = ARRAY_LEN(later);
	CHECK(t, split_rows(&first, x, &o, a, NULL, &e) == 0 && split_rows(all, x, &more, b, since, &e) == 0);
	for (int i = 0; i < ROWS; i++) {
		bool same = i > 0 && split_key(x[i].text) == split_key(x[i - 1].text);
		CHECK_MSG(t, i >= 200 || (a[i] == b[i] && since[i] == 0), "row %d", i);
		CHECK_MSG(t, !same || (b[i] == b[i - 1] && since[i] == since[i - 1]), "row %d", i);
		n[b[i]] += i >= 200;
	}
	CHECK(t, since[210] == 1 && since[ROWS - 1] == 2);
	CHECK_MSG(t, n[SIDE_TEST] >= 14 && n[SIDE_TEST] <= 26, "%zu of 100", n[SIDE_TEST]);
	o.time_order = more.time_order = true;
	CHECK(t, split_rows(&first, x, &o, a, NULL, &e) == 0 && split_rows(all, x, &more, b, since, &e) == 0);
	CHECK(t, !memcmp(a, b, 200 * sizeof(*a)));
	CHECK(t, b[200] == SIDE_TRAIN && b[239] == SIDE_TEST && b[241] == SIDE_TRAIN);
}

static void test_sides(struct test *t)
{
	static char text[ROWS][40];
	struct rows r;
	struct split_row x[ROWS], turned[ROWS];
	enum side a[ROWS], b[ROWS];
	struct err e = ERR_INIT;
	struct split_options o = { .choose = 0.2, .test = 0.2, .seed = 1 };
	size_t n[3] = { 0 }, few = 0;

	make_rows(&r, x, text);
	test_case(t, "sides: rows that ask the same stand together, white space, case and punctuation aside");
	CHECK(t, split_rows(&r, x, &o, a, NULL, &e) == 0);
	for (int i = 0; i < ROWS; i += 2)
		CHECK_MSG(t, a[i] == a[i + 1] || split_key(text[i]) != split_key(text[i + 1]), "rows %d", i);
	CHECK(t, split_key("Is  it?") == split_key("is it") && split_key("is it") != split_key("is its"));
	CHECK(t, split_key("?") != split_key("!"));

	test_case(t, "sides: shares, of each label too");
	for (int i = 0; i < ROWS; i++) {
		n[a[i]]++;
		few += a[i] == SIDE_TEST && i % 10 == 0;
	}
	CHECK_MSG(t, n[SIDE_TEST] >= 50 && n[SIDE_TEST] <= 70, "%zu", n[SIDE_TEST]);
	CHECK_MSG(t, n[SIDE_CHOOSE] >= 50 && n[SIDE_CHOOSE] <= 70, "%zu", n[SIDE_CHOOSE]);
	CHECK_MSG(t, few >= 4 && few <= 8, "%zu of 30", few);

	test_case(t, "sides: the order of the rows does not matter, the seed does");
	for (int i = 0; i < ROWS; i++)
		turned[i] = x[ROWS - 1 - i];
	for (int i = 0; i < ROWS; i++)
		x[i].label = turned[i].label = "one";
	split_rows(&r, x, &o, a, NULL, &e);
	split_rows(&r, turned, &o, b, NULL, &e);
	bool same = true, other = false;
	for (int i = 0; i < ROWS; i++)
		same &= a[i] == b[ROWS - 1 - i];
	CHECK(t, same);
	o.seed = 2;
	split_rows(&r, x, &o, b, NULL, &e);
	for (int i = 0; i < ROWS; i++)
		other |= a[i] != b[i];
	CHECK(t, other);

	test_case(t, "sides: groups by a column, and the order of time");
	o.group_by = "g";
	CHECK(t, split_rows(&r, x, &o, a, NULL, &e) == 0);
	for (int i = 0; i < ROWS; i++)
		CHECK(t, a[i] == a[i / 30 * 30]);
	o.group_by = "none";
	CHECK(t, split_rows(&r, x, &o, a, NULL, &e) < 0 && strstr(e.msg, "rows:1: --group-by none"));
	o = (struct split_options){ .choose = 0.2, .test = 0.2, .time_order = true };
	CHECK(t, split_rows(&r, x, &o, a, NULL, &e) == 0);
	CHECK(t, a[0] == SIDE_TRAIN && a[ROWS - 1] == SIDE_TEST && a[ROWS * 7 / 10] == SIDE_CHOOSE);
	test_later_sides(t, &r, x);
	for (int i = 0; i < ROWS; i++)
		json_decref(r.items[i].json);
	mem_free(r.items);
}

/* --- the rule --- */

static void test_climb(struct test *t)
{
	struct climb_way w[] = {
		{ .name = "cheap", .mean = 0.3, .sd = 0.2, .try_seconds = 1, .use_seconds = 0.001, .costs_met = true },
		{ .name = "dear", .mean = 0.8, .sd = 0.1, .try_seconds = 100, .use_seconds = 0.01, .costs_met = true },
		{ .name = "middle",
		  .mean = 0.6,
		  .sd = 0.2,
		  .try_seconds = 10,
		  .use_seconds = 0.002,
		  .costs_met = true },
	};
	struct climb c = {
		.ways = w, .n = 3, .goal = 0.7, .show = 0.75, .uses = 1000, .left = INFINITY, .least_gain = 0.01
	};
	struct climb_step s;

	test_case(t, "climb: the most chance for its gas first");
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_TRY && s.way == 0, "%s", s.why); /* 5 % of 1 s, 69 % of 100 s, 23 % of 10 s */
	w[0].state = CLIMB_MEASURED, w[0].quality = 0.3, w[0].low = 0.2, w[0].high = 0.4;
	climb_next(&c, &s);
	CHECK_MSG(t, s.way == 2, "%s", s.why);

	test_case(t, "climb: what costs more than is left is not tried");
	c.left = 5;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_STOP && strstr(s.why, "costs more"), "%s", s.why);
	c.left = INFINITY;

	test_case(t, "climb: once the goal is shown only what saves more than it costs to find out");
	w[1].state = CLIMB_MEASURED, w[1].quality = 0.85, w[1].low = 0.8, w[1].high = 0.9;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_STOP && strstr(s.why, "dear reaches the goal"), "%s", s.why);
	CHECK(t, climb_winner(&c) == 1);
	c.uses = 100000;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_TRY && s.way == 2 && strstr(s.why, "would save"), "%s", s.why);

	test_case(t, "climb: of the shown ways the one that is cheapest in all wins");
	w[2].state = CLIMB_MEASURED, w[2].quality = 0.76, w[2].low = 0.71, w[2].high = 0.8;
	CHECK(t, climb_winner(&c) == 2);
	w[2].costs_met = false;
	CHECK(t, climb_winner(&c) == 1);

	test_case(t, "climb: a way is left where what is near it says that it cannot pay");
	w[2] = (struct climb_way){
		.name = "middle", .mean = 0.5, .sd = 0.02, .learnt = true, .try_seconds = 10, .costs_met = true
	};
	w[1].low = 0.6;
	climb_next(&c, &s);
	CHECK(t, w[2].state == CLIMB_LEFT && s.act == CLIMB_STOP);

	test_case(t, "climb: without a goal the most expected gain for its gas; the cheapest of those as good wins");
	c.goal = c.show = NAN;
	w[2] = (struct climb_way){ .name = "middle", .mean = 0.9, .sd = 0.1, .try_seconds = 10, .costs_met = true };
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_TRY && s.way == 2 && s.gain > 0.05, "%s", s.why);
	w[2].state = CLIMB_MEASURED, w[2].quality = 0.84, w[2].low = 0.79, w[2].high = 0.9, w[2].use_seconds = 0.001;
	CHECK(t, climb_winner(&c) == 2);

	test_case(t, "climb: what the test will likely show ends it where others hardly help");
	c.n = 2, c.goal = 0.7, c.show = 0.75;
	w[0] = (struct climb_way){
		.name = "cheap", .state = CLIMB_MEASURED, .quality = 0.9, .low = 0.6, .will_show = 0.8
	};
	w[1] = (struct climb_way){ .name = "dear", .mean = 0.5, .sd = 0.1, .try_seconds = 100, .use_seconds = 0.01 };
	w[0].costs_met = w[1].costs_met = true;
	climb_next(&c, &s); /* (1 − 0.8)·5 % */
	CHECK_MSG(t, s.act == CLIMB_STOP && strstr(s.why, "with a chance of 80 %"), "%s", s.why);
	CHECK(t, climb_winner(&c) == 0);
	w[1].mean = 0.8;
	climb_next(&c, &s); /* (1 − 0.8)·69 % */
	CHECK_MSG(t, s.act == CLIMB_TRY && s.way == 1, "%s", s.why);
	w[1].state = CLIMB_MEASURED, w[1].quality = 0.92, w[1].low = 0.65, w[1].will_show = 0.9;
	CHECK(t, climb_winner(&c) == 0); /* 0.8 is not told apart from 0.9 */
	w[0].will_show = 0.3, w[1].will_show = 0.35;
	CHECK(t, climb_winner(&c) == 0);
	w[0].will_show = 0.01, w[1].will_show = 0.011; /* neither is likely: the better one */
	CHECK(t, climb_winner(&c) == 1);
	w[0].will_show = 0;
	w[1].will_show = 0.95;
	CHECK(t, climb_winner(&c) == 1);
}

static void test_climb_seeds(struct test *t)
{
	struct climb_way trained = { .name = "lora",
		                     .state = CLIMB_MEASURED,
		                     .quality = 0.71,
		                     .low = 0.6,
		                     .high = 0.8,
		                     .costs_met = true,
		                     .try_seconds = 100,
		                     .use_seconds = 0.01,
		                     .test_seconds = 1,
		                     .seeds = 1,
		                     .seeds_most = 3,
		                     .seed_seconds = 100,
		                     .seed_sd = 0.02 };
	struct climb_way w[] = { trained, trained };
	struct climb c = {
		.ways = w, .n = 2, .goal = 0.7, .show = 0.8, .uses = 10, .left = INFINITY, .least_gain = 0.01
	};
	struct climb_step s;

	w[1].name = "full", w[1].quality = 0.5, w[1].low = 0.4;
	test_case(t,
	          "climb: near the goal another seed of the best way decides, as long as there is gas and one is left");
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_SEED && s.way == 0 && strstr(s.why, "from the goal"), "%s", s.why);
	c.left = 50;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_STOP, "%s", s.why);
	c.left = INFINITY;
	w[0].seeds_most = 1;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_STOP, "%s", s.why);
	w[0].seeds_most = 3, w[0].quality = 0.78;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_STOP, "%s", s.why);

	test_case(t, "climb: of two trained ways that are near each other the one with fewer seeds has its turn");
	w[1].quality = 0.77;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_SEED && s.way == 0 && strstr(s.why, "apart"), "%s", s.why);
	w[0].seeds = 2;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_SEED && s.way == 1, "%s", s.why);
	w[1].seeds = w[1].seeds_most = 0;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_STOP, "%s", s.why);
}

static void test_rows_seen(struct test *t)
{
	struct base_model on = { .notes = json_pack("{s:{s:i}}", "lora", "max_steps", 5) };

	test_case(t, "a training that is cut short sees fewer rows");
	CHECK(t, ladder_rows_seen(&on, "lora", 174) == 40);
	CHECK(t, ladder_rows_seen(&on, "lora", 30) == 30);
	CHECK(t, ladder_rows_seen(&on, "probe", 174) == 174);
	json_decref(on.notes);
}

/* --- two ways as one --- */

static void test_cascade(struct test *t)
{
	enum { N = 200 };
	struct outcome cheap[N], dear[N], joint[N];
	struct task task = { .n = N };
	size_t at[N];
	struct cascade best;
	int hits = 0;

	for (int i = 0; i < N;
	     i++) { /* the cheap one is right, and sure, on the first 120; the dear one on nine of ten */
		at[i] = (size_t)i;
		cheap[i] = dear[i] = outcome_none;
		cheap[i].hit = i < 120 || i % 5 == 0;
		cheap[i].confidence = i < 120 ? 0.9 + i * 1e-4 : 0.3 + i * 1e-4;
		dear[i].hit = i % 10 != 0;
	}
	struct cascade_part parts[] = { { dear, N, 10, 1, false }, { cheap, N, 0.1, 0.001, true } };
	struct cascade_wish w = { MEASURE_ACCURACY, NAN, 1000, 0.1, INFINITY, 0.9 };

	test_case(t, "cascade: the cheap way where it is sure, the dear one else, better than both");
	CHECK(t, cascade_choose(&task, parts, 2, at, &w, &best));
	CHECK(t, best.first == 1 && best.second == 0);
	near(t, best.share, 0.6, 1e-12);
	near(t, best.score.mean, (120 + 72) / 200.0, 1e-12);
	near(t, best.use_seconds, 0.001 + 0.4, 1e-12);
	cascade_join(&parts[1], &parts[0], best.threshold, N, joint);
	for (int i = 0; i < N; i++)
		hits += joint[i].hit > 0;
	CHECK(t, hits == 192);

	test_case(t, "cascade: of those that show the goal the cheapest; none where one way alone costs less");
	w.goal = 0.8;
	w.most_total = 1010;
	w.least_score = INFINITY;
	CHECK(t, cascade_choose(&task, parts, 2, at, &w, &best) && best.score.low > 0.8);
	w.most_total = 50;
	CHECK(t, !cascade_choose(&task, parts, 2, at, &w, &best));

	test_case(t, "cascade: who is not sure of anything cannot be first");
	w = (struct cascade_wish){ MEASURE_ACCURACY, NAN, 1000, 0.1, INFINITY, 0.1 };
	cheap[7].confidence = NAN;
	CHECK(t, !cascade_choose(&task, parts, 2, at, &w, &best));
}

static void test_priors(struct test *t)
{
	struct priors p;
	struct err e = ERR_INIT;

	test_case(t, "priors: the built-in file is read, and every rung that is near another names one that there is");
	CHECK_MSG(t, priors_load(&p, NULL, &e) == 0, "%s", e.msg);
	CHECK(t, priors_of(&p, "lora")->rate == 1e-3 && priors_of(&p, "lora")->rank == 8);
	for (size_t i = 0; rung_table[i]; i++)
		CHECK_MSG(t, !rung_table[i]->near || rung_find(rung_table[i]->near), "%s", rung_table[i]->name);
	priors_release(&p);
}

/* What is missing for a way, its test and that of what was measured in it. */
static void room(struct test *t)
{
	struct climb_way ways[] = {
		{ .name = "measured", .state = CLIMB_MEASURED, .test_seconds = 6, .try_seconds = 90 },
		{ .name = "dear", .try_seconds = 8, .test_seconds = 5 },
		{ .name = "cheap", .try_seconds = 3, .test_seconds = 1 },
	};
	struct climb c = { .ways = ways, .n = ARRAY_LEN(ways), .left = 10 };

	test_case(t, "what is missing to try a way, with the test after it");
	CHECK(t, climb_missing(&c, &ways[1]) == 4 && climb_missing(&c, &ways[2]) == 0);
	CHECK(t, climb_missing(&c, &ways[0]) == 0);
	/* what another way's test would take is no matter of this one's */
	ways[1].test_seconds = 1000;
	CHECK(t, climb_reserve(&c, &ways[2]) == 6 && climb_reserve(&c, &ways[1]) == 1000);
}

/* What is learnt of a way from another one, where the goal is reached by none and where it is. */
static void hopeless(struct test *t)
{
	struct climb_way w[] = {
		{ .name = "near", .state = CLIMB_MEASURED, .quality = 0.75, .low = 0.6, .high = 0.85,
		  .costs_met = true },
		{ .name = "waits", .mean = 0.79, .sd = 0.04, .learnt = true, .try_seconds = 10, .costs_met = true },
	};
	struct climb c = { .ways = w, .n = 2, .goal = 0.8, .show = 0.92, .uses = 1000, .left = INFINITY };
	struct climb_step s;

	test_case(t, "climb: a way that may well have the goal's quality is left only where another one has it");
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_TRY && s.way == 1, "%s", s.why);
	w[0].quality = 0.81;
	climb_next(&c, &s);
	CHECK(t, w[1].state == CLIMB_LEFT && s.act == CLIMB_STOP);
	w[1].state = CLIMB_WAITS, w[0].quality = 0.75, w[1].mean = 0.7;
	climb_next(&c, &s);
	CHECK(t, w[1].state == CLIMB_LEFT && s.act == CLIMB_STOP && !w[1].hardly_helps);
}

/* A test that shows what is 0.9 or more. */
static double from_nine_tenths(const void *ctx, double x)
{
	(void)ctx;
	return x >= 0.9;
}

static void help(struct test *t)
{
	struct climb_way w[] = {
		{ .name = "lora", .state = CLIMB_MEASURED, .quality = 0.78, .low = 0.6, .high = 0.9, .will_show = 0.2,
		  .costs_met = true, .use_seconds = 0.1 },
		{ .name = "large", .mean = 0.79, .sd = 0.04, .learnt = true, .try_seconds = 10, .use_seconds = 0.1,
		  .knows_rise = true, .rise = 0.1, .costs_met = true },
	};
	struct climb c = { .ways = w, .n = 2, .goal = 0.8, .show = 0.82, .uses = 1000, .left = INFINITY };
	struct climb_step s;

	test_case(t, "climb: what measuring is expected to add to the chance that the test shows the goal");
	double even = climb_rise(0.9, 0.1, 0, from_nine_tenths, NULL),
	       half = climb_rise(0.9, 0.1, 0.5, from_nine_tenths, NULL),
	       none = climb_rise(0.9, 0.1, 1, from_nine_tenths, NULL),
	       far = climb_rise(0.8, 0.02, 0, from_nine_tenths, NULL);
	CHECK_MSG(t, fabs(even - 0.5) < 0.06 && fabs(none) < 1e-12 && fabs(half - even / 2) < 1e-12 && far < 1e-3,
	          "%g %g %g %g", even, none, half, far);
	CHECK(t, climb_will_show(&c) == 0.2);

	test_case(t, "climb: a training that is judged by another one is left where it would hardly help");
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_TRY && s.way == 1, "%s", s.why);
	w[1].rise = 0.06;
	climb_next(&c, &s);
	CHECK(t, w[1].state == CLIMB_LEFT && w[1].hardly_helps && s.act == CLIMB_STOP);

	test_case(t, "climb: but not where its answers may save more than finding out takes");
	w[1].state = CLIMB_WAITS, w[1].use_seconds = 0.01; /* 23 % of 90 s, for 10 */
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_TRY && s.way == 1 && !w[1].hardly_helps, "%s", s.why);
}

/* Where the goal's quality is there, though the test will hardly show it, and where others say little of their own. */
static void enough(struct test *t)
{
	struct climb_way w[] = {
		{ .name = "have", .state = CLIMB_MEASURED, .quality = 0.82, .low = 0.6, .high = 0.9,
		  .will_show = 0.25, .costs_met = true },
		{ .name = "waits", .mean = 0.85, .sd = 0.05, .learnt = true, .try_seconds = 10, .costs_met = true },
	};
	struct climb c = { .ways = w, .n = 2, .goal = 0.8, .show = 0.92, .uses = 1000, .left = INFINITY };
	struct climb_step s;

	test_case(t, "climb: what has the goal's quality will do where measured ways say that others hardly help");
	climb_next(&c, &s); /* (1 − 0.25)·8 % */
	CHECK_MSG(t, s.act == CLIMB_STOP && strstr(s.why, "another way instead with 6 %"), "%s", s.why);
	w[1].mean = 0.88;
	climb_next(&c, &s); /* (1 − 0.25)·21 % */
	CHECK_MSG(t, s.act == CLIMB_TRY, "%s", s.why);
	w[1].mean = 0.85, w[1].learnt = false; /* priors alone say it */
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_TRY, "%s", s.why);
	w[1].learnt = true, w[0].quality = 0.79;
	climb_next(&c, &s);
	CHECK_MSG(t, s.act == CLIMB_TRY, "%s", s.why);
}

/* Of ways that are judged by each other. */
static void first(struct test *t)
{
	struct climb_way w[] = {
		{ .name = "says most", .mean = 0.5, .sd = 0.2, .try_seconds = 100, .costs_met = true },
		{ .name = "weaker", .mean = 0.5, .sd = 0.2, .try_seconds = 60, .first = &w[0], .costs_met = true },
	};
	struct climb c = { .ways = w, .n = 2, .goal = 0.6, .show = 0.7, .uses = 1000, .left = INFINITY };
	struct climb_step s;

	test_case(t, "climb: the way that says most of others is tried before them, unless it is dear or unlikely");
	climb_next(&c, &s);
	CHECK_MSG(t, s.way == 0, "%s", s.why);
	w[0].try_seconds = 130;
	climb_next(&c, &s);
	CHECK_MSG(t, s.way == 1, "%s", s.why);
	w[0].try_seconds = 100, w[0].mean = 0.3;
	climb_next(&c, &s);
	CHECK_MSG(t, s.way == 1, "%s", s.why);
	w[0].mean = 0.5, w[1].learnt = true; /* it is known of already */
	climb_next(&c, &s);
	CHECK_MSG(t, s.way == 1, "%s", s.why);
	w[1].learnt = false, c.left = 80;
	climb_next(&c, &s);
	CHECK_MSG(t, s.way == 1, "%s", s.why);
}

void test_ladder(struct test *t)
{
	test_bounds(t);
	test_promise(t);
	test_goals(t);
	test_sides(t);
	test_climb(t);
	hopeless(t);
	help(t);
	enough(t);
	first(t);
	test_rows_seen(t);
	test_climb_seeds(t);
	test_cascade(t);
	test_priors(t);
	room(t);
}
