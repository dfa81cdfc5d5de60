/* adapt_page: the end of a run as a person sees it: the table of ways, score against gas as a picture, why; in the
 * terminal and as DIR/report.html, one file that needs nothing from elsewhere and prints well. */
#include "cmd/adapt/adapt_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/io.h"
#include "base/log.h"
#include "base/markup.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "base/term.h"
#include "chart/chart.h"
#include "cmd/metering.h"
#include "cmd/text_table.h"

enum { CELL = 160 };
enum cell { WAY, CHOOSE, TEST, MAKING, MAKING_ENERGY, USE, USE_ENERGY, LATENCY, MEMORY, IN_ALL, EQUAL_AT, COLUMNS };
static const char *const heads[COLUMNS] = { [WAY] = "way", [CHOOSE] = "score on choose", [TEST] = "on test",
	                                    [MAKING] = "making", [MAKING_ENERGY] = "energy to make",
	                                    [USE] = "a use", [USE_ENERGY] = "energy a use",
	                                    [LATENCY] = "latency", [MEMORY] = "memory", [IN_ALL] = "in all",
	                                    [EQUAL_AT] = "equal at" };
static const int first_left_out[] = { MEMORY, MAKING_ENERGY, LATENCY, EQUAL_AT, USE_ENERGY, USE, -1 };

/* Uses at which a way and the winner cost the same in all; "" where they never do. */
static void equal_at(const struct adapt *a, size_t i, char out[CELL])
{
	const struct climb_way *x = &a->climb.ways[i], *y = &a->climb.ways[a->winner];
	struct cost_line p = { span_exact(a->ways[i].make_seconds), span_exact(x->use_seconds) },
			 q = { span_exact(a->ways[a->winner].make_seconds), span_exact(y->use_seconds) };
	struct break_even b = break_even(&p, &q);
	char text[32];

	if (i != a->winner && b.crosses)
		snprintf(out, CELL, "%s use%s", human_count(ceil(b.uses.mid), text), ceil(b.uses.mid) <= 1 ? "" : "s");
}

static void put_energy(double joules, char out[CELL])
{
	char text[32];

	if (joules > 0)
		snprintf(out, CELL, "%s", gas_joules(joules, text));
}

/* A way's time: nothing is a stroke. */
static void put_time(double seconds, char out[CELL])
{
	char text[32];

	snprintf(out, CELL, "%s", seconds > 0 ? predict_human(seconds, text) : "-");
}

/* Of a way that was measured. */
static void measured_cell(const struct adapt *a, size_t i, enum cell k, char out[CELL])
{
	const struct way *w = &a->ways[i];
	const struct estimate *x = &w->score[a->first_at];
	struct bounds b = w->looked, t = a->test_bounds[a->first_at];
	char text[32];

	if (k == CHOOSE)
		snprintf(out, CELL, "%s", adapt_score_text(x->mean, b.low, b.high));
	else if (k == TEST && i == a->winner)
		snprintf(out, CELL, "%s", adapt_score_text(a->test_score[a->first_at].mean, t.low, t.high));
	else if (k == MAKING)
		put_time(w->make_seconds, out);
	else if (k == MAKING_ENERGY)
		put_energy(w->make_joules, out);
	else if (k == USE)
		put_time(a->climb.ways[i].use_seconds, out);
	else if (k == USE_ENERGY)
		put_energy(w->look_joules / (double)w->n, out);
	else if (k == LATENCY)
		put_time(w->latency, out);
	else if (k == MEMORY && w->price.bytes > 0)
		snprintf(out, CELL, "%s", human_bytes((size_t)w->price.bytes, text));
	else if (k == IN_ALL)
		put_time(climb_total(&a->climb, &a->climb.ways[i]), out);
	else if (k == EQUAL_AT)
		equal_at(a, i, out);
}

static void cell_of(const struct adapt *a, size_t i, enum cell k, char out[CELL])
{
	static const char *const states[] = { [CLIMB_WAITS] = "not tried",
		                              [CLIMB_LEFT] = "left",
		                              [CLIMB_CANNOT] = "cannot be" };

	out[0] = 0;
	if (k == WAY)
		snprintf(out, CELL, "%s%s", a->ways[i].name, i == a->winner ? " *" : "");
	else if (adapt_is_measured(a, i))
		measured_cell(a, i, k, out);
	else if (k == CHOOSE)
		snprintf(out, CELL, "%s", states[a->climb.ways[i].state]);
}

static void write_table(const struct adapt *a, struct buf *out)
{
	struct table t = { .columns = COLUMNS, .drop = first_left_out };
	char text[CELL];

	for (int k = 0; k < COLUMNS; k++)
		table_cell(&t, "%s", heads[k]);
	for (size_t i = 0; i < a->climb.n; i++)
		for (int k = 0; k < COLUMNS; k++) {
			cell_of(a, i, (enum cell)k, text);
			table_cell(&t, "%s", text);
		}
	table_write(out, &t, "  ");
	table_release(&t);
}

/* --- the picture --- */

struct picture {
	struct chart chart;
	struct chart_series series[2];
	struct chart_mark *marks;
	double *x, *y, *low, *high, *fx, *fy;
	char x_label[80];
};

static void add_front(const struct adapt *a, struct picture *p, const size_t *of, size_t n)
{
	struct offer *offers = mem_array(MAX(n, 1), sizeof(*offers));
	enum front *on = mem_array(MAX(n, 1), sizeof(*on));
	size_t m = 0;

	for (size_t i = 0; i < n; i++)
		offers[i] = (struct offer){ span_exact(a->climb.ways[of[i]].quality), span_exact(p->x[i]) };
	pareto(offers, n, on);
	for (size_t i = 0; i < n; i++)
		if (on[i] == FRONT_ON) {
			size_t at = m++;
			for (; at > 0 && p->fx[at - 1] > p->x[i]; at--)
				p->fx[at] = p->fx[at - 1], p->fy[at] = p->fy[at - 1];
			p->fx[at] = p->x[i];
			p->fy[at] = p->y[i];
		}
	p->series[0] = (struct chart_series){
		.name = "nothing is better and cheaper", .x = p->fx, .y = p->fy, .n = m, .dashed = true
	};
	mem_free(offers);
	mem_free(on);
}

static void picture_make(const struct adapt *a, struct picture *p)
{
	size_t n = 0, most = MAX(a->climb.n, 1), *of = mem_array(most, sizeof(*of));

	*p = (struct picture){ .x = mem_array(6 * most, sizeof(double)), .marks = mem_array(most, sizeof(*p->marks)) };
	p->y = p->x + most, p->low = p->y + most, p->high = p->low + most, p->fx = p->high + most, p->fy = p->fx + most;
	for (size_t i = 0; i < a->climb.n; i++) {
		if (!adapt_is_measured(a, i))
			continue;
		const struct estimate *x = &a->ways[i].score[a->first_at];
		struct bounds b = a->ways[i].looked;
		p->x[n] = climb_total(&a->climb, &a->climb.ways[i]);
		p->y[n] = x->mean;
		p->low[n] = b.low;
		p->high[n] = isfinite(b.high) ? b.high : x->mean;
		p->marks[n] = (struct chart_mark){ p->x[n], p->y[n], a->ways[i].name };
		of[n++] = i;
	}
	add_front(a, p, of, n);
	p->series[1] = (struct chart_series){ .name = "ways, 90 % at all looks",
		                              .x = p->x,
		                              .y = p->y,
		                              .low = p->low,
		                              .high = p->high,
		                              .n = n,
		                              .points = true,
		                              .bars = true };
	snprintf(p->x_label, sizeof(p->x_label), "seconds, making and %.0f uses", a->o.uses);
	p->chart = (struct chart){ .title = "score against gas",
		                   .x_label = p->x_label,
		                   .y_label = measure_names[a->first->what],
		                   .x_log = true,
		                   .series = p->series,
		                   .n_series = 2,
		                   .marks = p->marks,
		                   .n_marks = n };
	mem_free(of);
}

static void picture_release(struct picture *p)
{
	mem_free(p->x);
	mem_free(p->marks);
}

void adapt_show(const struct adapt *a)
{
	struct buf text = BUF_INIT;
	struct picture p;
	struct gas g;
	char gas[400];
	int columns, rows;

	write_table(a, &text);
	picture_make(a, &p);
	term_size(1, &columns, &rows);
	chart_braille(&text, &p.chart, MIN(columns, 100), 14, term_color(1));
	picture_release(&p);
	buf_adds(&text, "\n");
	adapt_sentences(a, &text);
	adapt_gas(a, &g);
	gas_text(&g, gas);
	buf_addf(&text, "Finding out took %s; the winner alone %.3g s.\n", gas, a->ways[a->winner].make_seconds);
	buf_addf(&text, "%s answers where a model does: kungfu eval %s --data FILE; the report is %s/report.html\n",
	         a->dir, a->dir, a->dir);
	app_print("%s", buf_str(&text));
	buf_release(&text);
}

/* --- the page --- */

static const char style[] =
	"body{font:16px/1.5 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em;color-scheme:light "
	"dark}\n"
	"p{max-width:50em}.wide{overflow-x:auto}table{border-collapse:collapse;font-size:14px}\n"
	"th,td{padding:.3em .6em;border-bottom:1px solid #8888;text-align:left;vertical-align:top}\n"
	"td:not([colspan]){white-space:nowrap}\n"
	"tr.winner{font-weight:bold}.verdict{font-size:1.3em}svg{max-width:100%;height:auto}h2{margin-top:2em}\n"
	"@media print{body{max-width:none;margin:0}table{font-size:11px}h2,table,svg{break-inside:avoid}}\n";

static void put(struct buf *b, const char *text) { markup_text(b, text, strlen(text)); }

static void put_element(struct buf *b, const char *name, const char *text)
{
	buf_addf(b, "<%s>", name);
	put(b, text);
	buf_addf(b, "</%s>\n", name);
}

/* A way's cells; of one that was not measured why it was not, over all of them. */
static void put_way(const struct adapt *a, size_t i, struct buf *b)
{
	char text[CELL];

	buf_adds(b, i == a->winner ? "<tr class=\"winner\">" : "<tr>");
	for (int k = 0; k < (adapt_is_measured(a, i) ? COLUMNS : CHOOSE); k++) {
		cell_of(a, i, (enum cell)k, text);
		put_element(b, "td", text);
	}
	if (!adapt_is_measured(a, i)) {
		cell_of(a, i, CHOOSE, text);
		buf_addf(b, "<td colspan=\"%d\">", COLUMNS - 1);
		if (a->climb.ways[i].state == CLIMB_CANNOT || !*a->ways[i].why)
			put(b, text);
		buf_adds(b, a->climb.ways[i].state == CLIMB_CANNOT && *a->ways[i].why ? ": " : "");
		put(b, a->ways[i].why);
		buf_adds(b, "</td>");
	}
	buf_adds(b, "</tr>\n");
}

static void put_table(const struct adapt *a, struct buf *b)
{
	buf_adds(b, "<div class=\"wide\"><table><thead><tr>");
	for (int k = 0; k < COLUMNS; k++)
		put_element(b, "th", heads[k]);
	buf_adds(b, "</tr></thead><tbody>\n");
	for (size_t i = 0; i < a->climb.n; i++)
		put_way(a, i, b);
	buf_adds(b, "</tbody></table></div>\n");
}

static void put_sentences(const struct adapt *a, struct buf *b)
{
	struct buf text = BUF_INIT;

	adapt_sentences(a, &text);
	for (char *at = text.data, *end; at && *at; at = end + 1) {
		end = at + strcspn(at, "\n");
		buf_adds(b, "<p>");
		markup_text(b, at, (size_t)(end - at));
		buf_adds(b, "</p>\n");
		if (!*end)
			break;
	}
	buf_release(&text);
}

static void put_decisions(const struct adapt *a, struct buf *b)
{
	const json_t *all = json_object_get(a->state, "decisions"), *j;
	size_t i;

	buf_adds(b, "<h2>Decisions</h2>\n<ol>\n");
	json_array_foreach (all, i, j) {
		const char *way = json_string_value(json_object_get(j, "way"));
		const char *why = json_string_value(json_object_get(j, "why"));
		buf_adds(b, "<li><b>");
		put(b, way ? way : "stop");
		buf_adds(b, "</b>: ");
		put(b, why ? why : "");
		buf_adds(b, "</li>\n");
	}
	buf_adds(b, "</ol>\n");
}

static void put_models(const struct adapt *a, struct buf *b)
{
	if (a->n_models < 2)
		return;
	buf_adds(b, "<h2>Models</h2>\n<ul>\n");
	for (size_t i = 0; i < a->n_models; i++) {
		buf_adds(b, "<li><b>");
		put(b, a->models[i].label);
		buf_adds(b, "</b>: ");
		put(b, a->models[i].path);
		buf_addf(b, ", %.4g parameters%s</li>\n", a->models[i].count,
		         a->models[i].encoder ? ", an encoder" : "");
	}
	buf_adds(b, "</ul>\n");
}

static void put_rows(const struct adapt *a, struct buf *b)
{
	buf_addf(b,
	         "<h2>Rows</h2>\n<p>%zu to learn from, %zu to choose by (%ld looks), %zu to test with, opened once; ",
	         a->task.side_n[SIDE_TRAIN], a->n_choose, a->looks, a->n_test);
	put(b, a->o.data);
	for (size_t i = 0; i < a->more.n; i++) {
		buf_addf(b, "; %zu more of ",
		         (i + 1 < a->more.n ? a->more.begins[i + 1] : a->all.n) - a->more.begins[i]);
		put(b, a->all.items[a->more.begins[i]].file);
	}
	if (a->n_spent)
		sentence_add(b, "; %zu test rows were opened before these came, and are spent", a->n_spent);
	if (a->n_opened)
		buf_addf(b, "; %zu of the test rows were opened before: look %d, judged with %.4g %%", a->n_opened,
		         a->test_look, 100 * (1 - a->test_alpha));
	buf_adds(b, "</p>\n");
	if (!a->known.n_repeated)
		return;
	sentence_add(b, "<p>%zu rows ask what another one asks", a->known.n_repeated);
	if (a->known.n_conflicting)
		buf_addf(b, "; %zu of these questions %s unlike answers, so nothing is right on more than %.3f of the "
		         "rows", a->known.n_conflicting, a->known.n_conflicting == 1 ? "has" : "have",
		         a->known.ceiling);
	buf_adds(b, ".</p>\n");
}

int adapt_write_page(const struct adapt *a, struct err *e)
{
	struct buf b = BUF_INIT;
	struct picture p;
	char *file = io_join(a->dir, "report.html");

	buf_addf(&b,
	         "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	         "<meta name=\"viewport\" content=\"width=device-width\">\n"
	         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
	         "'unsafe-inline'\">\n<title>kungfu adapt</title>\n<style>\n%s</style></head><body>\n<h1>",
	         style);
	put(&b, a->has_goal ? a->o.goal : "The best for the gas");
	buf_adds(&b, "</h1>\n<p class=\"verdict\">");
	put(&b, !strcmp(a->verdict, "not_shown") ? "not shown" : a->verdict);
	buf_adds(&b, ": ");
	put(&b, a->why_verdict);
	buf_adds(&b, "</p>\n");
	put_sentences(a, &b);
	put_table(a, &b);
	picture_make(a, &p);
	chart_svg(&b, &p.chart, 1);
	picture_release(&p);
	put_models(a, &b);
	put_rows(a, &b);
	put_decisions(a, &b);
	buf_adds(&b, "</body></html>\n");
	int status = io_write(file, buf_str(&b), b.len, e);
	buf_release(&b);
	mem_free(file);
	return status;
}
