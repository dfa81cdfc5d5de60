/* bm25: how well texts match a query by their words (Robertson and Zaragoza 2009), in the variant of Lucene (8 and
 * later), k1 1.5, b 0.75. It is shared: few-shot selection and retrieval search by it.
 *
 *     score(q, d) = Σ over the words w of q of  idf(w) · f / (f + k1·(1 − b + b·|d| / mean |d|))
 *     idf(w)      = log(1 + (N − n + 0.5) / (n + 0.5))
 *
 * f: how often w is in d, n: texts that have w, N: texts, |d|: words of d. A word that the query repeats counts as
 * often. Words are runs of two and more letters, digits and underscores in lower case, without the 33 English stop
 * words of Lucene: bm25s' defaults without a stemmer. */
#ifndef RETRIEVE_BM25_H
#define RETRIEVE_BM25_H

#include <stddef.h>

extern const double bm25_k1, bm25_b;
double bm25_idf(double texts, double with);     /* of N texts, n with the word */
double bm25_norm(double length, double mean);   /* k1·(1 − b + b·|d| / mean |d|) */

struct bm25;

struct bm25 *bm25_new(void);
void bm25_add(struct bm25 *b, const char *text, size_t n);      /* text number 0, 1, …; UTF-8 */
size_t bm25_texts(const struct bm25 *b);
/* Of each text: score[bm25_texts], 0 where it has no word of the query. */
void bm25_score(struct bm25 *b, const char *query, size_t n, double *score);
void bm25_free(struct bm25 *b);

#endif
