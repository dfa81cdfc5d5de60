/* test_agreement: what labels say: which judgements are of one unit, how far raters agree, who writes the better
 * answers, and what else decides; numbers of other programs from test/golden/feedback.json. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "../test.h"

#include "base/mem.h"
#include "base/rng.h"
#include "feedback/agreement.h"
#include "feedback/bias.h"
#include "feedback/heads.h"
#include "feedback/next.h"
#include "feedback/noise.h"
#include "feedback/raters.h"
#include "feedback/report.h"
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
	test_case(t, "nobody judged anything, one alone twice, or all said the same: not known");
	const struct feedback_label twice[] = { label_of(items[0].id, 7, 0), label_of(items[0].id, 7, 1),
		                                label_of(items[2].id, 7, 1) };
	s.labels = twice;
	s.n_labels = 3;
	judgements_of(&j, &s, mem);
	CHECK(t, j.n == 3 && isnan(krippendorff_alpha(&j, NOMINAL, &no_draws).value));
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
	n = comparisons_of(&s, mem, &c);
	standings_of(&st, &s, c, n, true, &no_draws, mem);
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
	n = comparisons_of(&s, mem, &c);
	standings_of(&st, &s, c, n, true, &no_draws, mem);
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

/* --- raters --- */

static void test_dawid_skene(struct test *t, struct arena *mem)
{
	const struct feedback_study classes = { .ask = ASK_LABEL };
	static const char *const names[] = { "0", "1", "2" };
	const json_t *rows = of("dawid_skene", "rows");
	size_t n = json_array_size(rows);
	struct feedback_item items[60];
	struct feedback_label *labels = arena_array(mem, n, sizeof(*labels));
	struct judgements j;
	struct dawid_skene d;

	test_case(t, "posteriors and shares by crowd-kit's Dawid-Skene; the one who guesses is found");
	for (size_t u = 0; u < 60; u++)
		items[u] = item_of((int64_t)u + 1, arena_printf(mem, "%zu", u), "x", "y");
	for (size_t i = 0; i < n; i++) {
		const json_t *row = json_array_get(rows, i);
		labels[i] = label_of((int64_t)number(row, 0) + 1, (int64_t)number(row, 1) + 1, FEEDBACK_NONE);
		labels[i].label = names[(int)number(row, 2)];
	}
	struct said s = { &classes, items, 60, labels, n };
	judgements_of(&j, &s, mem);
	dawid_skene(&d, &j, 0, mem);
	CHECK(t, j.n_units == 60 && j.n_raters == 5 && d.values == 3);
	for (size_t v = 0; v < 3; v++)
		NEAR(t, d.prior[v], number(of("dawid_skene", "prior"), v), 1e-4);
	for (size_t u = 0; u < 60; u++)
		for (size_t v = 0; v < 3; v++)
			NEAR(t, d.posterior[3 * (size_t)j.item_unit[u] + v],
			     number(json_array_get(of("dawid_skene", "posterior"), u), v), 1e-3);
	for (int r = 0; r < 4; r++)
		CHECK(t, d.reliability[r] > d.reliability[4] + 0.1);
}

/* Of so many raters, each of so many labels, how many ever reach the flag; agree: the probability of agreement. */
static int flagged(int raters, int labels, double agree)
{
	struct rng_key key = { 5, RNG_TEST };
	int n = 0;

	for (int r = 0; r < raters; r++) {
		struct wager w = { 1, 1 };
		for (int k = 0; k < labels && w.peak < WAGER_FLAG; k++)
			wager_bet(&w, (double)rng_uniform(key, (uint64_t)r, (uint32_t)k, 0) < agree, 0.4, 0.7);
		n += w.peak >= WAGER_FLAG;
	}
	return n;
}

static void test_wager(struct test *t)
{
	test_case(t, "at most one in twenty honest raters is ever flagged, and nearly all who click blindly are");
	CHECK(t, flagged(10000, 100, 0.55) <= 500);
	CHECK(t, flagged(10000, 100, 0.7) <= 5);
	CHECK(t, flagged(200, 200, 0.4) >= 190);
	struct wager w = { 1, 1 };
	wager_bet(&w, NAN, 0.4, 0.7);
	wager_bet(&w, 0, 0.4, NAN);
	wager_bet(&w, 0, 0.7, 0.4);
	CHECK(t, w.wealth == 1);
}

enum { HONEST = 3, ASKED = 60 };

/* Three raters who are right nine times of ten and one who always says the first; he repeats himself. */
static void test_raters(struct test *t, struct arena *mem)
{
	const struct feedback_study compare = { .ask = ASK_COMPARE, .n_answers = 2 };
	struct rng_key key = { 9, RNG_TEST };
	struct feedback_item items[ASKED];
	struct feedback_label labels[(HONEST + 1) * ASKED + 1];
	struct feedback_rater raters[HONEST + 1];
	struct judgements j;
	struct dawid_skene d;
	struct noise noise;
	size_t n = 0;

	test_case(t, "one who clicks blindly is flagged, the others are not; noise is theirs");
	for (uint32_t u = 0; u < ASKED; u++) {
		items[u] = item_of(u + 1, arena_printf(mem, "%u", u), u % 2 ? "a" : "b", u % 2 ? "b" : "a");
		items[u].gold = u < 6 ? (int)u % 2 : FEEDBACK_NONE;
		for (uint32_t r = 0; r <= HONEST; r++) {
			bool right = (double)rng_uniform(key, u, r, 0) < 0.9;
			labels[n] = label_of(u + 1, r + 1, r == HONEST || right == (u % 2 == 0) ? 0 : 1);
			labels[n].seconds = 10 * (r + 1);
			labels[n].id = (int64_t)n + 1;
			n++;
		}
	}
	labels[n] = labels[3];
	labels[n].id = (int64_t)n + 1;
	labels[n].repeat_of = labels[3].id;
	for (int r = 0; r <= HONEST; r++)
		raters[r] = (struct feedback_rater){ .id = r + 1, .name = "r" };
	struct said s = { &compare, items, ASKED, labels, n + 1 };
	judgements_of(&j, &s, mem);
	dawid_skene(&d, &j, 0.01, mem);
	struct rater_facts *f = raters_of(&s, &j, &d, raters, HONEST + 1, mem);
	for (int r = 0; r < HONEST; r++) {
		CHECK(t, !f[r].flagged && f[r].reliability > 0.8 && f[r].gold.n == 6 && f[r].repeats.n == 0);
		CHECK(t, f[r].labels == ASKED && f[r].seconds_per_label == 10 * (r + 1));
	}
	CHECK(t, f[HONEST].flagged && f[HONEST].reliability < 0.7 && f[HONEST].gold.right == 3);
	CHECK(t, f[HONEST].labels == ASKED + 1 && f[HONEST].repeats.n == 1 && f[HONEST].repeats.right == 1);
	s.n_labels = n;
	noise_of(&noise, &s, &j, &no_draws);
	double a = noise.agreement.value;
	CHECK(t, noise.pairs == ASKED * 6 && noise.repeats == 0 && isnan(noise.own.value));
	NEAR(t, (1 - noise.error.value) * (1 - noise.error.value) + noise.error.value * noise.error.value, a, 1e-12);

	test_case(t, "the report: what is known is a number, what is not is null");
	struct report report;
	report_of(&report, &s, raters, HONEST + 1, &no_draws, mem);
	json_t *said = report_json(&report), *one = json_array_get(json_object_get(said, "raters"), HONEST);
	NEAR(t, json_number_value(json_object_get(said, "krippendorff_alpha")), report.alpha.value, 1e-15);
	CHECK(t, json_integer_value(json_object_get(said, "labels")) == (HONEST + 1) * ASKED);
	CHECK(t, json_is_null(json_object_get(said, "money")) && json_is_null(json_object_get(said, "side_bias")));
	CHECK(t, json_is_true(json_object_get(one, "flagged")));
	CHECK(t, json_is_null(json_object_get(one, "repeat_agreement")));
	NEAR(t, json_number_value(json_object_get(one, "gold_accuracy")), 0.5, 1e-15);
	CHECK(t, json_array_size(json_object_get(said, "standings")) == 0);
	json_decref(said);
}

/* --- reward heads --- */

static void test_heads(struct test *t, struct arena *mem)
{
	const struct feedback_study compare = { .ask = ASK_COMPARE, .n_answers = 2 };
	const json_t *states = of("heads", "states"), *lengths = of("heads", "lengths");
	size_t n = json_array_size(states);
	struct feedback_item *items = arena_array(mem, n, sizeof(*items));
	struct feedback_label *labels = arena_array(mem, n, sizeof(*labels));
	const float **x = arena_array(mem, n, sizeof(*x));
	double *information = arena_array(mem, n, sizeof(*information)), sum = 0, fewer = 0;
	struct comparison *c;
	struct heads h;
	char key[16];

	test_case(t, "head 0 is scikit-learn's logistic regression of the same penalty");
	for (size_t i = 0; i < n; i++) {
		float *own = arena_array(mem, 6, sizeof(*own));
		char *text[2];
		for (size_t k = 0; k < 6; k++)
			own[k] = (float)number(json_array_get(states, i), k);
		for (size_t k = 0; k < 2; k++) {
			text[k] = arena_alloc(mem, 64);
			memset(text[k], 'x', (size_t)number(json_array_get(lengths, i), k));
		}
		x[i] = own;
		items[i] = item_of((int64_t)i + 1, arena_printf(mem, "%zu", i), text[0], text[1]);
		labels[i] = label_of((int64_t)i + 1, 1, number(of("heads", "won"), i) > 0 ? 0 : 1);
	}
	struct said s = { &compare, items, n, labels, n, { x, 3 } };
	size_t pairs = comparisons_of(&s, mem, &c);
	heads_fit(&h, &s, c, pairs, HEADS, 0, 1, mem);
	snprintf(key, sizeof(key), "%g", h.penalty);
	for (size_t k = 0; k < 4; k++)
		NEAR(t, h.w[k], number(json_object_get(of("heads", "weights"), key), k), 1e-4);
	CHECK(t, heads_accuracy(&h, &s, c, pairs) > 0.75);

	test_case(t, "what heads tell: nothing of an item without states, more where they differ");
	x[0] = NULL;
	heads_information(&h, &s, false, information);
	CHECK(t, isnan(information[0]));
	for (size_t i = 1; i < n; i++) {
		CHECK(t, information[i] >= 0 && information[i] < log(2));
		sum += information[i];
	}
	CHECK(t, sum > 0);
	heads_fit(&h, &s, c, pairs / 4, HEADS, h.penalty, 1, mem);
	heads_information(&h, &s, false, information);
	for (size_t i = 1; i < n; i++)
		fewer += information[i];
	CHECK(t, fewer > sum);          /* fewer labels leave more to be told */
}

/* --- which next --- */

static void test_next(struct test *t)
{
	struct feedback_study compare = { .ask = ASK_COMPARE, .n_answers = 2, .labels_per_item = 2 };
	struct feedback_item items[] = { item_of(1, "1", "x", "y"), item_of(2, "2", "x", "y"),
		                         item_of(3, "3", "x", "y"), item_of(4, "4", "x", "y") };
	struct feedback_label labels[16];
	struct said s = { &compare, items, 3, labels, 0 };
	double information[] = { 0.1, 0.5, 0.2, 0.3 };
	struct next next, again;

	test_case(t, "what tells most comes first, asked again it is the same, and what was seen is not shown again");
	for (size_t i = 0; i < 3; i++) {
		static const ptrdiff_t order[] = { 1, 2, 0 };
		next_of(&next, &s, 1, information, 7);
		next_of(&again, &s, 1, information, 7);
		CHECK(t, next.item == order[i] && again.item == next.item && next.left == 3 - i && !next.gold);
		labels[s.n_labels] = label_of(next.item + 1, 1, 0);
		labels[s.n_labels].id = (int64_t)i + 1;
		s.n_labels++;
	}
	next_of(&next, &s, 1, information, 7);
	CHECK(t, next.item == -1 && next.left == 0);
	test_case(t, "a second opinion goes where it is known least, after what nobody judged");
	labels[3] = label_of(1, 2, 1);          /* the item 1 is disputed and has its two labels */
	labels[3].id = 4;
	s.n_labels = 4;
	next_of(&next, &s, 3, information, 7);
	CHECK(t, next.left == 2);
	s.n_items = 4;
	next_of(&next, &s, 3, information, 7);
	CHECK(t, next.item == 3);
	test_case(t, "shares of gold and repeats");
	compare.gold_share = 1;
	items[2].gold = 0;
	next_of(&next, &s, 3, NULL, 7);
	CHECK(t, next.gold && next.item == 2);
	compare.gold_share = 0;
	compare.repeat_share = 1;
	compare.labels_per_item = 9;
	for (size_t k = 0; k < 7; k++) {
		labels[k] = label_of((int64_t)(k % 2) + 1, 3, 0);
		labels[k].id = (int64_t)k + 1;
	}
	s.n_labels = 7;
	next_of(&next, &s, 3, NULL, 7);
	CHECK(t, next.repeat_of >= 1 && next.repeat_of <= 2 && next.item == next.repeat_of - 1);
	test_case(t, "times: longer items take longer");
	char text[20][400];
	struct feedback_item long_items[20];
	struct feedback_label timed[20];
	struct pace pace;
	for (int i = 0; i < 20; i++) {
		memset(text[i], 'x', 20 * (size_t)(i + 1) - 1);
		text[i][20 * (i + 1) - 1] = '\0';
		long_items[i] = item_of(i + 1, "", text[i], "");
		timed[i] = label_of(i + 1, 1, 0);
		timed[i].seconds = 2 * sqrt(20 * (i + 1));
	}
	struct said times = { &compare, long_items, 20, timed, 20 };
	pace_of(&pace, &times);
	NEAR(t, pace.b, 0.5, 1e-9);
	NEAR(t, pace_seconds(&pace, &long_items[4]), 20, 1e-9);
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
	test_dawid_skene(t, &mem);
	test_wager(t);
	test_raters(t, &mem);
	test_heads(t, &mem);
	test_next(t);
	json_decref(golden);
	arena_release(&mem);
}
