/* tape: a computation recorded once, before any memory is taken.
 *
 * Ops append nodes that read and write tensors; tensors and nodes are arrays indexed by number, so a tape can be
 * printed and compared. Row counts are capacities; the live counts come with each batch. The first
 * mistake of shape is kept in tape->err and every later op returns TENSOR_NONE, so that a forward can be
 * written without checks and looked at once.
 *
 * Backward: tape_backward walks the recorded nodes in reverse and lets each op append the nodes of its
 * gradient, only for inputs that need one (trainable, or computed from something trainable). */
#ifndef OP_TAPE_H
#define OP_TAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/rng.h"
#include "op/batch.h"
#include "tensor/dtype.h"

enum { TENSOR_NONE = 0, NODE_INPUTS = 16, SAVED_INPUTS = 16, NODE_OUTPUTS = 16, NODE_PRODUCTS = 3,
       TENSOR_DIMS = 4, TENSOR_NAME = 80 };
#define SAVES_OUT(j) (1U << (SAVED_INPUTS + (j))) /* in op->saves */

enum role {
	ROLE_ACT,      /* in the arena, lives from its first writer to its last reader */
	ROLE_SCRATCH,  /* in the arena, lives during one node */
	ROLE_WEIGHT,   /* frozen, bound to memory before the run; never written */
	ROLE_PARAM,    /* trainable f32, bound */
	ROLE_GRAD,     /* gradient of a parameter, bound; the first node stores, later ones add */
	ROLE_STATE,    /* bound, readable and writable: the key-value cache, a caller's buffer */
	ROLE_STACK,    /* other tensors as one, such as all experts' matrices: it has no numbers of its own */
};

enum axis { AXIS_FIXED, AXIS_ROWS, AXIS_TARGETS, AXIS_LABELS }; /* what the first dimension counts */

enum phase { PHASE_FORWARD, PHASE_RECOMPUTE, PHASE_BACKWARD };

struct tensor {
	char name[TENSOR_NAME];   /* of an activation: its layer, and what its op calls it: "3.linear" */
	enum dtype dtype;
	enum role role;
	enum axis axis;
	int n_dims;
	size_t dim[TENSOR_DIMS];  /* row-major; dim[0] is a capacity unless axis is FIXED */
	bool panels;              /* a weight whose rows were put in the order of quant/panels.h */
	int memory;               /* a cache: which of the batch's tables of places says where its ranges are */
	bool needs_grad;
	bool changes;             /* a weight whose numbers may be others in the next step */
	bool kept;                /* is looked at when the step is over, whoever read it before */
	bool parted;              /* rows that each meet a part of the other factor: op_adapter_down.c */
	uint32_t producer;        /* node number + 1; 0: none */
	const uint32_t *parts;    /* [dim[0]] of a stack: bound tensors, TENSOR_NONE where it has a gap; the tape's */
};

struct node {
	const struct op *op;
	uint32_t in[NODE_INPUTS], out[NODE_OUTPUTS]; /* TENSOR_NONE where absent */
	const void *attr;         /* op's own struct, in the tape's memory */
	enum phase phase;
	int layer;                /* −1 outside the blocks */
	int joined;               /* recorded nodes that it stands for beside itself (op/fuse.h) */
};

struct gemm;
struct kernels;
struct run;
struct tape;

/* One row of the op table. `forward` may assume what `shape` has checked. */
struct op {
	const char *name;
	/* Adds the outputs (tape_output) or refuses with a sentence. */
	int (*shape)(struct tape *t, struct node *n, struct err *e);
	void (*cost)(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes);
	void (*forward)(struct run *r, const struct node *n);
	/* Appends the gradient's nodes for node number i; NULL: has none, asking for it is an error. */
	void (*backward)(struct tape *t, uint32_t i);
	/* what backward reads: bit j for in[j], SAVES_OUT(j) for out[j]; anything else is a BUG */
	uint32_t saves;
	/* of these the ones that are never kept in 8 bits (op/plan.h): what is read back goes through many steps */
	uint32_t exact;
	/* bit j: out[0] may take the place of in[j] when this node is its last reader; 0: never */
	uint32_t inplace;
	bool cheap;               /* pointwise: always recomputed in backward rather than kept */
	bool starts_gradient;     /* a loss: needs no gradient from above */
	bool guides;              /* numbers in its output say to others where to look: see op/timing.h */
	/* Records a small random case for the generic tests; how many there are: sample_count. The op's inputs are made
	 * with tape_param or tape_weight. Returns the output tensor whose gradient is tested. NULL for ops that only
	 * backward uses. */
	uint32_t (*sample)(struct tape *t, struct batch *b, struct rng_stream *rng, int i);
	int sample_count;
	/* Bytes of scratch that one thread needs while the node runs; NULL: none. */
	size_t (*scratch)(const struct tape *t, const struct node *n, const struct kernels *k);
	/* does it multiply in int8: then cost's flops are such operations; NULL: never */
	bool (*int8)(const struct node *n);
	/* What it is where it is nothing but products with in[1], frozen, and others, one after the other and in f32:
	 * how many, at most NODE_PRODUCTS, to be run by who joins those of several (op/run.h). 0: now it is more; NULL:
	 * it always is. */
	int (*products)(const struct run *r, const struct node *n, struct gemm *out);
	/* but for these of them: an adapter's product; NULL: none */
	double (*in_f32)(const struct tape *t, const struct node *n, const struct live *live);
};

struct tape {
	struct arena mem;
	struct tensor *tensors;   /* [n_tensors]; number 0 is TENSOR_NONE */
	struct node *nodes;
	uint32_t *grad;           /* [n_tensors] gradient tensor of a tensor, or TENSOR_NONE */
	uint32_t n_tensors, cap_tensors, n_nodes, cap_nodes;
	struct batch_cap cap;
	enum phase phase;
	int layer;                /* stamped on nodes as they are recorded */
	bool gradients;           /* false: nothing needs a gradient (forward-only tape) */
	struct err err;           /* the first mistake; "" when all is well */
};

/* Empty. gradients: something will be trained; then tape_backward ends the recording. */
void tape_init(struct tape *t, const struct batch_cap *cap, bool gradients);
void tape_release(struct tape *t);

/* Tensors from outside; bound by number before the run. dims: row-major. Names are for messages and for who follows the
 * data; they need not differ. */
/* never written, of any dtype; in panels where the caller sets that on the tensor (quant/panels.h) */
uint32_t tape_weight(struct tape *t, const char *name, enum dtype dtype, int n_dims, const size_t *dim);
/* trained, f32: on a tape with gradients it needs one, whose tensor is tape_grad's after tape_backward */
uint32_t tape_param(struct tape *t, const char *name, int n_dims, const size_t *dim);
/* f32, read and written by nodes, and the caller's between steps; its first dimension counts what `axis` says */
uint32_t tape_state(struct tape *t, const char *name, enum axis axis, int n_dims, const size_t *dim);
/* a state of fixed rows that is stored as dtype: keys or values (op/kv_cache.h), found by table `memory` of the batch's
 * places */
uint32_t tape_cache(struct tape *t, const char *name, int memory, enum dtype dtype, size_t rows, size_t width);
/* n bound tensors of one shape, each of its own dtype, as one tensor of a dimension more, for ops that read some of
 * them by what the batch says; TENSOR_NONE among them is a gap, in all is refused. Bound are the parts. */
uint32_t tape_stack(struct tape *t, const char *name, const uint32_t *parts, size_t n);

/* For ops. */
/* A node: copies inputs and attr, lets the op's `shape` check them and add outputs. The first output, or TENSOR_NONE
 * once there was a mistake (t->err). */
uint32_t tape_record(struct tape *t, const struct op *op, const uint32_t *in, int n_in, const void *attr,
                     size_t attr_bytes);
/* f32 activation */
uint32_t tape_output(struct tape *t, struct node *n, int slot, const char *name, enum axis axis, int n_dims,
                     const size_t *dim);
/* one of another type: whole numbers (I32, U8) have no gradient */
uint32_t tape_output_of(struct tape *t, struct node *n, int slot, const char *name, enum dtype dtype, enum axis axis,
                        int n_dims, const size_t *dim);
/* lives during the node alone */
uint32_t tape_scratch(struct tape *t, struct node *n, int slot, const char *name, size_t floats);
const struct tensor *tape_tensor(const struct tape *t, uint32_t id);
size_t tensor_row_bytes(const struct tensor *x);                      /* of a matrix */
size_t tensor_count(const struct tensor *x);                          /* numbers at capacity */
size_t tensor_bytes(const struct tensor *x);                          /* as stored, at capacity */
size_t tensor_live_rows(const struct tensor *x, const struct batch *b); /* first dimension that counts now */
double tensor_live(const struct tensor *x, const struct live *l);       /* numbers that count now */

/* Gradients, for op->backward. */
bool tape_wants(const struct tape *t, uint32_t x);                /* does x need a gradient */
/* the gradient that has arrived at x, or TENSOR_NONE */
uint32_t tape_grad(const struct tape *t, uint32_t x);
/* Where a node writes the gradient of x: makes it on first use. *accumulate: add to what is there. */
uint32_t tape_grad_target(struct tape *t, uint32_t x, bool *accumulate);
/* The same of a stack: a stack of the gradients of those parts that want one. All of them begin here, or all are added
 * to. */
uint32_t tape_grad_stack(struct tape *t, uint32_t stack, bool *accumulate);
/* The gradient of x is the tensor g itself (handed over, not copied) or, when x has one already, g is added to it. */
void tape_grad_pass(struct tape *t, uint32_t x, uint32_t g);
/* A backward node: no shape function, outputs given. */
void tape_emit(struct tape *t, const struct op *op, const uint32_t *in, int n_in, const uint32_t *out, int n_out,
               const void *attr, size_t attr_bytes);

/* The caller provides the gradient of `x` (a state tensor of the same shape). */
void tape_seed(struct tape *t, uint32_t x, uint32_t grad);
/* Appends the gradient's nodes: from the last recorded node back, each op those of its inputs that need one. −1: the
 * first mistake of the recording, or an op on the way that has no gradient. */
int tape_backward(struct tape *t, struct err *e);

const char *role_name(enum role r);
const char *phase_name(enum phase p);
/* x is read by whoever runs the tape, after the step. What no node reads is, too. */
void tape_keep(struct tape *t, uint32_t x);

#endif
