/* gas_numbers: an interval as a person reads it, in a sentence or in a table, and a chart as a file. What is exact
 * is one number; what has no upper end says "or more". */
#include "cmd/gas/gas_numbers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

const char *digits_text(double x, char out[32])
{
	double size = fabs(x);

	if (size < 5e-13) /* what is left of a difference */
		snprintf(out, 32, "0");
	else if (size >= 9999.5)
		snprintf(out, 32, "%.0f", x);
	else if (size >= 1e-4)
		snprintf(out, 32, "%.4g", x);
	else
		snprintf(out, 32, "%.*f", MIN(3 - (int)floor(log10(size)), 12), x);
	return out;
}

/* What small amounts are told in: in millionths of the unit. */
static const char *millionths(const char *unit)
{
	return !unit ? NULL : !strcmp(unit, "seconds") ? "µs" : !strcmp(unit, "joules") ? "µJ" : unit;
}

static bool is_small(struct span s, const char *unit) { return unit && s.mid != 0 && fabs(s.mid) < 1e-3; }

void span_unit_text(char out[96], struct span s, const char *unit)
{
	bool small = is_small(s, unit);
	double by = small ? 1e6 : 1;
	const char *micro = millionths(unit), *sign = small && micro == unit ? "µ" : "";
	char mid[32], low[32], high[32], of[16] = "";

	if (isnan(s.mid)) {
		snprintf(out, 96, "not known");
		return;
	}
	if (small)
		snprintf(of, sizeof(of), " %s%.8s", sign, micro);
	digits_text(by * s.mid, mid);
	if (isnan(s.low) || (s.low == s.mid && s.high == s.mid))
		snprintf(out, 96, "%s%s", mid, of);
	else if (isinf(s.high))
		snprintf(out, 96, "%s%s (%s or more)", mid, of, digits_text(by * s.low, low));
	else
		snprintf(out, 96, "%.24s%s (%.24s to %.24s)", mid, of, digits_text(by * s.low, low),
		         digits_text(by * s.high, high));
}

void span_text(char out[96], struct span s) { span_unit_text(out, s, NULL); }

void span_unit_cell(struct table *t, struct span s, const char *unit)
{
	char text[96];
	span_unit_text(text, s, unit);
	table_cell(t, "%s", text);
}

void amount_cell(struct table *t, double x, const char *unit)
{
	if (isnan(x))
		table_cell(t, "-");
	else
		span_unit_cell(t, span_exact(x), unit);
}

void span_cell(struct table *t, struct span s) { span_unit_cell(t, s, NULL); }

const char *amount_text(double x, const char *unit, char out[128])
{
	char text[96];

	span_unit_text(text, span_exact(x), unit);
	snprintf(out, 128, "%s%s%.20s", text, isnan(x) || is_small(span_exact(x), unit) ? "" : " ",
	         isnan(x) || is_small(span_exact(x), unit) ? "" : unit);
	return out;
}

double chart_unit(double least, const char *unit, char out[48])
{
	const char *micro = millionths(unit);
	bool small = micro && least > 0 && least < 1e-3;

	snprintf(out, 48, "%s%.20s", small && micro == unit ? "µ" : "", small ? micro : unit ? unit : "");
	return small ? 1e6 : 1;
}

int chart_write(const char *path, const struct chart *c, struct err *e)
{
	struct buf svg = BUF_INIT;
	chart_svg(&svg, c, 1);
	int status = io_write(path, svg.data, svg.len, e);
	buf_release(&svg);
	if (!status)
		log_say("%s: drawn", path);
	return status;
}
