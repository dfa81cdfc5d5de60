/* chart_braille: a chart in characters, each of which holds 2 × 4 dots (U+2800 and the bits of its dots). A cell has
 * the colour of the series that was drawn last in it. Where there are several series, each ends in its letter, so that
 * they are told apart without colours too. */
#include "chart/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/term.h"
#include "base/utf8.h"
#include "chart/axis.h"

enum { ROWS_MIN = 3, COLUMNS_MIN = 20 };

static const char *const ansi[CHART_COLORS] = { "\033[94m", "\033[33m", "\033[32m", "\033[35m",
	                                        "\033[91m", "\033[36m", "\033[93m", "\033[37m" };

struct cell {
	uint8_t dots, ink;  /* ink: 1 + the series, 0 for none */
	uint32_t glyph;     /* a character in the dots' place, 0 for none */
};

struct canvas {
	const struct chart *c;
	struct axis x, y;
	struct cell *cells;  /* rows × columns */
	int columns, rows;
	bool color;
};

static double x_dot(const struct canvas *v, double x) { return axis_place(&v->x, x) * (2 * v->columns - 1); }
static double y_dot(const struct canvas *v, double y) { return (1 - axis_place(&v->y, y)) * (4 * v->rows - 1); }

static struct cell *cell_at(const struct canvas *v, int x, int y)
{
	x = MAX(0, MIN(x, 2 * v->columns - 1));
	y = MAX(0, MIN(y, 4 * v->rows - 1));
	return &v->cells[y / 4 * v->columns + x / 2];
}

static void set_dot(const struct canvas *v, int x, int y, uint8_t ink)
{
	static const uint8_t bit[4][2] = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } };
	struct cell *c = cell_at(v, x, y);
	c->dots |= bit[MAX(0, y) % 4][MAX(0, x) % 2];
	c->ink = ink;
}

/* Every dot between two, or with `gap` only every gap-th. */
static void draw_line(const struct canvas *v, int x0, int y0, int x1, int y1, int gap, uint8_t ink)
{
	int steps = MAX(abs(x1 - x0), abs(y1 - y0));
	for (int i = 0; i <= steps; i++) {
		double t = steps ? (double)i / steps : 0;
		int x = (int)lround(x0 + t * (x1 - x0)), y = (int)lround(y0 + t * (y1 - y0));
		if (gap == 1 || (x + (x0 == x1 ? y : 0)) % gap == 0)
			set_dot(v, x, y, ink);
	}
}

static void draw_curve(const struct canvas *v, const struct chart_series *s, const double *y, bool points, int gap,
                       uint8_t ink)
{
	bool pen = false;
	int last_x = 0, last_y = 0;
	for (size_t i = 0; i < s->n; i++) {
		double at_x = x_dot(v, s->x[i]), at_y = y_dot(v, y[i]);
		if (isnan(at_x) || isnan(at_y)) {
			pen = false;
			continue;
		}
		int px = (int)lround(at_x), py = (int)lround(at_y);
		if (pen && !points)
			draw_line(v, last_x, last_y, px, py, gap, ink);
		else if (points)
			*cell_at(v, px, py) = (struct cell){ .glyph = 0x2022, .ink = ink };
		else
			set_dot(v, px, py, ink);
		last_x = px;
		last_y = py;
		pen = true;
	}
}

static uint32_t letter(size_t series) { return series < 26 ? (uint32_t)('a' + series) : '*'; }

/* Puts the series' letter where it ends. */
static void sign_curve(const struct canvas *v, const struct chart_series *s, size_t series)
{
	for (size_t i = s->n; i-- > 0;) {
		double x = x_dot(v, s->x[i]), y = y_dot(v, s->y[i]);
		if (isnan(x) || isnan(y))
			continue;
		struct cell *c = cell_at(v, (int)lround(x), (int)lround(y));
		c->glyph = letter(series);
		c->ink = (uint8_t)(chart_color(v->c, series) + 1);
		return;
	}
}

static void write_over(const struct canvas *v, int column, int row, const char *text)
{
	size_t n = strlen(text), size;
	uint32_t cp;
	for (size_t at = 0; at < n && column < v->columns; at += size, column++) {
		size = utf8_decode(text + at, n - at, &cp);
		if (size == 0 || cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || term_columns(text + at, size) != 1)
			cp = '?';
		size = size ? size : 1;
		if (column >= 0)
			v->cells[row * v->columns + column] = (struct cell){ .glyph = cp };
	}
}

/* A mark that is no point: a line across, or up and down, with its name. */
static void draw_line_mark(const struct canvas *v, const struct chart_mark *m, int columns)
{
	double x = x_dot(v, m->x), y = y_dot(v, m->y);
	int column = isnan(x) ? v->columns - columns : (int)lround(x) / 2, row = isnan(y) ? 0 : (int)lround(y) / 4;

	if (isnan(x))
		draw_line(v, 0, (int)lround(y), 2 * v->columns - 1, (int)lround(y), 2, 0);
	else
		draw_line(v, (int)lround(x), 0, (int)lround(x), 4 * v->rows - 1, 2, 0);
	if (m->text)
		write_over(v,
		           isnan(x)                          ? column :
		           column + 2 + columns > v->columns ? column - 1 - columns :
		                                               column + 2,
		           row, m->text);
}

/* Is there room for n characters, one of them on either side, that no other name stands in? */
static bool is_free(const struct canvas *v, int column, int row, int n)
{
	if (row < 0 || row >= v->rows || column < 0 || column + n > v->columns)
		return false;
	for (int k = MAX(0, column - 1); k < MIN(v->columns, column + n + 1); k++)
		if (v->cells[row * v->columns + k].glyph)
			return false;
	return true;
}

/* A point's name, beside it where there is room, else over or under it. */
static void name_point(const struct canvas *v, const struct chart_mark *m, int columns)
{
	int x = (int)lround(x_dot(v, m->x)) / 2, y = (int)lround(y_dot(v, m->y)) / 4, right = x + 2,
	    left = x - 1 - columns, over = MAX(0, MIN(x - columns / 2, v->columns - columns));
	const int places[][2] = { { right, y }, { left, y }, { over, y - 1 }, { over, y + 1 }, { right, y - 1 },
		                  { left, y - 1 }, { right, y + 1 }, { left, y + 1 }, { over, y - 2 },
		                  { over, y + 2 } };

	for (size_t k = 0; k < ARRAY_LEN(places); k++)
		if (is_free(v, places[k][0], places[k][1], columns)) {
			write_over(v, places[k][0], places[k][1], m->text);
			return;
		}
	write_over(v, right + columns > v->columns ? left : right, y, m->text);
}

/* Points first, then letters of curves, then points' names, so that each finds what is taken. */
static void draw_marks(const struct canvas *v, bool names)
{
	for (size_t i = 0; i < v->c->n_marks; i++) {
		const struct chart_mark *m = &v->c->marks[i];
		double x = x_dot(v, m->x), y = y_dot(v, m->y);
		int columns = m->text ? (int)term_columns(m->text, strlen(m->text)) : 0;
		bool point = !isnan(x) && !isnan(y);
		if (isnan(x) && isnan(y))
			continue;
		if (!point && !names)
			draw_line_mark(v, m, columns);
		else if (point && !names)
			cell_at(v, (int)lround(x), (int)lround(y))->glyph = 0x25CF;
		else if (point && m->text)
			name_point(v, m, columns);
	}
}

static void draw_bars(const struct canvas *v, const struct chart_series *s, uint8_t ink)
{
	for (size_t i = 0; i < s->n; i++) {
		double x = x_dot(v, s->x[i]), low = y_dot(v, s->low[i]), high = y_dot(v, s->high[i]);
		if (!isnan(x) && !isnan(low) && !isnan(high))
			draw_line(v, (int)lround(x), (int)lround(low), (int)lround(x), (int)lround(high), 1, ink);
	}
}

static void draw(const struct canvas *v)
{
	for (size_t i = 0; i < v->c->n_series; i++) {
		const struct chart_series *s = &v->c->series[i];
		uint8_t ink = (uint8_t)(chart_color(v->c, i) + 1);
		if (s->bars) {
			draw_bars(v, s, ink);
		} else if (s->low && s->high) {
			draw_curve(v, s, s->low, false, 3, ink);
			draw_curve(v, s, s->high, false, 3, ink);
		}
		draw_curve(v, s, s->y, s->points, s->faint ? 3 : s->dashed ? 2 : 1, ink);
		if (s->bars)
			draw_curve(v, s, s->y, true, 1, ink);
	}
	draw_marks(v, false);
	for (size_t i = 0; i < v->c->n_series && v->c->n_series > 1; i++)
		if (!v->c->series[i].unsaid)
			sign_curve(v, &v->c->series[i], i);
	draw_marks(v, true);
	if (v->x.empty || v->y.empty)
		write_over(v, v->columns / 2 - 4, v->rows / 2, "no data");
}

/* --- writing it down --- */

static void add_cells(struct buf *out, const struct canvas *v, int row)
{
	int last = v->columns;
	uint8_t ink = 0;
	while (last > 0 && !v->cells[row * v->columns + last - 1].dots && !v->cells[row * v->columns + last - 1].glyph)
		last--;
	for (int i = 0; i < last; i++) {
		const struct cell *c = &v->cells[row * v->columns + i];
		char text[4];
		if (v->color && c->ink != ink) {
			buf_adds(out, c->ink ? ansi[c->ink - 1] : "\033[0m");
			ink = c->ink;
		}
		uint32_t cp = c->glyph ? c->glyph : c->dots ? 0x2800u + c->dots : ' ';
		buf_add(out, text, utf8_encode(cp, text));
	}
	if (ink)
		buf_adds(out, "\033[0m");
}

static void add_fitting(struct buf *out, const char *text, int columns)
{
	size_t n = strlen(text), fits = columns > 0 ? term_fit(text, n, (size_t)columns) : 0;
	term_text(out, text, fits);
}

/* "loss, nats a token" */
static void add_title(struct buf *out, const struct chart *c, int columns)
{
	char *title = mem_printf("%s%s%s", c->title ? c->title : "", c->title && c->y_label ? ", " : "",
	                         c->y_label ? c->y_label : "");
	add_fitting(out, title, columns);
	buf_addc(out, '\n');
	mem_free(title);
}

static void add_plot(struct buf *out, const struct canvas *v, const struct axis_ticks *y, int margin)
{
	for (int row = 0; row < v->rows; row++) {
		const char *label = "";
		for (size_t i = 0; i < y->n; i++)
			if ((int)lround((1 - y->at[i]) * (4 * v->rows - 1)) / 4 == row)
				label = y->text[i];
		buf_addf(out, "%*s %s", margin, label, *label ? "┤" : "│");
		add_cells(out, v, row);
		buf_addc(out, '\n');
	}
}

/* The axis, and under it the ticks' numbers as far as they do not touch, the axis' name at the right end. */
static void add_x_axis(struct buf *out, const struct canvas *v, int margin)
{
	struct axis_ticks x;
	int name = v->c->x_label ? (int)term_columns(v->c->x_label, strlen(v->c->x_label)) : 0, used = 0,
	    end = v->columns - (name ? name + 1 : 0);
	struct buf labels = BUF_INIT;
	axis_ticks(&v->x, (size_t)MAX(2, v->columns / 10), &x);
	buf_addf(out, "%*s └", margin, "");
	for (int i = 0; i < v->columns; i++) {
		bool tick = false;
		for (size_t k = 0; k < x.n; k++)
			tick |= (int)lround(x.at[k] * (2 * v->columns - 1)) / 2 == i;
		buf_adds(out, tick ? "┴" : "─");
	}
	for (size_t k = 0; k < x.n; k++) {
		int n = (int)strlen(x.text[k]), at = (int)lround(x.at[k] * (2 * v->columns - 1)) / 2 - n / 2;
		at = MAX(0, MIN(at, v->columns - n));
		if ((k > 0 && at <= used) || at + n > end)
			continue;
		buf_addf(&labels, "%*s%s", at - used, "", x.text[k]);
		used = at + n;
	}
	buf_addf(out, "\n%*s  %s%*s", margin, "", buf_str(&labels),
	         name && name < v->columns - used ? v->columns - used - name : 0, "");
	if (name && name < v->columns - used)
		add_fitting(out, v->c->x_label, name);
	buf_addc(out, '\n');
	buf_release(&labels);
}

static void add_legend(struct buf *out, const struct canvas *v, int margin, int columns)
{
	for (size_t i = 0; i < v->c->n_series && v->c->n_series > 1; i++) {
		const char *name = v->c->series[i].name ? v->c->series[i].name : "";
		if (v->c->series[i].unsaid)
			continue;
		buf_addf(out, "%*s  %s%c%s ", margin, "", v->color ? ansi[chart_color(v->c, i)] : "", (char)letter(i),
		         v->color ? "\033[0m" : "");
		add_fitting(out, name, columns - margin - 4);
		buf_addc(out, '\n');
	}
}

/* Lines of the legend. */
static int said(const struct chart *c)
{
	int n = 0;

	for (size_t i = 0; i < c->n_series; i++)
		n += !c->series[i].unsaid;
	return n;
}

void chart_braille(struct buf *out, const struct chart *c, int columns, int rows, bool color)
{
	struct canvas v = { .c = c, .color = color };
	struct axis_ticks y;
	int margin = 0, other = 2 + (c->title || c->y_label) + (c->n_series > 1 ? said(c) : 0);
	columns = MAX(columns, COLUMNS_MIN);
	v.rows = MAX(ROWS_MIN, rows - other);
	axis_fit(c, &v.x, &v.y);
	axis_ticks(&v.y, (size_t)MAX(2, v.rows / 2), &y);
	for (size_t i = 0; i < y.n; i++)
		margin = MAX(margin, (int)strlen(y.text[i]));
	v.columns = columns - margin - 2;
	v.cells = mem_array((size_t)v.columns * (size_t)v.rows, sizeof(*v.cells));
	draw(&v);
	if (c->title || c->y_label)
		add_title(out, c, columns);
	add_plot(out, &v, &y, margin);
	add_x_axis(out, &v, margin);
	add_legend(out, &v, margin, columns);
	mem_free(v.cells);
}
