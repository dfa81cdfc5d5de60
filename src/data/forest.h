/* forest: documents into micro-batches, shared prefixes stored once.
 *
 * Which documents share a micro-batch is a pure function of their order: groups of documents (those that are joined to
 * the one before) are taken in turn while their deduplicated tokens fit, and never parted. Within a micro-batch they
 * are sorted by ids, and a prefix common to neighbours becomes a parent segment when that saves at least
 * FOREST_MIN_SHARE rows. Prefixes are of ids, never of text; documents share what goes through one adapter, or none.
 *
 * Virtual tokens stand before every document and are in none: one root segment of a micro-batch, whatever else is
 * shared. Positions count them; nobody predicts them, and the last of them predicts nothing.
 *
 * Where all documents begin with the same tokens whose keys and values are there already (a past), those are no rows:
 * the batch has keys of them, before those of its rows, and all rows see them. */
#ifndef DATA_FOREST_H
#define DATA_FOREST_H

#include <stdbool.h>

#include "data/document.h"
#include "op/batch.h"

enum {
	FOREST_MIN_SHARE = 16,
	FOREST_MAX_ROWS = 1 << 22,    /* of a micro-batch; who takes lengths from outside refuses more */
};

struct forest_options {
	int32_t max_tokens;           /* --micro-batch-tokens */
	bool share;                 /* false with dropout */
	bool all_targets;           /* score every token (score, perplexity) instead of the learnt ones */
	bool own_rows;              /* a row predicts its own token (masked models), not the one after it */
	/* of an adapter (overlay.virtual_tokens): how many, and the first one's id */
	int32_t virtual_tokens, first_virtual;
	/* How many tokens, of each document the same, are its past: fewer than it has, and the one after them is not
	 * predicted. 0: none. Not beside virtual tokens. */
	int32_t past;
	/* From which of its n tokens on a text goes through its adapter (overlays_invoked), 0: all do, n: none does;
	 * what comes before is shared with texts of any other. NULL: all do. */
	int32_t (*invoked)(const void *ctx, int adapter, const int32_t *ids, int32_t n);
	const void *ctx;
};

/* How many of docs[0..n), whole groups, go into the next micro-batch (≥ 1 when n ≥ 1; a single group of more than
 * max_tokens is a BUG: the caller has cut or refused it), and the capacities that this batch needs. */
size_t forest_take(const struct document *const *docs, size_t n, const struct forest_options *o, struct batch_cap *need,
                   struct live *live, int64_t *tokens);
/* The same number alone, without an allocation: work has BATCH_WORK_DOC words for each of `room` documents, a group
 * more than the next micro-batch can take. */
size_t forest_count(const struct document *const *docs, size_t n, const struct forest_options *o, int32_t *work,
                    int32_t room);
/* Rows that n documents take in one micro-batch, their shared beginnings once, virtual tokens not counted, without a
 * past. */
int32_t forest_rows(const struct document *const *docs, size_t n, bool share);
/* Fills b (whose capacities suffice) with docs[0..n); label_doc counts documents in the given order; weights 1 a
 * document. Every (row, token, document) is a pair of its own, never merged. Columns are left as they are. */
void forest_fill(struct batch *b, const struct document *const *docs, size_t n, const struct forest_options *o);

void batch_cap_max(struct batch_cap *a, const struct batch_cap *b); /* a = the larger of each */

#endif
