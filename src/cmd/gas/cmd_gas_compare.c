/* gas compare: which method costs least, and from how many uses on: one that pays once (a fine-tune) against one that
 * pays with every use (the long prompts of few-shot). The arithmetic is gas/economics, where a method's figures come
 * from is gas_methods. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/gas/gas_numbers.h"
#include "cmd/metering.h"
#include "gas/methods.h"

extern const struct command cmd_gas_compare;

enum { PLACES = 60 };

struct compare {
	struct common common;
	double uses;
	const char *unit, *compute, *out;
};

static const struct opt compare_opts[] = {
	OPT_FLOAT("uses", struct compare, uses, "1000", 1, 1e15, "how often the result is used"),
	OPT_CHOICE("unit", struct compare, unit, "seconds", "seconds|joules|money",
	           "of the costs: what is read of the ledger's runs and of files"),
	OPT_CHOICE("compute", struct compare, compute, NULL, "f32|int8",
	           "uses in this arithmetic alone; without it, that of a method's newest use"),
	OPT_STRING("out", struct compare, out, NULL, "FILE.svg", "total cost against uses as SVG"),
	COMMON_OPTS(struct compare, common),
	OPT_END
};

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
	char uses[96];

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
		app_print("%s and %s break even at %s uses: below, %s is cheaper; above, %s\n", a->name, b->name, uses,
		          few, many);
	else if (x.few == CHEAPER_NEITHER)
		app_print("%s and %s cost the same\n", a->name, b->name);
	else
		app_print("%s never costs more than %s\n", few, few == a->name ? b->name : a->name);
}

static const char *unit_text(const struct compare *o, const struct method_set *s)
{
	return s->currency[0] ? s->currency : o->unit;
}

/* Money of runs has its OPEX and CAPEX apart. */
static bool has_parts(const struct method_set *s)
{
	bool any = false;
	for (size_t i = 0; i < s->n; i++)
		any |= s->m[i].what != NULL;
	return any && s->unit == COST_MONEY;
}

static void part_cells(struct table *t, double opex, double capex, const char *unit)
{
	amount_cell(t, opex, unit);
	amount_cell(t, capex, unit);
}

static void show_table(const struct app *app, const struct compare *o, const struct method_set *s)
{
	bool parts = has_parts(s);
	static const int with_parts[] = { 5, 6, 2, 3, 8, -1 }, plain[] = { 4, -1 };
	struct table t = { .columns = parts ? 11 : 7,
		           .right = parts ? 0x1fe : 0x3e,
		           .drop = parts ? with_parts : plain };
	static const char *const heads[] = { "method", "once",  "OPEX",      "CAPEX",   "per use", "OPEX",
		                             "CAPEX",  "total", "amortised", "quality", "Pareto" };
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		if (parts || !strstr(heads[i], "PEX"))
			table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < s->n; i++) {
		const struct method *m = &s->m[i];
		table_cell(&t, "%s", m->name);
		span_unit_cell(&t, m->cost.fixed, unit_text(o, s));
		if (parts)
			part_cells(&t, m->once_opex, m->once_capex, unit_text(o, s));
		span_unit_cell(&t, m->cost.per_use, unit_text(o, s));
		if (parts)
			part_cells(&t, m->use_opex, m->use_capex, unit_text(o, s));
		span_unit_cell(&t, m->total, unit_text(o, s));
		span_unit_cell(&t, m->amortised, unit_text(o, s));
		span_cell(&t, m->quality);
		table_cell(&t, "%s", front_name(m));
	}
	table_write(&text, &t, "");
	char is[120], uses[32];
	money_parts_text(s->money_any, s->money_all, is);
	if (!app->json)
		app_print("costs in %s%s%s, of %s uses\n%s", unit_text(o, s), s->money_any ? " of " : "",
		          s->money_any ? is : "", digits_text(o->uses, uses), buf_str(&text));
	buf_release(&text);
	table_release(&t);
}

/* How long its rows were, of what is known. */
static void length_text(const struct entry *x, char out[80])
{
	double rows = (double)evidence_rows(x);
	char in[32], made[32];

	out[0] = 0;
	if (x->gas.tokens_in >= 0 && rows > 0)
		snprintf(out, 80, "; %s tokens read and %s written a row",
		         digits_text((double)x->gas.tokens_in / rows, in),
		         digits_text((double)MAX(x->gas.tokens_out, 0) / rows, made));
}

/* Where a quality is from, if not from the use itself; how to know it, if nothing tells. */
static void show_quality(const struct method_set *s, const struct method *m)
{
	const struct entry *newest = &s->view.all.items[m->evidence.runs[m->evidence.n_runs - 1]];
	char command[400];

	if (!m->judged) {
		comparable_command(&s->view.family, m->evidence.thing, s->rows, NULL, command);
		app_print("%s: its quality is not known; %s measures it\n", m->name, command);
		return;
	}
	for (size_t i = 0; i < m->evidence.n_runs; i++)
		if (m->judged == &s->view.all.items[m->evidence.runs[i]])
			return;
	app_print("%s: its quality is of %s %.8s%s\n", m->name, m->judged->command, m->judged->id,
	          strcmp(m->judged->command, newest->command) ? "" : ", another use");
}

/* Where the ledger's figures come from. */
static void show_sources(const struct method_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct method *m = &s->m[i];
		if (!m->what)
			continue;
		const struct entry *newest = &s->view.all.items[m->evidence.runs[m->evidence.n_runs - 1]];
		char way[80], length[80];
		evidence_way(newest, way);
		length_text(newest, length);
		app_print("%s: made by %zu runs; used by %zu like %.8s (%s of %lld rows%s)", m->name, m->once_runs,
		          m->evidence.n_runs, newest->id, newest->command, (long long)m->evidence.rows, way);
		if (m->evidence.n_others)
			app_print("; %zu in other arithmetic, with other threads or elsewhere left out",
			          m->evidence.n_others);
		if (m->evidence.n_runs == 1)
			app_print("; measured once: the interval is that of a plan");
		app_print("%s", length);
		app_print("\n");
		show_quality(s, m);
	}
	if (s->ways_differ)
		app_print("these were not all done in the same way (arithmetic, threads, machine): that is part of the "
		          "difference\n");
}

static void put_way(json_t *j, const struct entry *use)
{
	const char *compute = evidence_compute(use);

	json_object_set_new(j, "compute", *compute ? json_string(compute) : json_null());
	json_object_set_new(j, "threads", use->threads >= 0 ? json_integer(use->threads) : json_null());
	json_object_set_new(j, "machine", use->machine ? json_string(use->machine) : json_null());
}

static void put_evidence(json_t *j, const struct method_set *s, const struct method *m)
{
	json_t *runs = json_array();
	char is[120];

	for (size_t k = 0; k < m->evidence.n_runs; k++)
		json_array_append_new(runs, json_string(s->view.all.items[m->evidence.runs[k]].id));
	json_object_set_new(j, "artefact", json_string(s->view.family.members[m->evidence.thing].artefact.hash));
	json_object_set_new(j, "once_runs", json_integer((json_int_t)m->once_runs));
	json_object_set_new(j, "use_runs", runs);
	json_object_set_new(j, "use_rows", json_integer(m->evidence.rows));
	put_way(j, &s->view.all.items[m->evidence.runs[m->evidence.n_runs - 1]]);
	json_object_set_new(j, "left_out", json_integer((json_int_t)m->evidence.n_others));
	json_object_set_new(j, "quality_run", m->judged ? json_string(m->judged->id) : json_null());
	if (s->unit != COST_MONEY)
		return;
	money_parts_text(s->money_any, s->money_all, is);
	json_object_set_new(j, "money_is", s->money_any ? json_string(is) : json_null());
	json_object_set_new(j, "currency", s->currency[0] ? json_string(s->currency) : json_null());
	json_object_set_new(j, "fixed_opex", jsonx_number(m->once_opex));
	json_object_set_new(j, "fixed_capex", jsonx_number(m->once_capex));
	json_object_set_new(j, "per_use_opex", jsonx_number(m->use_opex));
	json_object_set_new(j, "per_use_capex", jsonx_number(m->use_capex));
}

static void put_methods(const struct compare *o, const struct method_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct method *m = &s->m[i];
		json_t *j = json_pack("{s:s, s:s, s:f}", "method", m->name, "unit", o->unit, "uses", o->uses);
		span_put(j, "fixed", m->cost.fixed);
		span_put(j, "per_use", m->cost.per_use);
		span_put(j, "total", m->total);
		span_put(j, "amortised", m->amortised);
		span_put(j, "quality", m->quality);
		json_object_set_new(j, "pareto", isnan(m->quality.mid) ? json_null() : json_string(front_name(m)));
		if (m->what)
			put_evidence(j, s, m);
		app_json(j);
		json_decref(j);
	}
}

static int draw(const struct compare *o, const struct method_set *s, struct err *e)
{
	static double x[PLACES], y[METHODS][3][PLACES];
	struct chart_series series[METHODS];

	double least = INFINITY;
	for (size_t i = 0; i < s->n; i++) {
		struct span once = cost_total(&s->m[i].cost, 1);
		least = once.mid > 0 ? fmin(least, once.mid) : least;
	}
	char unit[48];
	double by = chart_unit(least, unit_text(o, s), unit);
	for (int p = 0; p < PLACES; p++)
		x[p] = pow(o->uses * 4, (double)p / (PLACES - 1));
	for (size_t i = 0; i < s->n; i++) {
		for (int p = 0; p < PLACES; p++) {
			struct span total = cost_total(&s->m[i].cost, x[p]);
			y[i][0][p] = by * total.mid;
			y[i][1][p] = by * total.low;
			y[i][2][p] = by * total.high;
		}
		series[i] = (struct chart_series){
			.name = s->m[i].name, .x = x, .y = y[i][0], .low = y[i][1], .high = y[i][2], .n = PLACES
		};
	}
	struct chart_mark mark = { o->uses, NAN, "uses asked for" };
	struct chart c = { .title = "total cost",
		           .x_label = "uses",
		           .y_label = unit,
		           .x_log = true,
		           .y_log = true,
		           .series = series,
		           .n_series = s->n,
		           .marks = &mark,
		           .n_marks = 1 };
	return chart_write(o->out, &c, e);
}

static int compare(const struct app *app, const struct compare *o, const struct opt_parse *p, struct method_set *s,
                   struct err *e)
{
	const struct method *m = s->m;
	size_t best = 0;

	s->compute = o->compute;
	char *ledger = metering_ledger_path(&o->common);
	int status = methods_read(s, ledger, p->positional, p->n_positional, o->unit, e);
	mem_free(ledger);
	if (status < 0)
		return -1;
	judge(s->m, s->n, o->uses);
	if (app->json)
		put_methods(o, s);
	else
		show_table(app, o, s);
	for (size_t i = 0; i < s->n; i++) {
		best = m[i].total.mid < m[best].total.mid ? i : best;
		for (size_t j = i + 1; j < s->n; j++)
			say_pair(app, &m[i], &m[j]);
	}
	if (app->json) {
		json_t *j = json_pack("{s:I, s:f, s:s}", "methods", (json_int_t)s->n, "uses", o->uses, "cheapest",
		                      m[best].name);
		app_json(j);
		json_decref(j);
	} else {
		show_sources(s);
	}
	return o->out ? draw(o, s, e) : 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct method_set s = { 0 };
	int status = compare(app, options, p, &s, e);

	methods_release(&s);
	return status;
}

const struct command cmd_gas_compare = {
	.name = "gas compare",
	.summary = "which method costs least, from how many uses on, and which is worth its cost: each is [NAME=]WHAT, "
	           "a run of the ledger, an adapter's "
		   "or a model's path; or NAME:FIXED,PER_USE[,QUALITY], numbers (12±0.5 has a 90 % interval) or the "
	           "files that tune --json and eval --json wrote",
	.usage = "METHOD METHOD… [--uses N]",
	.example = "kungfu gas compare few-shot:0,10 lora:1000,2",
	.brief = "break-even of methods",
	.looks = true,
	.order = 75,
	.opts = compare_opts,
	.options_size = sizeof(struct compare),
	.least = 2,
	.most = METHODS,
	.wanted = "2 to 16 methods were wanted, each a run, an artefact's path, or NAME:FIXED,PER_USE[,QUALITY]",
	.run = run,
};
