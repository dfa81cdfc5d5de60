/* gas_numbers: an interval as a person reads it, in a sentence or in a table, and a chart as a file. What is exact
 * is one number; what has no upper end says "or more". */
#include "cmd/gas/gas_numbers.h"

#include <math.h>
#include <stdio.h>

#include "base/io.h"
#include "base/log.h"

void span_text(char out[64], struct span s)
{
	if (isnan(s.mid))
		snprintf(out, 64, "not known");
	else if (isnan(s.low) || (s.low == s.mid && s.high == s.mid))
		snprintf(out, 64, "%.4g", s.mid);
	else if (isinf(s.high))
		snprintf(out, 64, "%.4g (%.4g or more)", s.mid, s.low);
	else
		snprintf(out, 64, "%.4g (%.4g to %.4g)", s.mid, s.low, s.high);
}

void span_cell(struct table *t, struct span s)
{
	char text[64];
	span_text(text, s);
	table_cell(t, "%s", text);
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
