/* decontaminate: which documents hold what a model will be judged by: n-grams of words (corpus/shingles.h) that an
 * evaluation's texts have too, as GPT-3's report does it (Brown et al. 2020, appendix C: 13 words).
 *
 * An evaluation's texts are the strings of its rows, at any depth, or the lines of a text file; one of fewer words than
 * an n-gram cannot be found and is counted. Without a ratio one n-gram in common is enough; with one, that share of the
 * different n-grams of some text (PaLM: 8 words and 0.7). Such a document goes as a whole. An n-gram of several texts
 * counts for the first. */
#ifndef CORPUS_DECONTAMINATE_H
#define CORPUS_DECONTAMINATE_H

#include "base/arena.h"
#include "base/err.h"
#include "corpus/exact.h"
#include "corpus/shingles.h"

struct contaminant { uint32_t file; uint64_t line; uint32_t grams; }; /* a text of an evaluation */

struct decontaminate {
	int ngram;
	double ratio;                   /* 0: one n-gram is enough */
	const char **files;
	size_t n_files;
	struct contaminant *texts;
	size_t n_texts, cap_texts;
	uint64_t too_short;             /* texts of fewer words than an n-gram */
	struct exact grams;             /* to their text */
	struct arena mem;
};

struct decontaminate_hit { size_t text; double share; };        /* the text that is found, how much of its n-grams */

void decontaminate_begin(struct decontaminate *d, int ngram, double ratio);
/* All texts of a file or folder. −1: it cannot be read, or has no text that is long enough. */
int decontaminate_add(struct decontaminate *d, const char *path, struct err *e);
/* Thread-safe once all were added. */
bool decontaminate_find(const struct decontaminate *d, const struct shingles *s, struct decontaminate_hit *hit);
void decontaminate_release(struct decontaminate *d);

#endif
