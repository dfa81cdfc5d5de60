/* gas compare: which method costs least, and from how many uses on: one that pays once (a fine-tune) against one that pays with every use (the long prompts of
 * few-shot). The arithmetic is gas/economics; a method is figures, or what tune --json and eval --json said. */
#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/gas_numbers.h"
#include "cmd/table.h"

extern const struct command cmd_gas_compare;

enum { METHODS = 16, PLACES = 60 };

struct compare {
	struct common common;
	double uses;
	const char *unit, *out;
};

static const struct opt compare_opts[] = {
	OPT_FLOAT("uses", struct compare, uses, "1000", 1, 1e15, "how often the result is used"),
	OPT_STRING("unit", struct compare, unit, "seconds", "NAME", "of the costs; also the field that is read from files: seconds, joules, money"),
	OPT_STRING("out", struct compare, out, NULL, "FILE", "total cost against uses as SVG"),
	COMMON_OPTS(struct compare, common),
	OPT_END
};

struct method {
	char *name;
	struct cost_line cost;
	struct span quality;       /* NAN: not known */
	struct span total, amortised;
	enum front front;
};

/* --- reading --- */

/* FIXED: a number, or the file of a run's summary. */
static int read_fixed(struct method *m, const char *text, const char *unit, struct err *e)
{
	if (strspn(text, "0123456789.") > 0)
		return number_parse(&m->cost.fixed, text, m->name, e);
	json_t *j = summary_load(text, e);
	const json_t *x = json_object_get(j, unit);
	int status = !j ? -1 : json_is_number(x) ? 0 : err_set(e, "%s: no %s in it", text, unit);
	if (!status)
		m->cost.fixed = span_exact(json_number_value(x));
	json_decref(j);
	return status;
}

/* PER_USE: a number, or the file of an evaluation's summary: its cost by its rows, and the quality. */
static int read_use(struct method *m, const char *text, const char *unit, struct err *e)
{
	if (strspn(text, "0123456789.") > 0)
		return number_parse(&m->cost.per_use, text, m->name, e);
	json_t *j = summary_load(text, e);
	const json_t *x = json_object_get(j, unit), *n = json_object_get(j, "n");
	int status = !j ? -1 : json_is_number(x) && json_integer_value(n) > 0 ? 0 : err_set(e, "%s: no %s and n in it", text, unit);
	if (!status)
		m->cost.per_use = span_exact(json_number_value(x) / (double)json_integer_value(n));
	if (!status)
		status = summary_quality(&m->quality, j, text, e);
	json_decref(j);
	return status;
}

static int read_method(struct method *m, const char *text, const char *unit, struct err *e)
{
	const char *colon = strchr(text, ':');
	char *words = colon ? mem_strdup(colon + 1) : NULL, *save = NULL;
	const char *fixed = words ? strtok_r(words, ",", &save) : NULL, *use = fixed ? strtok_r(NULL, ",", &save) : NULL;
	const char *quality = use ? strtok_r(NULL, ",", &save) : NULL;
	int status = 0;

	m->quality = span_exact(NAN);
	if (!use || strtok_r(NULL, ",", &save)) {
		status = err_set(e, "%s: NAME:FIXED,PER_USE[,QUALITY] was wanted", text);
	} else {
		m->name = mem_strndup(text, (size_t)(colon - text));
		if (read_fixed(m, fixed, unit, e) < 0 || read_use(m, use, unit, e) < 0 || (quality && number_parse(&m->quality, quality, m->name, e) < 0))
			status = -1;
	}
	mem_free(words);
	return status;
}

/* --- showing --- */

static const char *front_name(const struct method *m)
{
	static const char *const names[] = { [FRONT_ON] = "best", [FRONT_UNSURE] = "perhaps", [FRONT_OFF] = "beaten" };
	return isnan(m->quality.mid) ? "-" : names[m->front];
}

static void judge(struct method *m, size_t n, double uses)
{
	struct offer offers[METHODS];
	enum front front[METHODS];

	for (size_t i = 0; i < n; i++) {
		m[i].total = cost_total(&m[i].cost, uses);
		m[i].amortised = cost_amortised(&m[i].cost, uses);
		offers[i] = (struct offer){ m[i].quality, m[i].total };
	}
	pareto(offers, n, front);
	for (size_t i = 0; i < n; i++)
		m[i].front = front[i];
}

static void say_pair(const struct app *app, const struct method *a, const struct method *b)
{
	struct break_even x = break_even(&a->cost, &b->cost);
	const char *few = x.few == CHEAPER_A ? a->name : b->name, *many = x.many == CHEAPER_A ? a->name : b->name;
	char uses[64];

	if (app->json) {
		json_t *j = json_pack("{s:s, s:s, s:b}", "a", a->name, "b", b->name, "crosses", x.crosses);
		span_put(j, "break_even", x.uses);
		json_object_set_new(j, "cheaper_before", x.few == CHEAPER_NEITHER ? json_null() : json_string(few));
		json_object_set_new(j, "cheaper_after", x.many == CHEAPER_NEITHER ? json_null() : json_string(many));
		app_json(j);
		json_decref(j);
		return;
	}
	span_text(uses, x.uses);
	if (x.crosses)
		app_print("%s and %s break even at %s uses: below, %s is cheaper; above, %s\n", a->name, b->name, uses, few, many);
	else if (x.few == CHEAPER_NEITHER)
		app_print("%s and %s cost the same\n", a->name, b->name);
	else
		app_print("%s is never dearer than %s\n", few, few == a->name ? b->name : a->name);
}

static void show_table(const struct app *app, const struct compare *o, const struct method *m, size_t n)
{
	struct table t = { .columns = 7, .right = 2 | 4 | 8 | 16 | 32 };
	struct buf text = BUF_INIT;
	char cell[64];

	for (size_t i = 0; i < 7; i++)
		table_cell(&t, "%s", ((const char *[]){ "method", "once", "per use", "total", "amortised", "quality", "front" })[i]);
	for (size_t i = 0; i < n; i++) {
		const struct span spans[] = { m[i].cost.fixed, m[i].cost.per_use, m[i].total, m[i].amortised, m[i].quality };
		table_cell(&t, "%s", m[i].name);
		for (size_t s = 0; s < ARRAY_LEN(spans); s++) {
			span_text(cell, spans[s]);
			table_cell(&t, "%s", cell);
		}
		table_cell(&t, "%s", front_name(&m[i]));
	}
	table_write(&text, &t, "");
	if (!app->json)
		app_print("costs in %s, of %.6g uses\n%s", o->unit, o->uses, buf_str(&text));
	buf_release(&text);
	table_release(&t);
}

static void put_methods(const struct compare *o, const struct method *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		json_t *j = json_pack("{s:s, s:s, s:f}", "method", m[i].name, "unit", o->unit, "uses", o->uses);
		span_put(j, "fixed", m[i].cost.fixed);
		span_put(j, "per_use", m[i].cost.per_use);
		span_put(j, "total", m[i].total);
		span_put(j, "amortised", m[i].amortised);
		span_put(j, "quality", m[i].quality);
		json_object_set_new(j, "front", isnan(m[i].quality.mid) ? json_null() : json_string(front_name(&m[i])));
		app_json(j);
		json_decref(j);
	}
}

static int draw(const struct compare *o, const struct method *m, size_t n, struct err *e)
{
	static double x[PLACES], y[METHODS][3][PLACES];
	struct chart_series series[METHODS];

	for (int p = 0; p < PLACES; p++)
		x[p] = pow(o->uses * 4, (double)p / (PLACES - 1));
	for (size_t i = 0; i < n; i++) {
		for (int p = 0; p < PLACES; p++) {
			struct span s = cost_total(&m[i].cost, x[p]);
			y[i][0][p] = s.mid;
			y[i][1][p] = s.low;
			y[i][2][p] = s.high;
		}
		series[i] = (struct chart_series){ .name = m[i].name, .x = x, .y = y[i][0], .low = y[i][1], .high = y[i][2], .n = PLACES };
	}
	struct chart_mark mark = { o->uses, NAN, "uses asked for" };
	struct chart c = { .title = "total cost", .x_label = "uses", .y_label = o->unit, .x_log = true, .y_log = true,
	                   .series = series, .n_series = n, .marks = &mark, .n_marks = 1 };
	return chart_write(o->out, &c, e);
}

static int compare(const struct app *app, const struct compare *o, const struct opt_parse *p, struct method *m, struct err *e)
{
	size_t n = p->n_positional, best = 0;

	for (size_t i = 0; i < n; i++)
		if (read_method(&m[i], p->positional[i], o->unit, e) < 0)
			return -1;
	judge(m, n, o->uses);
	show_table(app, o, m, n);
	if (app->json)
		put_methods(o, m, n);
	for (size_t i = 0; i < n; i++) {
		best = m[i].total.mid < m[best].total.mid ? i : best;
		for (size_t j = i + 1; j < n; j++)
			say_pair(app, &m[i], &m[j]);
	}
	if (app->json) {
		json_t *j = json_pack("{s:I, s:f, s:s}", "methods", (json_int_t)n, "uses", o->uses, "cheapest", m[best].name);
		app_json(j);
		json_decref(j);
	}
	return o->out ? draw(o, m, n, e) : 0;
}

static int run(struct app *app)
{
	struct compare o;
	struct opt_parse p;
	struct err e = ERR_INIT;
	struct method m[METHODS] = { 0 };
	int status = app_begin(app, &cmd_gas_compare, &o, &p);

	if (status)
		return status - 1;
	if (p.n_positional < 2 || p.n_positional > METHODS)
		status = app_usage(&cmd_gas_compare, "2 to %d methods were wanted, each as NAME:FIXED,PER_USE[,QUALITY]", METHODS);
	else if (compare(app, &o, &p, m, &e) < 0)
		status = app_fail(&e);
	for (size_t i = 0; i < METHODS; i++)
		mem_free(m[i].name);
	opt_release(&p);
	return status;
}

const struct command cmd_gas_compare = {
	.name = "gas compare",
	.summary = "which method costs least, from how many uses on, and which is worth its cost: each is NAME:FIXED,PER_USE[,QUALITY], "
	           "numbers (12±0.5 has a 90 % interval) or the files that tune --json and eval --json wrote",
	.usage = "NAME:FIXED,PER_USE[,QUALITY]… [--uses N]",
	.example = "kungfu gas compare few-shot:0,10 lora:1000,2",
	.brief = "break-even of methods",
	.looks = true,
	.order = 75,
	.opts = compare_opts,
	.run = run,
};
