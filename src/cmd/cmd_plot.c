/* plot: the numbers of one or several runs as curves, in the terminal or as an SVG file. A chart is a metric, a curve
 * is a run; a run still going is drawn as far as it has come. Evaluation losses stand beside the training's, dashed; a
 * metric with a standard error has bars of 95 %, or a band where there are many.
 *
 * Of several runs that were evaluated and measured for what they forgot one more chart has a point each: gain against
 * forgetting, with bars (run_score.h).
 *
 * --front has evaluations as its points (results_front.h).
 *
 * --smoothing draws beside what was measured its exponential mean as TensorBoard draws it, without the bias of the
 * beginning: s ← w s + (1 − w) v, shown is s / (1 − wⁱ). */
#include "cmd/command.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/term.h"
#include "base/text.h"
#include "chart/chart.h"
#include "cmd/output_check.h"
#include "cmd/results_front.h"
#include "cmd/run_score.h"
#include "train/run_log.h"

extern const struct command cmd_plot;

struct plot {
	struct common common;
	const char *out, *x, *front;
	struct opt_list metric;
	int64_t smooth, columns, rows;
	double smoothing;
	bool log;
};

static const struct opt plot_opts[] = {
	OPT_STRING("out", struct plot, out, NULL, "FILE.svg", "write a picture instead of drawing in the terminal"),
	OPT_LIST("metric", struct plot, metric, "NAME",
	         "a number of metrics.jsonl, such as loss or grad_norm, or forgetting: gain against what was "
	         "forgotten; instead of loss, learning_rate, tokens_per_second and what was evaluated"),
	OPT_STRING("front", struct plot, front, NULL, "SCORES",
	           "instead of runs folders of eval --output-path, a point each: task/metric against task/metric by "
	           "commas, with gas; who is beaten in nothing is on the front"),
	OPT_CHOICE("x-axis", struct plot, x, "step", "step|epoch|tokens", "what runs to the right"),
	OPT_INT("smooth", struct plot, smooth, "1", 1, 1000000, "each point is the mean of the last N; 1: as it is"),
	OPT_FLOAT("smoothing", struct plot, smoothing, "0", 0, 0.9999,
	         "beside each curve its exponential mean with this weight of what was, as TensorBoard's"),
	OPT_FLAG("log", struct plot, log, "false", "a logarithmic axis for losses"),
	OPT_INT("columns", struct plot, columns, "0", 0, 1000, "width in characters; 0: the terminal's"),
	OPT_INT("rows", struct plot, rows, "0", 0, 1000, "height of a chart in lines; 0: what suits the terminal"),
	COMMON_OPTS(struct plot, common),
	OPT_END
};

enum { CHARTS_MAX = 32, ROWS_LEAST = 10, ROWS_MOST = 18, BARS_MOST = 60 };

/* What is being drawn; all that the charts point to lies in the arena. */
struct picture {
	const struct plot *o;
	const struct run_log *runs;
	size_t n_runs;
	struct arena arena;
	struct chart charts[CHARTS_MAX];
	size_t n;
};

/* --- which metrics --- */

/* Evaluation's numbers that are worth a chart of their own unasked: scores, not what says the same as the loss or how
 * it was measured. */
static bool is_score(const char *name)
{
	static const char *const others[] = { "eval_loss", "eval_perplexity", "eval_n", "eval_runtime",
		                              "eval_acc_norm" };
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (!strcmp(name, others[i]))
			return false;
	return !strncmp(name, "eval_", 5) && !text_ends(name, "_stderr");
}

static bool any_has(const struct picture *p, const char *name)
{
	for (size_t i = 0; i < p->n_runs; i++)
		if (run_log_metric(&p->runs[i], name))
			return true;
	return false;
}

/* --- curves --- */

/* The mean of the last `smooth` values that are numbers. */
static const double *smoothed(struct picture *p, const double *v, size_t n)
{
	size_t window = (size_t)p->o->smooth;
	if (window <= 1)
		return v;
	double *out = arena_array(&p->arena, n, sizeof(*out));
	for (size_t i = 0; i < n; i++) {
		double sum = 0;
		size_t count = 0;
		for (size_t j = i + 1 > window ? i + 1 - window : 0; j <= i; j++)
			if (isfinite(v[j])) {
				sum += v[j];
				count++;
			}
		out[i] = isfinite(v[i]) ? sum / (double)count : NAN;
	}
	return out;
}

/* TensorBoard's: see above. What is no number stays so. */
static double *exponential_mean(const struct picture *p, const double *v, size_t n, struct arena *mem)
{
	double w = p->o->smoothing, sum = 0, weight = 0, *out = arena_array(mem, n, sizeof(*out));

	for (size_t i = 0; i < n; i++) {
		if (isfinite(v[i])) {
			sum = w * sum + (1 - w) * v[i];
			weight = w * weight + 1 - w;
		}
		out[i] = isfinite(v[i]) ? sum / weight : v[i];
	}
	return out;
}

/* A band of 95 % where the run knows the standard error of each value. */
static void add_band(struct picture *p, struct chart_series *s, const struct run_log *run, const struct run_metric *m)
{
	char *name = arena_printf(&p->arena, "%s_stderr", m->name);
	const struct run_metric *error = run_log_metric(run, name);
	if (!error || error->n != m->n)
		return;
	double *low = arena_array(&p->arena, m->n, sizeof(*low)), *high = arena_array(&p->arena, m->n, sizeof(*high));
	for (size_t i = 0; i < m->n; i++) {
		low[i] = m->value[i] - 1.96 * error->value[i];
		high[i] = m->value[i] + 1.96 * error->value[i];
	}
	s->low = low;
	s->high = high;
	s->bars = m->n <= BARS_MOST;
}

/* The curve stands behind it, in its colour. */
static void add_mean(struct picture *p, struct chart *c, struct chart_series *raw)
{
	struct chart_series *s = (struct chart_series *)c->series + c->n_series++;

	raw->faint = true;
	raw->color = raw->color ? raw->color : 1;
	*s = (struct chart_series){ .name = arena_printf(&p->arena, "%s, smoothed", raw->name),
		                    .x = raw->x,
		                    .y = exponential_mean(p, raw->y, raw->n, &p->arena),
		                    .n = raw->n,
		                    .color = raw->color };
}

static void add_curve(struct picture *p, struct chart *c, size_t run, const char *metric, const char *name, bool dashed)
{
	const struct run_metric *m = run_log_metric(&p->runs[run], metric);
	struct chart_series *s = (struct chart_series *)c->series + c->n_series;
	if (!m)
		return;
	*s = (struct chart_series){ .name = name,
		                    .n = m->n,
		                    .dashed = dashed && m->n > 1,
		                    .points = m->n == 1,
		                    .color = p->n_runs > 1 ? (int)(run % 8) + 1 : 0 };
	s->x = !strcmp(p->o->x, "epoch") ? m->epoch : !strcmp(p->o->x, "tokens") ? m->tokens : m->step;
	s->y = dashed ? m->value : smoothed(p, m->value, m->n);
	add_band(p, s, &p->runs[run], m);
	c->n_series++;
	if (!dashed && p->o->smoothing > 0 && m->n > 1)
		add_mean(p, c, s);
}

static const char *unit_of(const char *metric)
{
	if (text_ends(metric, "loss"))
		return "nats a token";
	return !strcmp(metric, "tokens_per_second") ? "tokens/s" : NULL;
}

static void add_chart(struct picture *p, const char *metric)
{
	struct chart *c = &p->charts[p->n];
	bool loss = !strcmp(metric, "loss");
	if (p->n == CHARTS_MAX || !(any_has(p, metric) || (loss && any_has(p, "eval_loss"))))
		return;
	*c = (struct chart){ .title = metric,
		             .x_label = p->o->x,
		             .y_label = unit_of(metric),
		             .y_log = p->o->log && text_ends(metric, "loss") };
	c->series = arena_array(&p->arena, 3 * p->n_runs, sizeof(*c->series));
	for (size_t i = 0; i < p->n_runs; i++) {
		const char *run = p->runs[i].path;
		add_curve(p, c, i, metric, p->n_runs > 1 ? run : metric, false);
		if (loss)
			add_curve(p, c, i, "eval_loss",
			          p->n_runs > 1 ? arena_printf(&p->arena, "%s eval_loss", run) : "eval_loss", true);
	}
	p->n++;
}

/* A curve of one point says nothing that the line of the run does not. */
static bool is_curve(const struct picture *p, const char *name)
{
	for (size_t i = 0; i < p->n_runs; i++) {
		const struct run_metric *m = run_log_metric(&p->runs[i], name);
		if (m && m->n > 1)
			return true;
	}
	return false;
}

static const char forgetting[] = "forgetting";

/* Gain against forgetting, where so many runs have both. */
static bool add_forgetting(struct picture *p, size_t least)
{
	if (p->n == CHARTS_MAX || run_score_chart(&p->charts[p->n], p->runs, p->n_runs, &p->arena) < least)
		return false;
	p->n++;
	return true;
}

static int add_charts(struct picture *p, struct err *e)
{
	for (size_t i = 0; i < p->o->metric.n; i++) {
		const char *name = p->o->metric.items[i];
		if (!strcmp(name, forgetting)) {
			if (!add_forgetting(p, 1))
				return err_set(e, "no run here was both evaluated and measured for what it forgot: "
				                  "--eval-data, and no --no-forgetting, when it is tuned");
			continue;
		}
		if (!any_has(p, name))
			return err_set(e, "no metric %s in %s%s; metrics.jsonl has the names", name, p->runs[0].path,
			               p->n_runs > 1 ? " and the others" : "");
		add_chart(p, name);
	}
	if (p->o->metric.n)
		return 0;
	add_chart(p, "loss");
	for (size_t i = 0; i < p->n_runs; i++)
		for (size_t k = 0; k < p->runs[i].n_metrics; k++) {
			const char *name = p->runs[i].metrics[k].name;
			bool seen = !is_score(name) || !is_curve(p, name);
			for (size_t j = 0; j < p->n; j++)
				seen |= !strcmp(p->charts[j].title, name);
			if (!seen)
				add_chart(p, name);
		}
	add_forgetting(p, 2);
	add_chart(p, "learning_rate");
	add_chart(p, "tokens_per_second");
	return p->n ? 0 : err_set(e, "%s has no metrics yet: metrics.jsonl is empty", p->runs[0].path);
}

/* --- output --- */

static json_t *numbers(const double *v, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, jsonx_number(v[i]));
	return list;
}

static json_t *last_value(const struct run_log *run, const char *name)
{
	const struct run_metric *m = run_log_metric(run, name);
	return m && m->n ? jsonx_number(m->value[m->n - 1]) : json_null();
}

static void add_mean_json(const struct picture *p, json_t *line, const struct run_metric *m)
{
	struct arena mem = { 0 };

	if (p->o->smoothing > 0)
		json_object_set_new(line, "smoothed",
		                    numbers(exponential_mean(p, m->value, m->n, &mem), m->n));
	arena_release(&mem);
}

static json_t *summary_of(const struct run_log *run)
{
	json_t *j = json_pack("{s:o, s:s, s:I, s:o, s:o, s:o}", "run", jsonx_path(run->path), "state", run->state,
	                      "steps", (json_int_t)run->steps, "planned_steps",
	                      run->planned_steps < 0 ? json_null() : json_integer(run->planned_steps), "loss",
	                      last_value(run, "loss"), "eval_loss", last_value(run, "eval_loss"));

	run_score_put(j, run);
	return j;
}

/* A line for each curve, at last what the runs are. */
static void print_json(const struct picture *p)
{
	json_t *summary = json_array();
	for (size_t i = 0; i < p->n_runs; i++) {
		const struct run_log *run = &p->runs[i];
		for (size_t k = 0; k < run->n_metrics; k++) {
			const struct run_metric *m = &run->metrics[k];
			bool wanted = p->o->metric.n == 0;
			for (size_t j = 0; j < p->o->metric.n; j++)
				wanted |= !strcmp(p->o->metric.items[j], m->name);
			if (!wanted)
				continue;
			json_t *line =
				json_pack("{s:o, s:s, s:o, s:o}", "run", jsonx_path(run->path), "metric", m->name,
			                  "step", numbers(m->step, m->n), "value", numbers(m->value, m->n));
			add_mean_json(p, line, m);
			app_json(line);
			json_decref(line);
		}
		json_array_append_new(summary, summary_of(run));
	}
	json_t *line = json_pack("{s:o}", "runs", summary);
	app_json(line);
	json_decref(line);
}

/* "run: finished, 100/100 steps, loss 0.4111, eval_acc 0.745" */
static void say_run(struct buf *out, const struct run_log *run)
{
	term_text(out, run->path, strlen(run->path));
	buf_addf(out, ": %s, %ld", run->state, run->steps);
	if (run->planned_steps >= 0)
		buf_addf(out, "/%ld", run->planned_steps);
	buf_adds(out, " steps");
	for (size_t i = 0; i < run->n_metrics; i++) {
		const struct run_metric *m = &run->metrics[i];
		if (!strcmp(m->name, "loss") || !strcmp(m->name, "eval_loss") || is_score(m->name)) {
			buf_adds(out, ", ");
			term_text(out, m->name, strlen(m->name));
			buf_addf(out, " %.4g", m->value[m->n - 1]);
		}
	}
	buf_addc(out, '\n');
}

static void print_charts(const struct picture *p)
{
	struct buf text = BUF_INIT;
	int columns, rows;
	term_size(STDOUT_FILENO, &columns, &rows);
	columns = p->o->columns ? (int)p->o->columns : columns;
	rows = p->o->rows ? (int)p->o->rows : MAX(ROWS_LEAST, MIN((rows - 2) / MAX((int)p->n, 1), ROWS_MOST));
	for (size_t i = 0; i < p->n_runs; i++)
		say_run(&text, &p->runs[i]);
	for (size_t i = 0; i < p->n; i++)
		chart_braille(&text, &p->charts[i], columns, rows, term_color(STDOUT_FILENO));
	app_print("%s", buf_str(&text));
	buf_release(&text);
}

static int write_svg(const struct picture *p, struct err *e)
{
	struct buf svg = BUF_INIT;
	chart_svg(&svg, p->charts, p->n);
	int status = io_write(p->o->out, svg.data, svg.len, e);
	if (!status)
		log_say("%s: %zu charts of %zu run%s", p->o->out, p->n, p->n_runs, p->n_runs > 1 ? "s" : "");
	buf_release(&svg);
	return status;
}

static int plot(const struct app *app, const struct plot *o, const struct run_log *runs, size_t n, struct err *e)
{
	struct picture p = { .o = o, .runs = runs, .n_runs = n };
	int status = add_charts(&p, e);
	if (!status && o->out)
		status = write_svg(&p, e);
	if (!status && app->json)
		print_json(&p);
	else if (!status && !o->out)
		print_charts(&p);
	arena_release(&p.arena);
	return status;
}

static int open_and_plot(const struct app *app, const struct plot *o, const char **paths, size_t n, struct err *e)
{
	struct run_log *runs = mem_array(n, sizeof(*runs));
	size_t opened = 0;
	int status = 0;
	for (; !status && opened < n; opened += !status) {
		status = run_log_open(&runs[opened], paths[opened], e);
		if (!status && runs[opened].damaged)
			log_warn("%s/metrics.jsonl: %zu lines cannot be read and are left out", paths[opened],
			         runs[opened].damaged);
	}
	if (!status)
		status = plot(app, o, runs, n, e);
	for (size_t i = 0; i < opened; i++)
		run_log_release(&runs[i]);
	mem_free(runs);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct plot *o = options;
	size_t n = o->out ? strlen(o->out) : 0;

	if (o->out && (n < 4 || strcasecmp(o->out + n - 4, ".svg")) && !output_is_special(o->out))
		return app_usage(&cmd_plot, "--out %s: pictures are written as SVG, name one that ends in .svg",
		                 o->out);
	const struct results_front front = { o->front, o->out, (int)o->columns, (int)o->rows };
	if (o->front)
		return results_front(app, &front, p->positional, p->n_positional, e);
	if (o->smoothing > 0 && o->smooth > 1)
		return app_usage(&cmd_plot,
		                 "--smooth draws the mean instead of the curve, --smoothing beside it: "
		                 "one of them");
	return open_and_plot(app, options, p->positional, p->n_positional, e);
}

const struct command cmd_plot = {
	.name = "plot",
	.summary = "curves of one or several runs, in the terminal or as SVG",
	.usage = "DIR… [--out FILE.svg]",
	.example = "kungfu plot run --out loss.svg",
	.brief = "their curves",
	.order = 57,
	.looks = true,
	.opts = plot_opts,
	.options_size = sizeof(struct plot),
	.least = 1, .most = SIZE_MAX, .wanted = "the folder of a run was wanted, or several",
	.run = run,
};
