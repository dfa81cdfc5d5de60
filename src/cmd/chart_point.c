/* chart_point: a series of one point, which has a bar, and one of two, which are a line. */
#include "cmd/chart_point.h"

#include <math.h>

static double *pair(struct arena *mem, double a, double b)
{
	double *out = arena_array(mem, 2, sizeof(*out));

	out[0] = a;
	out[1] = b;
	return out;
}

void chart_point(const struct chart_point *p, struct chart_series *point, struct chart_series *side, struct arena *mem)
{
	*point = (struct chart_series){ .name = p->name, .x = pair(mem, p->x, p->x), .y = pair(mem, p->y, p->y),
		                        .low = p->far > 0 ? pair(mem, p->y - p->far, p->y - p->far) : NULL,
		                        .high = p->far > 0 ? pair(mem, p->y + p->far, p->y + p->far) : NULL,
		                        .n = 1, .points = true, .bars = p->far > 0, .color = p->color };
	*side = (struct chart_series){ .x = pair(mem, fmax(p->x - p->wide, p->least_x), p->x + p->wide),
		                       .y = pair(mem, p->y, p->y), .n = p->wide > 0 ? 2 : 0, .unsaid = true,
		                       .color = p->color };
}
