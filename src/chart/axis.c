/* axis: ranges and ticks. A step between ticks is 1, 2 or 5 times a power of ten; on a logarithmic axis ticks are
 * powers of ten, or 1, 2 and 5 times those where there are few, or round numbers as on a linear axis where there is not
 * even one. */
#include "chart/axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define LIMIT 1e300 /* so that differences stay finite */

struct range {
	double low, high;
};

static double on_axis(bool is_log, double v)
{
	if (!isfinite(v) || (is_log && v <= 0))
		return NAN;
	return is_log ? log10(v) : fmax(-LIMIT, fmin(v, LIMIT));
}

static void hold(struct range *r, bool is_log, double v)
{
	double at = on_axis(is_log, v);
	r->low = fmin(r->low, at);
	r->high = fmax(r->high, at);
}

static void hold_series(const struct chart *c, const struct chart_series *s, struct range *x, struct range *y)
{
	for (size_t i = 0; i < s->n; i++) {
		if (isnan(on_axis(c->x_log, s->x[i])))
			continue;
		bool line = !isnan(on_axis(c->y_log, s->y[i])), band = s->low && s->high;
		if (line)
			hold(y, c->y_log, s->y[i]);
		if (band) {
			hold(y, c->y_log, s->low[i]);
			hold(y, c->y_log, s->high[i]);
		}
		if (line || band)
			hold(x, c->x_log, s->x[i]);
	}
}

/* An axis over the range; where that is a point, over its surroundings. `air` is the part that is added at both
 * ends. */
static void set_axis(struct axis *a, struct range r, bool is_log, double air)
{
	double size = fmax(fabs(r.low), fabs(r.high)), span = r.high - r.low;
	*a = (struct axis){ .low = r.low, .high = r.high, .log = is_log, .empty = !(r.low <= r.high) };
	if (a->empty) {
		a->low = 0;
		a->high = 1;
	} else if (span <= size * 1e-9 || span == 0) {
		double around = is_log || size == 0 ? 0.5 : size / 2;
		a->low -= around;
		a->high += around;
	} else {
		/* What starts near zero starts at zero. */
		bool from_zero = !is_log && air > 0 && r.low >= 0 && r.low <= 0.15 * r.high;
		a->low = from_zero ? 0 : r.low - air * span;
		a->high = r.high + air * span;
	}
}

void axis_fit(const struct chart *c, struct axis *x, struct axis *y)
{
	struct range rx = { INFINITY, -INFINITY }, ry = rx;
	bool points = false;
	for (size_t i = 0; i < c->n_series; i++) {
		hold_series(c, &c->series[i], &rx, &ry);
		points |= c->series[i].points;
	}
	for (size_t i = 0; i < c->n_marks; i++) {
		hold(&rx, c->x_log, c->marks[i].x);
		hold(&ry, c->y_log, c->marks[i].y);
	}
	set_axis(x, rx, c->x_log, points ? 0.02 : 0);
	set_axis(y, ry, c->y_log, 0.05);
}

double axis_place(const struct axis *a, double v)
{
	return (on_axis(a->log, v) - a->low) / (a->high - a->low);
}

size_t chart_color(const struct chart *c, size_t series)
{
	int wanted = c->series[series].color;
	return (wanted > 0 ? (size_t)wanted - 1 : series) % CHART_COLORS;
}

/* --- ticks --- */

/* Drops zeros behind the point, and the point. */
static void trim(char *text)
{
	size_t n = strlen(text);
	if (!strchr(text, '.'))
		return;
	while (text[n - 1] == '0')
		n--;
	text[text[n - 1] == '.' ? n - 1 : n] = 0;
}

static int decimals(double step)
{
	return (int)fmax(0, fmin(12, ceil(-log10(step) - 1e-9)));
}

/* v among ticks of which the largest is `size` and neighbours are `step` apart. */
static void tick_text(char out[16], double v, double step, double size)
{
	static const char units[] = " kMGT";
	char number[32];
	if (fabs(v) < step * 1e-6) {
		snprintf(out, 16, "0");
	} else if (size >= 1e15 || size < 1e-3) {
		int exponent = (int)floor(log10(fabs(v)) + 1e-12);
		snprintf(number, sizeof(number), "%.*f", (int)fmin(4, decimals(step / pow(10, exponent))),
		         v / pow(10, exponent));
		trim(number);
		snprintf(out, 16, "%.9se%d", number, exponent);
	} else {
		int unit = size < 1e4 ? 0 : (int)fmin(4, floor(log10(size) / 3 + 1e-12));
		double scale = pow(1000, unit);
		snprintf(number, sizeof(number), "%.*f", decimals(step / scale), v / scale);
		if (unit)
			trim(number);
		snprintf(out, 16, "%.13s%.*s", number, unit > 0, units + unit);
	}
}

static void add_tick(const struct axis *a, struct axis_ticks *out, double v, double step, double size)
{
	double at = axis_place(a, v);
	if (out->n == AXIS_TICKS || !(at >= -1e-9 && at <= 1 + 1e-9))
		return;
	out->at[out->n] = fmax(0, fmin(at, 1));
	tick_text(out->text[out->n++], v, step, size);
}

static double round_step(double raw)
{
	double power = pow(10, floor(log10(raw))), part = raw / power;
	return power * (part < 1.4 ? 1 : part < 3.2 ? 2 : part < 7.1 ? 5 : 10); /* the geometric middles */
}

static void linear_ticks(const struct axis *a, double low, double high, size_t wanted, struct axis_ticks *out)
{
	double step = round_step((high - low) / (double)wanted);
	double first = ceil(low / step - 1e-6), last = floor(high / step + 1e-6);
	for (double i = first; i <= last && i < first + AXIS_TICKS; i++)
		add_tick(a, out, i * step, step, fmax(fabs(low), fabs(high)));
}

static void log_ticks(const struct axis *a, size_t wanted, struct axis_ticks *out)
{
	static const double parts[] = { 1, 2, 5 };
	double first = floor(a->low), last = ceil(a->high), stride = fmax(1, ceil((last - first) / (double)wanted));
	size_t n_parts = (a->high - a->low) * 2 <= (double)wanted ? 3 : 1;
	for (int k = 0; first + k * stride <= last; k++)
		for (size_t i = 0; i < n_parts; i++) {
			double v = parts[i] * pow(10, first + k * stride);
			add_tick(a, out, v, v, v);
		}
	if (out->n < 2) {
		out->n = 0;
		linear_ticks(a, pow(10, a->low), pow(10, a->high), wanted, out);
	}
}

void axis_ticks(const struct axis *a, size_t wanted, struct axis_ticks *out)
{
	out->n = 0;
	wanted = MAX((size_t)2, MIN(wanted, (size_t)10));
	if (a->log && !a->empty)
		log_ticks(a, wanted, out);
	else if (!a->empty)
		linear_ticks(a, a->low, a->high, wanted, out);
}
