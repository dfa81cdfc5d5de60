/* signs: forms that write a letter as a sign of several characters with blanks between: Morse, NATO's words, single
 * letters. */
#ifndef GUARD_SIGNS_H
#define GUARD_SIGNS_H

#include "guard/encoding.h"

struct signs {
	/* The letter that the word of n bytes stands for, ' ' for a blank; 0: none. */
	char (*read)(const char *s, size_t n);
	size_t least;            /* letters of a stretch */
	double cost;             /* bits of a letter where nobody wrote a text */
	/* Two blanks between are a blank of the text. */
	bool wide_blanks;
};

void signs_find(struct finder *f, const struct signs *s);

#endif
