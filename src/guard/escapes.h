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
int escapes_hex(char c); /* −1: no digit */

#endif
