/* not_number: NaN and Infinity, which Python writes into JSON and JSON has not. A column that nobody reads may hold
 * them. */
#ifndef DATA_NOT_NUMBER_H
#define DATA_NOT_NUMBER_H

#include <jansson.h>

#include "base/buf.h"

/* A copy of the text in which they are null, and which columns of which rows held one, [[row, name], …], new; NULL:
 * none does. depth: brackets around a row's names (1: the text is a row, 2: an array of them). */
json_t *not_numbers(const char *text, size_t n, int depth, struct buf *out);

#endif
