/* language: a guess at what a text is written in, by its script and, where several languages share one, by common
 * short words. It tells prose of a few lines apart well and short texts badly, close kin (Danish, Norwegian) badly
 * too, and it knows only the languages of its table: what it cannot tell is "und" (ISO 639's word). It is no
 * classifier that was trained, as FineWeb's (fastText) is. */
#ifndef CORPUS_LANGUAGE_H
#define CORPUS_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "corpus/facts.h"

/* ISO 639-1, as "en", or "und". Never to be freed. */
const char *language_guess(const struct facts *f);
/* The same where any answer is better than none: the most common words, however few, and English of Latin letters. */
const char *language_likeliest(const struct facts *f);
bool language_is_known(const char *code, size_t n);
/* All that can be told, as "ar bg bn …". */
const char *language_list(void);

#endif
