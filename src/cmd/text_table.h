/* text_table: text in columns as wide as their widest cell, or as the terminal lets them; controls in cells are made
 * visible. */
#ifndef CMD_TEXT_TABLE_H
#define CMD_TEXT_TABLE_H

#include <stddef.h>

#include "base/buf.h"

struct table {
	size_t columns;
	unsigned right;       /* bit i: column i is aligned to the right */
	const int *drop;      /* columns that a narrow terminal may leave out, the first first; ends with −1; or NULL */
	char **cells;         /* rows of `columns` */
	size_t n;
};

/* the next one, row by row */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whole rows, the first of which has the columns' names. */
void table_write(struct buf *out, const struct table *t, const char *indent);
void table_release(struct table *t);

#endif
