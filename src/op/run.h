/* run: a plan with memory under it. run_init takes the arena (touched) and the scratch; run_step walks the nodes.
 * Nothing is allocated in a step. One run may serve one batch at a time; several runs may share the pool. */
#ifndef OP_RUN_H
#define OP_RUN_H

#include "base/pool.h"
#include "kernel/kernels.h"
#include "op/plan.h"

struct matrix;
struct trace;

struct run {
	const struct plan *plan;
	const struct kernels *kernels;
	struct pool *pool;
	const struct batch *batch; /* of the step that runs now */
	void **data;               /* [n_tensors] address of each tensor */
	uint8_t *arena;
	uint8_t *scratch;          /* pool_threads × plan->scratch_bytes */
	struct trace *trace;       /* told of every node, or NULL: see op/trace.h */
	int traced;                /* the number of this run in it */
};

int run_init(struct run *r, const struct plan *p, const struct kernels *k, struct pool *pool, struct err *e);
void run_release(struct run *r);
void run_bind(struct run *r, uint32_t tensor, void *data);    /* weights, params, grads, states */
void run_step(struct run *r, const struct batch *b);          /* every bound tensor must be bound: else BUG */

/* For ops. */
float *run_f32(const struct run *r, uint32_t tensor);         /* NULL for TENSOR_NONE */
const struct tensor *run_tensor(const struct run *r, uint32_t tensor);
size_t run_rows(const struct run *r, uint32_t tensor);        /* live rows */
/* as a factor of a product (kernel/gemm.h): live rows of a tensor of two dimensions */
struct matrix run_matrix(const struct run *r, uint32_t tensor);
void *run_scratch(const struct run *r, int thread);

#endif
