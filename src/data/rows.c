/* rows: JSONL, a JSON array or a table into memory, with the shape of the rows recognized.
 *
 * All rows of a set have one shape; the first that differs is named with its line (in an array: its place). Empty lines
 * are skipped, as is the byte order mark that some editors put before the first. Everything is held in memory. */
#include "data/rows.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "base/utf8.h"
#include "data/conversation.h"
#include "data/csv.h"
#include "data/feedback_rows.h"
#include "data/not_number.h"
#include "data/shape.h"

enum { TOLD = 8, FORM_BYTES = 16 }; /* names of files that are not read; what a form is known by */
static const char around[] = "\xef\xbb\xbf \t\r\n"; /* an array: a byte order mark and white space */
static const size_t MOST_BYTES = (size_t)16 << 30; /* of a file, inflated */
static const size_t MOST_LINE = (size_t)256 << 20, FIRST = (size_t)1 << 20;

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

/* As JSON, \u0000 and NaN and what is like it included; *bad: which columns hold these, or NULL. */
static json_t *load_json(const char *text, size_t n, int depth, const char *where, json_t **bad, struct err *e)
{
	struct err inner = ERR_INIT, again = ERR_INIT;
	struct buf mended = BUF_INIT;
	json_t *j = jsonx_load_nul(text, n, where, &inner);

	*bad = j ? NULL : not_numbers(text, n, depth, &mended);
	if (*bad)
		j = jsonx_load_nul(buf_str(&mended), mended.len, where, &again);
	buf_release(&mended);
	if (!j)
		err_set(e, "%s", *bad ? again.msg : inner.msg);
	return j;
}

/* A column that is read holds a number that is none. */
static int check_numbers(const json_t *row, json_int_t i, const json_t *bad, const char *file, size_t line,
                         struct err *e)
{
	const struct shape *s = bad ? shape_of(row) : NULL;
	const json_t *pair;
	size_t k;

	json_array_foreach((json_t *)bad, k, pair) {
		const char *name = json_string_value(json_array_get(pair, 1));
		if (json_integer_value(json_array_get(pair, 0)) != i || (s && !shape_reads(s, name) &&
		                                                         !conversation_takes(name)))
			continue;
		return err_set(e, "%s:%zu: \"%.80s\" holds NaN or Infinity, which is no value", file, line, name);
	}
	return 0;
}

/* NULL and a sentence, in which the line is that of the file. */
static json_t *parse_line(const char *file, size_t line, const char *text, size_t n, struct err *e)
{
	struct err inner = ERR_INIT;
	json_t *bad_numbers = NULL;
	size_t bad;

	if (!utf8_valid(text, n, &bad)) {
		err_set(e, "%s:%zu: invalid UTF-8 at byte %zu of the line", file, line, bad + 1);
		return NULL;
	}
	json_t *j = load_json(text, n, 1, "", &bad_numbers, &inner);
	bool right = j && json_is_object(j) && check_numbers(j, 0, bad_numbers, file, line, e) == 0;
	if (!j) {
		size_t of = 1;
		int n_place = 0;
		sscanf(inner.msg, ": line %zu %n", &of, &n_place);
		err_set(e, of > 1 ? "%s:%zu: not JSON: %s (of its line %zu)" : "%s:%zu: not JSON: %s", file, line,
		        inner.msg + n_place, of);
	} else if (!json_is_object(j)) {
		err_set(e, "%s:%zu: one JSON object a line was wanted", file, line);
	}
	if (!right)
		json_decref(j);
	json_decref(bad_numbers);
	return right ? j : NULL;
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
	int status = any ? 0 : check_shape(rows, r, e);
	if (status && findings_take(rows->bad, file, line, e)) {
		rows->n--;
		json_decref(j);
		status = 0;
	}
	return status;
}

static int add_line(struct rows *rows, bool any, const char *file, size_t line, const char *text, size_t n,
                    struct err *e)
{
	json_t *j = parse_line(file, line, text, n, e);

	if (j)
		return add_row(rows, any, file, line, j, e);
	return findings_take(rows->bad, file, line, e) ? 0 : -1;
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

/* Is a line of the text's beginning a brace alone, as programs write an object over several lines? */
static bool is_spread(const char *text)
{
	text += strspn(text, around);
	return *text == '{' && text[1 + strspn(text + 1, " \t\r")] == '\n';
}

/* Behind the brace that closes the one at `at`; the end, where none does. */
static const char *object_end(const char *at, const char *end)
{
	bool quoted = false;

	for (size_t depth = 0; at < end; at++) {
		if (quoted && *at == '\\')
			at++;
		else if (*at == '"')
			quoted = !quoted;
		else if (!quoted && *at == '{')
			depth++;
		else if (!quoted && *at == '}' && --depth == 0)
			return at + 1;
	}
	return end;
}

/* Of rows of any shape. */
static bool is_column(const char *key)
{
	for (size_t i = 0; shape_table[i]; i++)
		if (shape_reads(shape_table[i], key))
			return true;
	return false;
}

/* A file that is one object, which is no row, nor one with a mistake in it: where its rows may be. */
static int check_whole(const char *file, const char *text, size_t n, struct err *e)
{
	static const char jq[] = "makes lines of them";
	struct err ignored = ERR_INIT;
	json_t *j = jsonx_load(text, n, file, &ignored), *v;
	const char *key, *rows = NULL;
	size_t objects = 0;

	json_object_foreach (j, key, v) {
		if (is_column(key))
			continue;
		const json_t *first = json_array_get(v, 0);
		rows = !rows && json_is_object(first) && !shape_is_message(first) ? key : rows;
		objects += json_is_object(v);
	}
	if (shape_of(j) || !j)
		rows = NULL, objects = 0;
	if (rows)
		err_set(e, "%s: one JSON object, whose \"%.40s\" may be the rows: jq -c '.\"%.40s\"[]' FILE %s", file,
		        rows, rows, jq);
	else if (objects)
		err_set(e, "%s: one JSON object, whose values may be the rows: jq -c '.[]' FILE %s", file, jq);
	json_decref(j);
	return rows || objects ? -1 : 0;
}

/* Objects over several lines, one after the other; a row's line is that in which it begins. */
static int add_objects(struct rows *rows, bool any, const char *file, const struct buf *b, struct err *e)
{
	const char *at = buf_str(b) + strspn(buf_str(b), around), *end = buf_str(b) + b->len, *stop = buf_str(b);

	for (size_t line = 1; at < end; at = stop + strspn(stop, around)) {
		if (stop_look(e, "rows were read") < 0)
			return -1;
		for (; stop < at; stop++)
			line += *stop == '\n';
		stop = object_end(at, end);
		if (*at != '{')
			return err_set(e, "%s:%zu: a JSON object was wanted", file, line);
		if (add_line(rows, any, file, line, at, (size_t)(stop - at), e) < 0)
			return -1;
		for (; at < stop; at++)
			line += *at == '\n';
	}
	return 0;
}

/* A whole file that is one array of objects, as most public sets are; a row's line is then its place, from 1. */
static int add_array(struct rows *rows, bool any, const char *file, const struct buf *b, struct err *e)
{
	size_t from = strspn(buf_str(b), around), i;
	json_t *bad, *all = load_json(buf_str(b) + from, b->len - from, 2, file, &bad, e), *j;
	int status = all ? 0 : -1;

	json_array_foreach(all, i, j) {
		if (status || (status = stop_look(e, "rows were read")))
			break;
		if (!json_is_object(j))
			status = err_set(e, "%s:%zu: this row of the array is no object", file, i + 1);
		else
			status = check_numbers(j, (json_int_t)i, bad, file, i + 1, e);
		if (!status)
			status = add_row(rows, any, file, i + 1, json_incref(j), e);
		else if (findings_take(rows->bad, file, i + 1, e))
			status = 0;
	}
	json_decref(all);
	json_decref(bad);
	return status;
}

/* A whole file is one text, its line ends as \n. */
static int add_document(struct rows *rows, bool any, const char *file, const struct buf *b, struct err *e)
{
	static const char mark[] = "\xef\xbb\xbf";
	size_t from = b->len >= strlen(mark) && !memcmp(b->data, mark, strlen(mark)) ? strlen(mark) : 0, bad;
	struct buf text = BUF_INIT;

	if (!utf8_valid(buf_str(b), b->len, &bad))
		return err_set(e, "%s: invalid UTF-8 at byte %zu", file, bad + 1);
	for (size_t i = from; i < b->len; i++)
		if (b->data[i] != '\r' || i + 1 == b->len || b->data[i + 1] != '\n')
			buf_addc(&text, b->data[i]);
	json_t *row = json_pack("{s:o}", "text", json_stringn(buf_str(&text), text.len));
	buf_release(&text);
	return add_row(rows, any, file, 1, row, e);
}

/* Semicolons, where the header has no comma (as spreadsheets write it where a comma is in numbers). */
static char comma_of(const struct buf *b)
{
	const char *text = buf_str(b), *end = memchr(text, '\n', b->len);
	size_t n = end ? (size_t)(end - text) : b->len;

	return !memchr(text, ',', n) && memchr(text, ';', n) ? ';' : ',';
}

static int add_table(struct rows *rows, bool any, const char *file, const struct buf *b, char comma, struct err *e)
{
	struct csv table;
	json_t *row;
	size_t line;
	int status = csv_open(&table, buf_str(b), b->len, comma, file, e), found;

	if (status < 0)
		return -1;
	while (!status && (found = csv_next(&table, &row, &line, file, e))) {
		if (found > 0)
			shape_take_cells(row);
		status = found < 0 ? -1 : add_row(rows, any, file, line, row, e);
	}
	csv_close(&table);
	return status;
}

bool rows_are_named(const char *file, const char *kind)
{
	char *packed = mem_printf("%s.gz", kind);
	bool are = text_stem(file, kind) || text_stem(file, packed);

	mem_free(packed);
	return are;
}

/* Of a file of lines the end says it too: a first line that is an array is a line that is wrong. */
static bool is_array(const struct buf *b, bool lines)
{
	const char *text = buf_str(b);
	size_t end = b->len;

	while (end && text[end - 1] && strchr(around, text[end - 1]))
		end--;
	return text[strspn(text, around)] == '[' && (!lines || text[end - 1] == ']');
}

/* The name says what a table is; an array says it itself. */
static int add_text(struct rows *rows, bool any, const char *file, const struct buf *b, struct err *e)
{
	if (rows_are_named(file, ".csv"))
		return add_table(rows, any, file, b, comma_of(b), e);
	if (rows_are_named(file, ".tsv"))
		return add_table(rows, any, file, b, '\t', e);
	if (rows_are_named(file, ".txt"))
		return add_document(rows, any, file, b, e);
	if (is_array(b, rows_are_named(file, ".jsonl")))
		return add_array(rows, any, file, b, e);
	const char *text = buf_str(b) + strspn(buf_str(b), around), *end = buf_str(b) + b->len;
	bool spread = is_spread(text);
	if (!any && *text == '{' && (spread || !memchr(text, '\n', (size_t)(end - text) - (end[-1] == '\n')))) {
		const char *stop = object_end(text, end);
		if (!stop[strspn(stop, around)] && check_whole(file, text, (size_t)(stop - text), e) < 0)
			return -1;
	}
	return spread ? add_objects(rows, any, file, b, e) : add_lines(rows, any, file, b, e);
}

/* Files that hold rows in a form that is not read here, by their first bytes. */
static const struct { const char *bytes; size_t n; const char *what; } forms[] = {
	{ "PAR1", 4, "Parquet, which is not read here: pandas.read_parquet(FILE).to_json(FILE2, orient=\"records\", "
	             "lines=True) in Python makes lines of JSON of it" },
	{ "ARROW1", 6, "an Arrow file, which is not read here: pandas.read_feather(FILE).to_json(FILE2, "
	               "orient=\"records\", lines=True) in Python makes lines of JSON of it" },
	{ "\x28\xb5\x2f\xfd", 4, "compressed by zstd, which is not read here: zstd -d FILE unpacks it" },
	{ "\xfd" "7zXZ", 5, "compressed by xz, which is not read here: xz -d FILE unpacks it" },
	{ "BZh", 3, "compressed by bzip2, which is not read here: bzip2 -d FILE unpacks it" },
	{ "PK\x03\x04", 4, "a zip archive, which is not read here: unzip FILE unpacks it" },
	{ "7z\xbc\xaf\x27\x1c", 6, "a 7z archive, which is not read here" },
	{ "\xff\xfe", 2, "UTF-16, UTF-8 was wanted: iconv -f UTF-16 -t UTF-8 FILE makes it" },
	{ "\xfe\xff", 2, "UTF-16, UTF-8 was wanted: iconv -f UTF-16 -t UTF-8 FILE makes it" },
};

static int check_form(const char *path, const struct buf *b, struct err *e)
{
	const char *instead = b->len ? text_instead(buf_str(b), b->len) : NULL;

	if (instead && !rows_are_named(path, ".txt"))
		return err_set(e, "%s is %s", path, instead);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (b->len >= forms[i].n && !memcmp(buf_str(b), forms[i].bytes, forms[i].n))
			return err_set(e, "%s is %s", path, forms[i].what);
	return 0;
}

/* Of lines that are still coming: is one of the first megabyte an object, and none longer than a row may be? So what
 * has no end and is no rows (`yes`, zeros) is refused soon. */
struct coming {
	const char *file;
	bool lines, looked, known;
	size_t begun, seen;       /* where the last line begins, and up to where it was looked for */
};

/* The first line that is not blank as it will be judged, which is told where it is wrong. */
static int look_first(const struct coming *c, const struct buf *b, struct err *e)
{
	const char *at = buf_str(b), *end = at + b->len, *newline;
	struct err first = ERR_INIT;
	int wrong = 0;

	for (size_t line = 1; (newline = memchr(at, '\n', (size_t)(end - at))); line++, at = newline + 1) {
		size_t n = (size_t)(newline - at);
		if (is_blank(at, n))
			continue;
		json_t *j = parse_line(c->file, line, at, n, wrong++ ? &(struct err)ERR_INIT : &first);
		json_decref(j);
		if (j)
			return 0;
	}
	if (wrong)
		return err_set(e, "%s", first.msg);
	return err_set(e, "%s: blank lines, no row among the first %zu bytes", c->file, b->len);
}

static int look_at_lines(void *ctx, const struct buf *b, struct err *e)
{
	struct coming *c = ctx;
	const char *text = buf_str(b), *newline;

	if (!c->known && b->len >= FORM_BYTES) {
		if (check_form(c->file, b, e) < 0)
			return -1;
		c->lines = c->lines && memcmp(text, "\x1f\x8b", 2) != 0 && text[strspn(text, around)] != '[' &&
		           !is_spread(text);
		c->known = true;
	}
	if (!c->lines || !c->known)
		return 0;
	newline = memrchr(text + c->seen, '\n', b->len - c->seen);
	c->begun = newline ? (size_t)(newline + 1 - text) : c->begun;
	c->seen = b->len;
	if (b->len - c->begun > MOST_LINE)
		return err_set(e, "%s: a line of more than %zu MiB, which is no row", c->file, MOST_LINE >> 20);
	if (c->looked || b->len < FIRST)
		return 0;
	c->looked = true;
	if (c->begun == 0)
		return memchr(text, 0, b->len) ? err_set(e, "%s:1: not JSON: a byte of 0", c->file) : 0;
	return look_first(c, b, e);
}

static int add_file(struct rows *rows, bool any, const char *path, struct hash_stream *hash, struct err *e)
{
	struct buf b = { .max = MOST_BYTES };
	const char *file = arena_strdup(&rows->mem, path);
	struct coming coming = { .file = file,
		                 .lines = !rows_are_named(file, ".csv") && !rows_are_named(file, ".tsv") &&
		                          !rows_are_named(file, ".txt") };
	int status = io_read_looked(&b, path, &(struct io_look){ look_at_lines, &coming }, e);

	if (!status)
		status = check_form(path, &b, e);
	if (!status) {
		hash_add(hash, buf_str(&b), b.len);
		status = add_text(rows, any, file, &b, e);
	}
	buf_release(&b);
	return status;
}

static const char *const kinds[] = { ".jsonl", ".txt", ".csv", ".tsv", ".json" };

/* What of a folder could hold rows, too, is named: files of another kind, and folders. */
static void tell_others(const char *dir, char **names, size_t n, const char *kind)
{
	struct buf others = BUF_INIT;
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		char *path = io_join(dir, names[i]);
		bool other = names[i][0] != '.' && io_is_dir(path);
		for (size_t k = 0; k < ARRAY_LEN(kinds) && names[i][0] != '.' && !other; k++)
			other = rows_are_named(names[i], kinds[k]) && strcmp(kinds[k], kind) != 0;
		if (other && ++found <= TOLD)
			buf_addf(&others, "%s%s%s", found > 1 ? ", " : "", names[i], io_is_dir(path) ? "/" : "");
		mem_free(path);
	}
	if (found > TOLD)
		buf_addf(&others, " and %zu more", found - TOLD);
	if (found)
		log_warn("%s: of a folder the files of one kind are read, here %s; not read: %s", dir, kind,
		         buf_str(&others));
	buf_release(&others);
}

/* The files of one kind: the first of these that the folder has. */
static int add_folder(struct rows *rows, bool any, const char *dir, struct hash_stream *hash, struct err *e)
{
	const char *kind = NULL;
	char **names;
	size_t n, used = 0;
	int status = io_list(dir, &names, &n, e);

	if (status)
		return status;
	for (size_t k = 0; k < ARRAY_LEN(kinds) && !used && !status; k++)
		for (size_t i = 0; i < n && !status; i++) {
			if (names[i][0] == '.' || !rows_are_named(names[i], kinds[k])) /* hidden: other programs' */
				continue;
			char *path = io_join(dir, names[i]);
			status = add_file(rows, any, path, hash, e);
			mem_free(path);
			kind = kinds[k];
			used++;
		}
	if (kind && !status)
		tell_others(dir, names, n, kind);
	io_list_free(names, n);
	if (!status && !used)
		return err_set(e, "%s: the folder has no .jsonl, .txt, .csv, .tsv or .json file (or .gz)", dir);
	return status;
}

struct feedback_reading { struct rows *rows; bool any; const char *file; struct hash_stream *hash; };

static int add_feedback_row(void *ctx, size_t line, json_t *row, struct err *e)
{
	const struct feedback_reading *x = ctx;
	char *text = jsonx_line(row);

	hash_add(x->hash, text, strlen(text));
	mem_free(text);
	return add_row(x->rows, x->any, x->file, line, row, e);
}

/* A row's line is the number of its label; the hash is that of the rows. */
static int add_feedback(struct rows *rows, bool any, const char *path, int kind, struct hash_stream *hash,
                        struct err *e)
{
	struct feedback_reading x = { rows, any, arena_strdup(&rows->mem, path), hash };

	return feedback_file_rows(path, kind, add_feedback_row, &x, e);
}

static int load(struct rows *r, bool any, const char *path, int kind, struct findings *bad, struct err *e)
{
	struct hash_stream *hash = hash_begin();

	*r = (struct rows){ .bad = bad };
	int status = io_is_dir(path)   ? add_folder(r, any, path, hash, e) :
	             feedback_is(path) ? add_feedback(r, any, path, kind, hash, e) :
	                                 add_file(r, any, path, hash, e);
	hash_end(hash, r->hash);
	r->bad = NULL;
	if (status)
		rows_release(r);
	return status;
}

int rows_load(struct rows *r, const char *path, struct err *e)
{
	return load(r, false, path, ROWS_KINDS, NULL, e);
}

int rows_load_kind(struct rows *r, const char *path, int kind, struct err *e)
{
	return load(r, false, path, kind, NULL, e);
}

int rows_load_objects(struct rows *r, const char *path, struct err *e)
{
	return load(r, true, path, ROWS_KINDS, NULL, e);
}

int rows_load_good(struct rows *r, const char *path, struct findings *bad, struct err *e)
{
	return load(r, false, path, ROWS_KINDS, bad, e);
}

void rows_cut(struct rows *r, size_t n)
{
	while (r->n > n)
		json_decref(r->items[--r->n].json);
}

void rows_release(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		json_decref(r->items[i].json);
	mem_free(r->items);
	arena_release(&r->mem);
	*r = (struct rows){ 0 };
}
