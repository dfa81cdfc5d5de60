/* gas_numbers: how the gas commands show figures. */
#ifndef CMD_GAS_NUMBERS_H
#define CMD_GAS_NUMBERS_H

#include "base/err.h"
#include "chart/chart.h"
#include "cmd/text_table.h"
#include "gas/summary.h"

void span_text(char out[96], struct span s);               /* "125 (90 to 180)" */
void span_cell(struct table *t, struct span s);            /* the same as a table's next cell */
/* The same of "seconds", "joules" or a currency: what is below a thousandth is told in millionths,
 * "333 µEUR (263 to 419)". */
void span_unit_text(char out[96], struct span s, const char *unit);
void span_unit_cell(struct table *t, struct span s, const char *unit);
void amount_cell(struct table *t, double x, const char *unit);  /* without an interval; "-" for NAN */
/* Four digits, never as a power of ten: "2500000", "0.000123". */
const char *digits_text(double x, char out[32]);
/* With its unit: "12.5 seconds", "0.0133 µEUR". */
const char *amount_text(double x, const char *unit, char out[128]);
/* What a chart's amounts are multiplied by, so that its axis has no powers of ten; the unit then, in `out`. least: the
 * smallest amount above 0 that is drawn. */
double chart_unit(double least, const char *unit, char out[48]);
int chart_write(const char *path, const struct chart *c, struct err *e);

#endif
