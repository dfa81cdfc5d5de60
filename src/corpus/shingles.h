/* shingles: a text's words as numbers, whatever their case and what stands between them; so many in a row are an
 * n-gram. A word is a run of letters, digits and marks; of scripts that part no words (Han, kana, Thai, Lao, Khmer,
 * Burmese) each character. Near copies and what is also in an evaluation are told by them. */
#ifndef CORPUS_SHINGLES_H
#define CORPUS_SHINGLES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct shingles {
	uint64_t *word;                 /* [n] hashes */
	size_t n, cap;
	struct buf lower;
};

/* From zeros, or one that was used before. */
void shingles_make(struct shingles *s, const char *text, size_t n);
/* The n-gram that begins at word i. */
uint64_t shingle_at(const struct shingles *s, size_t i, int n);
void shingles_release(struct shingles *s);

#endif
