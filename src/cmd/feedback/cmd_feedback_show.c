/* feedback show: what people said so far (feedback/report.h), and what more of it is worth (feedback/worth.h). */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/text_table.h"
#include "feedback/report.h"
#include "feedback/said.h"
#include "feedback/worth.h"
#include "gas/ledger_view.h"

struct show {
	struct common common;
	int64_t draws, seed;
};

static const struct opt show_opts[] = {
	OPT_INT("draws", struct show, draws, "500", 0, 100000, "of the bootstrap, for intervals; 0: none"),
	OPT_INT("seed", struct show, seed, "42", 0, 9007199254740991.0, "of draws"),
	COMMON_OPTS(struct show, common),
	OPT_END
};

struct shown {
	struct app *app;
	const char *path;
	struct said said;
	struct report r;
	struct worth worth;
	bool has_worth;
	/* of the ledger's runs that took this file in */
	size_t runs;
	double joules, machine_seconds;
};

/* --- what machines took --- */

static bool took_in(const struct entry *x, const char *path)
{
	for (size_t i = 0; i < x->n_uses; i++) {
		const struct artefact_use *u = &x->uses[i];
		if (!u->out && u->artefact.path && !strcmp(u->artefact.path, path))
			return entry_is_use(x);
	}
	return false;
}

/* A ledger that is not there, or cannot be read, knows of none. */
static void count_runs(struct shown *s, const struct common *common)
{
	char *ledger = metering_ledger_path(common), whole[PATH_MAX];
	struct ledger_view v = { 0 };
	struct err unknown;

	if (ledger && realpath(s->path, whole) && ledger_view_open(&v, ledger, &unknown) == 0)
		for (size_t i = 0; i < v.all.n; i++) {
			const struct entry *x = &v.all.items[i];
			if (!took_in(x, whole))
				continue;
			s->runs++;
			s->joules += isnan(x->gas.energy.joules) ? 0 : x->gas.energy.joules;
			s->machine_seconds += isnan(x->gas.seconds) ? 0 : x->gas.seconds;
		}
	ledger_view_close(&v);
	mem_free(ledger);
}

/* --- JSON --- */

static json_t *worth_json(const struct worth *w)
{
	json_t *points = json_array();

	for (size_t i = 0; i < w->n; i++)
		json_array_append_new(points, json_pack("{s:f, s:f, s:f}", "labels", w->points[i].n, "error",
		                                        w->points[i].err, "stderr", w->points[i].se));
	return json_pack("{s:o, s:f, s:o, s:i, s:o, s:o, s:o}", "points", points, "labels", w->labels, "error",
	                 jsonx_number(w->error.mid), "next", WORTH_NEXT, "gain", jsonx_number(w->gain.mid), "gain_low",
	                 jsonx_number(w->gain.low), "gain_high", jsonx_number(w->gain.high));
}

/* Those that have said something; the others are only let in. */
static size_t raters_at_work(const struct report *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_raters; i++)
		n += r->raters[i].labels + r->raters[i].skipped > 0;
	return n;
}

/* The report's numbers; those that are asked for most come last. */
static void put(const struct shown *s)
{
	static const char *const last[] = { "krippendorff_alpha", "items", "labels", "raters", "seconds_per_label" };
	json_t *j = report_json(&s->r), *out = json_pack("{s:o, s:s}", "feedback", jsonx_path(s->path), "ask",
	                                                 feedback_ask_names[s->said.study->ask]);

	json_object_set(j, "people", json_object_get(j, "raters"));
	json_object_set_new(j, "raters", json_integer((json_int_t)raters_at_work(&s->r)));
	json_object_set_new(j, "runs", json_integer((json_int_t)s->runs));
	json_object_set_new(j, "runs_seconds", jsonx_number(s->machine_seconds));
	json_object_set_new(j, "runs_joules", jsonx_number(s->joules));
	json_object_set_new(j, "worth", s->has_worth ? worth_json(&s->worth) : json_null());
	json_object_update(out, j);
	for (size_t i = 0; i < ARRAY_LEN(last); i++) {
		json_object_del(out, last[i]);
		json_object_set(out, last[i], json_object_get(j, last[i]));
	}
	json_decref(j);
	app_summary(s->app, out);
}

/* --- text --- */

static void show_agreement(const struct report *r)
{
	static const char *const measurements[] = { "nominal", "ordinal", "interval" };

	if (isnan(r->alpha.value)) {
		app_print("agreement: not known; no item was judged by two, or all said the same\n");
		return;
	}
	app_print("agreement: Krippendorff's alpha %.3f (%.3f to %.3f), %s; %.1f %% of the others say the same\n",
	          r->alpha.value, r->alpha.low, r->alpha.high, measurements[r->measurement], 100 * r->percent.value);
	app_print("%zu were judged more than once, %.1f %% of them by all alike\n", r->several,
	          100 * (double)r->unanimous / (double)r->several);
	if (!isnan(r->noise.error.value))
		app_print("noise: %.1f %% of labels are wrong (%.1f to %.1f): no reward model can agree with more than "
		          "%.1f %% of single ones\n",
		          100 * r->noise.error.value, 100 * r->noise.error.low, 100 * r->noise.error.high,
		          100 * (1 - r->noise.error.value));
}

static void show_bias(const struct bias *b)
{
	if (b->n_first)
		app_print("sides: the first one shown won %.1f %% of %zu\n", 100 * b->first_won, b->n_first);
	if (b->n_longer)
		app_print("length: the longer one won %.1f %% of %zu\n", 100 * b->longer_won, b->n_longer);
	if (!isnan(b->side.value))
		app_print("both at once: side %+.2f ± %.2f, length %+.2f ± %.2f in log odds%s\n", b->side.value,
		          b->side.stderr_, b->length.value, b->length.stderr_,
		          b->strengths ? ", the models' strengths beside" : "");
}

static void number_cell(struct table *t, const char *format, double x)
{
	char text[32] = "-";

	if (!isnan(x))
		snprintf(text, sizeof(text), format, x);
	table_cell(t, "%s", text);
}

static void write_table(struct table *t)
{
	struct buf text = BUF_INIT;

	table_write(&text, t, "");
	app_print("%s", buf_str(&text));
	buf_release(&text);
	table_release(t);
}

static void show_standings(const struct standings *st)
{
	static const char *const heads[] = { "model", "rating", "from", "to", "won", "tied", "of" };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x7e };

	if (st->n == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < st->n; i++) {
		const struct standing *at = &st->at[i];
		table_cell(&t, "%s", at->model);
		number_cell(&t, "%.0f", at->rating.value);
		number_cell(&t, "%.0f", at->rating.low);
		number_cell(&t, "%.0f", at->rating.high);
		number_cell(&t, "%.0f", at->won);
		number_cell(&t, "%.0f", at->tied);
		number_cell(&t, "%.0f", at->games);
	}
	write_table(&t);
	if (st->islands > 1)
		app_print("the models are %d groups that never met: ratings compare inside a group alone\n",
		          st->islands);
	else if (st->groups > 1)
		app_print("who won or lost all against others has no rating against them; the better are above\n");
}

static double rate(struct rate r) { return r.n > 0 ? 100 * r.right / r.n : NAN; }

static void show_raters(const struct report *r)
{
	static const char *const heads[] = { "rater", "labels", "skipped", "seconds", "repeats, %", "gold, %",
		                             "reliable, %", "" };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x7e };

	if (r->n_raters == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < r->n_raters; i++) {
		const struct rater_facts *f = &r->raters[i];
		table_cell(&t, "%s", f->name);
		table_cell(&t, "%zu", f->labels);
		table_cell(&t, "%zu", f->skipped);
		number_cell(&t, "%.0f", f->seconds_per_label);
		number_cell(&t, "%.0f", rate(f->repeats));
		number_cell(&t, "%.0f", rate(f->gold));
		number_cell(&t, "%.0f", 100 * f->reliability);
		table_cell(&t, "%s", f->flagged ? "clicks blindly?" : "");
	}
	write_table(&t);
}

static void show_price(const struct shown *s)
{
	const struct report *r = &s->r;
	char time[32], next[32];

	if (r->timed == 0)
		return;
	clock_human(r->seconds, time);
	app_print("people: %s for %zu labels, %.0f s each", time, r->timed, r->seconds_per_label);
	app_print(isnan(r->money) ? "\n" : ", %.2f at %g an hour\n", r->money, s->said.study->wage);
	clock_human(s->machine_seconds, next);
	if (s->runs)
		app_print("machines: %s and %.3g J for %zu runs that took them in\n", next, s->joules, s->runs);
	clock_human(WORTH_NEXT * r->seconds_per_label, next);
	if (s->has_worth)
		app_print("the next %d labels take %s\n", WORTH_NEXT, next);
}

static void show_worth(const struct shown *s)
{
	const struct worth *w = &s->worth;

	if (!s->has_worth)
		return;
	if (!w->falls)
		app_print("worth: more labels did not lower the error of a reward head (%.3f at %.0f, %.3f at %.0f)\n",
		          w->points[0].err, w->points[0].n, w->points[w->n - 1].err, w->points[w->n - 1].n);
	else
		app_print("worth: a reward head errs in %.1f %% at %.0f labels; the next %d lower it by %.2f points "
		          "(%.2f to %.2f); kungfu gas marginal %s weighs that against their price\n",
		          100 * w->error.mid, w->labels, WORTH_NEXT, 100 * w->gain.mid, 100 * w->gain.low,
		          100 * w->gain.high, s->path);
	if (w->error.low <= s->r.noise.error.high)
		app_print("that is as often as labels are wrong: stop, or let two raters judge an item\n");
}

static void tell(const struct shown *s)
{
	size_t n = raters_at_work(&s->r);

	app_print("%s: %s; %zu items, %zu labels by %zu raters, %zu skipped\n", s->path,
	          feedback_ask_names[s->said.study->ask], s->r.items, s->r.labels, n, s->r.skipped);
	show_agreement(&s->r);
	show_bias(&s->r.bias);
	show_standings(&s->r.standings);
	show_raters(&s->r);
	show_price(s);
	show_worth(s);
}

static int look(struct shown *s, const struct show *o, struct feedback *f, struct arena *mem, struct err *e)
{
	struct feedback_rater *raters;
	struct comparison *c;
	const char *model;
	struct err unknown;
	size_t n;

	if (said_load(&s->said, f, mem, e) < 0 || feedback_raters(f, mem, &raters, &n, e) < 0 ||
	    feedback_states(f, mem, s->said.items, s->said.n_items, &s->said.states, &model, e) < 0)
		return -1;
	report_of(&s->r, &s->said, raters, n, &(struct resample){ (int)o->draws, (uint64_t)o->seed }, mem);
	n = comparisons_of(&s->said, mem, &c);
	s->has_worth = model && worth_of(&s->worth, &s->said, c, n, (uint64_t)o->seed, &unknown) == 0;
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct shown s = { .app = app, .path = p->positional[0] };
	struct arena mem = ARENA_INIT;
	struct feedback *f = NULL;

	app_catch_signals();
	int status = feedback_open(&f, s.path, false, e) < 0 ? -1 : look(&s, options, f, &mem, e);
	if (status == 0) {
		count_runs(&s, &((const struct show *)options)->common);
		put(&s);
		if (!app->json)
			tell(&s);
	}
	feedback_close(f);
	arena_release(&mem);
	return status;
}

const struct command cmd_feedback_show = {
	.name = "feedback show",
	.summary = "what people said: agreement, standings, raters, price, worth",
	.usage = "F.db",
	.example = "kungfu feedback show f.db",
	.looks = true,
	.order = 53,
	.opts = show_opts,
	.options_size = sizeof(struct show),
	.least = 1, .most = 1, .wanted = "one file of feedback was wanted",
	.run = run,
};
