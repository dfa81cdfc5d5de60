/* chart_svg: charts as one SVG element. Positions are written with a tenth of a pixel. Widths of texts are estimated,
 * since only the reader knows the font. Colours are classes, defined for light and, in a media query, for dark; the
 * palette keeps a contrast of at least 3 to 1 to its background in both. Ids are not used, so that several pictures may
 * stand in one page. */
#include "chart/chart.h"

#include <math.h>
#include <string.h>

#include "base/markup.h"
#include "base/mem.h"
#include "base/term.h"
#include "chart/axis.h"

enum { WIDTH = 720, LEFT = 70, RIGHT = 18, PLOT_HEIGHT = 170, LINE = 18, NAME_COLUMNS = 48 };
#define LETTER 6.6 /* pixels that a column of text takes, about */

static const char *const light[CHART_COLORS] = { "#1f5fbf", "#c2410c", "#15803d", "#7e22ce",
	                                         "#be185d", "#0e7490", "#854d0e", "#525252" };
static const char *const dark[CHART_COLORS] = { "#6ea8fe", "#fb923c", "#4ade80", "#c084fc",
	                                        "#f472b6", "#22d3ee", "#facc15", "#a3a3a3" };

struct box { double left, top, right, bottom; };

/* One chart on its way: its axes and where its plot lies, in pixels. */
struct view {
	struct buf *out;
	const struct chart *c;
	struct axis x, y;
	double top, bottom;
	struct box *taken;   /* by points and their names */
	size_t n_taken;
};

static double x_pixel(const struct view *v, double x) { return LEFT + axis_place(&v->x, x) * (WIDTH - LEFT - RIGHT); }
static double y_pixel(const struct view *v, double y)
{
	return v->bottom - axis_place(&v->y, y) * (v->bottom - v->top);
}

static void add_style(struct buf *out)
{
	buf_adds(out, "<style>.kc-bg{fill:#fff}.kc-ink{fill:#1b1f24}.kc-dim{fill:#57606a}.kc-grid{stroke:#e3e6ea;"
	              "stroke-width:1}"
	              ".kc-axis{stroke:#8c959f;stroke-width:1}.kc-line{fill:none;stroke-width:1.6;stroke-linejoin:"
	              "round;stroke-linecap:round}"
	              ".kc-text{font:12px system-ui,sans-serif}.kc-title{font:600 14px "
	              "system-ui,sans-serif}.kc-dash{stroke-dasharray:5 4}"
	              ".kc-band{fill-opacity:.18;stroke:none}.kc-faint{stroke-opacity:.35}.kc-bar{fill:none;"
	              "stroke-width:1.2}");
	for (int i = 0; i < CHART_COLORS; i++)
		buf_addf(out, ".kc-s%d{stroke:%s}.kc-f%d{fill:%s}", i, light[i], i, light[i]);
	buf_adds(out, "@media(prefers-color-scheme:dark){.kc-bg{fill:#14171c}.kc-ink{fill:#e6e9ed}.kc-dim{fill:#9aa4af}"
	              ".kc-grid{stroke:#2a2f37}"
	              ".kc-axis{stroke:#6b7480}");
	for (int i = 0; i < CHART_COLORS; i++)
		buf_addf(out, ".kc-s%d{stroke:%s}.kc-f%d{fill:%s}", i, dark[i], i, dark[i]);
	buf_adds(out, "}</style>\n");
}

static void add_text(struct buf *out, double x, double y, const char *class, const char *anchor, const char *text)
{
	size_t n = strlen(text), fits = term_fit(text, n, NAME_COLUMNS);
	buf_addf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, class, anchor);
	markup_text(out, text, fits);
	buf_addf(out, "%s</text>\n", fits < n ? "…" : "");
}

/* --- legend --- */

static double text_width(const char *text)
{
	return LETTER * (double)MIN(term_columns(text, strlen(text)), (size_t)NAME_COLUMNS + 1);
}

static double legend_width(const struct chart_series *s)
{
	return 30 + text_width(s->name ? s->name : "?") + 16;
}

static void add_sample(struct buf *out, const struct chart_series *s, size_t color, double x, double y)
{
	if (s->points)
		buf_addf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" class=\"kc-f%zu\"/>", x + 11, y - 4, color);
	else
		buf_addf(out, "<path d=\"M%.1f %.1fh22\" class=\"kc-line kc-s%zu%s%s\"/>", x, y - 4, color,
		         s->dashed ? " kc-dash" : "", s->faint ? " kc-faint" : "");
}

/* The lines that the legend takes; drawn from y on, where out is given. */
static int legend(struct buf *out, const struct chart *c, double y)
{
	double x = LEFT;
	int lines = 1;
	if (c->n_series < 2)
		return 0;
	for (size_t i = 0; i < c->n_series; i++) {
		double width = legend_width(&c->series[i]);
		if (c->series[i].unsaid)
			continue;
		if (x > LEFT && x + width > WIDTH - RIGHT) {
			x = LEFT;
			lines++;
		}
		if (out) {
			add_sample(out, &c->series[i], chart_color(c, i), x, y + LINE * (lines - 1));
			add_text(out, x + 28, y + LINE * (lines - 1), "kc-text kc-ink", "start",
			         c->series[i].name ? c->series[i].name : "?");
		}
		x += width;
	}
	return lines;
}

/* --- series --- */

/* The last of the points from i on that lie in i's pixel column; *low and *high: the lowest and highest of them. A gap
 * ends the column. i has a place. */
static size_t column_end(const struct view *v, const struct chart_series *s, const double *y, size_t i, size_t *low,
                         size_t *high)
{
	double column = floor(x_pixel(v, s->x[i]));
	*low = *high = i;
	for (size_t j = i + 1; j < s->n && floor(x_pixel(v, s->x[j])) == column && !isnan(y_pixel(v, y[j])); i = j++) {
		*low = y[j] < y[*low] ? j : *low;
		*high = y[j] > y[*high] ? j : *high;
	}
	return i;
}

static void add_point(const struct view *v, const struct chart_series *s, const double *y, size_t i, bool *pen)
{
	buf_addf(v->out, "%s%.1f %.1f", *pen ? "L" : "M", x_pixel(v, s->x[i]), y_pixel(v, y[i]));
	*pen = true;
}

static bool has_place(const struct view *v, double x, double y)
{
	return !isnan(x_pixel(v, x)) && !isnan(y_pixel(v, y));
}

/* A line; a point between two gaps becomes a dot, by the round ends of a line of no length. */
static void add_line(const struct view *v, const struct chart_series *s, size_t color)
{
	bool pen = false;
	size_t run = 0;
	buf_adds(v->out, "<path d=\"");
	for (size_t i = 0; i < s->n; i++) {
		size_t low, high;
		if (!has_place(v, s->x[i], s->y[i])) {
			pen = false;
			continue;
		}
		run = pen ? run + 1 : 1;
		add_point(v, s, s->y, i, &pen);
		size_t last = column_end(v, s, s->y, i, &low, &high), middle[2] = { MIN(low, high), MAX(low, high) };
		for (int k = 0; k < 2; k++)
			if (middle[k] > i && middle[k] < last && (k == 0 || middle[1] != middle[0]))
				add_point(v, s, s->y, middle[k], &pen);
		if (last > i)
			add_point(v, s, s->y, last, &pen);
		else if (run == 1 && (i + 1 == s->n || !has_place(v, s->x[i + 1], s->y[i + 1])))
			buf_adds(v->out, "h0");
		i = last;
	}
	buf_addf(v->out, "\" class=\"kc-line kc-s%zu%s%s\"/>\n", color, s->dashed ? " kc-dash" : "",
	         s->faint ? " kc-faint" : "");
}

static void add_dots(const struct view *v, const struct chart_series *s, size_t color)
{
	double last_x = NAN, last_y = NAN;
	for (size_t i = 0; i < s->n; i++) {
		double x = x_pixel(v, s->x[i]), y = y_pixel(v, s->y[i]);
		if (!has_place(v, s->x[i], s->y[i]) || fabs(x - last_x) + fabs(y - last_y) < 0.5)
			continue;
		buf_addf(v->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" class=\"kc-f%zu\"/>\n", x, y, color);
		last_x = x;
		last_y = y;
	}
}

/* From low to high with a short line across each end, and the point itself. */
static void add_bars(const struct view *v, const struct chart_series *s, size_t color)
{
	buf_adds(v->out, "<path d=\"");
	for (size_t i = 0; i < s->n; i++) {
		double x = x_pixel(v, s->x[i]), low = y_pixel(v, s->low[i]), high = y_pixel(v, s->high[i]);
		if (!isnan(x) && !isnan(low) && !isnan(high))
			buf_addf(v->out, "M%.1f %.1fV%.1fm-3 0h6M%.1f %.1fh6", x, low, high, x - 3, low);
	}
	buf_addf(v->out, "\" class=\"kc-bar kc-s%zu\"/>\n", color);
	add_dots(v, s, color);
}

static bool in_band(const struct view *v, const struct chart_series *s, size_t i)
{
	return has_place(v, s->x[i], s->low[i]) && has_place(v, s->x[i], s->high[i]);
}

/* The band from `begin` until before `end`: along the high edge and back along the low one, a pixel column's extremes
 * each. */
static void add_band_run(const struct view *v, const struct chart_series *s, size_t begin, size_t end)
{
	bool pen = false;
	size_t *starts = mem_array(end - begin, sizeof(*starts)), n = 0, low, high;
	for (size_t i = begin; i < end; i++) {
		starts[n++] = i;
		i = MIN(column_end(v, s, s->high, i, &low, &high), end - 1);
		add_point(v, s, s->high, starts[n - 1], &pen);
		if (high > starts[n - 1])
			add_point(v, s, s->high, high, &pen);
		if (i > high)
			add_point(v, s, s->high, i, &pen);
	}
	while (n-- > 0) {
		size_t last = MIN(column_end(v, s, s->low, starts[n], &low, &high), end - 1);
		add_point(v, s, s->low, last, &pen);
		if (low < last)
			add_point(v, s, s->low, low, &pen);
		if (starts[n] < low)
			add_point(v, s, s->low, starts[n], &pen);
	}
	buf_adds(v->out, "Z");
	mem_free(starts);
}

static void add_band(const struct view *v, const struct chart_series *s, size_t color)
{
	buf_adds(v->out, "<path d=\"");
	for (size_t i = 0, end; i < s->n; i = end + 1) {
		for (end = i; end < s->n && in_band(v, s, end); end++)
			;
		if (end > i)
			add_band_run(v, s, i, end);
	}
	buf_addf(v->out, "\" class=\"kc-band kc-f%zu\"/>\n", color);
}

/* --- one chart --- */

static void add_axes(const struct view *v)
{
	struct axis_ticks x, y;
	struct buf *out = v->out;
	axis_ticks(&v->x, 7, &x);
	axis_ticks(&v->y, 5, &y);
	for (size_t i = 0; i < y.n; i++) {
		double at = v->bottom - y.at[i] * (v->bottom - v->top);
		buf_addf(out, "<path d=\"M%d %.1fH%d\" class=\"kc-grid\"/>\n", LEFT, at, WIDTH - RIGHT);
		add_text(out, LEFT - 7, at + 4, "kc-text kc-dim", "end", y.text[i]);
	}
	for (size_t i = 0; i < x.n; i++) {
		double at = LEFT + x.at[i] * (WIDTH - LEFT - RIGHT);
		buf_addf(out, "<path d=\"M%.1f %.1fv4\" class=\"kc-axis\"/>\n", at, v->bottom);
		add_text(out, at, v->bottom + 17, "kc-text kc-dim", at > WIDTH - RIGHT - 12 ? "end" : "middle",
		         x.text[i]);
	}
	buf_addf(out, "<path d=\"M%d %.1fH%d\" class=\"kc-axis\"/>\n", LEFT, v->bottom, WIDTH - RIGHT);
	if (v->c->x_label)
		add_text(out, (LEFT + WIDTH - RIGHT) / 2.0, v->bottom + 34, "kc-text kc-dim", "middle", v->c->x_label);
	if (!v->c->y_label)
		return;
	buf_addf(out, "<g transform=\"translate(16 %.1f) rotate(-90)\">", (v->top + v->bottom) / 2);
	add_text(out, 0, 0, "kc-text kc-dim", "middle", v->c->y_label);
	buf_adds(out, "</g>\n");
}

static bool is_point(const struct view *v, const struct chart_mark *m)
{
	return !isnan(x_pixel(v, m->x)) && !isnan(y_pixel(v, m->y));
}

static bool is_free(const struct view *v, const struct box *b)
{
	if (b->left < LEFT || b->right > WIDTH || b->top < v->top - 4 || b->bottom > v->bottom)
		return false;
	for (size_t i = 0; i < v->n_taken; i++) {
		const struct box *t = &v->taken[i];
		if (b->left < t->right && t->left < b->right && b->top < t->bottom && t->top < b->bottom)
			return false;
	}
	return true;
}

/* A point's name: at its right or left, over or under it, where nothing else stands. */
static void name_point(struct view *v, const struct chart_mark *m)
{
	double x = x_pixel(v, m->x), y = y_pixel(v, m->y), width = text_width(m->text);
	double right = x + 7, left = x - 7 - width, over = fmin(fmax(x - width / 2, LEFT), WIDTH - RIGHT - width);
	/* where the text begins, and its line */
	const double places[][2] = { { right, y - 7 },  { left, y - 7 },   { right, y + 4 }, { left, y + 4 },
		                     { over, y - 9 },   { over, y + 18 },  { right, y + 16 }, { left, y + 16 },
		                     { over, y - 22 },  { over, y + 31 },  { over, y - 35 } };
	struct box b;
	size_t k = 0;

	do
		b = (struct box){ places[k][0], places[k][1] - 10, places[k][0] + width, places[k][1] + 3 };
	while (!is_free(v, &b) && ++k < ARRAY_LEN(places));
	k = k < ARRAY_LEN(places) ? k : right + width > WIDTH ? 1 : 0;
	v->taken[v->n_taken++] = b;
	add_text(v->out, places[k][0], places[k][1], "kc-text kc-ink", "start", m->text);
}

/* A mark that is no point: a line across, or up and down, with its name. */
static void add_line_mark(const struct view *v, const struct chart_mark *m)
{
	double x = x_pixel(v, m->x), y = y_pixel(v, m->y);
	bool end = isnan(x) || x > LEFT + 0.6 * (WIDTH - LEFT - RIGHT);

	if (isnan(x) && isnan(y))
		return;
	if (isnan(x))
		buf_addf(v->out, "<path d=\"M%d %.1fH%d\" class=\"kc-axis kc-dash\"/>\n", LEFT, y, WIDTH - RIGHT);
	else
		buf_addf(v->out, "<path d=\"M%.1f %.1fV%.1f\" class=\"kc-axis kc-dash\"/>\n", x, v->top, v->bottom);
	if (m->text)
		add_text(v->out, isnan(x) ? WIDTH - RIGHT : end ? x - 7 : x + 7,
		         isnan(y) ? v->top + 12 : fmax(y - 7, v->top + 10), "kc-text kc-ink", end ? "end" : "start",
		         m->text);
}

/* All points first, so that no name stands on one. */
static void add_marks(struct view *v)
{
	v->taken = mem_array(2 * v->c->n_marks + 1, sizeof(*v->taken));
	for (size_t i = 0; i < v->c->n_marks; i++) {
		const struct chart_mark *m = &v->c->marks[i];
		double x = x_pixel(v, m->x), y = y_pixel(v, m->y);
		if (!is_point(v, m)) {
			add_line_mark(v, m);
			continue;
		}
		v->taken[v->n_taken++] = (struct box){ x - 4, y - 4, x + 4, y + 4 };
		buf_addf(v->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" class=\"kc-ink\"/>\n", x, y);
	}
	for (size_t i = 0; i < v->c->n_marks; i++)
		if (is_point(v, &v->c->marks[i]) && v->c->marks[i].text)
			name_point(v, &v->c->marks[i]);
	mem_free(v->taken);
}

/* What a listener hears instead of the picture. */
static void add_description(struct buf *out, const struct chart *c)
{
	for (size_t i = 0; i < c->n_series; i++) {
		const struct chart_series *s = &c->series[i];
		double low = INFINITY, high = -INFINITY, last = NAN;
		for (size_t j = 0; j < s->n; j++) {
			if (!isfinite(s->y[j]))
				continue;
			last = s->y[j];
			low = fmin(low, last);
			high = fmax(high, last);
		}
		if (i > 0)
			buf_adds(out, " ");
		if (s->name)
			markup_text(out, s->name, strlen(s->name));
		buf_addf(out, "%s%zu points", s->name ? ": " : "", s->n);
		if (low <= high)
			buf_addf(out, " between %.4g and %.4g, the last %.4g", low, high, last);
		buf_adds(out, ".");
	}
}

static double chart_height(const struct chart *c)
{
	return 10 + (c->title ? 24 : 0) + LINE * legend(NULL, c, 0) + 6 + PLOT_HEIGHT + 24 + (c->x_label ? LINE : 0) +
	       8;
}

static void add_chart(struct buf *out, const struct chart *c, double y)
{
	struct view v = { .out = out, .c = c };
	double top = y + 10 + (c->title ? 24 : 0);
	v.top = top + LINE * legend(NULL, c, 0) + 6;
	v.bottom = v.top + PLOT_HEIGHT;
	axis_fit(c, &v.x, &v.y);
	buf_adds(out, "<g><title>");
	if (c->title)
		markup_text(out, c->title, strlen(c->title));
	buf_adds(out, "</title><desc>");
	add_description(out, c);
	buf_adds(out, "</desc>\n");
	if (c->title)
		add_text(out, LEFT, y + 24, "kc-title kc-ink", "start", c->title);
	legend(out, c, top + 12);
	add_axes(&v);
	for (size_t i = 0; i < c->n_series; i++)
		if (c->series[i].low && c->series[i].high)
			(c->series[i].bars ? add_bars : add_band)(&v, &c->series[i], chart_color(c, i));
	for (size_t i = 0; i < c->n_series; i++)
		(c->series[i].points ? add_dots : add_line)(&v, &c->series[i], chart_color(c, i));
	add_marks(&v);
	if (v.x.empty || v.y.empty)
		add_text(out, (LEFT + WIDTH - RIGHT) / 2.0, (v.top + v.bottom) / 2, "kc-text kc-dim", "middle",
		         "no data");
	buf_adds(out, "</g>\n");
}

void chart_svg(struct buf *out, const struct chart *c, size_t n)
{
	double height = 0;
	for (size_t i = 0; i < n; i++)
		height += chart_height(&c[i]);
	buf_addf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\" "
	              "style=\"max-width:100%%;height:auto\" role=\"img\">\n",
	         WIDTH, height, WIDTH, height);
	buf_adds(out, "<title>");
	for (size_t i = 0; i < n; i++) {
		const char *title = c[i].title ? c[i].title : "";
		buf_adds(out, i > 0 ? ", " : "");
		markup_text(out, title, strlen(title));
	}
	buf_adds(out, "</title>\n");
	add_style(out);
	buf_addf(out, "<rect width=\"%d\" height=\"%.0f\" class=\"kc-bg\"/>\n", WIDTH, height);
	height = 0;
	for (size_t i = 0; i < n; i++) {
		add_chart(out, &c[i], height);
		height += chart_height(&c[i]);
	}
	buf_adds(out, "</svg>\n");
}
