/* minhash: texts that are nearly the same (Broder 1997), found without comparing all with all.
 *
 * A text is its set of n-grams. Under a random order of all n-grams the first of two texts is the same with probability
 * J = |A∩B| / |A∪B|, so of `permutations` orders the share in which they agree estimates J, with a deviation of
 * √(J(1−J)/permutations). The signature is cut into bands of rows: texts that agree in a whole band are candidates,
 * which two of similarity J are with probability 1 − (1 − J^rows)^bands; bands and rows are chosen so that what is
 * wrongly a candidate below the threshold and wrongly none above it is least, as datasketch and text-dedup do. A
 * candidate is a near copy where the signatures agree in a share of at least the threshold.
 *
 * A store holds what was kept: 2 bytes a permutation and about 12 a band, of each. */
#ifndef CORPUS_MINHASH_H
#define CORPUS_MINHASH_H

#include <stdint.h>

#include "corpus/shingles.h"

enum { MINHASH_MOST = 1024 };

struct minhash {
	int permutations, ngram, bands, rows;
	double threshold;
	uint32_t key[3][MINHASH_MOST];
};

void minhash_init(struct minhash *m, int permutations, int ngram, double threshold);
/* signature [permutations] of a text of at least one word; one of fewer words than an n-gram is one n-gram. */
void minhash_signature(const struct minhash *m, const struct shingles *s, uint16_t *signature);
double minhash_similarity(const struct minhash *m, const uint16_t *a, const uint16_t *b);

struct near;
struct near *near_new(const struct minhash *m);         /* m is borrowed */
/* The name of the first that was added and is a near copy, and how near that is; −1: none. Of a band at most 64
 * candidates are looked at. */
int64_t near_find(const struct near *x, const uint16_t *signature, double *similarity);
/* At most 2^32 − 2. */
void near_add(struct near *x, const uint16_t *signature, uint32_t name);
void near_free(struct near *x);                         /* NULL is taken */

#endif
