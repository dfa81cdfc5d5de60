/* runs: a line for every run below a folder, in the order in which they began. Checkpoints and hidden folders are not
 * looked into, links not followed. */
#include "cmd/command.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/run_score.h"
#include "cmd/text_table.h"
#include "train/run_log.h"

extern const struct command cmd_runs;

enum { DEPTH_MAX = 12 };

struct runs {
	struct common common;
	const char *state;
};

static const struct opt runs_opts[] = {
	OPT_CHOICE("state", struct runs, state, "all", "all|running|stopped|finished|failed", "only those"),
	COMMON_OPTS(struct runs, common),
	OPT_END
};

struct found {
	struct run_log *runs;
	size_t n;
};

/* --- finding --- */

static bool is_real_dir(const char *path)
{
	struct stat s;
	return lstat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* A run that cannot be read is told of and left out: one damaged folder must not hide the others. */
static void take(struct found *f, const char *path)
{
	struct err e = ERR_INIT;
	f->runs = mem_grow(f->runs, f->n + 1, sizeof(*f->runs));
	if (run_log_open(&f->runs[f->n], path, &e) < 0)
		log_warn("%s", e.msg);
	else
		f->n++;
}

static void look_into(struct found *f, const char *path, int depth);

static void look_below(struct found *f, const char *path, int depth)
{
	struct err e = ERR_INIT;
	char **names;
	size_t n;
	if (io_list(path, &names, &n, &e) < 0) {
		log_warn("%s", e.msg);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		char *below = io_join(path, names[i]);
		if (names[i][0] != '.' && strncmp(names[i], "checkpoint-", 11) != 0 && is_real_dir(below))
			look_into(f, below, depth + 1);
		mem_free(below);
	}
	io_list_free(names, n);
}

static void look_into(struct found *f, const char *path, int depth)
{
	if (run_log_is(path))
		take(f, path);
	if (depth < DEPTH_MAX)
		look_below(f, path, depth);
}

/* --- what a run says --- */

static const char *began(const struct run_log *l)
{
	const char *time =
		json_string_value(json_object_get(json_array_get(json_object_get(l->facts, "processes"), 0), "began"));
	return time ? time : "";
}

static int by_time(const void *a, const void *b)
{
	const struct run_log *x = a, *y = b;
	int order = strcmp(began(x), began(y));
	return order ? order : strcmp(x->path, y->path);
}

/* A result, or the last value of the metric while there is none. */
static json_t *score(const struct run_log *l, const char *result, const char *metric)
{
	json_t *said = run_log_result(l, result);
	const struct run_metric *m = run_log_metric(l, metric);
	if (json_is_number(said))
		return json_incref(said);
	return m && m->n ? jsonx_number(m->value[m->n - 1]) : json_null();
}

static void put_result(json_t *line, const struct run_log *l, const char *name)
{
	json_t *said = run_log_result(l, name);
	if (said)
		json_object_set(line, name, said);
}

static json_t *describe(const struct run_log *l)
{
	static const char *const costs[] = { "seconds",        "cpu_seconds", "tokens",     "flops",      "int_ops",
		                             "peak_rss_bytes", "joules",      "joules_low", "joules_high", "money",
		                             "money_is",       "currency",    "grams_co2" };
	const char *method = json_string_value(json_object_get(l->recipe, "method")),
		   *model = json_string_value(json_object_get(l->recipe, "model"));
	json_t *j = json_pack("{s:o, s:s, s:s?, s:s?, s:I, s:o}", "run", jsonx_path(l->path), "state", l->state,
	                      "method", method, "model", model, "steps", (json_int_t)l->steps, "planned_steps",
	                      l->planned_steps < 0 ? json_null() : json_integer(l->planned_steps));
	json_object_set_new(j, "began", *began(l) ? json_string(began(l)) : json_null());
	json_object_set_new(j, "loss", score(l, "loss", "loss"));
	json_object_set_new(j, "eval_loss", score(l, "eval_loss", "eval_loss"));
	json_object_set_new(j, "acc", score(l, "acc", "eval_acc"));
	for (size_t i = 0; i < ARRAY_LEN(costs); i++)
		put_result(j, l, costs[i]);
	run_score_put(j, l);
	return j;
}

/* --- output --- */

static void number_cell(struct table *t, const json_t *v, int decimals)
{
	if (json_is_number(v))
		table_cell(t, "%.*f", decimals, json_number_value(v));
	else
		table_cell(t, "-");
}

static void add_row(struct table *t, const json_t *j)
{
	const json_t *seconds = json_object_get(j, "seconds"), *planned = json_object_get(j, "planned_steps");
	const char *method = json_string_value(json_object_get(j, "method")),
		   *time = json_string_value(json_object_get(j, "began"));
	char human[32];

	table_cell(t, "%s", json_string_value(json_object_get(j, "run")));
	table_cell(t, "%s", json_string_value(json_object_get(j, "state")));
	table_cell(t, "%s", method ? method : "-");
	if (json_is_integer(planned))
		table_cell(t, "%lld/%lld", json_integer_value(json_object_get(j, "steps")),
		           json_integer_value(planned));
	else
		table_cell(t, "%lld", json_integer_value(json_object_get(j, "steps")));
	number_cell(t, json_object_get(j, "loss"), 4);
	number_cell(t, json_object_get(j, "eval_loss"), 4);
	number_cell(t, json_object_get(j, "acc"), 3);
	number_cell(t, json_object_get(j, "gain"), 4);
	number_cell(t, json_object_get(j, "forgetting_kl"), 4);
	clock_human(json_number_value(seconds), human);
	table_cell(t, "%s", json_is_number(seconds) ? human : "-");
	table_cell(t, "%.10s", time ? time : "-");
}

static void show(const struct app *app, const struct found *f, const char *state)
{
	static const char *const heads[] = { "RUN",       "STATE", "METHOD", "STEPS", "LOSS",
		                             "EVAL_LOSS", "ACC",   "GAIN",   "FORGOT", "TIME", "BEGAN" };
	static const int narrow[] = { 10, 2, 7, 8, 4, 3, -1 };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x3F8, .drop = narrow };
	struct buf text = BUF_INIT;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(state, "all") != 0 && strcmp(state, f->runs[i].state) != 0)
			continue;
		json_t *j = describe(&f->runs[i]);
		n++;
		if (app->json)
			app_json(j);
		else
			add_row(&t, j);
		json_decref(j);
	}
	if (app->json) {
		json_t *j = json_pack("{s:I}", "runs", (json_int_t)n);
		app_json(j);
		json_decref(j);
	} else if (n) {
		table_write(&text, &t, "");
		app_print("%s", buf_str(&text));
	} else {
		log_say("no runs here; kungfu tune makes them");
	}
	buf_release(&text);
	table_release(&t);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct runs *o = options;
	struct found f = { 0 };
	const char *dir = p->n_positional ? p->positional[0] : ".";

	if (!io_is_dir(dir))
		return err_set(e, "%s is no folder", dir);
	look_into(&f, dir, 0);
	if (f.n)
		qsort(f.runs, f.n, sizeof(*f.runs), by_time);
	show(app, &f, o->state);
	for (size_t i = 0; i < f.n; i++)
		run_log_release(&f.runs[i]);
	mem_free(f.runs);
	return EXIT_DONE;
}

const struct command cmd_runs = {
	.name = "runs",
	.summary = "the runs below a folder: state, method, steps, scores, time",
	.usage = "[DIR]",
	.example = "kungfu runs",
	.brief = "which runs there are",
	.order = 56,
	.looks = true,
	.opts = runs_opts,
	.options_size = sizeof(struct runs),
	.least = 0, .most = 1, .wanted = "one folder was wanted",
	.run = run,
};
