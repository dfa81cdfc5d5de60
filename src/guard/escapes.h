/* escapes: forms in which single characters of a text are written otherwise and the rest stays: percent, entities,
 * quoted-printable, backslashes. They have an innocent use, so what counts is what nobody needs to write so: letters
 * and digits of ASCII. */
#ifndef GUARD_ESCAPES_H
#define GUARD_ESCAPES_H

#include "guard/encoding.h"

struct escapes {
	char first;             /* that an escape begins with */
	/* The escape at i: its length, and its bytes (at most 8) in out; 0: none is there. */
	size_t (*read)(const struct finder *f, size_t i, char out[8], size_t *n);
	bool joins_blanks;      /* a stretch goes on over blanks */
};

void escapes_find(struct finder *f, const struct escapes *e);
/* A hexadecimal digit's number; −1: it is none. */
static inline int escapes_hex(char c)
{
	static const int8_t more[256] = {
		['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
		['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
		['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
	};

	return more[(uint8_t)c] - 1;
}

#endif
