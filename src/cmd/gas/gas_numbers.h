/* gas_numbers: figures as the economic commands take them: written on the command line, or read from what a command's
 * --json said. */
#ifndef CMD_GAS_NUMBERS_H
#define CMD_GAS_NUMBERS_H

#include <jansson.h>

#include "base/err.h"
#include "chart/chart.h"
#include "cmd/table.h"
#include "gas/economics.h"

/* "12", "12±0.5" or "12+-0.5": a number with the half of its 90 % interval. */
int number_parse(struct span *s, const char *text, const char *what, struct err *e);
/* The last line of a file of JSON lines: a command's summary. New reference; NULL with a sentence. */
json_t *summary_load(const char *path, struct err *e);
/* A summary's score (acc, acc_norm, exact_match: the first that is there) with its 90 % interval; -1 with a sentence
 * when it has none. */
int summary_quality(struct span *s, const json_t *summary, const char *path, struct err *e);
/* name, name_low, name_high; null for what is unknown or endless */
void span_put(json_t *j, const char *name, struct span s);
void span_text(char out[64], struct span s);               /* "125 (90 to 180)" */
void span_cell(struct table *t, struct span s);            /* the same as a table's next cell */
int chart_write(const char *path, const struct chart *c, struct err *e);

#endif
