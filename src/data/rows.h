/* rows: JSONL files (also .gz, or a folder of them, hidden ones left out), one row a line; a file that is one JSON
 * array of objects; .csv and .tsv with a header, whose cells are what their column wants (shape_take_cells); a .txt,
 * which is one row {text}; a file of feedback, whose rows are made of its labels (data/feedback_rows.h). Of a folder
 * those of one kind: .jsonl, else .txt, .csv, .tsv, .json. All rows of one shape (data/shape.h). */
#ifndef DATA_ROWS_H
#define DATA_ROWS_H

#include <jansson.h>

#include "base/arena.h"
#include "data/finding.h"

struct shape;

struct row {
	json_t *json;
	const char *file;
	size_t line;                /* from 1; in an array the place */
};

struct rows {
	struct arena mem;
	struct row *items;
	size_t n, cap;
	const struct shape *shape;  /* NULL: any objects, or no rows */
	char hash[33];              /* of the bytes of all files, in order */
	struct findings *bad;       /* while they are read: see rows_load_good */
};

int rows_load(struct rows *r, const char *path, struct err *e); /* a broken line: "file:line: …" */
/* Of a file of feedback the rows of this kind (enum feedback_rows), where there are several. */
int rows_load_kind(struct rows *r, const char *path, int kind, struct err *e);
/* the same, but rows that are wrong are left out and told in bad; a file that cannot be read is an error as ever */
int rows_load_good(struct rows *r, const char *path, struct findings *bad, struct err *e);
/* the same, whatever keys the objects have; the shape is NULL */
int rows_load_objects(struct rows *r, const char *path, struct err *e);
void rows_cut(struct rows *r, size_t n);                     /* the first n of them stay */
void rows_release(struct rows *r);
bool rows_are_named(const char *file, const char *kind); /* ends in ".csv", say, or in ".csv.gz" */

#endif
