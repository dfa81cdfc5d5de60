/* columns: which columns of rows nobody reads, to be named once each.
 *
 * A column is read where its shape says so (data/shape.h), or where the chat template's text is another one without it
 * (data/chat_fit.h), which is tried on the first rows that have it and then more and more rarely. One that holds
 * nothing (null, an empty text, list or object) is not there. Columns that are about a row, as its number or where it
 * is from, are named by `data lint` alone. */
#ifndef DATA_COLUMNS_H
#define DATA_COLUMNS_H

#include <stdbool.h>

#include "data/rows.h"

struct row_column {
	char *name;                 /* "id"; of messages "messages: name", of an object "input.name" */
	size_t rows;                /* that have it */
	const char *file;           /* the first of them; borrowed from the rows */
	size_t line, last;
	bool read, by_template;     /* the template is given it */
};

struct columns {
	struct row_column *items;
	size_t n, cap;
};

struct shape;

/* A row has a column. Returns it; *try: whether to look if the template writes it. */
struct row_column *columns_meet(struct columns *c, const char *name, const struct row *r, bool *try);
/* Those that the row's shape does not read. templated: a chat template writes the row, so it gets what
 * data/conversation.h takes. s may be NULL: then prompt and messages are read. also: names more of them, or NULL. */
void columns_look(struct columns *c, const struct shape *s, const struct row *r, bool templated,
                  const char *const *also);
bool column_unread(const struct row_column *c);
/* A warning for each that nobody reads, those about the row left out. */
void columns_warn(const struct columns *c);
/* What is to be said of one that is not read. */
void column_say(const struct row_column *c, char *out, size_t size);
bool column_is_empty(const json_t *value);
void columns_release(struct columns *c);

#endif
