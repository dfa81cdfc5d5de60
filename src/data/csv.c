/* csv: records of a table, one at a time. A cell is taken character by character, so a line break in quotes is part of
 * it and lines are counted as an editor counts them. What it does not do: know types (shape_take_cells); every cell is
 * a text. */
#include "data/csv.h"

#include <string.h>

#include "base/buf.h"

/* What ends a cell: a comma, a line, or the text. */
static bool at_end(const struct csv *c)
{
	return c->at == c->end || *c->at == c->comma || *c->at == '\n' ||
	       (*c->at == '\r' && c->at + 1 < c->end && c->at[1] == '\n');
}

/* Behind an opening quote; −1 where it is not closed. */
static int quoted(struct csv *c, struct buf *cell)
{
	for (; c->at < c->end; c->at++) {
		c->line += *c->at == '\n';
		if (*c->at != '"') {
			buf_addc(cell, *c->at);
		} else if (c->at + 1 < c->end && c->at[1] == '"') {
			buf_addc(cell, '"');
			c->at++;
		} else {
			c->at++;
			return at_end(c) ? 0 : -1;
		}
	}
	return -1;
}

static json_t *cell(struct csv *c, const char *file, struct err *e)
{
	struct buf text = BUF_INIT;
	size_t line = c->line;
	int status = 0;

	if (c->at < c->end && *c->at == '"') {
		c->at++;
		status = quoted(c, &text);
	} else {
		for (; !at_end(c); c->at++)
			buf_addc(&text, *c->at);
	}
	json_t *j = status ? NULL : json_stringn(buf_str(&text), text.len);
	if (status)
		err_set(e, "%s:%zu: a quoted cell does not end where its quote does", file, line);
	else if (!j)
		err_set(e, "%s:%zu: a cell is no UTF-8", file, line);
	buf_release(&text);
	return j;
}

/* The cells of a record, behind whose line break c stands then; NULL with a sentence. */
static json_t *record(struct csv *c, const char *file, struct err *e)
{
	json_t *cells = json_array(), *one;

	while ((one = cell(c, file, e))) {
		json_array_append_new(cells, one);
		if (c->at < c->end && *c->at == c->comma) {
			c->at++;
			continue;
		}
		c->at += c->at < c->end && *c->at == '\r';
		c->at += c->at < c->end;
		c->line++;
		return cells;
	}
	json_decref(cells);
	return NULL;
}

static bool skip_blank(struct csv *c)
{
	while (c->at < c->end && (*c->at == '\n' || *c->at == '\r')) {
		c->line += *c->at == '\n';
		c->at++;
	}
	return c->at < c->end;
}

int csv_open(struct csv *c, const char *text, size_t n, char comma, const char *file, struct err *e)
{
	static const char mark[] = "\xef\xbb\xbf";
	json_t *seen = json_object();
	int status = 0;

	*c = (struct csv){ .at = text, .end = text + n, .line = 1, .comma = comma };
	if (n >= strlen(mark) && !memcmp(text, mark, strlen(mark)))
		c->at += strlen(mark);
	if (!skip_blank(c))
		status = err_set(e, "%s: empty; a header and rows were wanted", file);
	else if (!(c->header = record(c, file, e)))
		status = -1;
	for (size_t i = 0; !status && i < json_array_size(c->header); i++) {
		const char *name = json_string_value(json_array_get(c->header, i));
		if (!*name || json_object_get(seen, name))
			status = err_set(e, "%s:1: column %zu of the header %s", file, i + 1,
			                 *name ? "has the name of another" : "has no name");
		else
			json_object_set_new(seen, name, json_true());
	}
	json_decref(seen);
	if (status)
		csv_close(c);
	return status;
}

int csv_next(struct csv *c, json_t **row, size_t *line, const char *file, struct err *e)
{
	size_t wanted = json_array_size(c->header);

	if (!skip_blank(c))
		return 0;
	*line = c->line;
	json_t *cells = record(c, file, e);
	if (!cells)
		return -1;
	if (json_array_size(cells) != wanted) {
		err_set(e, "%s:%zu: %zu cells, the header has %zu", file, *line, json_array_size(cells), wanted);
		json_decref(cells);
		return -1;
	}
	*row = json_object();
	for (size_t i = 0; i < wanted; i++)
		json_object_set(*row, json_string_value(json_array_get(c->header, i)), json_array_get(cells, i));
	json_decref(cells);
	return 1;
}

void csv_close(struct csv *c)
{
	json_decref(c->header);
	*c = (struct csv){ 0 };
}
