/* lint_page: rows as a page for a browser: what the model sees of each, what is learnt in it, what is wrong with it,
 * and totals. One file that refers to nothing outside, right in light and dark; all that comes from rows is escaped. */
#ifndef CMD_LINT_PAGE_H
#define CMD_LINT_PAGE_H

#include "data/lint.h"

struct lint_page_side {
	const char *path;
	const struct rows *rows;
	const struct documents *documents;
	const struct lint *lint;
	const struct findings *refused;
	int64_t computed;         /* tokens, shared prefixes once; −1: not counted */
};

struct lint_page {
	const char *model;
	const struct tokenizer *tokenizer;
	int32_t max_length;
	const struct lint_page_side *sides; /* the training rows, and those to evaluate on */
	size_t n_sides;
	size_t limit;             /* documents shown of each, beside those with a warning */
};

void lint_page_write(struct buf *out, const struct lint_page *p);

#endif
