/* search_report: what a study found: every trial with its interval, the front of score against gas, what each option
 * explains, what a wrong choice would have cost, and the winner on rows that no choice has seen.
 *
 * Trials are compared on one rung, the one that most of them reached, since a score after less gas is another thing.
 * The cost of a wrong choice is the best trial of each value beside the winner, paired on the same rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/term.h"
#include "chart/chart.h"
#include "cmd/metering.h"
#include "cmd/search/study.h"
#include "cmd/text_table.h"
#include "search/explained.h"

enum { BINS = 3, TABLE_MOST = 40, CHART_ROWS = 14 };

struct report {
	struct study *s;
	long best;
	size_t *order;                 /* [n] the best first */
	json_t **values;               /* [n] */
	bool *front;                   /* [n] */
	int rung;                      /* on which trials are compared */
	struct arena mem;
};

static const char *metric_name(const struct study *s) { return s->hits ? "acc" : "eval_loss"; }

/* More is better of hits, less of a loss. */
static double gain(const struct study *s, double difference) { return s->hits ? difference : -difference; }

static const struct study_score *last_score(const struct report *r, size_t i)
{
	int level = study_level(r->s, &r->s->trials[i]);

	return level < 0 || r->s->trials[i].standing.failed ? NULL : &r->s->trials[i].score[level];
}

static const char *state_of(const struct study_trial *t)
{
	return t->standing.failed ? "failed" :
	       t->cut             ? "cut" :
	       t->standing.over   ? "finished" :
	                            "stopped";
}

/* --- order, front, rung --- */

static bool is_better(const struct report *r, size_t a, size_t b)
{
	const struct study_score *x = last_score(r, a), *y = last_score(r, b);
	int p = study_level(r->s, &r->s->trials[a]), q = study_level(r->s, &r->s->trials[b]);

	if (!x || !y)
		return x || (!y && a < b);
	if (p != q)
		return p > q;
	return x->value < y->value || (x->value == y->value && a < b);
}

static void sort_trials(struct report *r)
{
	for (size_t i = 0; i < r->s->n; i++) {
		size_t at = i;
		for (; at > 0 && is_better(r, i, r->order[at - 1]); at--)
			r->order[at] = r->order[at - 1];
		r->order[at] = i;
	}
}

/* Nobody took less and came to more. */
static void find_front(struct report *r)
{
	for (size_t i = 0; i < r->s->n; i++) {
		const struct study_score *x = last_score(r, i);
		r->front[i] = x;
		for (size_t k = 0; k < r->s->n && r->front[i]; k++) {
			const struct study_score *y = last_score(r, k);
			double a = r->s->trials[i].gas.seconds, b = r->s->trials[k].gas.seconds;
			if (y && b <= a && y->value <= x->value && (b < a || y->value < x->value))
				r->front[i] = false;
		}
	}
}

static bool is_on(const struct study_trial *t, int rung)
{
	return !t->standing.failed && t->standing.first <= rung && t->standing.reached > rung;
}

static void find_rung(struct report *r)
{
	size_t most = 0;

	for (int rung = r->s->rungs.rungs; rung >= 0; rung--) {
		size_t n = 0;
		for (size_t i = 0; i < r->s->n; i++)
			n += is_on(&r->s->trials[i], rung);
		if (n > most)
			r->rung = rung;
		most = MAX(most, n);
	}
}

/* --- what options explain --- */

/* Groups of the trials by a parameter's values; of a range bins. How many there are. */
static int group_trials(const struct report *r, size_t param, int *group)
{
	const struct study *s = r->s;
	const struct space_param *p = &s->space.param[param];
	double *where = mem_array(s->n + 1, sizeof(*where));
	int k = (int)p->n;

	for (size_t i = 0; i < s->n; i++) {
		const struct space_place *at = &s->trials[i].at[param];
		bool in = at->active && is_on(&s->trials[i], r->rung);
		where[i] = in ? p->range ? at->u : at->choice : NAN;
		group[i] = in ? at->choice : -1;
	}
	if (p->range)
		k = explained_bins(where, group, s->n, BINS);
	mem_free(where);
	return k;
}

static double importance(const struct report *r, size_t param)
{
	const struct study *s = r->s;
	int *group = mem_array(s->n + 1, sizeof(*group)), k = group_trials(r, param, group);
	double *value = mem_array(s->n + 1, sizeof(*value));

	for (size_t i = 0; i < s->n; i++)
		value[i] = is_on(&s->trials[i], r->rung) ? s->trials[i].standing.value[r->rung] : 0;
	double share = explained_share(value, group, s->n, k);
	mem_free(group);
	mem_free(value);
	return share;
}

/* --- what a wrong choice would have cost --- */

/* The best trial of a group, as is_better has it; −1: none. */
static long best_of(const struct report *r, const int *group, int which)
{
	for (size_t k = 0; k < r->s->n; k++)
		if (group[r->order[k]] == which && last_score(r, r->order[k]))
			return (long)r->order[k];
	return -1;
}

/* Both on the rung that the other one reached last. */
static struct paired beside_best(const struct report *r, size_t trial)
{
	int level = study_level(r->s, &r->s->trials[trial]), own = study_level(r->s, &r->s->trials[r->best]);

	return study_compare(r->s, trial, (size_t)r->best, MIN(level, own));
}

static const char *group_name(const struct report *r, size_t param, const int *group, int which)
{
	const struct space_param *p = &r->s->space.param[param];
	double low = INFINITY, high = -INFINITY;

	if (!p->range)
		return p->values[which];
	for (size_t i = 0; i < r->s->n; i++)
		if (group[i] == which) {
			double x = space_number(p, r->s->trials[i].at[param].u, 1);
			low = fmin(low, x);
			high = fmax(high, x);
		}
	return arena_printf((struct arena *)&r->mem, "%.3g to %.3g%s", low, high, p->scaled ? " × the method's" : "");
}

static json_t *wrong_of(const struct report *r, size_t param)
{
	int *group = mem_array(r->s->n + 1, sizeof(*group)), k = group_trials(r, param, group);
	json_t *list = json_array();

	for (int which = 0; which < k; which++) {
		long i = best_of(r, group, which);
		if (i < 0)
			continue;
		struct paired d = beside_best(r, (size_t)i);
		bool turned = !r->s->hits;
		json_t *x = json_pack("{s:s, s:I, s:o, s:o, s:o}", "value", group_name(r, param, group, which), "trial",
		                      (json_int_t)(i + 1), "cost", jsonx_number(0 - gain(r->s, d.difference)), "low",
		                      jsonx_number(turned ? d.low : 0 - d.high), "high",
		                      jsonx_number(turned ? d.high : 0 - d.low));
		json_array_append_new(list, x);
	}
	mem_free(group);
	return list;
}

static int by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* How much worse than the best there trials are on the rung: in the median, at worst. */
static void regrets(const struct report *r, double *median, double *most)
{
	const struct study *s = r->s;
	double *x = mem_array(s->n + 1, sizeof(*x));
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (is_on(&s->trials[i], r->rung))
			x[n++] = s->hits ? -s->trials[i].score[r->rung].mean : s->trials[i].score[r->rung].mean;
	qsort(x, n, sizeof(*x), by_number);
	*median = n ? x[n / 2] - x[0] : NAN;
	*most = n ? x[n - 1] - x[0] : NAN;
	mem_free(x);
}

/* --- as JSON --- */

static json_t *trial_line(const struct report *r, size_t i)
{
	const struct study_trial *t = &r->s->trials[i];
	const struct study_score *c = last_score(r, i);
	char *dir = study_trial_dir(r->s, i);
	json_t *rungs = json_array();

	for (int k = t->standing.first; k < t->standing.reached; k++) {
		const struct study_score *on = &t->score[k];
		json_array_append_new(rungs, json_pack("{s:i, s:I, s:o}", "rung", k, "step", (json_int_t)on->step,
		                                       "score", jsonx_number(on->mean)));
	}
	json_t *j = json_pack("{s:I, s:s, s:O, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:b, s:o}", "trial",
	                      (json_int_t)(i + 1), "state", state_of(t), "values", r->values[i], "metric",
	                      metric_name(r->s), "score", jsonx_number(c ? c->mean : NAN), "score_stderr",
	                      jsonx_number(c ? c->stderr_ : NAN), "score_low", jsonx_number(c ? c->low : NAN),
	                      "score_high", jsonx_number(c ? c->high : NAN), "eval_loss",
	                      jsonx_number(c ? c->eval_loss : NAN), "step", (json_int_t)(c ? c->step : 0), "steps",
	                      (json_int_t)t->steps, "rungs", rungs, "front", r->front[i], "out", jsonx_path(dir));
	if (t->error)
		json_object_set_new(j, "error", json_string(t->error));
	json_t *gas = json_object();
	gas_json(gas, &t->gas);
	json_object_update(j, gas);
	json_decref(gas);
	mem_free(dir);
	return j;
}

static size_t count_states(const struct study *s, const char *state)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += !strcmp(state_of(&s->trials[i]), state);
	return n;
}

static json_t *by_param(const struct report *r, bool wrong)
{
	json_t *j = json_object();

	for (size_t i = 0; i < r->s->space.n; i++)
		json_object_set_new(j, r->s->space.param[i].name,
		                    wrong ? wrong_of(r, i) : jsonx_number(importance(r, i)));
	return j;
}

static json_t *summary_of(const struct report *r)
{
	const struct study *s = r->s;
	const struct study_score *c = last_score(r, (size_t)r->best);
	char *dir = study_trial_dir(s, (size_t)r->best);
	double median, most;

	regrets(r, &median, &most);
	json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:o, s:O}", "status", s->status, "trials",
	                      (json_int_t)s->n, "finished", (json_int_t)count_states(s, "finished"), "stopped_early",
	                      (json_int_t)count_states(s, "stopped"), "failed", (json_int_t)count_states(s, "failed"),
	                      "metric", metric_name(s), "best", (json_int_t)(r->best + 1), "best_out", jsonx_path(dir),
	                      "best_values", r->values[r->best]);
	json_object_set_new(j, "score", jsonx_number(c->mean));
	json_object_set_new(j, "score_low", jsonx_number(c->low));
	json_object_set_new(j, "score_high", jsonx_number(c->high));
	json_object_set_new(j, "selection_rows", json_integer((json_int_t)s->selection));
	json_object_set(j, "base", s->base ? s->base : json_null());
	json_object_set(j, "test", s->test ? s->test : json_null());
	json_object_set_new(j, "compared_on_rung", json_integer(r->rung));
	json_object_set_new(j, "importance", by_param(r, false));
	json_object_set_new(j, "wrong_choice", by_param(r, true));
	json_object_set_new(j, "median_regret", jsonx_number(median));
	json_object_set_new(j, "worst_regret", jsonx_number(most));
	json_object_set_new(j, "processes", json_integer((json_int_t)json_array_size(s->processes)));
	json_object_set_new(j, "out", jsonx_path(s->dir));
	mem_free(dir);
	return j;
}

/* --- for eyes --- */

static void add_row(const struct report *r, struct table *t, size_t i)
{
	const struct study_trial *x = &r->s->trials[i];
	const struct study_score *c = last_score(r, i);
	char time[32] = "-", joules[32] = "-";

	if (!isnan(x->gas.seconds))
		clock_human(x->gas.seconds, time);
	if (!isnan(x->gas.energy.joules))
		gas_joules(x->gas.energy.joules, joules);
	table_cell(t, "%s%zu", r->front[i] ? "*" : "", i + 1);
	table_cell(t, c ? "%.4f" : "-", c ? c->mean : 0);
	table_cell(t, c ? "%.4f to %.4f" : "-", c ? c->low : 0, c ? c->high : 0);
	table_cell(t, "%ld/%ld", c ? c->step : 0, x->steps);
	table_cell(t, "%s", state_of(x));
	table_cell(t, "%s", time);
	table_cell(t, "%s", joules);
	for (size_t k = 0; k < r->s->space.n; k++) {
		const json_t *v = json_object_get(r->values[i], r->s->space.param[k].name);
		table_cell(t, "%.40s", v ? json_string_value(v) : "");
	}
}

static void print_table(const struct report *r)
{
	const struct study *s = r->s;
	const char *const heads[] = { "TRIAL", metric_name(s), "95 %", "STEPS", "STATE", "TIME", "ENERGY" };
	static const int narrow[] = { 6, 3, 4, -1 };
	struct table t = { .columns = ARRAY_LEN(heads) + MIN(s->space.n, (size_t)20), .right = 0x6A, .drop = narrow };
	struct buf text = BUF_INIT;
	size_t shown = MIN(s->n, (size_t)TABLE_MOST);

	if (s->space.n > 20)
		return;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t k = 0; k < s->space.n; k++)
		table_cell(&t, "%s", s->space.param[k].name);
	for (size_t i = 0; i < shown; i++)
		add_row(r, &t, r->order[i]);
	table_write(&text, &t, "");
	app_print("%s", buf_str(&text));
	if (s->n > shown)
		app_print("… and %zu more: study.json has all\n", s->n - shown);
	app_print("* nobody took less time and came to more\n");
	table_release(&t);
	buf_release(&text);
}

static double number(const json_t *j, const char *key) { return json_number_value(json_object_get(j, key)); }

static void print_importance(const struct report *r)
{
	app_print("\nwhat an option explains of the differences on rung %d (0 to 1), and the best of each value: worse "
	          "than the winner by\n", r->rung);
	for (size_t i = 0; i < r->s->space.n; i++) {
		double share = importance(r, i);
		json_t *list = wrong_of(r, i), *x;
		size_t k;
		app_print(isnan(share) ? "  %s  -\n" : "  %s  %.2f\n", r->s->space.param[i].name, share);
		json_array_foreach(list, k, x) {
			const char *value = json_string_value(json_object_get(x, "value"));
			app_print("      %-34.34s %8.4f (%.4f to %.4f)\n", value, number(x, "cost"), number(x, "low"),
			          number(x, "high"));
		}
		json_decref(list);
	}
}

static void print_best(const struct report *r, const json_t *summary)
{
	const struct study *s = r->s;
	const json_t *test = s->test, *base = json_object_get(test, "base"), *v;
	const char *key;
	char *dir = study_trial_dir(s, (size_t)r->best);

	app_print("\na trial drawn at random is worse than the best by %.4f in the median, by %.4f at worst\n",
	          number(summary, "median_regret"), number(summary, "worst_regret"));
	app_print("\nthe best: trial %ld, %s %.4f (%.4f to %.4f) on the %zu rows that chose it\n", r->best + 1,
	          metric_name(s), number(summary, "score"), number(summary, "score_low"), number(summary, "score_high"),
	          s->selection);
	app_print("on %lld rows that no choice has seen: %.4f (%.4f to %.4f); before training %.4f\n",
	          json_integer_value(json_object_get(test, "n")), number(test, "score"), number(test, "low"),
	          number(test, "high"), number(base, "score"));
	json_object_foreach(r->values[r->best], key, v)
		app_print("  --%s %s\n", key, json_string_value(v));
	app_print("its result is in %s\n", dir);
	mem_free(dir);
}

/* --- the picture --- */

static double gas_of(const struct report *r, size_t i) { return r->s->trials[i].gas.seconds; }

/* Those on the front, the cheapest first, or all others. */
static struct chart_series points(struct report *r, bool front)
{
	double *x = arena_array(&r->mem, r->s->n + 1, sizeof(*x)), *y = arena_array(&r->mem, r->s->n + 1, sizeof(*y));
	size_t n = 0;

	for (size_t i = 0; i < r->s->n; i++) {
		const struct study_score *c = last_score(r, i);
		if (!c || r->front[i] != front)
			continue;
		size_t at = n++;
		for (; at > 0 && x[at - 1] > gas_of(r, i); at--) {
			x[at] = x[at - 1];
			y[at] = y[at - 1];
		}
		x[at] = gas_of(r, i);
		y[at] = c->mean;
	}
	return (struct chart_series){ .name = front ? "front" : "trials", .x = x, .y = y, .n = n, .points = !front };
}

static int draw(struct report *r, bool terminal, struct err *e)
{
	struct chart_series all[2] = { points(r, false), points(r, true) };
	struct chart c = { .title = "score against gas", .x_label = "seconds", .y_label = metric_name(r->s),
		           .series = all, .n_series = 2 };
	struct buf text = BUF_INIT;
	char *path = io_join(r->s->dir, "front.svg");
	int columns, rows, status;

	chart_svg(&text, &c, 1);
	status = io_write(path, buf_str(&text), text.len, e);
	buf_clear(&text);
	if (!status && terminal) {
		term_size(STDOUT_FILENO, &columns, &rows);
		chart_braille(&text, &c, columns, CHART_ROWS, term_color(STDOUT_FILENO));
		app_print("\n%s", buf_str(&text));
	}
	mem_free(path);
	buf_release(&text);
	return status;
}

/* --- all of it --- */

static void begin_report(struct report *r)
{
	size_t n = r->s->n;

	r->order = arena_array(&r->mem, n + 1, sizeof(*r->order));
	r->values = arena_array(&r->mem, n + 1, sizeof(*r->values));
	r->front = arena_array(&r->mem, n + 1, sizeof(*r->front));
	for (size_t i = 0; i < n; i++)
		r->values[i] = study_values(r->s, i);
	sort_trials(r);
	find_front(r);
	find_rung(r);
}

static int show(struct report *r, struct err *e)
{
	struct app *app = r->s->app;
	json_t *summary = summary_of(r);

	for (size_t i = 0; i < r->s->n && app->json; i++) {
		json_t *line = trial_line(r, i);
		app_json(line);
		json_decref(line);
	}
	if (!app->json)
		print_table(r);
	int status = draw(r, !app->json, e);
	if (!app->json) {
		print_importance(r);
		print_best(r, summary);
	}
	char *dir = study_trial_dir(r->s, (size_t)r->best);
	metering_out("result", dir);
	mem_free(dir);
	app_summary(app, summary);
	return status ? -1 : EXIT_DONE;
}

int study_report(struct study *s, struct err *e)
{
	struct report r = { .s = s, .best = study_best(s) };

	begin_report(&r);
	int status = show(&r, e);
	for (size_t i = 0; i < s->n; i++)
		json_decref(r.values[i]);
	arena_release(&r.mem);
	return status;
}
