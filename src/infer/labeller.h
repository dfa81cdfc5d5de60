/* labeller: what a model that classifies (model/classifier.h) says of documents: its outputs, one row a document,
 * batched as the scorer batches them. */
#ifndef INFER_LABELLER_H
#define INFER_LABELLER_H

#include <jansson.h>

#include "infer/scorer.h"
#include "model/labels.h"

struct labeller;

int labeller_new(struct labeller **out, struct model *m, const struct overlay *o, struct device *d, int32_t max_tokens,
                 int32_t max_length, struct err *e);
/* out: [n][labels], written as micro-batches are done. Documents are labelled ones (document_options.labelled).
 * progress and what is returned: as scorer_run. */
int labeller_run(struct labeller *x, const struct document *const *docs, size_t n, float *out,
                 int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e);
struct scorer *labeller_scorer(struct labeller *x);   /* what it computes with: forecasts and counts */
void labeller_free(struct labeller *x);

/* --- what rows and outputs say --- */

/* The label of a document whose row has one: a number of l, −1 and a sentence where it is none. */
int labels_of_one(const struct labels *l, const struct document *d, struct err *e);
/* has: [l->n] 1 for each label that the document's row lists. −1: a name or a length that is not the model's. */
int labels_of_list(const struct labels *l, const struct document *d, uint8_t *has, struct err *e);


/* softmax of one label a text, σ of several; of a regression the outputs themselves. p: [l->n]. */
void labels_probabilities(const struct labels *l, const float *z, double *p);
int labels_largest(const struct labels *l, const float *z);   /* the first of the largest */
/* The name of the label, the names of those above 0, or the number (several: a list); new. */
json_t *labels_said(const struct labels *l, const float *z);
/* {"NAME": probability, …}; of a regression NULL. New. */
json_t *labels_chances(const struct labels *l, const float *z);

#endif
