/* text_rows: a file of texts, for commands that make something of each: a text a line, or rows (.jsonl, .json, .csv,
 * .tsv, also .gz, or a folder of them). A line is a row with `text`. */
#ifndef CMD_TEXT_ROWS_H
#define CMD_TEXT_ROWS_H

#include "data/rows.h"

/* limit: the first so many, OPT_UNSET_INT: all. Which columns rows have is not looked at; none at all is an error. */
int text_rows_read(struct rows *r, const char *path, int64_t limit, struct err *e);

#endif
