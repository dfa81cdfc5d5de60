/* chart: lines, points and bands over two axes, drawn as SVG for files and pages and in braille dots for terminals.
 *
 *     struct chart_series s = { .name = "train", .x = step, .y = loss, .n = n };
 *     struct chart c = { .title = "loss", .x_label = "step", .y_label = "nats a token", .series = &s, .n_series = 1 };
 *     chart_svg(&out, &c, 1);
 *
 * A number that is no place on its axis (NaN, infinite, not positive on a logarithmic axis) is a gap in its line. Axes
 * hold all that is drawn, with ticks on round numbers. Texts are borrowed, may be any bytes, and are escaped. A chart
 * without a place to draw says "no data". */
#ifndef CHART_CHART_H
#define CHART_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct chart_series {
	const char *name;           /* for the legend, which is there when there are several series; may be NULL */
	const double *x, *y;        /* [n] each, in the order in which they are joined */
	const double *low, *high;   /* [n] each: a band drawn under the line, or bars; both NULL for none */
	size_t n;
	bool points, dashed;        /* points: dots instead of a line */
	bool bars;                  /* low to high as a bar through a dot at each point */
	bool faint;                 /* stands behind another, which says the same smoothed */
	bool unsaid;                /* the legend is without it */
	int color;                  /* 1…8: that colour of the palette; 0: the one of its place */
};

/* A place with a word. NAN as y: the line through x; NAN as x: the line through y. */
struct chart_mark {
	double x, y;
	const char *text;
};

struct chart {
	const char *title, *x_label, *y_label; /* NULL: none */
	bool x_log, y_log;
	const struct chart_series *series;
	size_t n_series;
	const struct chart_mark *marks;
	size_t n_marks;
};

/* Appends one <svg> element with n charts below each other: nothing outside is referred to, text is text, and colours
 * follow the reader's prefers-color-scheme. Right as a file and inside a page. At most about four points a pixel are
 * written, minima and maxima kept. */
void chart_svg(struct buf *out, const struct chart *c, size_t n);

/* Appends lines of at most `columns` (20 and more) characters, about `rows` of them (8 and more) with title, axis and
 * legend. Colours are ANSI's, when wanted. */
void chart_braille(struct buf *out, const struct chart *c, int columns, int rows, bool color);

#endif
