/* forest: documents into micro-batches, shared prefixes stored once.
 *
 * Which documents share a micro-batch is a pure function of their order: documents are taken in turn while their
 * deduplicated tokens fit. Within a micro-batch they are sorted by ids, and a prefix common to neighbours becomes a
 * parent segment when that saves at least FOREST_MIN_SHARE rows. Prefixes are of ids, never of text. */
#ifndef DATA_FOREST_H
#define DATA_FOREST_H

#include <stdbool.h>

#include "data/document.h"
#include "op/batch.h"

enum { FOREST_MIN_SHARE = 16 };

struct forest_options {
	int32_t max_tokens;           /* --micro-batch-tokens */
	bool share;                 /* false with dropout */
	bool all_targets;           /* score every token (score, perplexity) instead of the learnt ones */
};

/* How many of docs[0..n) go into the next micro-batch (≥ 1 when n ≥ 1; a single document longer than max_tokens is a
 * BUG: the caller has cut it), and the capacities that this batch needs. */
size_t forest_take(const struct document *const *docs, size_t n, const struct forest_options *o, struct batch_cap *need,
                   struct live *live, int64_t *tokens);
/* The same number alone, without an allocation: work has BATCH_WORK_DOC words for each of `room` documents, one more
 * than the next micro-batch can take. */
size_t forest_count(const struct document *const *docs, size_t n, const struct forest_options *o, int32_t *work,
                    int32_t room);
/* Fills b (whose capacities suffice) with docs[0..n); label_doc counts documents in the given order; weights 1 a
 * document. Every (row, token, document) is a pair of its own, never merged. */
void forest_fill(struct batch *b, const struct document *const *docs, size_t n, const struct forest_options *o);

void batch_cap_max(struct batch_cap *a, const struct batch_cap *b); /* a = the larger of each */

#endif
