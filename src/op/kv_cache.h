/* kv_cache: how a session's keys and values lie in memory, which is how attention likes to read them.
 *
 * A cache is a tensor (keys, kv_width) of ranges of KV_RANGE keys. A range has one head's keys after the other's, so
 * that one head of one range, a work item of attention, is read from its first byte to its last. A head's keys are
 * panels of 16 (quant/panels.h): a product with them has keys in its lanes, and nothing is transposed. A head's values
 * are rows. Blocks of 32 numbers do not straddle heads: a head's row is padded.
 *
 * A row has as many bytes in panels as alone, so both are counted by it: key j of head g begins at kv_at, a panel where
 * j is a multiple of 16. */
#ifndef OP_KV_CACHE_H
#define OP_KV_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "quant/panels.h"

enum { KV_RANGE = 256 };

static inline bool kv_keeps(enum dtype t) { return panel_plain_bytes(t) || t == DTYPE_Q8_0; } /* can a cache have it */

/* Numbers of one key or value: G heads of D. */
static inline size_t kv_width(enum dtype t, size_t G, size_t D)
{
	return G * (panel_plain_bytes(t) ? D : ROUND_UP(D, (size_t)PANEL_BLOCK));
}

/* Bytes before key or value j of head g, of G; row_bytes: of all heads of one key. */
static inline size_t kv_at(size_t j, size_t g, size_t G, size_t row_bytes)
{
	return (j / KV_RANGE * G + g) * KV_RANGE * (row_bytes / G) + j % KV_RANGE * (row_bytes / G);
}

/* Where key j of a batch is in a cache: by the table of its ranges' places (op/batch.h). */
static inline size_t kv_place(const int32_t *place, size_t j)
{
	if (place[j / KV_RANGE] < 0)
		BUG("key %zu is in a range that its memory has not", j);
	return (size_t)place[j / KV_RANGE] * KV_RANGE + j % KV_RANGE;
}

/* Where keys 0 … n−1 are, as pieces of memory in rising order: the i-th; no bytes: there are no more. Panels count
 * whole. */
struct kv_piece { size_t at, bytes; };
static inline struct kv_piece kv_piece(size_t n, size_t i, size_t G, size_t row_bytes)
{
	size_t whole = n / KV_RANGE * KV_RANGE, rest = ROUND_UP(n - whole, (size_t)PANEL_ROWS);

	if (whole && i-- == 0)
		return (struct kv_piece){ 0, whole * row_bytes };
	if (i >= G)
		return (struct kv_piece){ 0, 0 };
	return (struct kv_piece){ kv_at(whole, i, G, row_bytes), rest * (row_bytes / G) };
}

#endif
