/* csv: tables as text (RFC 4180): cells apart by a comma or a tab, "quoted" where they hold one, a line break or a
 * quote, which is written twice there. The first record is the header. */
#ifndef DATA_CSV_H
#define DATA_CSV_H

#include <jansson.h>

#include "base/err.h"

struct csv {
	const char *at, *end;
	size_t line;                /* where the next record begins, from 1 */
	char comma;
	json_t *header;             /* names, or NULL before csv_open */
};

/* Takes the header of the text, which is borrowed; −1: there is none, or a name is empty or stands twice. */
int csv_open(struct csv *c, const char *text, size_t n, char comma, const char *file, struct err *e);
/* 1: *row, an object of texts by the header's names (new reference), and the line where it begins; 0: the end; −1: a
 * record with another number of cells, a quote that does not end, or bytes that are no UTF-8. Blank lines are skipped.
 */
int csv_next(struct csv *c, json_t **row, size_t *line, const char *file, struct err *e);
void csv_close(struct csv *c);

#endif
