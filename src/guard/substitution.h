/* substitution: forms that put another letter for each: rot13, atbash, leet, words turned around. The text before
 * and behind may be plain, so the stretch is found word by word: a word's gain is what it costs as it stands less what
 * it costs undone, and the stretch with the greatest sum is offered (Kadane's rule, one pass). */
#ifndef GUARD_SUBSTITUTION_H
#define GUARD_SUBSTITUTION_H

#include "guard/encoding.h"

struct substitution {
	/* [26] a letter for each of a to z, and the same again undoes it; NULL: `undo` does. */
	const char *letters;
	/* Undoes the word of n bytes at s into out, which has n bytes; false: it is none that could be undone. */
	bool (*undo)(const char *s, size_t n, char *out);
	bool in_word_digits;   /* digits and signs belong to words */
	bool turned;           /* `undo` turns a word of letters around; the stretch's words come in descending order */
	bool plain;            /* a word that cannot be undone stands as it is, with no gain */
	double most;           /* bits a letter of the undone stretch at most */
};

void substitution_find(struct finder *f, const struct substitution *s);
/* Appends a text with each letter changed. */
void substitution_letters(struct buf *out, const char *s, size_t n, const char *letters);

#endif
