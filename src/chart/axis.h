/* axis: numbers to places between 0 and 1, and the round numbers worth a tick. What chart_svg and chart_braille
 * share. */
#ifndef CHART_AXIS_H
#define CHART_AXIS_H

#include "chart/chart.h"

enum { AXIS_TICKS = 16, CHART_COLORS = 8 };

struct axis {
	double low, high;             /* finite, low < high; on a logarithmic axis exponents of ten */
	bool log, empty;              /* empty: there was nothing to hold, it goes from 0 to 1 */
};

struct axis_ticks {
	double at[AXIS_TICKS];        /* places between 0 and 1, rising */
	char text[AXIS_TICKS][16];
	size_t n;
};

void axis_fit(const struct chart *c, struct axis *x, struct axis *y); /* hold all of a chart; y with some air */
double axis_place(const struct axis *a, double v);                    /* NAN for no place */
size_t chart_color(const struct chart *c, size_t series);             /* 0 … CHART_COLORS − 1 */
/* about `wanted`, 2 to 10; none where the axis is empty */
void axis_ticks(const struct axis *a, size_t wanted, struct axis_ticks *out);

#endif
