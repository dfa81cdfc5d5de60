/* chart_point: a point with bars to all sides, for charts of one run, or one evaluation, a point. */
#ifndef CMD_CHART_POINT_H
#define CMD_CHART_POINT_H

#include "base/arena.h"
#include "chart/chart.h"

struct chart_point {
	const char *name;
	double x, y, wide, far;        /* wide, far: how far its bars go to the sides, upwards and downwards; 0: none */
	double least_x;                /* no bar goes to the left of that */
	int color;
};

/* The point with its bar upwards, and its bar to the sides, a line of the same colour. All in mem. */
void chart_point(const struct chart_point *p, struct chart_series *point, struct chart_series *side, struct arena *mem);

#endif
