/* rows: JSONL, a JSON array or a table into memory, with the shape of the rows recognized.
 *
 * All rows of a set have one shape; the first that differs is named with its line (in an array: its place). Empty lines
 * are skipped, as is the byte order mark that some editors put before the first. Everything is held in memory. */
#include "data/rows.h"

#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/utf8.h"
#include "data/csv.h"
#include "data/shape.h"

static const size_t MOST_BYTES = (size_t)16 << 30; /* of a file, inflated */

static int check_shape(struct rows *rows, const struct row *r, struct err *e)
{
	const struct shape *shape = shape_of(r->json);

	if (!shape)
		return shape_refuse(r, e);
	if (rows->n == 1)
		rows->shape = shape;
	if (shape != rows->shape)
		return err_set(e, "%s:%zu: a row of %s among rows of %s; one set has one shape", r->file, r->line,
		               shape_name(shape), shape_name(rows->shape));
	return shape->check ? shape->check(r, e) : 0;
}

/* NULL and a sentence, in which the line is that of the file. */
static json_t *parse_line(const char *file, size_t line, const char *text, size_t n, struct err *e)
{
	static const char first[] = ": line 1 ";
	struct err inner = ERR_INIT;
	size_t bad;

	if (!utf8_valid(text, n, &bad)) {
		err_set(e, "%s:%zu: invalid UTF-8 at byte %zu of the line", file, line, bad + 1);
		return NULL;
	}
	json_t *j = jsonx_load(text, n, "", &inner);
	if (!j) {
		bool skip = !strncmp(inner.msg, first, strlen(first));
		err_set(e, "%s:%zu: not JSON: %s", file, line, inner.msg + (skip ? strlen(first) : 0));
	} else if (!json_is_object(j)) {
		json_decref(j);
		j = NULL;
		err_set(e, "%s:%zu: one JSON object a line was wanted", file, line);
	}
	return j;
}

/* Takes the reference. */
static int add_row(struct rows *rows, bool any, const char *file, size_t line, json_t *j, struct err *e)
{
	if (rows->n == rows->cap) {
		rows->cap = MAX(256, 2 * rows->cap);
		rows->items = mem_grow(rows->items, rows->cap, sizeof(*rows->items));
	}
	struct row *r = &rows->items[rows->n++];
	*r = (struct row){ .json = j, .file = file, .line = line };
	return any ? 0 : check_shape(rows, r, e);
}

static int add_line(struct rows *rows, bool any, const char *file, size_t line, const char *text, size_t n,
                    struct err *e)
{
	json_t *j = parse_line(file, line, text, n, e);

	return j ? add_row(rows, any, file, line, j, e) : -1;
}

static bool is_blank(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
			return false;
	return true;
}

static int add_lines(struct rows *rows, bool any, const char *file, const struct buf *b, struct err *e)
{
	static const char mark[] = "\xef\xbb\xbf";
	const char *at = buf_str(b), *end = at + b->len;

	if (b->len >= strlen(mark) && !memcmp(at, mark, strlen(mark)))
		at += strlen(mark);
	for (size_t line = 1; at < end; line++) {
		if (stop_look(e, "rows were read") < 0)
			return -1;
		const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
		if (!is_blank(at, (size_t)(stop - at)) &&
		    add_line(rows, any, file, line, at, (size_t)(stop - at), e) < 0)
			return -1;
		at = stop + 1;
	}
	return 0;
}

/* A whole file that is one array of objects, as most public sets are; a row's line is then its place, from 1. */
static int add_array(struct rows *rows, bool any, const char *file, const struct buf *b, struct err *e)
{
	json_t *all = jsonx_load(buf_str(b), b->len, file, e), *j;
	size_t i;
	int status = all ? 0 : -1;

	json_array_foreach(all, i, j) {
		if (!status && !json_is_object(j))
			status = err_set(e, "%s: row %zu of the array is no object", file, i + 1);
		if (!status)
			status = stop_look(e, "rows were read");
		if (!status)
			status = add_row(rows, any, file, i + 1, json_incref(j), e);
	}
	json_decref(all);
	return status;
}

static int add_table(struct rows *rows, bool any, const char *file, const struct buf *b, char comma, struct err *e)
{
	struct csv table;
	json_t *row;
	size_t line;
	int status = csv_open(&table, buf_str(b), b->len, comma, file, e), found;

	if (status < 0)
		return -1;
	while (!status && (found = csv_next(&table, &row, &line, file, e)))
		status = found < 0 ? -1 : add_row(rows, any, file, line, row, e);
	csv_close(&table);
	return status;
}

static bool has_ending(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);
	return n > m && !strcmp(name + n - m, ending);
}

/* The name says what a table is; an array says it itself. */
static int add_text(struct rows *rows, bool any, const char *file, const struct buf *b, struct err *e)
{
	if (has_ending(file, ".csv") || has_ending(file, ".csv.gz"))
		return add_table(rows, any, file, b, ',', e);
	if (has_ending(file, ".tsv") || has_ending(file, ".tsv.gz"))
		return add_table(rows, any, file, b, '\t', e);
	const char *first = buf_str(b);
	first += strspn(first, "\xef\xbb\xbf \t\r\n");
	bool lines = has_ending(file, ".jsonl") || has_ending(file, ".jsonl.gz");
	return *first == '[' && !lines ? add_array(rows, any, file, b, e) : add_lines(rows, any, file, b, e);
}

static int add_file(struct rows *rows, bool any, const char *path, struct hash_stream *hash, struct err *e)
{
	struct buf b = { .max = MOST_BYTES };
	const char *file = arena_strdup(&rows->mem, path);
	int status = io_read_gz(&b, path, e);

	if (!status) {
		hash_add(hash, buf_str(&b), b.len);
		status = add_text(rows, any, file, &b, e);
	}
	buf_release(&b);
	return status;
}

static int add_folder(struct rows *rows, bool any, const char *dir, struct hash_stream *hash, struct err *e)
{
	char **names;
	size_t n, used = 0;
	int status = io_list(dir, &names, &n, e);

	if (status)
		return status;
	for (size_t i = 0; i < n && !status; i++) {
		if (names[i][0] == '.' || (!has_ending(names[i], ".jsonl") && !has_ending(names[i], ".jsonl.gz")))
			continue; /* hidden ones are other programs' */
		char *path = io_join(dir, names[i]);
		status = add_file(rows, any, path, hash, e);
		mem_free(path);
		used++;
	}
	io_list_free(names, n);
	if (!status && !used)
		return err_set(e, "%s: the folder has no .jsonl or .jsonl.gz file", dir);
	return status;
}

static int load(struct rows *r, bool any, const char *path, struct err *e)
{
	struct hash_stream *hash = hash_begin();

	*r = (struct rows){ 0 };
	int status = io_is_dir(path) ? add_folder(r, any, path, hash, e) : add_file(r, any, path, hash, e);
	hash_end(hash, r->hash);
	if (status)
		rows_release(r);
	return status;
}

int rows_load(struct rows *r, const char *path, struct err *e) { return load(r, false, path, e); }

int rows_load_objects(struct rows *r, const char *path, struct err *e) { return load(r, true, path, e); }

void rows_release(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		json_decref(r->items[i].json);
	mem_free(r->items);
	arena_release(&r->mem);
	*r = (struct rows){ 0 };
}
