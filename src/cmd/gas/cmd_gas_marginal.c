/* gas marginal: what more labels (tokens, steps) are worth: a power law through measured errors, its band, the worth of
 * the next ones, and where to stop. The fit is gas/curve; a point is figures, what eval --json said of a run on that
 * many labels, or what the ledger knows (gas_learning), where
 * --measure puts it first (gas_measure). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/adapt/adapt.h"
#include "cmd/gas/gas_measure.h"
#include "cmd/gas/gas_numbers.h"
#include "cmd/metering.h"
#include "cmd/tune_common.h"
#include "data/rows.h"
#include "feedback/said.h"
#include "feedback/worth.h"
#include "gas/learning_curve.h"

extern const struct command cmd_gas_marginal;

enum { PLACES = 60 };
#define MISFIT 2                   /* from so many standard errors on it is said */

struct marginal {
	struct common common;
	double next, value, label_cost, from;
	bool no_floor, measure;
	int64_t seed;
	const char *out, *over, *unit, *at, *eval_data, *runs;
};

static const struct opt marginal_opts[] = {
	OPT_FLOAT("next", struct marginal, next, "100", 1, 1e15,
	          "labels whose worth is asked for, on top of the most that was measured"),
	OPT_FLOAT("value", struct marginal, value, NULL, 0, 1e18,
	          "worth of an error of 1 becoming 0, in the unit of --label-cost"),
	OPT_FLOAT("label-cost", struct marginal, label_cost, NULL, 0, 1e18,
	          "cost of one more label, its training included (default, of people's labels: the seconds that one "
	          "took, or their price at the file's wage)"),
	OPT_FLOAT("from", struct marginal, from, "0", 0, 1e15,
	          "points of fewer labels are shown and not fitted: a power law begins where something is learned"),
	OPT_FLAG("no-floor", struct marginal, no_floor, "false",
	         "the error goes to 0 in the end: two points are enough"),
	OPT_INT("seed", struct marginal, seed, "42", 0, 9007199254740991.0, "of the band's draws"),
	OPT_CHOICE("over", struct marginal, over, "labels", "labels|tokens|steps",
	           "of the ledger's runs: what the curve is over; tokens: supervised ones"),
	OPT_CHOICE("unit", struct marginal, unit, "seconds", "seconds|joules|money", "of the ledger's costs"),
	OPT_STRING("out", struct marginal, out, NULL, "FILE.svg", "the curve as SVG"),
	OPT_STRING("eval-data", struct marginal, eval_data, NULL, "FILE",
	           "of a run: rows whose errors count (default: those of its newest eval; to measure, its own)"),
	OPT_GROUP("Measuring"),
	OPT_FLAG("measure", struct marginal, measure, "false",
	         "first tunes and evaluates as the run did, on parts of its rows; the same command goes on"),
	OPT_STRING("at", struct marginal, at, NULL, "LIST",
	           "rows of each part, as 100,200,400 (default: halves, to three parts of 20 or more)"),
	OPT_STRING("runs", struct marginal, runs, NULL, "DIR",
	           "where parts and runs are kept (default: the run's folder and -marginal)"),
	COMMON_OPTS(struct marginal, common),
	OPT_END
};

/* N:ERROR[±HALF] or N:FILE of eval --json. */
static int read_point(struct curve_point *p, const char *text, struct err *e)
{
	char *end;
	double n = strtod(text, &end);
	struct span s;

	if (end == text || *end != ':' || !(n > 0) || !isfinite(n))
		return err_set(e, "%s: LABELS:ERROR, LABELS:ERROR±HALF or LABELS:FILE was wanted", text);
	if (strspn(end + 1, "0123456789.") > 0) {
		if (number_parse(&s, end + 1, "the error", e) < 0)
			return -1;
		*p = (struct curve_point){ n, s.mid, (s.high - s.mid) / SPAN_Z };
		return 0;
	}
	json_t *j = summary_load(end + 1, e);
	int status = j ? summary_quality(&s, j, end + 1, e) : -1;
	if (!status)
		*p = (struct curve_point){ n, 1 - s.mid, span_sigma(s) };
	json_decref(j);
	return status;
}

static int draw(const struct marginal *o, const struct curve *c, const struct curve_point *p, size_t n, double least,
                double most, struct err *e)
{
	static double x[PLACES], y[3][PLACES], px[POINTS], py[POINTS];

	for (int i = 0; i < PLACES; i++) {
		x[i] = least * pow(4 * most / least, (double)i / (PLACES - 1));
		struct span s = curve_at(c, x[i]);
		y[0][i] = s.mid;
		y[1][i] = s.low;
		y[2][i] = s.high;
	}
	for (size_t i = 0; i < n; i++) {
		px[i] = p[i].n;
		py[i] = p[i].err;
	}
	struct chart_series series[] = {
		{ .name = "fit",
		  .x = x,
		  .y = y[0],
		  .low = c->has_band ? y[1] : NULL,
		  .high = c->has_band ? y[2] : NULL,
		  .n = PLACES },
		{ .name = "measured", .x = px, .y = py, .n = n, .points = true },
	};
	struct chart chart = { .title = "learning curve",
		               .x_label = o->over,
		               .y_label = "error",
		               .x_log = true,
		               .series = series,
		               .n_series = 2 };
	return chart_write(o->out, &chart, e);
}

/* What the curve says, and of runs of the ledger what more labels cost and what that bought elsewhere. */
struct answer {
	struct span now, gain, stop, worth;
	double most, next_cost;        /* NAN: figures have none */
	const struct curve_point *points; /* [n] all of them, those that were not fitted too */
	size_t n;
	bool falls;                    /* the error at the most labels lies below that at the fewest */
	const struct curve_point *few, *many;
	struct span bought;
	const struct elsewhere *best;
};

static void ask(struct answer *a, const struct marginal *o, const struct curve *c, const struct learning *l)
{
	a->now = curve_at(c, a->most);
	a->gain = curve_gain(c, a->most, a->most + o->next);
	a->stop = a->worth = a->bought = span_exact(NAN);
	a->next_cost = NAN;
	if (!a->falls) { /* nothing to go on with */
		a->gain = span_exact(NAN);
		return;
	}
	if (o->value > 0 && o->label_cost > 0)
		a->stop = curve_stop(c, o->value, o->label_cost);
	if (o->value > 0)
		a->worth = span_scale(a->gain, o->value);
	a->next_cost = l->n ? o->next * learning_cost_of_one(l) : NAN;
	a->best = l->n ? learning_best(l, a->next_cost, &a->bought) : NULL;
}

/* An error is not below 0; those of runs are shares, and not above 1. */
static struct span error_of(const struct curve_point *p, const struct learning *l)
{
	struct span s = p->se > 0 ? span_error(p->err, p->se) : span_exact(p->err);

	s.low = fmax(s.low, 0);
	s.high = l->n ? fmin(s.high, 1) : s.high;
	return s;
}

static json_t *points_json(const struct marginal *o, const struct curve *c, const struct answer *a,
                           const struct learning *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->n; i++) {
		json_t *j = json_pack("{s:f}", "labels", a->points[i].n);
		span_put(j, "error", error_of(&a->points[i], l));
		json_object_set_new(j, "fitted", json_boolean(a->points[i].n >= o->from));
		json_object_set_new(j, "curve", jsonx_number(curve_at(c, a->points[i].n).mid));
		json_object_set_new(j, "cost", jsonx_number(l->n ? l->cost[i] : NAN));
		json_array_append_new(list, j);
	}
	return list;
}

static void put_answer(const struct marginal *o, const struct curve *c, const struct answer *a,
                       const struct learning *l)
{
	json_t *j = json_pack("{s:f, s:f, s:f, s:s, s:f, s:f}", "a", c->a, "b", c->b, "c", c->c, "over", o->over,
	                      "labels", a->most, "next", o->next);

	json_object_set_new(j, "misfit", jsonx_number(c->misfit));
	json_object_set_new(j, "points", points_json(o, c, a, l));
	span_put(j, "error", a->now);
	json_object_set_new(j, "falls", json_boolean(a->falls));
	span_put(j, "gain", a->gain);
	span_put(j, "worth", a->worth);
	span_put(j, "stop", a->stop);
	if (l->n) {
		json_object_set_new(j, "runs", json_integer((json_int_t)l->n));
		json_object_set_new(j, "unit", json_string(o->unit));
		json_object_set_new(j, "next_cost", jsonx_number(a->next_cost));
		span_put(j, "opportunity", a->bought);
		json_object_set_new(j, "opportunity_run", a->best ? json_string(a->best->run) : json_null());
	}
	app_json(j);
	json_decref(j);
}

/* The ledger's currency, where costs are money. */
static const char *unit_shown(const struct marginal *o, const struct learning *l)
{
	for (size_t i = 0; i < l->view.all.n && !strcmp(o->unit, "money"); i++)
		if (l->view.all.items[i].gas.money.currency[0])
			return l->view.all.items[i].gas.money.currency;
	return o->unit;
}

static void show_points(const struct marginal *o, const struct curve *c, const struct answer *a,
                        const struct learning *l)
{
	const char *const heads[] = { o->over, "error", "curve", "to learn, " };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0xf };
	struct buf text = BUF_INIT;
	char number[32];

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s%s", heads[i], i + 1 < ARRAY_LEN(heads) ? "" : unit_shown(o, l));
	for (size_t i = 0; i < a->n; i++) {
		table_cell(&t, "%s", digits_text(a->points[i].n, number));
		span_cell(&t, error_of(&a->points[i], l));
		if (a->points[i].n < o->from)
			table_cell(&t, "not fitted");
		else
			span_cell(&t, span_exact(curve_at(c, a->points[i].n).mid));
		amount_cell(&t, l->cost[i], unit_shown(o, l));
	}
	table_write(&text, &t, "");
	app_print("%s", buf_str(&text));
	buf_release(&text);
	table_release(&t);
}

static void show_ledger(const struct marginal *o, const struct answer *a, const struct learning *l)
{
	char text[96], next[32], cost[128];

	app_print("learning from the next %s %s takes %s\n", digits_text(o->next, next), o->over,
	          amount_text(a->next_cost, unit_shown(o, l), cost));
	span_text(text, a->bought);
	if (a->best)
		app_print("opportunity cost: elsewhere as much gas lowered the error by %s: %s (run %.8s), which took "
		          "%s in all\n",
		          text, a->best->name, a->best->run, amount_text(a->best->cost, unit_shown(o, l), cost));
	else if (isnan(l->before.mid))
		app_print("opportunity cost: not known; kungfu eval of the model as it is on %s tells from where the "
		          "others began\n",
		          l->data);
	else
		app_print("opportunity cost: no other run of the ledger was evaluated on %s\n", l->data);
}

/* More did not help: no power law says what still more would do. */
static void show_no_fall(const struct marginal *o, const struct answer *a, const struct learning *l)
{
	struct span few = error_of(a->few, l), many = error_of(a->many, l);
	char first[96], last[96], small[32], most[32], next[32];
	bool apart = many.low > few.high;

	span_text(first, few);
	span_text(last, many);
	app_print("more %s did not lower the error: %s at %s, %s at %s. No curve goes on from there, so nothing is "
	          "said of the next %s.\n",
	          o->over, first, digits_text(a->few->n, small), last, digits_text(a->many->n, most),
	          digits_text(o->next, next));
	app_print(apart ? "It rose by more than chance: what is trained is not what is asked, or the recipe harms "
	                  "(learning rate, steps, rows of another kind); kungfu plot shows the losses\n" :
	                  "The errors cannot be told apart: more rows to evaluate on, or more seeds, would; until then "
	                  "no label is known to be worth its cost\n");
}

static void show(const struct marginal *o, const struct curve *c, const struct answer *a, const struct learning *l)
{
	char text[96], more[96], number[3][32];

	if (l->n) {
		app_print("%zu runs of the ledger, evaluated on %s\n", l->n, l->data);
		show_points(o, c, a, l);
	}
	if (!a->falls) {
		show_no_fall(o, a, l);
		return;
	}
	app_print("error = %s · %s^-%s + %s\n", digits_text(c->a, number[0]), o->over, digits_text(c->b, number[1]),
	          digits_text(c->c, number[2]));
	if (c->misfit > MISFIT)
		app_print("the points lie %.2g times as far off it as their errors allow, so the band is as much "
		          "wider; --from N leaves out sizes at which little was "
		          "learned yet\n",
		          c->misfit);
	span_text(text, a->now);
	app_print("at %s %s the curve is at %s%s\n", digits_text(a->most, number[0]), o->over, text,
	          c->has_band ? "" : " (too few points for a band)");
	span_text(text, a->gain);
	span_text(more, a->worth);
	app_print("the next %s %s lower it by %s%s%s\n", digits_text(o->next, number[0]), o->over, text,
	          isnan(a->worth.mid) ? "" : ", worth ", isnan(a->worth.mid) ? "" : more);
	if (l->n)
		show_ledger(o, a, l);
	span_text(text, a->stop);
	if (!isnan(a->stop.mid))
		app_print("stop at %s %s: one more costs what it brings; %s\n", text, o->over,
		          a->stop.mid > a->most ? "go on" : "you are there");
}

/* The points from o->from on, in `kept`. */
static size_t choose(const struct marginal *o, const struct curve_point *points, size_t n,
                     struct curve_point kept[POINTS])
{
	size_t some = 0;

	for (size_t i = 0; i < n; i++)
		if (points[i].n >= o->from)
			kept[some++] = points[i];
	return some;
}

static int fit(const struct app *app, const struct marginal *o, struct learning *l, const struct curve_point *points,
               size_t n, struct err *e)
{
	struct answer a = { .points = points, .n = n };
	struct curve_point kept[POINTS];
	struct curve c;
	double least = INFINITY;
	size_t some = choose(o, points, n, kept);

	for (size_t i = 0; i < some; i++) {
		least = MIN(least, kept[i].n);
		a.most = MAX(a.most, kept[i].n);
		a.few = !a.few || kept[i].n < a.few->n ? &kept[i] : a.few;
		a.many = !a.many || kept[i].n > a.many->n ? &kept[i] : a.many;
	}
	if (curve_fit(&c, kept, some, o->no_floor, (uint64_t)o->seed, e) < 0)
		return -1;
	a.falls = c.a > 0 && a.many->err < a.few->err;
	ask(&a, o, &c, l);
	if (app->json)
		put_answer(o, &c, &a, l);
	else
		show(o, &c, &a, l);
	int status = o->out ? draw(o, &c, points, n, least, a.most, e) : 0;
	curve_release(&c);
	return status;
}

static enum cost_unit unit_of(const struct marginal *o)
{
	return !strcmp(o->unit, "seconds") ? COST_SECONDS : !strcmp(o->unit, "joules") ? COST_JOULES : COST_MONEY;
}

static enum learning_over over_of(const struct marginal *o)
{
	return !strcmp(o->over, "labels") ? OVER_LABELS : !strcmp(o->over, "tokens") ? OVER_TOKENS : OVER_STEPS;
}

/* Of a run of the ledger, measured first where that is wanted. 1: stopped. */
static int of_run(const struct app *app, const struct marginal *o, const char *what, struct learning *l, struct err *e)
{
	struct measure m = {
		.common = &o->common, .run = what, .eval_data = o->eval_data, .at = o->at, .runs = o->runs
	};
	struct rows rows;
	int status = o->measure ? measure_runs(&m, e) : 0;

	if (!status && !o->measure && o->eval_data && (status = rows_load(&rows, o->eval_data, e)) == 0) {
		memcpy(m.data, rows.hash, sizeof(m.data));
		rows_release(&rows);
	}
	if (!status) {
		char *ledger = metering_ledger_path(&o->common);
		status = learning_read(l, ledger, tune_opts, what, m.data[0] ? m.data : NULL, over_of(o), unit_of(o),
		                       e);
		mem_free(ledger);
	}
	return status ? status : fit(app, o, l, l->points, l->n, e);
}

/* What a run of adapt measured of the way that it chose. */
static int of_adapt(const struct app *app, const struct marginal *o, const char *dir, struct learning *l, struct err *e)
{
	struct curve_point points[POINTS];
	struct marginal own = *o;
	bool no_floor;
	size_t n;

	if (o->measure)
		return err_set(e, "--measure is of runs of tune: kungfu adapt --measure-worth measures as it goes");
	if (adapt_curve(dir, points, POINTS, &n, &no_floor, e) < 0)
		return -1;
	own.no_floor |= no_floor;
	return fit(app, &own, l, points, n, e);
}

/* Of people's labels: the error of a reward head, and the price of a label by what raters took and are paid. */
static int of_feedback(const struct app *app, const struct marginal *o, const char *path, struct learning *l,
                       struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct marginal own = *o;
	struct feedback *f = NULL;
	struct said s;
	struct worth w;
	struct comparison *c;
	const char *model;

	if (o->measure)
		return err_set(e, "--measure is of runs of tune; %s holds labels", path);
	int status = feedback_open(&f, path, false, e) < 0 || said_load(&s, f, &mem, e) < 0 ||
	             feedback_states(f, &mem, s.items, s.n_items, &s.states, &model, e) < 0 ? -1 : 0;
	size_t n = status == 0 ? comparisons_of(&s, &mem, &c) : 0;
	if (status == 0)
		status = worth_of(&w, &s, c, n, (uint64_t)o->seed, e);
	if (status == 0) {
		double seconds = said_seconds(&s), wage = s.study->wage;
		if (!(own.label_cost > 0) && seconds > 0)
			own.label_cost = wage > 0 ? seconds / 3600 * wage : seconds;
		if (!app->json && seconds > 0)
			app_print("a label takes %.3g s of a rater%s; the error is that of a reward head on %s\n",
			          seconds, wage > 0 ? ", at the wage that the file has" : "", path);
		status = fit(app, &own, l, w.points, w.n, e);
	}
	feedback_close(f);
	arena_release(&mem);
	return status;
}

static int marginal(const struct app *app, const struct marginal *o, const struct opt_parse *p, struct learning *l,
                    struct err *e)
{
	struct curve_point points[POINTS];

	if (p->n_positional == 1 && feedback_is(p->positional[0]))
		return of_feedback(app, o, p->positional[0], l, e);
	if (p->n_positional == 1 && adapt_is(p->positional[0]))
		return of_adapt(app, o, p->positional[0], l, e);
	if (p->n_positional == 1 && (io_exists(p->positional[0]) || !strchr(p->positional[0], ':')))
		return of_run(app, o, p->positional[0], l, e);
	if (o->measure)
		return err_set(e, "--measure wants one run of the ledger, not points");
	for (size_t i = 0; i < p->n_positional; i++)
		if (read_point(&points[i], p->positional[i], e) < 0)
			return -1;
	return fit(app, o, l, points, p->n_positional, e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct learning l = { 0 };
	int status = marginal(app, options, p, &l, e);

	learning_release(&l);
	return status <= 0 ? status : EXIT_STOPPED;
}

const struct command cmd_gas_marginal = {
	.name = "gas marginal",
	.summary = "what more labels are worth, and where to stop: a power law through the errors of a run of the "
	           "ledger and those on less data, of people's feedback, or at "
		   "LABELS:ERROR, or LABELS:FILE of eval --json",
	.usage = "RUN [--measure]|F.db|LABELS:ERROR… [--value V --label-cost C]",
	.example = "kungfu gas marginal 100:.6 200:.5 400:.43",
	.brief = "worth of more labels",
	.looks = true,
	.order = 76,
	.opts = marginal_opts,
	.options_size = sizeof(struct marginal),
	.least = 1,
	.most = POINTS,
	.wanted = "a run of the ledger was wanted, or 2 to 64 points, each as LABELS:ERROR or LABELS:FILE",
	.run = run,
};
