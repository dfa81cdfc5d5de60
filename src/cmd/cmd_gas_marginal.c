/* gas marginal: what more labels (tokens, steps) are worth: a power law through measured errors, its band, the worth of the next ones, and where to
 * stop. The fit is gas/curve; a point is figures, or what eval --json said of a run on that many labels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/gas_numbers.h"
#include "gas/curve.h"

extern const struct command cmd_gas_marginal;

enum { POINTS = 64, PLACES = 60 };

struct marginal {
	struct common common;
	double next, value, label_cost;
	bool no_floor;
	int64_t seed;
	const char *out;
};

static const struct opt marginal_opts[] = {
	OPT_FLOAT("next", struct marginal, next, "100", 1, 1e15, "labels whose worth is asked for, on top of the most that was measured"),
	OPT_FLOAT("value", struct marginal, value, NULL, 0, 1e18, "worth of an error of 1 becoming 0, in the unit of --label-cost"),
	OPT_FLOAT("label-cost", struct marginal, label_cost, NULL, 0, 1e18, "cost of one more label, its training included"),
	OPT_FLAG("no-floor", struct marginal, no_floor, "false", "the error goes to 0 in the end: two points are enough"),
	OPT_INT("seed", struct marginal, seed, "42", 0, 9007199254740991.0, "of the band's draws"),
	OPT_STRING("out", struct marginal, out, NULL, "FILE", "the curve as SVG"),
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

static int draw(const struct marginal *o, const struct curve *c, const struct curve_point *p, size_t n, double least, double most, struct err *e)
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
		{ .name = "fit", .x = x, .y = y[0], .low = c->has_band ? y[1] : NULL, .high = c->has_band ? y[2] : NULL, .n = PLACES },
		{ .name = "measured", .x = px, .y = py, .n = n, .points = true },
	};
	struct chart chart = { .title = "learning curve", .x_label = "labels", .y_label = "error", .x_log = true, .series = series, .n_series = 2 };
	return chart_write(o->out, &chart, e);
}

static void show(const struct app *app, const struct marginal *o, const struct curve *c, double most)
{
	struct span now = curve_at(c, most), gain = curve_gain(c, most, most + o->next), stop = span_exact(NAN), worth = span_exact(NAN);
	char text[64], more[64];

	if (o->value > 0 && o->label_cost > 0)
		stop = curve_stop(c, o->value, o->label_cost);
	if (o->value > 0)
		worth = span_scale(gain, o->value);
	if (app->json) {
		json_t *j = json_pack("{s:f, s:f, s:f, s:f, s:f}", "a", c->a, "b", c->b, "c", c->c, "labels", most, "next", o->next);
		span_put(j, "error", now);
		span_put(j, "gain", gain);
		span_put(j, "worth", worth);
		span_put(j, "stop", stop);
		app_json(j);
		json_decref(j);
		return;
	}
	app_print("error = %.4g · labels^-%.4g + %.4g\n", c->a, c->b, c->c);
	span_text(text, now);
	app_print("at %.6g labels the curve is at %s%s\n", most, text, c->has_band ? "" : " (too few points for a band)");
	span_text(text, gain);
	span_text(more, worth);
	app_print("the next %.6g labels lower it by %s%s%s\n", o->next, text, isnan(worth.mid) ? "" : ", worth ", isnan(worth.mid) ? "" : more);
	span_text(text, stop);
	if (!isnan(stop.mid))
		app_print("stop at %s labels: one more costs what it brings; %s\n", text, stop.mid > most ? "go on" : "you are there");
}

static int marginal(const struct app *app, const struct marginal *o, const struct opt_parse *p, struct err *e)
{
	struct curve_point points[POINTS];
	struct curve c;
	double least = INFINITY, most = 0;

	for (size_t i = 0; i < p->n_positional; i++) {
		if (read_point(&points[i], p->positional[i], e) < 0)
			return -1;
		least = MIN(least, points[i].n);
		most = MAX(most, points[i].n);
	}
	if (curve_fit(&c, points, p->n_positional, o->no_floor, (uint64_t)o->seed, e) < 0)
		return -1;
	show(app, o, &c, most);
	int status = o->out ? draw(o, &c, points, p->n_positional, least, most, e) : 0;
	curve_release(&c);
	return status;
}

static int run(struct app *app)
{
	struct marginal o;
	struct opt_parse p;
	struct err e = ERR_INIT;
	int status = app_begin(app, &cmd_gas_marginal, &o, &p);

	if (status)
		return status - 1;
	if (p.n_positional < 2 || p.n_positional > POINTS)
		status = app_usage(&cmd_gas_marginal, "2 to %d points were wanted, each as LABELS:ERROR or LABELS:FILE", POINTS);
	else if (marginal(app, &o, &p, &e) < 0)
		status = app_fail(&e);
	opt_release(&p);
	return status;
}

const struct command cmd_gas_marginal = {
	.name = "gas marginal",
	.summary = "what more labels are worth, and where to stop: a power law through the errors at LABELS:ERROR, or LABELS:FILE of eval --json",
	.usage = "LABELS:ERROR… [--value V --label-cost C]",
	.example = "kungfu gas marginal 100:.6 200:.5 400:.43",
	.brief = "worth of more labels",
	.looks = true,
	.order = 76,
	.opts = marginal_opts,
	.run = run,
};
