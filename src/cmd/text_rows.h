/* text_rows: a file of texts, for commands that make something of each: a text a line, or rows (.jsonl, .json, .csv,
 * .tsv, also .gz, or a folder of them). A line is a row with `text`. Each becomes a document. */
#ifndef CMD_TEXT_ROWS_H
#define CMD_TEXT_ROWS_H

#include "base/arena.h"
#include "data/document.h"
#include "data/rows.h"
#include "model/model.h"

/* From zeros; text_rows_release gives back what it has, after an error too. */
struct text_rows {
	struct rows rows;
	struct document *docs;              /* [rows.n] */
	const struct document **pointers;   /* to them */
	struct arena mem;
	int32_t longest;                    /* tokens of a document, at least 1 */
	int64_t tokens, cut_tokens;         /* of all: there, and cut off */
	size_t n_cut;                       /* texts that lost some */
};

bool text_rows_are_rows(const char *path); /* by its name, or because it is a folder; else it has lines */
/* limit: the first so many, OPT_UNSET_INT: all. Which columns rows have is not looked at; none at all is an error. */
int text_rows_read(struct text_rows *t, const char *path, int64_t limit, struct err *e);
/* The documents, which begin as nobody's answer and nobody's choice: `one` gives each its tokens, in mem, and says how
 * many were cut off; its sentence need not name the row. */
int text_rows_encode(struct text_rows *t,
                     int (*one)(void *ctx, const struct row *r, struct document *d, struct arena *mem, size_t *cut,
                                struct err *e),
                     void *ctx, struct err *e);
void text_rows_release(struct text_rows *t);

/* --max-length of a text: *length as it is where nothing was given; −1 where the model has fewer positions. */
int text_length(const struct model *m, int64_t given, int32_t *length, struct err *e);

#endif
