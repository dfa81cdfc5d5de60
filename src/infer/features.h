/* features: what a frozen model makes of documents, layer by layer: the state of a document's last token, or the mean
 * of its tokens' states, from one forward without a head. Documents that begin alike share what they begin with.
 *
 *     layer 0        the embeddings
 *     layer l        what comes out of block l
 *     the last one   after the final norm, as in transformers' hidden_states
 *
 * An encoder's `last` is its first token's, as its own head would read it. The memory is a micro-batch's, and out. */
#ifndef INFER_FEATURES_H
#define INFER_FEATURES_H

#include "infer/scorer.h"

enum feature_pooling { FEATURES_LAST, FEATURES_MEAN };

struct features_options {
	int32_t max_tokens;                /* of a micro-batch */
	int32_t max_length;                /* of a document */
	enum feature_pooling pooling;
	const int *layers;                 /* [n_layers] which are wanted, ascending; borrowed */
	size_t n_layers;
};

struct features;

int features_layers(const struct model *m);       /* how many there are: blocks + 1 */
int features_new(struct features **out, struct model *m, const struct overlay *o, struct device *d,
                 const struct features_options *options, struct err *e);
/* out: [n][n_layers][width], written as micro-batches are done. Of each document one token is learnt: its last,
 * an encoder's first. progress and what is returned: as scorer_run. */
int features_run(struct features *x, const struct document *const *docs, size_t n, float *out,
                 int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e);
size_t features_width(const struct features *x);
struct scorer *features_scorer(struct features *x);   /* what it computes with: forecasts and counts */
void features_free(struct features *x);

#endif
