/* batch_sample: a random valid micro-batch for tests: several trees, nested prefixes, pairs with weights. */
#ifndef OP_BATCH_SAMPLE_H
#define OP_BATCH_SAMPLE_H

#include "base/rng.h"
#include "op/batch.h"

enum { SAMPLE_ROWS = 96, SAMPLE_TARGETS = 96, SAMPLE_LABELS = 192, SAMPLE_SEGMENTS = 64 };

/* The capacities that batch_sample never exceeds, for n_rows ≤ SAMPLE_ROWS. */
extern const struct batch_cap batch_sample_cap;

/* Fills b with a random forest of exactly n_rows rows (≥ 1) and token numbers below V (≥ 1). Every leaf ends a
 * document. At least one pair; key[row] = row. */
void batch_sample(struct batch *b, struct rng_stream *rng, int n_rows, int V);

/* The same within other capacities: at most max_segments segments and max_labels pairs (n_rows targets, max_segments
 * documents). */
void batch_sample_sized(struct batch *b, struct rng_stream *rng, int n_rows, int V, int max_segments, int max_labels);

#endif
