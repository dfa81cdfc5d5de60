/* split: rows parted into those to learn from, to choose by and to test with, by what they ask.
 *
 * Rows that ask the same stand on one side, so nothing that is tested was learnt; rows of one value of `group_by` too.
 * Which side depends on the texts and the seed alone, not on the order of the file. Each class is on each side with
 * about its share. */
#ifndef DATA_SPLIT_H
#define DATA_SPLIT_H

#include <stdint.h>

#include "data/rows.h"

enum side { SIDE_TRAIN, SIDE_CHOOSE, SIDE_TEST, SIDE_NONE /* left out */ };

struct split_options {
	double choose, test; /* shares, below 1 together */
	uint64_t seed;
	const char *group_by; /* a column, or NULL */
	bool time_order;      /* the first are learnt from, the last tested with, in the file's order */
	/* [n_later] places, ascending, from which on rows came later: those of a group that was there stand with it,
	 * the others are parted among themselves, and nothing that was there changes its side. */
	const size_t *later;
	size_t n_later;
};

struct split_row {
	const char *text;  /* what the row asks, as split_text has it */
	const char *label; /* its answer or class; NULL: none */
};

/* What a row asks, as a text in mem: a string as it is, messages and several columns as JSON. Of rows that ask nothing
 * the text itself. NULL and a sentence. */
const char *split_text(struct arena *mem, const struct row *r, const struct shape *s, struct err *e);
/* How texts are compared: white space and what is neither letter nor digit is one space, ASCII letters are small. */
uint64_t split_key(const char *text);

/* side[n] of each row, and since[n] when its group came: 0 at first, 1 from later[0] on, …; NULL: not wanted. With a
 * column that a row does not have: -1 and a sentence. */
int split_rows(const struct rows *r, const struct split_row *rows, const struct split_options *o, enum side *side,
               int *since, struct err *e);

#endif
