/* token_costs: −log p of the tokens that sequences hold, each given those before it, by the model's own logits; kept
 * with the sequences, so that what is branched has them of what it begins with. They have the bits that a scorer's
 * log-probabilities have of the same logits.
 *
 * Tokens whose logits nobody computed have none: NAN. */
#ifndef INFER_TOKEN_COSTS_H
#define INFER_TOKEN_COSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "kernel/kernels.h"

struct token_costs {
	size_t n_ctx, V;
	const struct kernels *kernels;
	float *cost;                   /* [sequences][n_ctx]; NULL: none were ever wanted */
	struct token_cost {            /* [n] that are to be computed */
		const float *logits;
		int32_t id;
		float *out;
	} *todo;
	size_t n;
	float *room;                   /* of a thread logprob_room(V) */
	int threads;
};

/* From now on they are kept, none is known. Once. */
void token_costs_want(struct token_costs *c, int sequences, size_t n_ctx, size_t V, const struct kernels *k);
void token_costs_release(struct token_costs *c);
/* Of a sequence, [n_ctx]; wanted ones alone. */
float *token_costs_of(const struct token_costs *c, int sequence);
/* `to` holds the first `n` tokens of `from`, which may be itself, and no others; next: the one after them will be that
 * of `from` too. from −1: another's, none is known. Nothing where none are wanted. */
void token_costs_begin(struct token_costs *c, int to, int from, size_t n, bool next);
/* Token `id` will be number `at` of a sequence; logits: [V] that it was given, borrowed until token_costs_compute. */
void token_costs_add(struct token_costs *c, int sequence, size_t at, int32_t id, const float *logits);
void token_costs_compute(struct token_costs *c, struct pool *pool);

#endif
