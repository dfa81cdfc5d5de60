/* embed: one vector a text: the states of its tokens after the final norm, pooled, as sentence-transformers has it
 * (Reimers & Gurevych 2019). Batched as the scorer batches documents.
 *
 *     mean   Σ of the tokens' states / their number, those around the text included
 *     cls    the first token's
 *     last   the last token's
 *     max    of each number the largest over the tokens
 *
 * and, where they are normalized, divided by their length √(Σx²), of at least 1e-12. */
#ifndef INFER_EMBED_H
#define INFER_EMBED_H

#include "infer/scorer.h"

enum pooling { POOLING_MEAN, POOLING_CLS, POOLING_LAST, POOLING_MAX, POOLINGS };
extern const char *const pooling_names[POOLINGS];
int pooling_find(const char *name);        /* −1: none of them */

struct embed_options {
	int32_t max_tokens;                /* of a micro-batch */
	int32_t max_length;                /* of a document */
	enum pooling pooling;
	bool normalize;
};

struct embedder;

int embedder_new(struct embedder **out, struct model *m, const struct overlay *o, struct device *d,
                 const struct embed_options *options, struct err *e);
/* Of each document its vector: out is [n][embedder_width], written as micro-batches are done. Documents are those of
 * embed_document. progress and what is returned: as scorer_run. */
int embedder_run(struct embedder *x, const struct document *const *docs, size_t n, float *out,
                 int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e);
size_t embedder_width(const struct embedder *x);
struct scorer *embedder_scorer(struct embedder *x);   /* what it computes with: forecasts and counts */
void embedder_free(struct embedder *x);

/* A text as a document: its tokens between those that the tokenizer puts around it. Where they are more than max_length
 * the text loses its end; *cut counts its tokens that were. The document's memory is `mem`'s. */
int embed_document(struct document *d, struct arena *mem, const struct tokenizer *t, const char *text, size_t n,
                   int32_t max_length, size_t *cut, struct err *e);

#endif
