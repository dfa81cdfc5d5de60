/* gas show: the runs of the ledger, or what one artefact cost along its family tree. */
#include "cmd/metering.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "cmd/gas/gas_numbers.h"
#include "cmd/gas/gas_served.h"
#include "gas/evidence.h"

extern const struct command cmd_gas_show;

enum { USES_SHOWN = 1000000 };        /* of an amortised cost: 1, 10 … */

enum { CURVE_PLACES = 61 };

struct show {
	struct common common;
	const char *command, *status, *since, *out, *served;
	int64_t limit;
	bool whole;                    /* --json without --limit: all */
};

static const struct opt show_opts[] = {
	OPT_STRING("command", struct show, command, NULL, "NAME", "only runs of this command"),
	OPT_CHOICE("status", struct show, status, NULL, "running|finished|failed|stopped|killed|declared",
	           "only those"),
	OPT_STRING("since", struct show, since, NULL, "DATE", "only runs that began then or later, as 2026-01-31"),
	OPT_INT("limit", struct show, limit, "20", 0, 1e9,
	        "the newest N runs; 0: all; --json shows all unless it is given"),
	OPT_CHOICE("served", struct show, served, NULL, SERVED_BY,
	           "what servers answered, added up by that, instead of runs"),
	OPT_STRING("out", struct show, out, NULL, "FILE.svg",
	           "an artefact's cost by use as SVG: the amortisation's curve"),
	COMMON_OPTS(struct show, common),
	OPT_END
};

/* --- the list --- */

/* What it took in as a model or as data; what was declared is its result. */
static const char *input_name(const struct entry *x, const char *role)
{
	for (size_t i = 0; i < x->n_uses; i++) {
		const struct artefact *a = &x->uses[i].artefact;
		bool is = x->uses[i].out ? !strcmp(x->status, "declared") && !strcmp(a->kind, role) :
		                           !strcmp(x->uses[i].role, role);
		if (is)
			return a->name ? a->name : a->hash;
	}
	return "-";
}

/* As a shell reads it: what is not plain stands in quotes, a control in $'…'. */
static void put_word(struct buf *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%^";
	size_t n = strlen(word), i = strspn(word, plain);
	bool control = false;

	if (n && i == n) {
		buf_adds(out, word);
		return;
	}
	for (i = 0; i < n; i++)
		control |= (unsigned char)word[i] < ' ' || word[i] == 0x7f;
	buf_adds(out, control ? "$'" : "'");
	for (i = 0; i < n; i++) {
		if (word[i] == '\n' && control)
			buf_adds(out, "\\n");
		else if ((unsigned char)word[i] < ' ' || word[i] == 0x7f)
			buf_addf(out, "\\x%02x", (unsigned char)word[i]);
		else if (word[i] == '\'' || (word[i] == '\\' && control))
			buf_adds(out, word[i] == '\\' ? "\\\\" : control ? "\\'" : "'\\''");
		else
			buf_addc(out, word[i]);
	}
	buf_addc(out, '\'');
}

/* The words of the command line, as one could type them again. */
static void put_arguments(struct buf *out, const struct entry *x)
{
	struct err ignored = ERR_INIT;
	json_t *words = x->argv ? jsonx_load(x->argv, strlen(x->argv), "argv", &ignored) : NULL, *word;
	size_t i;

	json_array_foreach(words, i, word) {
		buf_adds(out, i ? " " : "");
		put_word(out, json_is_string(word) ? json_string_value(word) : "?");
	}
	json_decref(words);
}

static void energy_text(const struct gas *g, char out[128])
{
	char joules[32], low[32], high[32];

	if (isnan(g->energy.joules))
		snprintf(out, 128, "-");
	else
		snprintf(out, 128, "%s (%s to %s)", gas_joules(g->energy.joules, joules),
		         gas_joules(g->energy.low, low), gas_joules(g->energy.high, high));
}

static void add_run(struct table *t, const struct entry *x)
{
	char text[200] = "-";
	const struct gas *g = &x->gas;
	unsigned parts = money_parts(&g->money);
	struct buf words = BUF_INIT;

	table_cell(t, "%.8s", x->id);
	table_cell(t, "%.20s", x->began ? x->began : "");
	table_cell(t, "%s", x->command);
	table_cell(t, "%s", x->status);
	if (!isnan(g->seconds))
		clock_human(g->seconds, text);
	table_cell(t, "%s", text);
	table_cell(t, "%s", g->peak_rss_bytes >= 0 ? human_bytes((size_t)g->peak_rss_bytes, text) : "-");
	energy_text(g, text);
	table_cell(t, "%s", text);
	table_cell(t, "%s", isnan(g->money.total) ?
	                            "-" :
	                            money_text(g->money.total, g->money.currency, parts, parts, text));
	table_cell(t, "%s", input_name(x, "model"));
	table_cell(t, "%s", input_name(x, "data"));
	put_arguments(&words, x);
	table_cell(t, "%.900s", buf_str(&words));
	buf_release(&words);
}

static void show_list(const struct app *app, const struct entries *all)
{
	static const char *const heads[] = { "run",    "began", "command", "status", "time",     "memory",
		                             "energy", "money", "model",   "data",   "arguments" };
	static const int narrow[] = { 5, 7, 8, 9, 1, 3, -1 };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x30, .drop = narrow };
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < all->n; i++) {
		json_t *j = app->json ? entry_json(&all->items[i], false) : NULL;
		if (j)
			app_json(j);
		else
			add_run(&t, &all->items[i]);
		json_decref(j);
	}
	if (!app->json && all->n == 0)
		app_print("the ledger has no such run\n");
	else if (!app->json)
		table_write(&text, &t, "");
	app_print("%s", buf_str(&text));
	buf_release(&text);
	table_release(&t);
}

/* --- one run --- */

/* In the unit that a person reads; never as a power of ten. */
static void number_text(const struct entry *x, const struct column *c, double v, char out[48])
{
	const char *unit = c->unit ? c->unit : "";

	if (!strncmp(c->name, "money", 5))
		human_money(v, x->gas.money.currency, out);
	else if (!strcmp(unit, "s"))
		predict_human(v, out);
	else if (!strcmp(unit, "J"))
		gas_joules(v, out);
	else if (!strcmp(unit, "B"))
		human_bytes((size_t)v, out);
	else if (!strncmp(c->name, "grams", 5))
		human_grams(v, out);
	else if (!strcmp(c->name, "flops") || !strcmp(c->name, "int_ops"))
		human_count(v, out);
	else
		snprintf(out, 48, c->type == COLUMN_INT ? "%.0f%s%s" : "%.4g%s%s", v, *unit ? " " : "", unit);
}

static void show_column(const struct entry *x, const struct column *c, const json_t *v)
{
	char *line;

	if (!strcmp(c->name, "argv")) {
		struct buf words = BUF_INIT;
		put_arguments(&words, x);
		app_print("  %-18s %s\n", "arguments", buf_str(&words));
		buf_release(&words);
		return;
	}
	char number[48];
	if (json_is_number(v)) {
		number_text(x, c, json_number_value(v), number);
		app_print("  %-18s %s\n", c->name, number);
		return;
	}
	line = json_is_string(v) ? mem_strdup(json_string_value(v)) : jsonx_line(v);
	app_print("  %-18s %s\n", c->name, line);
	mem_free(line);
}

/* Everything that the ledger knows of it; the large figures in words first. */
static void show_run(const struct app *app, const struct entry *x)
{
	char gas[400], time[32] = "?", operations[120];
	json_t *j = entry_json(x, false);

	if (app->json) {
		app_json(j);
		json_decref(j);
		return;
	}
	if (!isnan(x->gas.seconds))
		clock_human(x->gas.seconds, time);
	gas_text(&x->gas, gas);
	gas_operations(x->gas.flops, x->gas.int_ops, operations);
	app_print("run %s: %s, %s\n  %s, %s%s%s\n", x->id, x->command, x->status, time, gas, operations[0] ? ", " : "",
	          operations);
	for (const struct column *c = entry_columns; c->name; c++) {
		const json_t *v = json_object_get(j, c->name);
		if (v && !json_is_null(v))
			show_column(x, c, v);
	}
	for (size_t i = 0; i < x->n_uses; i++) {
		const struct artefact *a = &x->uses[i].artefact;
		app_print("  %-18s %s %.12s  %s\n", x->uses[i].out ? "made" : x->uses[i].role, a->kind, a->hash,
		          a->path ? a->path : a->name ? a->name : "");
	}
	served_of_run(x);
	json_decref(j);
}

/* By its id or a beginning of it; NULL: none or several. */
static const struct entry *find_run(const struct entries *all, const char *what)
{
	const struct entry *found = NULL;
	size_t n = strlen(what), some = 0;

	for (size_t i = 0; i < all->n && n >= 4; i++)
		if (!strncmp(all->items[i].id, what, n)) {
			found = &all->items[i];
			some++;
		}
	return some == 1 ? found : NULL;
}

/* --- one artefact --- */

static void cost_text(const struct cost *c, char out[400])
{
	char time[32] = "?", joules[32], low[32], high[32], operations[120], money[200];
	int n;

	if (!isnan(c->seconds))
		clock_human(c->seconds, time);
	n = snprintf(out, 400, "%s",
	             c->runs && isnan(c->seconds) ? "time not known" :
	             c->runs                      ? time :
	                                            "nothing known");
	if (!isnan(c->joules))
		n += snprintf(out + n, 400 - (size_t)n, ", %s (%s to %s)", gas_joules(c->joules, joules),
		              gas_joules(c->joules_low, low), gas_joules(c->joules_high, high));
	if (!isnan(c->money))
		n += snprintf(out + n, 400 - (size_t)n, ", %s",
		              money_text(c->money, c->currency, c->money_any, c->money_all, money));
	if (!isnan(c->flops))
		n += snprintf(out + n, 400 - (size_t)n, ", %s", gas_operations(c->flops, c->int_ops, operations));
	if (c->without_energy)
		sentence_format(out + n, 400 - (size_t)n, "; energy of %zu of %zu runs is not known", c->without_energy,
		                c->runs);
}

static const char *label(const struct family_member *m, char out[80])
{
	snprintf(out, 80, "%.30s %.12s", m->artefact.name ? m->artefact.name : m->artefact.kind, m->artefact.hash);
	return out;
}

static json_t *member_json(const struct family_member *m)
{
	const struct artefact *a = &m->artefact;
	return json_pack("{s:s, s:s?, s:o, s:s?, s:o}", "hash", a->hash, "kind", a->kind, "name",
	                 a->name ? jsonx_path(a->name) : json_null(), "source", a->source, "own", cost_json(&m->own));
}

/* What each of n uses bears beside its own cost. */
static json_t *amortised(const struct cost *sunk, const struct cost *own)
{
	json_t *list = json_array();
	struct cost both = *sunk;

	cost_add(&both, own);
	for (int n = 1; n <= USES_SHOWN; n *= 10)
		json_array_append_new(list,
		                      json_pack("{s:i, s:o, s:o, s:o}", "uses", n, "joules",
		                                jsonx_number(both.joules / n), "money", jsonx_number(both.money / n),
		                                "seconds", jsonx_number(both.seconds / n)));
	return list;
}

static json_t *members_json(const struct family *f, const int *list, size_t n)
{
	json_t *j = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(j, member_json(&f->members[list[i]]));
	return j;
}

static void show_members(const char *title, const struct family *f, const int *list, size_t n)
{
	char name[80], cost[400];
	for (size_t i = 0; i < n; i++) {
		cost_text(&f->members[list[i]].own, cost);
		app_print("  %-12s %-44s %s\n", i ? "" : title, label(&f->members[list[i]], name), cost);
	}
}

static void show_curve(const struct cost *sunk, const struct cost *own)
{
	struct cost both = *sunk;
	char joules[32], time[32], money[48], is[120];

	cost_add(&both, own);
	if (isnan(both.joules) && isnan(both.seconds) && isnan(both.money))
		return;
	money_parts_text(both.money_any, both.money_all, is);
	app_print("  amortised    sunk + own, for each of so many uses%s%s:\n", isnan(both.money) ? "" : "; money of ",
	          isnan(both.money) ? "" : is);
	for (int n = 1; n <= USES_SHOWN; n *= 10) {
		clock_human(both.seconds / n, time);
		app_print("    %9d  %12s  %12s", n, gas_joules(both.joules / n, joules), time);
		if (!isnan(both.money))
			app_print("  %s", human_money(both.money / n, both.currency, money));
		app_print("\n");
	}
}

/* Sunk and own cost over uses, with and without the ancestors, in joules or, where they are not known, in seconds. */
static int draw_curve(const char *path, const struct family_member *m, const struct cost *sunk, struct err *e)
{
	static double x[CURVE_PLACES], y[2][CURVE_PLACES];
	struct cost both = *sunk;

	cost_add(&both, &m->own);
	enum cost_unit unit = isnan(both.joules) ? COST_SECONDS : COST_JOULES;
	if (!(cost_of(&both, unit) > 0))
		return err_set(e, "--out: nothing is known of what %s cost, so there is no curve to draw",
		               m->artefact.name ? m->artefact.name : m->artefact.hash);
	char of[48];
	double by = chart_unit(cost_of(&both, unit) / 1e6, unit == COST_JOULES ? "joules" : "seconds", of);
	char *y_label = mem_printf("%s a use", of);
	for (int i = 0; i < CURVE_PLACES; i++) {
		x[i] = pow(10, 6.0 * i / (CURVE_PLACES - 1));
		y[0][i] = by * cost_of(&both, unit) / x[i];
		y[1][i] = by * cost_of(&m->own, unit) / x[i];
	}
	struct chart_series series[] = {
		{ .name = "sunk + own", .x = x, .y = y[0], .n = CURVE_PLACES },
		{ .name = "own", .x = x, .y = y[1], .n = CURVE_PLACES, .dashed = true },
	};
	struct chart_mark mark = { (double)m->n_uses, NAN, "uses so far" };
	struct chart c = { .title = "amortised cost",
		           .x_label = "uses",
		           .y_label = y_label,
		           .x_log = true,
		           .y_log = true,
		           .series = series,
		           .n_series = cost_of(&m->own, unit) > 0 ? 2 : 1,
		           .marks = &mark,
		           .n_marks = m->n_uses > 0 };
	int status = chart_write(path, &c, e);
	mem_free(y_label);
	return status;
}

/* --- who used it, by the way in which they did --- */

struct way { const struct entry *like; struct cost cost; int64_t rows; /* −1: not known of all */ };

static bool takes_in(const struct entry *x, const char *hash)
{
	for (size_t i = 0; entry_is_use(x) && i < x->n_uses; i++)
		if (!x->uses[i].out && !strcmp(x->uses[i].artefact.hash, hash))
			return true;
	return false;
}

static void add_to_way(struct way *ways, size_t *n, const struct entry *x)
{
	size_t i = 0;
	int64_t rows = evidence_rows(x);

	while (i < *n && (strcmp(ways[i].like->command, x->command) || !evidence_same_way(ways[i].like, x)))
		i++;
	if (i == *n) {
		ways[(*n)++] = (struct way){ .like = x };
		cost_none(&ways[i].cost);
	}
	cost_add_run(&ways[i].cost, x);
	ways[i].rows = rows > 0 && ways[i].rows >= 0 ? ways[i].rows + rows : -1;
}

/* In f's arena. */
static struct way *ways_of(struct family *f, int at, size_t *n)
{
	struct way *ways = arena_array(&f->mem, f->entries->n, sizeof(*ways));

	*n = 0;
	for (size_t i = 0; i < f->entries->n; i++)
		if (takes_in(&f->entries->items[i], f->members[at].artefact.hash))
			add_to_way(ways, n, &f->entries->items[i]);
	return ways;
}

static void show_ways(const struct way *ways, size_t n)
{
	char way[80], cost[400], time[32];

	for (size_t i = 0; i < n; i++) {
		const struct way *w = &ways[i];
		evidence_way(w->like, way);
		cost_text(&w->cost, cost);
		app_print("    %s%s%s%.8s: %zu runs: %s", w->like->command, way, w->like->machine ? ", machine " : "",
		          w->like->machine ? w->like->machine : "", w->cost.runs, cost);
		if (w->rows > 0)
			app_print("; %s a row of %lld", predict_human(w->cost.seconds / (double)w->rows, time),
			          (long long)w->rows);
		app_print("\n");
	}
}

static json_t *ways_json(const struct way *ways, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct entry *like = ways[i].like;
		const char *compute = evidence_compute(like);
		json_array_append_new(list, json_pack("{s:s, s:s?, s:o, s:s?, s:s?, s:o, s:o}", "command",
		                                      like->command, "compute", *compute ? compute : NULL, "threads",
		                                      like->threads >= 0 ? json_integer(like->threads) : json_null(),
		                                      "machine", like->machine, "kernels", like->kernels, "rows",
		                                      ways[i].rows > 0 ? json_integer(ways[i].rows) : json_null(),
		                                      "cost", cost_json(&ways[i].cost)));
	}
	return list;
}

static void show_artefact(const struct app *app, struct family *f, int at)
{
	const struct family_member *m = &f->members[at];
	size_t n_ancestors, n_sharers, n_ways;
	struct way *ways = ways_of(f, at, &n_ways);
	int *ancestors = family_ancestors(f, at, &n_ancestors), *sharers = family_sharers(f, at, &n_sharers);
	struct cost sunk;
	char name[80], text[400];

	family_sunk(f, at, &sunk);
	if (app->json) {
		json_t *j = member_json(m);
		json_object_set_new(j, "sunk", cost_json(&sunk));
		json_object_set_new(j, "uses", json_integer((json_int_t)m->n_uses));
		json_object_set_new(j, "used", cost_json(&m->uses));
		json_object_set_new(j, "used_by", ways_json(ways, n_ways));
		json_object_set_new(j, "made", json_integer((json_int_t)m->made));
		json_object_set_new(j, "ancestors", members_json(f, ancestors, n_ancestors));
		json_object_set_new(j, "shared_with", members_json(f, sharers, n_sharers));
		json_object_set_new(j, "amortised", amortised(&sunk, &m->own));
		app_json(j);
		json_decref(j);
		return;
	}
	app_print("%s: %s\n", label(m, name), m->artefact.kind);
	cost_text(&sunk, text);
	app_print("  %-12s %s (%zu ancestors)\n", "sunk", n_ancestors ? text : "nothing", n_ancestors);
	show_members("", f, ancestors, n_ancestors);
	cost_text(&m->own, text);
	app_print("  %-12s %s%s\n", "own",
	          m->maker < 0 ? "not known: no run here made it; kungfu gas declare enters it" : text,
	          m->made > 1 ? "; made again since" : "");
	cost_text(&m->uses, text);
	app_print("  %-12s %zu runs: %s\n", "used by", m->n_uses, m->n_uses ? text : "none yet");
	show_ways(ways, n_ways);
	show_members("shared with", f, sharers, n_sharers);
	show_curve(&sunk, &m->own);
}

static bool makes(const struct entry *x)
{
	for (size_t i = 0; i < x->n_uses; i++)
		if (x->uses[i].out)
			return true;
	return false;
}

static int show(const struct app *app, const struct show *o, const char *what, struct err *e)
{
	struct ledger *l = NULL;
	struct entries all;
	struct family f;
	bool one = what != NULL;
	struct ledger_filter filter = { .command = one ? NULL : o->command,
		                        .status = one ? NULL : o->status,
		                        .since = one ? NULL : o->since,
		                        .limit = one || o->whole ? 0 : o->limit };
	char *path = metering_ledger_path(&o->common);
	int status = path ? ledger_open(&l, path, LEDGER_READ, e) :
	                    err_set(e, "neither XDG_STATE_HOME nor HOME is set; --ledger FILE names a ledger");

	mem_free(path);
	if (!status && o->served) {
		status = served_by(app, l, o->served, o->since, e);
		ledger_close(l);
		return status;
	}
	if (status || ledger_runs(l, &filter, &all, e) < 0) {
		ledger_close(l);
		return -1;
	}
	if (!one) {
		show_list(app, &all);
	} else {
		family_build(&f, &all);
		const struct entry *run = io_exists(what) ? NULL : find_run(&all, what);
		if (run)
			show_run(app, run);
		int at = run && !makes(run) ? -1 : evidence_artefact(&f, l, what, e);
		status = at < 0 ? -1 : 0;
		if (run && at < 0 && !o->out) {
			family_release(&f);
			entries_release(&all);
			ledger_close(l);
			return 0;
		}
		if (!status)
			show_artefact(app, &f, at);
		if (!status && o->out) {
			struct cost sunk;
			family_sunk(&f, at, &sunk);
			status = draw_curve(o->out, &f.members[at], &sunk, e);
		}
		family_release(&f);
	}
	entries_release(&all);
	ledger_close(l);
	return status;
}

/* The number of two digits at a place, if both are there; else `missing`. */
static int two_digits(const char *s, size_t n, size_t at, int missing)
{
	return n < at + 2 ? missing : (s[at] - '0') * 10 + s[at + 1] - '0';
}

static bool is_day(const char *s, size_t n)
{
	static const int most[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = atoi(s), month = two_digits(s, n, 5, 1), day = two_digits(s, n, 8, 1);
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month >= 1 && month <= 12 && day >= 1 && day <= most[month - 1] - (month == 2 && !leap);
}

/* As the ledger has them: 2026-01-31T12:00:00Z, or a beginning of that. */
static bool is_date(const char *s)
{
	static const char form[] = "0000-00-00T00:00:00Z";
	size_t i = 0, n = strlen(s);

	for (; s[i] && i < strlen(form); i++)
		if (form[i] == '0' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
			return false;
	return !s[i] && i >= 4 && is_day(s, n) && two_digits(s, n, 11, 0) < 24 && two_digits(s, n, 14, 0) < 60 &&
	       two_digits(s, n, 17, 0) < 60;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct show *o = options;

	o->whole = app->json && !opt_given(p, "limit");
	if (o->since && !is_date(o->since))
		return app_usage(&cmd_gas_show, "--since %s: a date was wanted, as 2026-01-31, or the beginning of one",
		                 o->since);
	if (o->served && (p->n_positional || o->command || o->status || o->out))
		return app_usage(&cmd_gas_show, "--served adds up all servers: beside it there is --since alone");
	if (o->out && !p->n_positional)
		return app_usage(&cmd_gas_show,
		                 "--out draws one artefact's curve: kungfu gas show ARTEFACT --out FILE.svg");
	return show(app, o, p->n_positional ? p->positional[0] : NULL, e);
}

const struct command cmd_gas_show = {
	.name = "gas show",
	.summary = "the runs of the ledger and what each took, or an artefact's whole cost",
	.usage = "[ARTEFACT|RUN] [options]",
	.example = "kungfu gas show",
	.brief = "what each run took",
	.order = 70,
	.looks = true,
	.opts = show_opts,
	.options_size = sizeof(struct show),
	.least = 0, .most = 1, .wanted = "one artefact or run was wanted",
	.run = run,
};
