/* test_agreement: what labels say: which judgements are of one unit, how far raters agree, who writes the better
 * answers, and what else decides; numbers of other programs from test/golden/feedback.json. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "../test.h"

#include "base/mem.h"
#include "feedback/agreement.h"
#include "feedback/bias.h"
#include "feedback/standings.h"

static json_t *golden;

static const json_t *of(const char *part, const char *name)
{
	return json_object_get(json_object_get(golden, part), name);
}

static double number(const json_t *j, size_t i) { return json_number_value(json_array_get(j, i)); }

#define NEAR(t, x, y, tolerance) \
	CHECK_MSG(t, fabs((x) - (y)) < (tolerance), "%.12g is not %.12g", (double)(x), (double)(y))

static const struct resample no_draws = { 0 };

/* --- things to be said of --- */

static struct feedback_label label_of(int64_t item, int64_t rater, int winner)
{
	struct feedback_label l = { .item = item, .rater = rater, .winner = winner, .tie = winner < 0,
		                    .edited_answer = FEEDBACK_NONE };

	for (int i = 0; i < FEEDBACK_ANSWERS; i++) {
		l.shown[i] = -1;
		l.rating[i] = NAN;
	}
	return l;
}

static struct feedback_item item_of(int64_t id, const char *prompt, const char *a, const char *b)
{
	return (struct feedback_item){ .id = id, .key = prompt, .version = prompt, .prompt = prompt, .n = 2,
		                       .answers = { a, b }, .gold = FEEDBACK_NONE };
}

/* --- agreement --- */

/* A row a rater, null where nothing was said. */
static void read_ratings(struct said *s, const json_t *table, struct arena *mem)
{
	size_t raters = json_array_size(table), units = json_array_size(json_array_get(table, 0));
	struct feedback_item *items = arena_array(mem, units, sizeof(*items));
	struct feedback_label *labels = arena_array(mem, raters * units, sizeof(*labels));

	for (size_t u = 0; u < units; u++) {
		items[u] = item_of((int64_t)u + 1, arena_printf(mem, "%zu", u), "x", "y");
		items[u].n = 1;
	}
	for (size_t r = 0; r < raters; r++)
		for (size_t u = 0; u < units; u++) {
			const json_t *x = json_array_get(json_array_get(table, r), u);
			if (json_is_null(x))
				continue;
			labels[s->n_labels] = label_of((int64_t)u + 1, (int64_t)r + 1, FEEDBACK_NONE);
			labels[s->n_labels++].rating[0] = json_number_value(x);
		}
	s->items = items;
	s->n_items = units;
	s->labels = labels;
}

static void test_table(struct test *t, struct arena *mem)
{
	const struct feedback_study rate = { .ask = ASK_RATE, .n_answers = 1, .scale = 5 };
	struct said s = { .study = &rate };
	struct judgements j;
	struct cohen *kappas;

	test_case(t, "ratings with missing ones: krippendorff's alphas, scikit-learn's kappas");
	read_ratings(&s, of("agreement", "table"), mem);
	judgements_of(&j, &s, mem);
	static const char *const names[] = { "nominal", "ordinal", "interval" };
	for (int m = NOMINAL; m <= INTERVAL; m++)
		NEAR(t, krippendorff_alpha(&j, (enum measurement)m, &no_draws).value,
		     json_number_value(json_object_get(of("agreement", "alpha"), names[m])), 1e-12);
	size_t n = cohen_kappas(&j, &no_draws, mem, &kappas);
	CHECK(t, n == json_array_size(of("agreement", "cohen")));
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_array_get(of("agreement", "cohen"), i);
		CHECK(t, kappas[i].a == json_integer_value(json_object_get(one, "a")));
		CHECK(t, kappas[i].units == (size_t)json_integer_value(json_object_get(one, "units")));
		NEAR(t, kappas[i].kappa.value, json_number_value(json_object_get(one, "kappa")), 1e-12);
	}
	test_case(t, "as many ratings of each: statsmodels' Fleiss' kappa");
	s.n_labels = 0;
	read_ratings(&s, of("agreement", "full"), mem);
	judgements_of(&j, &s, mem);
	NEAR(t, fleiss_kappa(&j, &no_draws).value, json_number_value(of("agreement", "fleiss")), 1e-12);
	test_case(t, "an interval holds the value, the same seed is the same interval");
	struct resample draws = { 200, 1 };
	struct bounds b = krippendorff_alpha(&j, NOMINAL, &draws), again = krippendorff_alpha(&j, NOMINAL, &draws);
	CHECK(t, b.low < b.value && b.value < b.high && b.low == again.low && b.high == again.high);
}

static void test_units(struct test *t, struct arena *mem)
{
	const struct feedback_study compare = { .ask = ASK_COMPARE, .n_answers = 2 };
	struct feedback_item items[] = { item_of(1, "p", "x", "y"), item_of(2, "p", "y", "x"),
		                         item_of(3, "p", "x", "z"), item_of(4, "p", "u", "v"),
		                         item_of(5, "p", "w", "v") };
	struct feedback_label labels[] = { label_of(1, 7, 0), label_of(2, 8, 1), label_of(3, 7, 0),
		                           label_of(4, 7, 0), label_of(5, 8, 1), label_of(1, 9, -1),
		                           label_of(1, 7, 1), label_of(2, 7, 0) };
	struct said s = { &compare, items, ARRAY_LEN(items), labels, ARRAY_LEN(labels) };
	struct judgements j;
	size_t several, unanimous;

	test_case(t, "units: sides do not count, a repeat and a skipped one are none");
	items[0].key = "k";             /* a key that is not the hash: a unit of its own */
	items[3].models[0] = items[4].models[1] = "a";
	items[3].models[1] = items[4].models[0] = "b";
	labels[6].repeat_of = 1;
	labels[7].skipped = true;
	judgements_of(&j, &s, mem);
	CHECK(t, j.n == 6 && j.n_units == 4 && j.n_raters == 3 && j.n_values == 3 && j.tie == 2);
	CHECK(t, j.item_unit[0] == 0 && j.item_unit[1] == 1 && j.item_unit[3] == j.item_unit[4]);
	agreement_units(&j, &several, &unanimous);
	CHECK(t, several == 2 && unanimous == 1);
	items[0].key = "p";
	judgements_of(&j, &s, mem);
	CHECK(t, j.n_units == 3 && j.item_unit[0] == j.item_unit[1] && j.at[0].value == j.at[1].value);
	NEAR(t, agreement_percent(&j, &no_draws).value, (2 * 0.5 + 0 + 1 + 1) / 5, 1e-12);
	test_case(t, "nobody judged anything, or all said the same: not known");
	s.n_labels = 0;
	judgements_of(&j, &s, mem);
	CHECK(t, j.n_units == 0 && isnan(krippendorff_alpha(&j, NOMINAL, &no_draws).value));
	CHECK(t, isnan(agreement_percent(&j, &no_draws).value) && isnan(fleiss_kappa(&j, &no_draws).value));
}

static void test_ranks(struct test *t, struct arena *mem)
{
	const struct feedback_study rank = { .ask = ASK_RANK, .n_answers = 3 };
	struct feedback_item item = { .id = 1, .key = "k", .version = "v", .prompt = "p", .n = 3,
		                      .answers = { "a", "b", "c" } };
	struct feedback_label labels[] = { label_of(1, 1, -1), label_of(1, 2, -1) };
	struct said s = { &rank, &item, 1, labels, 2 };
	struct comparison *c;
	struct judgements j;

	test_case(t, "a ranking is its pairs; equal places are a tie");
	memcpy(labels[0].rank, (int8_t[]){ 1, 2, 2 }, 3);
	memcpy(labels[1].rank, (int8_t[]){ 1, 3, 2 }, 3);
	memcpy(labels[1].shown, (int8_t[]){ 2, 1, 0 }, 3);
	CHECK(t, comparisons_of(&s, mem, &c) == 6);
	CHECK(t, c[0].won == 1 && c[2].won == 0.5 && c[5].a == 1 && c[5].b == 2 && c[5].won == 0);
	CHECK(t, c[0].first == -1 && c[5].first == 0);
	judgements_of(&j, &s, mem);
	CHECK(t, j.n_units == 3 && j.n == 6);
	NEAR(t, agreement_percent(&j, &no_draws).value, 2.0 / 3, 1e-12);
}

/* --- standings --- */

static const char *const models[] = { "a", "b", "c", "d" };

static void read_games(struct said *s, const json_t *rows, struct arena *mem)
{
	size_t n = json_array_size(rows);
	struct feedback_item *items = arena_array(mem, n, sizeof(*items));
	struct feedback_label *labels = arena_array(mem, n, sizeof(*labels));

	for (size_t i = 0; i < n; i++) {
		const json_t *row = json_array_get(rows, i);
		double won = number(row, 2);
		items[i] = item_of((int64_t)i + 1, arena_printf(mem, "%zu", i), "x", "y");
		items[i].models[0] = models[(int)number(row, 0)];
		items[i].models[1] = models[(int)number(row, 1)];
		labels[i] = label_of((int64_t)i + 1, 1, won > 0.5 ? 0 : won < 0.5 ? 1 : FEEDBACK_NONE);
	}
	*s = (struct said){ s->study, items, n, labels, n };
}

static void check_ratings(struct test *t, const struct standings *st, const json_t *wanted)
{
	CHECK(t, st->n == 4 && st->groups == 1 && st->islands == 1);
	for (size_t i = 0; i < st->n; i++) {
		CHECK(t, i == 0 || st->at[i - 1].rating.value >= st->at[i].rating.value);
		NEAR(t, st->at[i].rating.value, number(wanted, (size_t)(st->at[i].model[0] - 'a')), 1e-6);
	}
}

static void test_standings(struct test *t, struct arena *mem)
{
	const struct feedback_study compare = { .ask = ASK_COMPARE, .n_answers = 2 };
	struct said s = { .study = &compare };
	struct standings st;
	struct comparison *c;

	test_case(t, "Bradley-Terry as scikit-learn's logistic regression, Davidson as its likelihood has it");
	read_games(&s, of("standings", "games"), mem);
	size_t n = comparisons_of(&s, mem, &c);
	standings_of(&st, &s, c, n, false, &(struct resample){ 50, 3 }, mem);
	check_ratings(t, &st, of("standings", "bradley_terry"));
	CHECK(t, st.at[0].rating.low < st.at[0].rating.value && st.at[0].rating.value < st.at[0].rating.high);
	standings_of(&st, &s, c, n, true, &no_draws, mem);
	const json_t *davidson = of("standings", "davidson");
	check_ratings(t, &st, json_object_get(davidson, "rating"));
	NEAR(t, st.tie, json_number_value(json_object_get(davidson, "tie")), 1e-6);

	test_case(t, "models that never met, and one that won all: groups, in their order");
	json_t *rows = json_loads("[[1,0,1],[1,0,1],[2,3,1],[2,3,0],[3,2,1]]", 0, NULL);
	read_games(&s, rows, mem);
	standings_of(&st, &s, c, comparisons_of(&s, mem, &c), true, &no_draws, mem);
	CHECK(t, st.n == 4 && st.islands == 2 && st.groups == 3);
	CHECK(t, st.at[0].group < st.at[1].group || !strcmp(st.at[0].model, "d"));
	for (size_t i = 0; i < st.n; i++) {
		bool rated = st.at[i].model[0] >= 'c';
		CHECK(t, isnan(st.at[i].rating.value) == !rated && st.at[i].island == rated);
	}
	json_decref(rows);
	test_case(t, "nothing but ties: equals, by halves");
	rows = json_loads("[[1,0,0.5],[1,0,0.5]]", 0, NULL);
	read_games(&s, rows, mem);
	standings_of(&st, &s, c, comparisons_of(&s, mem, &c), true, &no_draws, mem);
	CHECK(t, st.n == 2 && isnan(st.tie) && fabs(st.at[0].rating.value - 1000) < 1e-9 && st.at[1].tied == 2);
	json_decref(rows);
}

/* --- bias --- */

static void test_bias(struct test *t, struct arena *mem)
{
	const struct feedback_study compare = { .ask = ASK_COMPARE, .n_answers = 2 };
	const json_t *rows = of("bias", "rows");
	size_t n = json_array_size(rows);
	struct feedback_item *items = arena_array(mem, n, sizeof(*items));
	struct feedback_label *labels = arena_array(mem, n, sizeof(*labels));
	struct comparison *c;
	struct bias b;

	test_case(t, "side and length: statsmodels' coefficients and errors");
	for (size_t i = 0; i < n; i++) {
		const json_t *row = json_array_get(rows, i);
		char *text[2];
		double won = number(row, 2);
		for (size_t k = 0; k < 2; k++) {
			size_t length = (size_t)number(row, k);
			text[k] = arena_alloc(mem, length + 1);
			memset(text[k], k ? 'b' : 'a', length);
		}
		bool turned = i % 2;
		items[i] = item_of((int64_t)i + 1, "p", text[turned], text[!turned]);
		labels[i] = label_of((int64_t)i + 1, 1, won > 0.5 ? turned : won < 0.5 ? !turned : FEEDBACK_NONE);
		labels[i].shown[0] = turned;
		labels[i].shown[1] = !turned;
	}
	struct said s = { &compare, items, n, labels, n };
	size_t pairs = comparisons_of(&s, mem, &c);
	bias_of(&b, &s, c, pairs);
	CHECK(t, b.n == n && !b.strengths && b.n_first > 0 && b.longer_won > 0.5);
	NEAR(t, b.side.value, number(of("bias", "side"), 0), 1e-8);
	NEAR(t, b.side.stderr_, number(of("bias", "side"), 1), 1e-8);
	NEAR(t, b.length.value, number(of("bias", "length"), 0), 1e-8);
	NEAR(t, b.length.stderr_, number(of("bias", "length"), 1), 1e-8);
	test_case(t, "sides that are not known, or nothing: no coefficient");
	bias_of(&b, &s, c, 0);
	CHECK(t, isnan(b.side.value) && isnan(b.first_won) && b.n == 0);
}

void test_agreement(struct test *t)
{
	struct arena mem = ARENA_INIT;
	char *path = mem_printf("%s/feedback.json", test_golden());

	golden = json_load_file(path, 0, NULL);
	mem_free(path);
	if (!golden)
		BUG("test/golden/feedback.json cannot be read");
	test_table(t, &mem);
	test_units(t, &mem);
	test_ranks(t, &mem);
	test_standings(t, &mem);
	test_bias(t, &mem);
	json_decref(golden);
	arena_release(&mem);
}
