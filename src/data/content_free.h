/* content_free: rows that ask nothing, to see what a prompt itself makes of the answers (eval/calibrate.h): the three
 * inputs of Zhao et al. 2021, "N/A", "[MASK]" and "", in the wording of the rows. The wording is what all rows'
 * questions begin and end with, up to white space. */
#ifndef DATA_CONTENT_FREE_H
#define DATA_CONTENT_FREE_H

#include "data/rows.h"

/* The caller releases them; rows whose questions are no texts: a sentence. */
int content_free_rows(const struct rows *rows, struct rows *out, struct err *e);

#endif
