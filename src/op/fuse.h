/* fuse: nodes that are better done together become one: a rewrite of the nodes that a plan will run.
 *
 * A fusion is a row of a table, made from the files src/op/fuse_*.c, so adding one is adding a file. It says which two
 * nodes it joins; whether the earlier may wait for the later (nothing between them looks at what it writes) is found
 * here. Only nodes of one layer and one phase are joined, in an order that what is recomputed does not change: --memory
 * shows in no bit. */
#ifndef OP_FUSE_H
#define OP_FUSE_H

#include "base/arena.h"
#include "op/tape.h"

struct fusion {
	const char *name;
	/* May `early` be done as a part of `late`, which may itself be joined already? */
	bool (*joins)(const struct node *early, const struct node *late, const struct tensor *tensors);
	/* Makes `late` do both; attributes come from mem. */
	void (*join)(const struct node *early, struct node *late, struct arena *mem);
	/* May `early`, which adds to a sum that `between` adds to as well, come after it? NULL: never. */
	bool (*commutes)(const struct node *early, const struct node *between);
};

extern const struct fusion *const fusion_table[]; /* NULL-terminated */

/* Rewrites nodes in place; returns how many are left. */
uint32_t fuse_nodes(struct node *nodes, uint32_t n, const struct tensor *tensors, struct arena *mem);

#endif
