/* training_texts: files and folders as the texts that a tokenizer is trained on (token/train.h), read by
 * corpus/input.h: text files whole, to 64 MB each, rows by one of their columns. Texts are as they stand, only bytes
 * that are no UTF-8 become U+FFFD. Twice as much as its longest text is held. */
#ifndef CORPUS_TRAINING_TEXTS_H
#define CORPUS_TRAINING_TEXTS_H

#include "base/err.h"
#include "token/train.h"

struct training_texts;
struct training_texts_report {
	uint64_t files, texts;
	uint64_t left_out;               /* files that hold no text (tables, binaries) */
	uint64_t no_column;              /* rows that are no object with a text in that column */
	uint64_t mended;                 /* texts that had bytes that are no UTF-8, now U+FFFD */
	uint64_t damaged;                /* files whose gzip data end early */
	char first_left_out[256], first_no_column[256], first_damaged[256]; /* where; "" for none */
};

/* paths are borrowed until the end; column: of rows. −1: one that cannot be read. */
int training_texts_open(struct training_texts **x, const char *const *paths, size_t n, const char *column,
                        struct err *e);
struct token_texts training_texts_source(struct training_texts *x);
const struct training_texts_report *training_texts_report(const struct training_texts *x);
void training_texts_close(struct training_texts *x);   /* NULL is taken */

#endif
