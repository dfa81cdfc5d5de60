/* state: how the rows of a batch follow each other where an op carries a state from row to row (token_shift, rwkv7),
 * and where a session keeps it.
 *
 * Over the forest a segment goes on from the row before its first: its parent's last one, or nothing. In a session
 * every segment is a root, and what came before it is in a tensor of states (infer/memory_state.c), a row a place: the
 * place of a range of KV_RANGE tokens has the state after the last of them so far. So rows begin with the state of the
 * place before theirs, or of their own where they go on in it, and leave theirs at the end of each range and of the
 * segment. */
#ifndef OP_STATE_H
#define OP_STATE_H

#include "op/batch.h"

/* Of a segment's first row, the row before it; −1: there is none in this batch. */
int32_t state_row_before(const struct batch *b, const struct segment *s);
/* The place of the state that a session's segment begins with; −1: zeros. place: the memory's table. */
int32_t state_place_before(const struct batch *b, const int32_t *place, const struct segment *s);
/* The place where the state after a row of it stays, −1: nowhere. */
int32_t state_place_after(const struct batch *b, const int32_t *place, const struct segment *s, int32_t row);

#endif
