/* fold: a text as rules read it, and what of its characters is odd.
 *
 *     clean    NFKC, character by character with its marks; without what nobody sees (zero width, tags, variation
 *              selectors, bidirectional controls, controls but line ends and tabs); what is no UTF-8 is U+FFFD
 *     folded   clean, and in small letters, without the marks on Latin letters, white space one blank, look-alikes as
 *              the Latin letter (Unicode's confusables; a word is changed that has a Latin letter or is of look-alikes
 *              alone, so Russian stays Russian)
 *
 * Hangul that is written in parts stays so: NFKC joins it, this does not. */
#ifndef GUARD_FOLD_H
#define GUARD_FOLD_H

#include <stdbool.h>

#include "guard/mapped.h"

enum sign_kind {
	SIGN_INVISIBLE,      /* a character without width inside a Latin word */
	SIGN_BIDI,           /* text turned around where nothing is written from the right, or overridden */
	SIGN_CONTROL,        /* backspaces, deletions, returns, escapes */
	SIGN_MARKS,          /* marks heaped on Latin letters */
	SIGN_LOOKALIKE,      /* a word of Latin and of another script's look-alikes */
	SIGN_SCRIPTS,        /* a word of many scripts */
	SIGNS
};
extern const char *const sign_names[SIGNS];

struct sign {
	enum sign_kind kind;
	size_t begin, end;   /* in the original: from the first to the last of them */
	size_t count;
};

/* Appends the clean text of `from`. signs [SIGNS] or NULL: count 0 where there is none. */
void fold_clean(struct mapped *out, const struct mapped *from, struct sign *signs);
/* Appends the folded text of a clean one. */
void fold_letters(struct mapped *out, const struct mapped *clean, struct sign *signs);

#endif
