/* lint: what is wrong with rows, before anything is learnt from them, and what they are like.
 *
 * Refused: a row in which nothing is supervised, or whose whole answer max_length takes away; two BOS at the beginning;
 * a token that the model does not have; a set in which no end of an answer is supervised (the model would never stop).
 * Broken lines and mixed shapes are refused before that, by rows_load. Told: lengths, duplicates, empty answers, rows
 * that the chat template does not write, what training and evaluation rows have in common, what sharing prefixes
 * saves. */
#ifndef DATA_LINT_H
#define DATA_LINT_H

#include "data/document.h"
#include "data/finding.h"

enum { LINT_BUCKETS = 31 };

struct lint_options {
	struct document_options document;
	int32_t vocabulary;             /* of the model; 0: not checked */
};

struct lint {                           /* of the documents before they are packed */
	struct arena mem;
	struct findings refused;        /* reasons to refuse */
	size_t n, tokens, learnt;
	size_t n_ended;                 /* documents in which an end is learnt */
	size_t n_truncated, n_split, n_rewritten; /* see document.h */
	struct findings duplicates;     /* documents equal to an earlier one; the text is the place of that */
	struct findings empty;          /* answers of which only the end is learnt */
	struct findings equal;          /* groups with two documents that are the same */
	size_t n_untemplated;           /* rows that no template writes, where the model has one */
	int32_t min, median, p95, max;  /* tokens of a document */
	size_t histogram[LINT_BUCKETS]; /* documents of 2^i … 2^(i+1) − 1 tokens */
	/* [n], [n_prompts] keys, ascending: ids without the end; ids before the first answer */
	uint64_t *whole, *prompt;
	size_t n_prompts;
};

struct lint_overlap {
	size_t documents, prompts;      /* of the evaluation's: whole ones, and those whose prompt training has too */
};

/* documents_make, and a look at every document before it is packed. -1 where rows cannot be made into documents; what
 * is refused is left to lint_refuse. Both l and d are to be released, l also after an error; findings live in l. */
int lint_documents(struct lint *l, struct documents *d, const struct rows *r, const struct text_codec *c,
                   const struct lint_options *o, struct err *e);
/* −1 and the first finding, if there is one. */
int lint_refuse(const struct lint *l, struct err *e);
/* Is a document of the evaluation among those to learn from? */
bool lint_has(const struct lint *train, const struct tokenizer *t, const struct document *d);
struct lint_overlap lint_compare(const struct lint *train, const struct lint *eval);
/* Rows that micro-batches of max_tokens compute for these documents in this order, their shared prefixes once. */
int64_t lint_computed(const struct documents *d, int32_t max_tokens);
void lint_release(struct lint *l);

#endif
