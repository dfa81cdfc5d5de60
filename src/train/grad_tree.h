/* grad_tree: adds the gradients of a step's micro-batches in the shape of a fixed binary tree.
 *
 * Micro-batch i is leaf i. Like a binary counter: a full leaf climbs as many levels as i has trailing ones, and is
 * added to what waits there, so at most one sum of 2^l leaves waits at each level l. The sums that remain at the end
 * are added from the lowest up. So the order of additions is a function of the number of leaves alone: not of
 * accumulation steps, threads or ranks (a rank would own a whole subtree). Nothing is copied: a buffer is handed on,
 * and 1 + floor(log2 leaves) of them suffice. */
#ifndef TRAIN_GRAD_TREE_H
#define TRAIN_GRAD_TREE_H

#include "base/err.h"
#include "base/pool.h"
#include "kernel/kernels.h"

enum { GRAD_TREE_LEVELS = 32 };

struct grad_tree {
	const struct kernels *kernels;
	struct pool *pool;
	size_t n;                           /* numbers in a buffer */
	float *memory;                      /* [n_buffers][n] */
	int n_buffers, n_spare;
	float *spare[GRAD_TREE_LEVELS + 1];
	float *waiting[GRAD_TREE_LEVELS];   /* [level] the sum of 2^level leaves, or NULL */
	float *leaf;                        /* being filled */
	unsigned long leaves;               /* of this step */
};

int grad_tree_buffers(long max_leaves);
/* Touched; grad_tree_map: not. */
int grad_tree_map(struct grad_tree *g, size_t n, long max_leaves, const struct kernels *k, struct pool *p,
                  struct err *e);
int grad_tree_init(struct grad_tree *g, size_t n, long max_leaves, const struct kernels *k, struct pool *p,
                   struct err *e);
/* where the next micro-batch puts its gradient; its numbers are stale, padding is zero */
float *grad_tree_leaf(struct grad_tree *g);
void grad_tree_add(struct grad_tree *g);     /* the leaf is full */
float *grad_tree_sum(struct grad_tree *g);   /* of all leaves since the last sum; valid until the next leaf */
void grad_tree_forget(struct grad_tree *g);  /* the leaves of a step that is given up */
void grad_tree_release(struct grad_tree *g);

#endif
