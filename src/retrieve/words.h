/* words: a text's words as scikit-learn and bm25s take them with nothing set: of the text in lower case its stretches
 * of two or more letters, digits and underscores (Python's \w). */
#ifndef RETRIEVE_WORDS_H
#define RETRIEVE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

void word_lower(struct buf *out, const char *text, size_t n);          /* appends it in lower case */
/* The next word of a lower-case text from *at on, and its bytes; NULL: there is none. */
const char *word_next(const char *lower, size_t n, size_t *at, size_t *length);
bool word_is_stop(const char *word, size_t n);         /* one of Lucene's 33 English stop words */

#endif
