/* gas_numbers: how the gas commands show figures. */
#ifndef CMD_GAS_NUMBERS_H
#define CMD_GAS_NUMBERS_H

#include "base/err.h"
#include "chart/chart.h"
#include "cmd/text_table.h"
#include "gas/summary.h"

void span_text(char out[64], struct span s);               /* "125 (90 to 180)" */
void span_cell(struct table *t, struct span s);            /* the same as a table's next cell */
int chart_write(const char *path, const struct chart *c, struct err *e);

#endif
