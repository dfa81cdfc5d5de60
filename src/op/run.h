/* run: a plan with memory under it, on a device (op/device.h). run_init maps the arena and the scratch; run_step walks
 * the nodes. Nothing is allocated in a step. One run may serve one batch at a time; several runs may share the
 * device.
 *
 * What comes from outside is bound by its tensor's number: what lies on the device by run_bind, what stands in the
 * host's memory by run_bind_host, then run_ready. On a device whose memory is the host's the two are one. On another,
 * run_ready takes memory for what is bound from the host and brings weights over, once; a step brings parameters and
 * states over before its first node, and gradients and states back after its last. */
#ifndef OP_RUN_H
#define OP_RUN_H

#include "op/device.h"
#include "op/plan.h"

struct matrix;
struct trace;

/* Arena and scratch that several runs on one device take turns in: as large as the largest has needed. What a step has
 * left there is gone when another's begins. */
struct run_memory {
	struct device *device;
	void *arena, *scratch;
	size_t arena_bytes, scratch_bytes;
};

/* Who brings what nodes read and takes what they write, where that is not always there. Each is called with the number
 * of the node, before it and behind it; −1: the step is given up. */
struct run_watch {
	int (*before)(void *ctx, uint32_t node), (*behind)(void *ctx, uint32_t node);
	void *ctx;
};

struct run {
	const struct plan *plan;
	struct device *device;
	const struct kernels *kernels; /* the device's, for ops */
	struct pool *pool;
	const struct batch *batch; /* of the step that runs now */
	void **data;               /* [n_tensors] address of each tensor on the device */
	uint8_t *arena;
	uint8_t *scratch;          /* pool_threads × plan->scratch_bytes */
	struct run_host *host;     /* what is bound from the host, and results; NULL where the device's memory is its */
	struct trace *trace;       /* told of every node, or NULL: see op/trace.h */
	int traced;                /* the number of this run in it */
	const struct run_watch *watch; /* or NULL; of run_step alone */
	struct run_memory *shared; /* where arena and scratch lie, or NULL: the run's own */
};

int run_init(struct run *r, const struct plan *p, struct device *d, struct err *e); /* d is borrowed */
/* The same in memory that it shares (borrowed), which grows, and is touched, where it is too small. */
int run_init_in(struct run *r, const struct plan *p, struct run_memory *m, struct err *e);
void run_memory_release(struct run_memory *m);                       /* when all its runs are released */
void run_release(struct run *r);
void run_touch(struct run *r);                                       /* takes arena and scratch now */
void run_bind(struct run *r, uint32_t tensor, void *data);           /* of the device */
/* Weights are not written, nor may they change. */
void run_bind_host(struct run *r, uint32_t tensor, const void *data);
int run_ready(struct run *r, struct err *e);                         /* when all is bound, once */
/* Every bound tensor must be bound: else BUG. −1: given up, because a stop was asked for (base/stop.h): what it makes
 * is not there. */
int run_step(struct run *r, const struct batch *b);
/* Steps of several runs, each with its batch, none of which works in memory that another shares. Where nodes of several
 * multiply with the same frozen matrix it is read and unpacked once for all their rows (struct op's products); each has
 * the bits of run_step. −1: as run_step, of all. */
int run_step_all(struct run *const *r, const struct batch *const *b, size_t n);
/* The parts of a step. */
void run_begin(struct run *r, const struct batch *b);
void run_next(struct run *r, const struct node *n);
void run_end(struct run *r);
void run_node(struct run *r, const struct node *n);                  /* that one alone, to its end; r->batch is set */
/* The numbers of a result (what was kept, tape_keep, or is made forward and read by no node), in the host's memory
 * until the next step. */
const float *run_read(const struct run *r, uint32_t tensor);

/* For ops. */
float *run_f32(const struct run *r, uint32_t tensor);         /* NULL for TENSOR_NONE */
int32_t *run_i32(const struct run *r, uint32_t tensor);
const struct tensor *run_tensor(const struct run *r, uint32_t tensor);
size_t run_rows(const struct run *r, uint32_t tensor);        /* live rows */
/* as a factor of a product (kernel/gemm.h): live rows of a tensor of two dimensions */
struct matrix run_matrix(const struct run *r, uint32_t tensor);
void *run_scratch(const struct run *r, int thread);

#endif
