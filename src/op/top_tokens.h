/* top_tokens: the k likeliest tokens of each row of a block of the head (op/logprob.h), and a divergence over them
 * alone.
 *
 * They are found while a tile of one side's logits is there, range by range, so that no thread waits for another: a
 * heap for each row and range, whose first is the least. Of equal logits the earlier token is taken. Then the other
 * side's logits of the same tokens are kept as they come by. */
#ifndef OP_TOP_TOKENS_H
#define OP_TOP_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "op/ops.h"

struct top_token { float z, other; int32_t token; };

struct top_tokens {
	size_t k, ranges, rows;        /* rows: of a block at most */
	struct top_token *heap;        /* [rows][ranges][k] */
	int32_t *count;                /* [rows][ranges] */
	struct top_token *top;         /* [rows][k] by token */
};

size_t top_tokens_floats(size_t k, size_t ranges, size_t rows);  /* that it needs */
struct top_tokens top_tokens_in(float *memory, size_t k, size_t ranges, size_t rows);
void top_tokens_begin(struct top_tokens *t, size_t row);
void top_tokens_see(struct top_tokens *t, size_t row, size_t range, size_t v, size_t n, const float *z);
/* All ranges of the row are seen: its k. */
void top_tokens_end(struct top_tokens *t, size_t row);
/* The other side's logits of those of them that are in v … v+n−1. */
void top_tokens_pick(struct top_tokens *t, size_t row, size_t v, size_t n, const float *z);

/* What the divergence of p and q over the row's top comes to. log_p, log_q: log Σ exp of all their logits. Where the
 * top is of q, z is q's, else `other` is. `other` becomes the gradient of the divergence in q's logits; *rest, for q_v
 * of any other token v, what its gradient is a multiple of. */
double top_tokens_divergence(struct top_tokens *t, size_t row, const struct divergence_kind *kind, double log_p,
                             double log_q, double *rest);
/* One token's, in q: of p ‖ q, with what it adds to Σ q·slope in *mean. */
double divergence_of(const struct divergence_kind *kind, double log_p, double log_q, double *slope, double *mean);

#endif
