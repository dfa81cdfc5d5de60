/* device: where the nodes of a tape run, and the memory that their tensors lie in.
 *
 * The cut is at a node: a device is given one of the plan's nodes at a time (its op's row, its tensors' addresses in
 * `run`) and does it in its own way; the processor calls the row's `forward`. Kernels below that (kernel/kernels.h)
 * are tiles and rows of the processor, which no other device has.
 *
 * Memory. A plan's arena and scratch lie on the device, and so does what is bound by run_bind. What stands in the
 * host's memory, a model's mapped file or a buffer of parameters, is bound by run_bind_host: where the device's memory
 * is the host's, its address is used and nothing moves; elsewhere run.c brings it over. So what works on parameters
 * and their gradients, the optimizer, the sum of micro-batches, checkpoints, works in the host's memory on any device.
 * A batch's arrays are the host's always, they are small; a device of its own memory brings over what its nodes read
 * of them.
 *
 * Order. Nodes and copies are done as if one after the other. A node may still be running when forward returns; pull
 * and sync wait for all that came before. */
#ifndef OP_DEVICE_H
#define OP_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "kernel/kernels.h"

struct device;
struct node;
struct run;

struct device_type {
	const char *name;
	bool host_memory;         /* addresses are the host's too */
	/* Zeros, taken as they are used where the device can do that; `what` is for the sentence. */
	int (*alloc)(struct device *d, void **out, size_t bytes, const char *what, struct err *e);
	void (*touch)(struct device *d, void *p, size_t bytes);                    /* takes them now */
	void (*free)(struct device *d, void *p, size_t bytes);
	void (*push)(struct device *d, void *to, const void *from, size_t bytes);  /* from the host's memory */
	void (*pull)(struct device *d, void *to, const void *from, size_t bytes);  /* to the host's memory */
	void (*copy)(struct device *d, void *to, const void *from, size_t bytes);  /* within; they do not overlap */
	void (*clear)(struct device *d, void *p, size_t bytes);                    /* zeros */
	void (*forward)(struct device *d, struct run *r, const struct node *n);
	void (*sync)(struct device *d);
};

struct device {
	const struct device_type *type;
	const struct kernels *kernels;  /* the processor's; a plan asks them for an op's scratch */
	struct pool *pool;
};

/* The processor: these kernels on the threads of this pool. Both are borrowed. */
struct device device_cpu(const struct kernels *k, struct pool *pool);

#endif
