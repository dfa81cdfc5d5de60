/* summary: figures of a run as a person gives them: written as a number, or as the file of what a command's --json
 * said; and as JSON again. */
#ifndef GAS_SUMMARY_H
#define GAS_SUMMARY_H

#include <jansson.h>

#include "base/err.h"
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

#endif
