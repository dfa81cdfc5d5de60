/* input: the texts of a corpus, one after another, in the memory of one of them.
 *
 * An input is a file or a folder, looked through to its depths in the order of names; hidden names are left out, as is
 * in folders what is no file (pipes, devices). What a file is, its name and its bytes say:
 *
 *   .jsonl, .ndjson, .json     rows: a JSON object a line, a text each (a .json that is one array: an object a text)
 *   other text                 texts, parted by the separator (line ends beside it go), as a rule one: prose, code
 *   with .gz                   the same, inflated on the way
 *   .csv, .tsv, and what has a zero byte in its first 8 KiB     left out, and told
 *
 * A text file longer than `most_bytes` is several texts, cut at the last line end before. Rows come as they stand in
 * the file: what of them is a text is the reader's matter (corpus/clean.h), so that it is found in parallel. */
#ifndef CORPUS_INPUT_H
#define CORPUS_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct input_file {
	const char *path;               /* to be opened */
	const char *name;               /* for people and the record: from the input's own name on */
	size_t source;
	uint64_t size;                  /* as it lies on the disk */
	int64_t changed;                /* when it was written last, nanoseconds */
};

struct input_list {
	struct input_file *items;
	size_t n, cap;
	uint64_t bytes;                 /* sum of sizes */
	struct arena mem;
};

/* Appends the file or the files of the folder; name: what it is called. −1: it cannot be read, or is too deep. */
int input_list_add(struct input_list *l, const char *path, const char *name, size_t source, struct err *e);
void input_list_release(struct input_list *l);

enum input_kind { INPUT_TEXTS, INPUT_ROWS, INPUT_ARRAY, INPUT_TABLE, INPUT_BINARY };

/* What a text may grow to when it is cleaned (3 bytes for 1, 11 for 1 by NFKC) stays within a buffer. */
enum { INPUT_MOST_BYTES = 64 << 20 };

struct input_options {
	const char *separator;          /* between texts of a text file; "" or NULL: none */
	size_t most_bytes;              /* of a text, at most INPUT_MOST_BYTES */
};

struct input_text {
	const char *data;               /* of the reader, until the next */
	size_t n;
	bool row;                       /* a JSON object, not yet read */
	bool cut;                       /* a text goes on in the next one */
	uint64_t line;                  /* where it begins, from 1; of an array the place */
};

struct input;
/* *kind says what the file is; of a table or binary there is nothing to read and *x is NULL. */
int input_open(struct input **x, const struct input_file *f, const struct input_options *o, enum input_kind *kind,
               struct err *e);
/* 1: a text, 0: there are no more (input_damaged: its gzip data are wrong from there on), −1: the file cannot be read
 * on. Empty lines of rows are passed over. */
int input_next(struct input *x, struct input_text *out, struct err *e);
bool input_damaged(const struct input *x);
uint64_t input_at(const struct input *x);              /* bytes of the file as it lies there */
uint64_t input_bytes(const struct input *x);           /* read so far, inflated */
/* Closes it; hex: hash of its bytes, inflated, as far as they were read. */
void input_close(struct input *x, char hex[33]);

#endif
