/* tfidf: texts as rows of word weights, as scikit-learn's TfidfVectorizer makes them with nothing set:
 *
 *     words    of the text in lower case, its stretches of two or more letters, digits and _ (Python's \w)
 *     idf(w)   ln((1 + n) / (1 + df(w))) + 1, n texts, df(w) of them with w
 *     row      count(w)·idf(w), divided by its length √Σ; of a text without a known word zeros
 *
 * Words come in the order of their bytes. */
#ifndef LEARN_TFIDF_H
#define LEARN_TFIDF_H

#include "learn/design.h"

struct text { const char *s; size_t n; };

struct tfidf {
	size_t n;
	const char **word;          /* [n] ascending */
	double *idf;                /* [n] */
};

/* The words of these texts; `pick` (or NULL: all) says which. All memory is mem's. At least one word is there, else
 * n is 0. */
void tfidf_fit(struct tfidf *t, struct arena *mem, const struct text *texts, const int32_t *pick, size_t n);
/* The rows of texts, with their columns (design_turn) where `turn`. */
void tfidf_rows(const struct tfidf *t, struct arena *mem, const struct text *texts, const int32_t *pick, size_t n,
                bool turn, struct design *x);

#endif
