/* fill: a text with holes, {name}, filled with bytes. What is no hole stays as it is, braces too. */
#ifndef BASE_FILL_H
#define BASE_FILL_H

#include "base/buf.h"

struct hole {
	const char *name; /* "{question}" */
	const char *with;
	size_t n;
};

/* Appends the form with every hole of holes[n_holes] filled. What is filled in is not looked at again. */
void fill_holes(struct buf *out, const char *form, const struct hole *holes, size_t n_holes);

#endif
