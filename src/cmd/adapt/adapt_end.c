/* adapt_end: the test of the way that was chosen, once; the verdict; what is left; and what a person is told of why.
 *
 *     shown         each score's one-sided 95 % lower bound on test reaches the goal (Wilson's of a share), and what an
 *                   answer takes is as the goal wants it
 *     unreachable   not shown, and the label ceiling, or the upper bound of every way on the choose rows (all of them
 *                   hold together with 95 %, at all looks), is below the goal
 *     not_shown     else
 *
 * Without a goal the goal is to be better than the floor: the most frequent answer, the bare model's perplexity. */
#include "cmd/adapt/adapt_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "cmd/metering.h"
#include "data/shape.h"

/* --- the test --- */

static void judge_test(struct adapt *a)
{
	for (size_t k = 0; k < a->goal.n; k++) {
		enum measure m = a->goal.term[k].what;
		if (!measure_is_score(m))
			continue;
		a->test_score[k] = task_score(&a->task, m, a->test, a->tested, a->n_test);
		a->test_bounds[k] = task_bounds(m, &a->test_score[k], a->test_alpha);
	}
}

enum { TEST_PARTS = 8, PART_LEAST = 8 };

/* What was tested is kept, and never tested anew. Under a limit it is tested in parts: their order is one of chance,
 * and where the limit ends it is no matter of what they came to, so those that were answered are a test, of fewer
 * rows. */
static int answer_test(struct adapt *a, struct err *e)
{
	const struct rung *r = a->ways[a->winner].rung;
	char *dir;

	if (adapt_load_outcomes(a, adapt_round(a), "test", a->tested, a->n_test) == a->n_test)
		return 0;
	dir = adapt_way_dir(a, adapt_folder(a, a->winner));
	size_t part = isfinite(adapt_left(a)) ? MAX(a->n_test / TEST_PARTS, (size_t)PART_LEAST) : a->n_test;
	int status = 0;
	for (size_t n = 0, k; n < a->n_test && status == 0; n += k) {
		k = MIN(part, a->n_test - n);
		status = r->answer(&a->ladder, dir, a->test + n, k, a->tested + n, e);
		if (status < 0 && n && metering_over() && !app_signalled()) {
			log_warn("the test is of %zu of %zu rows, drawn by chance, which --max-gas had room for", n,
			         a->n_test);
			a->n_test = n;
			status = 0;
			break;
		}
	}
	mem_free(dir);
	return status < 0 ? -1 : adapt_save_outcomes(a, "test", a->tested, a->n_test, e);
}

int adapt_test(struct adapt *a, struct err *e)
{
	a->winner = climb_winner(&a->climb);
	if (a->winner == a->climb.n)
		return err_set(e, "no way could be measured: %s", a->climb.n ? a->ways[0].why : "there is none");
	a->tested = mem_array(a->n_test, sizeof(*a->tested));
	adapt_keep_back(a, 0);
	metering_phase(a->documents.phase = "test");
	a->at_work = a->winner;
	a->doing = "testing";
	adapt_stand_on(a, a->winner);
	int status = answer_test(a, e);
	if (status == 0)
		status = adapt_test_before(a, e);
	a->at_work = a->climb.n;
	if (status == 0)
		judge_test(a);
	return status;
}

/* --- the verdict --- */

/* What costs next to nothing: the most frequent answer, else the model as it is; n: neither was measured. */
static size_t floor_way(const struct adapt *a)
{
	static const char *const names[] = { "majority", "zero-shot" };

	for (size_t k = a->first->what == MEASURE_PERPLEXITY || a->first->what == MEASURE_REWARD; k < ARRAY_LEN(names);
	     k++)
		for (size_t i = 0; i < a->climb.n; i++)
			if (!strcmp(a->ways[i].rung->name, names[k]) && adapt_is_measured(a, i))
				return i;
	return a->climb.n;
}

static double floor_score(const struct adapt *a)
{
	size_t i = floor_way(a);
	bool shares = a->first->what == MEASURE_ACCURACY || a->first->what == MEASURE_EXACT_MATCH;

	if (i < a->climb.n)
		return a->ways[i].score[a->first_at].mean;
	return shares ? a->known.majority : NAN; /* it is counted, where classes are there, and need not be tried */
}

static double goal_of(const struct adapt *a, size_t k)
{
	return a->has_goal || k != a->first_at ? a->goal.term[k].value : floor_score(a);
}

static bool term_shown(const struct adapt *a, size_t k)
{
	const struct goal_term *t = &a->goal.term[k];
	struct bounds b = a->test_bounds[k];
	double goal = goal_of(a, k);

	if (measure_is_score(t->what))
		return a->has_goal ? (t->at_least ? b.low >= goal : b.high <= goal) :
		                     (t->at_least ? b.low > goal : b.high < goal);
	return goal_term_met(t, adapt_cost_of(a, a->winner, t->what));
}

/* The most that a way could be, as far as is known: measured, or expected from a way near it. */
static bool may_reach(const struct adapt *a, size_t i, double goal)
{
	const struct climb_way *c = &a->climb.ways[i];

	if (c->state == CLIMB_MEASURED)
		return a->first->at_least ? a->ways[i].promised.high >= goal : a->ways[i].promised.low <= goal;
	if (c->apart)
		return false;
	if (c->state == CLIMB_LEFT || (c->state == CLIMB_WAITS && c->learnt))
		return c->mean + 3 * c->sd >= adapt_quality(a->first->what, goal);
	/* What cannot be is no way; what there was no gas for might have been one. */
	return c->state == CLIMB_WAITS || strstr(a->ways[i].why, "--max-gas");
}

static bool is_unreachable(struct adapt *a)
{
	double goal = goal_of(a, a->first_at);

	if (!a->has_goal)
		return false;
	if (a->first->at_least && a->known.ceiling < goal) {
		snprintf(a->why_verdict, sizeof(a->why_verdict),
		         "rows that ask the same have unlike answers: nothing is right on more than %.3f of them",
		         a->known.ceiling);
		return true;
	}
	for (size_t i = 0; i < a->climb.n; i++)
		if (may_reach(a, i, goal))
			return false;
	snprintf(a->why_verdict, sizeof(a->why_verdict),
	         "no way may reach %s: the upper bounds of all of them on the choose rows are on the wrong side of it",
	         goal_term_text(a->first));
	return true;
}

/* A goal of which it can be said how many rows must be right. */
static bool is_counted(const struct adapt *a, size_t k)
{
	const struct goal_term *t = &a->goal.term[k];
	double right = a->test_score[k].mean * (double)a->n_test;

	return a->has_goal && t->at_least && measure_is_share(t->what) && t->what != MEASURE_F1 &&
	       fabs(right - round(right)) < 1e-6;
}

static const char *wanted_text(size_t needed, size_t n)
{
	static char out[80];

	if (needed > n)
		snprintf(out, sizeof(out), "and of so few all would not show it");
	else
		snprintf(out, sizeof(out), "%zu would have shown it", needed);
	return out;
}

/* Term k, by what it was missed. */
static void say_missed(struct adapt *a, size_t k)
{
	const struct goal_term *t = &a->goal.term[k];
	const struct estimate *x = &a->test_score[k];

	if (!measure_is_score(t->what))
		snprintf(a->why_verdict, sizeof(a->why_verdict), "%s takes %s, and %s is wanted",
		         a->ways[a->winner].name, adapt_cost_text(t->what, adapt_cost_of(a, a->winner, t->what)),
		         goal_term_text(t));
	else if (!x->n)
		snprintf(a->why_verdict, sizeof(a->why_verdict), "%s of %s cannot be measured", measure_names[t->what],
		         a->ways[a->winner].name);
	else if (is_counted(a, k))
		sentence_format(a->why_verdict, sizeof(a->why_verdict), "%.0f of %zu test rows are right, %s; %s is %s",
		                x->mean * (double)a->n_test, a->n_test,
		                wanted_text(bound_needed(a->n_test, t->value, a->test_alpha), a->n_test),
		                measure_names[t->what],
		                adapt_score_text(x->mean, a->test_bounds[k].low, a->test_bounds[k].high));
	else
		sentence_format(a->why_verdict, sizeof(a->why_verdict),
		                "on %zu test rows %s is %s, which does not show %s", a->n_test, measure_names[t->what],
		                adapt_score_text(x->mean, a->test_bounds[k].low, a->test_bounds[k].high),
		                a->has_goal ? goal_term_text(t) :
		                isnan(goal_of(a, k)) ?
		                              "that it is better than the floor, as neither the most frequent answer "
		                              "nor the bare model was measured" :
		                              "that it is better than the floor");
}

void adapt_verdict(struct adapt *a)
{
	const struct estimate *x = &a->test_score[a->first_at];
	struct bounds b = a->test_bounds[a->first_at];
	size_t missed = a->goal.n;

	for (size_t k = 0; k < a->goal.n && missed == a->goal.n; k++)
		if (!term_shown(a, k))
			missed = k;
	if (missed == a->goal.n) {
		a->verdict = "shown";
		snprintf(a->why_verdict, sizeof(a->why_verdict),
		         a->first->at_least ? "on %zu test rows it is %.4g, and at least %.4g with %.4g %%" :
		                              "on %zu test rows it is %.4g, and at most %.4g with %.4g %%",
		         a->n_test, x->mean, a->first->at_least ? b.low : b.high, 100 * (1 - a->test_alpha));
	} else if (is_unreachable(a)) {
		a->verdict = "unreachable";
	} else {
		a->verdict = "not_shown";
		say_missed(a, missed);
	}
}

/* --- what is left --- */

/* Which way rows were asked, so that whoever uses it asks alike; NULL: rows say it themselves. */
const char *adapt_how_asked(const struct adapt *a)
{
	const struct row *first = &a->task.rows[0].row;

	if (a->ladder.apply_chat_template && shape_templated(a->task.shape, first->json, true))
		return shape_templated(a->task.shape, first->json, false) ? NULL : ADAPTED_TURNS;
	return shape_templated(a->task.shape, first->json, false) ? NULL : ADAPTED_TEXTS;
}

int adapt_leave(struct adapt *a, struct err *e)
{
	const struct rung *r = a->ways[a->winner].rung;
	char *rungs = adapt_rungs(adapt_round(a)), *files = io_join(rungs, adapt_folder(a, a->winner));
	char *dir = io_join(a->dir, files);
	adapt_stand_on(a, a->winner);
	json_t *leaves = r->leaves(&a->ladder, dir, e);
	if (leaves && !r->no_model && !r->learns && a->task.kind != TASK_LABELS && adapt_how_asked(a))
		json_object_set_new(leaves, "asked", json_string(adapt_how_asked(a)));
	int status = leaves ? adapted_write(a->dir, adapt_model_of(a, a->winner), r->name, files, leaves, e) : -1;

	mem_free(rungs);
	mem_free(files);
	mem_free(dir);
	return status;
}

/* --- numbers of it --- */

/* Joules where no counter and no model tells them: 0, and `energy_known` says so. */
static double or_zero(double x) { return isfinite(x) ? x : 0; }

static struct cost_line cost_line_of(const struct adapt *a, size_t i)
{
	return (struct cost_line){ span_exact(a->ways[i].make_seconds), span_exact(a->climb.ways[i].use_seconds) };
}

static json_t *break_evens(const struct adapt *a, size_t i)
{
	json_t *j = json_object();
	struct cost_line own = cost_line_of(a, i);

	for (size_t k = 0; k < a->climb.n; k++) {
		if (k == i || !adapt_is_measured(a, k))
			continue;
		struct cost_line other = cost_line_of(a, k);
		struct break_even b = break_even(&own, &other);
		json_object_set_new(j, a->ways[k].name, b.crosses ? jsonx_number(b.uses.mid) : json_null());
	}
	return j;
}

static const char *state_name(const struct adapt *a, size_t i)
{
	static const char *const names[] = { [CLIMB_WAITS] = "not_tried",
		                             [CLIMB_MEASURED] = "measured",
		                             [CLIMB_LEFT] = "left",
		                             [CLIMB_CANNOT] = "cannot" };
	return names[a->climb.ways[i].state];
}

/* What an answer is made of. */
enum { FINDING, READING, WRITING, DOINGS };
static const char *const doings[DOINGS] = { "finding", "reading", "writing" };

/* Seconds of each in an answer; joules are in the same shares, as all of it is work of the processor. Is there more
 * than reading? */
static bool parts_of(const struct way *w, double seconds[DOINGS])
{
	double n = (double)w->n;

	seconds[FINDING] = w->find_seconds / n;
	seconds[WRITING] = w->write_seconds / n;
	seconds[READING] = fmax(0, w->look_seconds / n - seconds[FINDING] - seconds[WRITING]);
	return w->find_seconds > 0 || w->write_seconds > 0;
}

/* Of an answer's share of what all looks took. */
static double joules_of(const struct way *w, double seconds)
{
	return w->look_joules * fmin(seconds / w->look_seconds, 1);
}

static void put_parts(const struct way *w, json_t *j)
{
	double seconds[DOINGS];

	if (!parts_of(w, seconds))
		return;
	for (int k = 0; k < DOINGS; k++) {
		char *s = mem_printf("seconds_per_use_%s", doings[k]), *g = mem_printf("joules_per_use_%s", doings[k]);
		json_object_set_new(j, s, jsonx_number(seconds[k]));
		json_object_set_new(j, g, jsonx_number(joules_of(w, seconds[k])));
		mem_free(s);
		mem_free(g);
	}
}

static void put_measured(const struct adapt *a, size_t i, json_t *j)
{
	const struct way *w = &a->ways[i];
	const struct estimate *x = &w->score[a->first_at];
	struct bounds b = w->looked;

	json_object_set_new(j, "score_choose", jsonx_number(x->mean));
	json_object_set_new(j, "score_choose_low", jsonx_number(b.low));
	json_object_set_new(j, "score_choose_high", jsonx_number(b.high));
	for (size_t k = 0; k < a->goal.n; k++)
		if (k != a->first_at && measure_is_score(a->goal.term[k].what))
			json_object_set_new(j, measure_names[a->goal.term[k].what], jsonx_number(w->score[k].mean));
	json_object_set_new(j, "rows", json_integer((json_int_t)w->n));
	json_object_set_new(j, "seconds_make", jsonx_number(w->make_seconds));
	json_object_set_new(j, "joules_make", jsonx_number(w->make_joules));
	json_object_set_new(j, "seconds_per_use", jsonx_number(a->climb.ways[i].use_seconds));
	json_object_set_new(j, "joules_per_use", jsonx_number(w->look_joules / (double)w->n));
	put_parts(w, j);
	json_object_set_new(j, "latency", jsonx_number(w->latency));
	json_object_set_new(j, "break_even_uses", break_evens(a, i));
	adapt_put_seeds(a, i, j);
}

json_t *adapt_table(const struct adapt *a)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->climb.n; i++) {
		const struct way *w = &a->ways[i];
		json_t *j = json_pack("{s:s, s:s, s:b, s:s, s:s}", "row", w->name, "state", state_name(a, i), "winner",
		                      i == a->winner, "measure", measure_names[a->first->what], "why", w->why);
		json_object_set_new(j, "model", w->on ? jsonx_path(w->on->path) : json_null());
		json_object_set_new(j, "planned_seconds_make", jsonx_number(w->price.make.mid));
		json_object_set_new(j, "planned_seconds_make_low", jsonx_number(w->price.make.low));
		json_object_set_new(j, "planned_seconds_make_high", jsonx_number(w->price.make.high));
		json_object_set_new(j, "memory_bytes", jsonx_number(w->price.bytes));
		if (adapt_is_measured(a, i))
			put_measured(a, i, j);
		if (i == a->winner) {
			json_object_set_new(j, "score_test", jsonx_number(a->test_score[a->first_at].mean));
			json_object_set_new(j, "score_test_low", jsonx_number(a->test_bounds[a->first_at].low));
			json_object_set_new(j, "score_test_high", jsonx_number(a->test_bounds[a->first_at].high));
		}
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *goal_json(const struct adapt *a)
{
	json_t *list = json_array();

	for (size_t k = 0; a->has_goal && k < a->goal.n; k++) {
		const struct goal_term *t = &a->goal.term[k];
		double x = measure_is_score(t->what) ? a->test_score[k].mean : adapt_cost_of(a, a->winner, t->what);
		json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:o, s:b}", "measure", measure_names[t->what],
		                                      "sign", t->at_least ? ">=" : "<=", "value", t->value, "measured",
		                                      jsonx_number(x), "shown", term_shown(a, k)));
	}
	return list;
}

void adapt_put_gas(const struct adapt *a, json_t *summary)
{
	struct gas g;

	adapt_gas(a, &g);
	json_object_set_new(summary, "energy_known", json_boolean(isfinite(g.energy.joules)));
	json_object_set_new(summary, "seconds", jsonx_number(g.seconds));
	json_object_set_new(summary, "joules", jsonx_number(or_zero(g.energy.joules)));
}

/* By name, of those that were measured: what later runs on this machine learn from. */
static json_t *scores_of_ways(const struct adapt *a)
{
	json_t *j = json_object();

	for (size_t i = 0; i < a->climb.n; i++)
		if (adapt_is_measured(a, i) && !a->ways[i].rung->combines)
			json_object_set_new(j, a->ways[i].name, jsonx_number(a->ways[i].score[a->first_at].mean));
	return j;
}

json_t *adapt_summary(struct adapt *a)
{
	const struct way *w = &a->ways[a->winner];
	struct buf text = BUF_INIT;
	json_t *j = json_object();

	json_object_set_new(j, "verdict", json_string(a->verdict));
	json_object_set_new(j, "winner", json_string(w->name));
	json_object_set_new(j, "measure", json_string(measure_names[a->first->what]));
	json_object_set_new(j, "score_choose", jsonx_number(w->score[a->first_at].mean));
	json_object_set_new(j, "score_test", jsonx_number(a->test_score[a->first_at].mean));
	json_object_set_new(j, "score_test_low", jsonx_number(or_zero(a->test_bounds[a->first_at].low)));
	json_object_set_new(j, "score_test_high", jsonx_number(or_zero(a->test_bounds[a->first_at].high)));
	json_object_set_new(j, "goal", goal_json(a));
	json_object_set_new(j, "looks", json_integer(a->looks));
	json_object_set_new(j, "seconds_winner", jsonx_number(or_zero(w->make_seconds)));
	json_object_set_new(j, "joules_winner", jsonx_number(or_zero(w->make_joules)));
	json_object_set_new(j, "seconds_per_use", jsonx_number(a->climb.ways[a->winner].use_seconds));
	json_object_set_new(j, "joules_per_use", jsonx_number(or_zero(w->look_joules / (double)w->n)));
	json_object_set_new(j, "uses", jsonx_number(a->o.uses));
	json_object_set_new(j, "rows_train", json_integer((json_int_t)a->task.side_n[SIDE_TRAIN]));
	json_object_set_new(j, "rows_choose", json_integer((json_int_t)a->n_choose));
	json_object_set_new(j, "rows_test", json_integer((json_int_t)a->n_test));
	json_object_set_new(j, "model", w->on ? jsonx_path(w->on->path) : json_null());
	json_object_set_new(j, "ceiling", jsonx_number(a->known.ceiling));
	if (!isnan(a->known.majority))
		json_object_set_new(j, "floor", jsonx_number(a->known.majority));
	json_object_set_new(j, "ways", scores_of_ways(a));
	adapt_put_seeds(a, a->winner, j);
	adapt_put_worth(a, j);
	adapt_put_more(a, j);
	json_object_set_new(j, "out", jsonx_path(a->dir));
	adapt_sentences(a, &text);
	json_object_set_new(j, "why", jsonx_text(buf_str(&text), text.len));
	buf_release(&text);
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	return j;
}

/* --- five sentences --- */

static size_t runner_up(const struct adapt *a)
{
	size_t best = a->climb.n;

	for (size_t i = 0; i < a->climb.n; i++)
		if (i != a->winner && adapt_is_measured(a, i) &&
		    (best == a->climb.n || a->climb.ways[i].quality > a->climb.ways[best].quality))
			best = i;
	return best;
}

/* Of what is put together the parts, as they were when it was; of others what they are. */
static const char *what_it_is(const struct adapt *a)
{
	const json_t *all = json_object_get(a->state, "decisions");

	for (size_t i = json_array_size(all); a->ways[a->winner].rung->combines && i-- > 0;) {
		const json_t *d = json_array_get(all, i);
		const char *act = json_string_value(json_object_get(d, "act")),
		           *is = json_string_value(json_object_get(d, "is"));
		if (act && is && !strcmp(act, "combine"))
			return is;
	}
	return a->ways[a->winner].rung->summary;
}

static void say_result(const struct adapt *a, struct buf *out)
{
	const struct way *w = &a->ways[a->winner];
	struct bounds b = a->test_bounds[a->first_at];

	buf_addf(out,
	         "%s (%s) was chosen: %s %.4g on the %zu rows that it was chosen by, %s on %zu test rows that no "
	         "choice had seen",
	         w->name, what_it_is(a), measure_names[a->first->what], w->score[a->first_at].mean, w->n,
	         adapt_score_text(a->test_score[a->first_at].mean, b.low, b.high), a->n_test);
	if (a->n_opened)
		buf_addf(out, ", of which %zu were opened before: look %d, judged with %.4g %%", a->n_opened,
		         a->test_look, 100 * (1 - a->test_alpha));
	buf_adds(out, ".\n");
	for (size_t k = 0; a->has_goal && k < a->goal.n; k++)
		buf_addf(out, "%s%s", k ? " and " : "", goal_term_text(&a->goal.term[k]));
	if (a->has_goal)
		buf_addf(out, " is %s: %s.\n",
		         !strcmp(a->verdict, "shown")       ? "shown" :
		         !strcmp(a->verdict, "unreachable") ? "unreachable" :
		                                              "not shown",
		         a->why_verdict);
	else
		buf_addf(out, "There was no goal, so the best for the gas was looked for: %s.\n", a->why_verdict);
}

/* The goal's other terms, as they came out. */
static void say_others(const struct adapt *a, struct buf *out)
{
	for (size_t k = 0; a->has_goal && k < a->goal.n; k++) {
		const struct goal_term *t = &a->goal.term[k];
		struct bounds b = a->test_bounds[k];
		if (t == a->first)
			continue;
		buf_addf(out, "%s: %s, ", goal_term_text(t), term_shown(a, k) ? "so it is" : "it is not so");
		if (!measure_is_score(t->what))
			buf_addf(out, "%s.\n", adapt_cost_text(t->what, adapt_cost_of(a, a->winner, t->what)));
		else if (a->test_score[k].n)
			buf_addf(out, "%s on test.\n", adapt_score_text(a->test_score[k].mean, b.low, b.high));
		else
			buf_adds(out, "it cannot be measured of this way.\n");
	}
}

/* An answer's gas, part by part. */
static void say_parts(const struct adapt *a, struct buf *out)
{
	static const char *const what[DOINGS] = { "for finding what the documents have", "for reading", "for writing" };
	const struct way *w = &a->ways[a->winner];
	double seconds[DOINGS];
	char time[32], joules[32];
	bool said = false;

	if (!parts_of(w, seconds))
		return;
	buf_addf(out, "An answer takes %s", predict_human(w->look_seconds / (double)w->n, time));
	if (w->look_joules > 0)
		buf_addf(out, " and %s", gas_joules(w->look_joules / (double)w->n, joules));
	for (int k = 0; k < DOINGS; k++) {
		if (!(seconds[k] > 0))
			continue;
		buf_addf(out, "%s %s", said ? "," : ":", predict_human(seconds[k], time));
		if (w->look_joules > 0)
			buf_addf(out, " and %s", gas_joules(joules_of(w, seconds[k]), joules));
		buf_addf(out, " %s", what[k]);
		said = true;
	}
	buf_adds(out, ".\n");
}

static void say_runner_up(const struct adapt *a, struct buf *out)
{
	size_t i = runner_up(a);
	char make[32], own[32];
	const struct way *w = &a->ways[a->winner];

	if (i == a->climb.n) {
		buf_addf(out, "No other way was measured.\n");
		return;
	}
	predict_human(a->ways[i].make_seconds, make);
	predict_human(w->make_seconds, own);
	struct cost_line x = cost_line_of(a, a->winner), y = cost_line_of(a, i);
	struct break_even b = break_even(&x, &y);
	buf_addf(out, "The next best, %s, reached %.4g and took %s to make, the winner %s", a->ways[i].name,
	         a->ways[i].score[a->first_at].mean, a->ways[i].make_seconds > 0 ? make : "nothing",
	         w->make_seconds > 0 ? own : "nothing");
	if (b.crosses && b.uses.mid >= 1.5)
		sentence_add(out, "; over %s than %.0f uses %s costs less in all.\n",
		             b.many == CHEAPER_B ? "more" : "fewer", b.uses.mid, a->ways[i].name);
	else
		buf_addf(out, "; %s costs less, however many uses there are.\n",
		         b.many == CHEAPER_B ? a->ways[i].name : "the winner");
}

/* What a way costs in joules, over all uses. NAN: it is not known. */
static double joules_in_all(const struct adapt *a, size_t i)
{
	const struct way *w = &a->ways[i];

	return w->make_joules + a->o.uses * w->look_joules / (double)w->n;
}

/* Ways are compared by seconds. Prices change that where energy is dear and another way that is as good takes less. */
static void say_prices(const struct adapt *a, struct buf *out)
{
	double own = joules_in_all(a, a->winner), least = own;
	size_t best = a->winner;

	if (!(own > 0))
		return;
	for (size_t i = 0; i < a->climb.n; i++)
		if (adapt_is_measured(a, i) && a->climb.ways[i].quality >= a->climb.ways[a->winner].quality &&
		    joules_in_all(a, i) < least) {
			least = joules_in_all(a, i);
			best = i;
		}
	if (best == a->winner)
		buf_addf(out, "; no price of energy would: of the ways that are as good it takes the least, %.3g J "
		         "over %.0f uses", own, a->o.uses);
	else
		sentence_add(out, "; where energy is dear and time is not, %s would: %.3g J over %.0f uses, not %.3g",
		             a->ways[best].name, least, a->o.uses, own);
}

/* Ways that were not tried: for want of gas, or as they promised too little. */
static void say_left(const struct adapt *a, struct buf *out)
{
	size_t left = 0, dear = 0, first = a->climb.n;
	char text[32];

	for (size_t i = 0; i < a->climb.n; i++) {
		const struct climb_way *c = &a->climb.ways[i];
		double missing = climb_missing(&a->climb, c);
		left += !c->apart && (c->state == CLIMB_LEFT || c->state == CLIMB_WAITS) && !(missing > 0);
		dear += missing > 0;
		if (missing > 0 && (first == a->climb.n || missing < climb_missing(&a->climb, &a->climb.ways[first])))
			first = i;
	}
	if (dear)
		sentence_add(out, "For %zu ways --max-gas had no room: with %s more %s could have been tried.\n", dear,
		             predict_human(climb_missing(&a->climb, &a->climb.ways[first]), text),
		             a->ways[first].name);
	if (left)
		buf_addf(out, "%zu %s not tried, as less was promised of %s than %s.\n", left,
		         left == 1 ? "way was" : "ways were", left == 1 ? "it" : "them",
		         a->has_goal && !strcmp(a->verdict, "shown") ? "finding out would take" :
		         left == 1                                         ? "its gas is worth" :
		                                                             "their gas is worth");
	if (!dear && !left)
		buf_adds(out, "No other way is left to try.\n");
}

static void say_what_would_change(const struct adapt *a, struct buf *out)
{
	struct bounds b = a->test_bounds[a->first_at];

	adapt_say_worth(a, out);
	double most = a->first->at_least ? b.low : b.high;
	if (measure_is_share(a->first->what) && !(most > 0))
		buf_adds(out, "What would change this: no goal would be shown by the same test");
	else
		buf_addf(out, "What would change this: a goal %s %.4g would be shown by the same test",
		         a->first->at_least ? "of at most" : "of at least", most);
	say_prices(a, out);
	buf_adds(out, ".\n");
	say_left(a, out);
}

void adapt_sentences(const struct adapt *a, struct buf *out)
{
	say_result(a, out);
	say_others(a, out);
	say_parts(a, out);
	adapt_say_seeds(a, out);
	adapt_say_bought(a, out);
	say_runner_up(a, out);
	say_what_would_change(a, out);
}
