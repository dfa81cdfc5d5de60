/* clean: bytes to a text: the column of a row, bytes that are no UTF-8, line ends, control characters, Unicode's normal
 * forms. Everything that is changed is counted. */
#ifndef CORPUS_CLEAN_H
#define CORPUS_CLEAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum clean_bad { CLEAN_BAD_REPLACE, CLEAN_BAD_REMOVE, CLEAN_BAD_DROP };   /* what becomes of bytes that are no UTF-8 */
enum clean_form { CLEAN_NONE, CLEAN_NFC, CLEAN_NFKC };

struct clean_options {
	enum clean_bad bad;
	enum clean_form form;
	bool keep_newlines;             /* else \r\n and a lone \r become \n */
	bool keep_controls;             /* else C0 and C1 but tab and line feed, delete, and the byte order mark go */
	const char *text_column;        /* of rows */
};

struct clean_counts {                   /* of a text, or sums over many */
	uint64_t bad_bytes, bad_texts;  /* bytes that are no UTF-8; texts that have some */
	uint64_t newlines, controls;    /* characters changed, removed */
	uint64_t normalized;            /* texts that the normal form changed */
};

enum clean_verdict {
	CLEAN_TEXT,
	CLEAN_EMPTY,                    /* nothing but white space is left */
	CLEAN_BROKEN_ROW,               /* no JSON object */
	CLEAN_NO_COLUMN,                /* the row has no text under that name */
	CLEAN_BAD_BYTES                 /* it has some, and CLEAN_BAD_DROP was asked for */
};

/* out is cleared first. row: data is a JSON object. Thread-safe. */
enum clean_verdict clean_text(const struct clean_options *o, const char *data, size_t n, bool row, struct buf *out,
                              struct clean_counts *c);
void clean_counts_add(struct clean_counts *to, const struct clean_counts *c);

#endif
