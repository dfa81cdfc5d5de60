/* plan: where every tensor of a tape lives, and what is recomputed to make that fit.
 *
 * Lifetimes give each arena tensor an offset (offline placement by size × life into the best gap). Cheap
 * activations are always recomputed in backward; when a limit is given, dearer ones follow in rising cost (the
 * time of their op as it was measured on this machine, op/roofline.h) per byte until the plan fits. A recomputed node
 * is a copy of the forward node: same kernel, same tiles, same bits. With in_8bit, what a block's backward reads of its
 * forward and is not recomputed is kept in 8 bits between the two (op/eighths.h). What is better done together is then
 * made one node (op/fuse.h). */
#ifndef OP_PLAN_H
#define OP_PLAN_H

#include "op/tape.h"
#include "kernel/kernels.h"

struct speeds;

struct plan {
	struct arena mem;
	struct tensor *tensors;   /* the tape's, then copies made for recomputation */
	/* in the order of the run; their attributes stay in the tape, which outlives the plan */
	struct node *nodes;
	size_t *offset;           /* [n_tensors] in the arena; SIZE_MAX for bound tensors */
	uint32_t *original;       /* [n_tensors] the tensor that it is made again for, itself where it is none */
	uint32_t n_tensors, n_nodes;
	struct batch_cap cap;
	size_t arena_bytes;
	size_t bound_bytes;       /* no placement can be smaller */
	size_t scratch_bytes;     /* per thread, the largest need of any op */
	uint32_t n_recomputed;    /* nodes run a second time */
};

struct plan_options {
	size_t limit_bytes;       /* 0: as it comes; else the arena may not be larger */
	bool keep_all;            /* recompute nothing, not even what is cheap; for tests */
	bool recompute_all;       /* gradient checkpointing: recompute all that can be */
	bool in_8bit;             /* rows of activations that are kept; statistics and states of recurrences stay f32 */
	bool no_inplace;          /* for tests */
	bool no_fusion;           /* for tests: nodes as they were recorded */
	/* What the choice weighs by; the same numbers give the same plan. */
	const struct speeds *speeds; /* NULL: the usual machine */
	const struct live *live;  /* counts of a batch on average; NULL: the capacities */
};

/* -1 and the least feasible bytes in the sentence when the limit cannot be met. */
int plan_make(struct plan *p, const struct tape *t, const struct kernels *k, const struct plan_options *o,
              struct err *e);
void plan_release(struct plan *p);

/* FLOPs and bytes moved of one pass over the nodes at these live counts (or their sums over many batches),
 * recomputation included. */
void plan_cost(const struct plan *p, const struct live *live, double *flops, double *bytes);
/* Of these operations those that are done in int8. */
double plan_int_ops(const struct plan *p, const struct live *live);
bool node_int8(const struct node *n);

#endif
