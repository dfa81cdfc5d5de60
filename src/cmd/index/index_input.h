/* index_input: the documents of files and folders.
 *
 *     .jsonl .ndjson (.gz)   a document a row: id `_id`, `id` or `doc_id`, `title`, `text` (or `contents`); other
 *                            columns that are texts or numbers, and those of `metadata`, are fields that filters look
 *                            at
 *     .html .htm             without tags; the title is <title>; in the encoding that it declares
 *     .pdf                   by poppler's pdftotext, where it is installed
 *     .txt .md .rst and others without an ending of theirs: as they are; of .md the title is the first heading
 *
 * A file's id is its path. Of a folder, whose hidden files are left out, these endings are taken; what else is there is
 * counted, and so are files that cannot be read. What is no UTF-8 becomes U+FFFD; where that is more than a tenth, the
 * file is no text. */
#ifndef CMD_INDEX_INPUT_H
#define CMD_INDEX_INPUT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct input_document {
	const char *id, *title, *source;   /* title may be NULL */
	const char *text;
	size_t n;
	const char *fields;                /* JSON, or NULL */
};

struct input {
	/* Other than 0 ends the reading, and is what input_read returns. NULL: files are not read, their sizes are
	 * looked at. */
	int (*take)(void *ctx, const struct input_document *d, struct err *e);
	void *ctx;
	double done, all;                  /* bytes, unpacked: read so far; of all files, by their sizes */
	double largest_rows, largest_text; /* of the largest file of rows, and of the largest that is one document */
	size_t skipped;                    /* files of folders with other endings, links to folders, no files */
	char *first_skipped;               /* mem_free */
	size_t unread;                     /* files of folders that could not be read, and why not the first */
	char *first_unread;                /* mem_free */
	size_t repaired;                   /* documents in which some bytes were no UTF-8, and the first */
	char *first_repaired;              /* mem_free */
	bool no_file;                      /* what went wrong last is that a file could not be read */
	struct buf bytes, text;
};

void input_hash(const struct input_document *d, char hex[33]);     /* of all that it says */
int input_read(struct input *in, const char *path, struct err *e);
void input_release(struct input *in);

/* HTML as text: tags off, blocks on lines of their own, scripts and styles left out, entities as characters. title (or
 * NULL) gets <title>. */
void input_html(const char *html, size_t n, struct buf *text, struct buf *title);

#endif
