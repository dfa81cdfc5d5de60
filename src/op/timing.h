/* timing: how long a pass over a plan takes on this machine, found by running one or two nodes of every kind on the
 * real kernels with a real micro-batch.
 *
 *     seconds(pass) = Σ over nodes of t(a node of its kind, measured)
 *                     · work(node at `mean`) / work(node at the measured batch)
 *
 * Nodes are of one kind when op, phase and all their tensors' types and shapes agree: the layers of a model. So a layer
 * or two are run, not thirty; but all nodes are whose outputs say to others where to look (whole numbers, op.guides).
 * The arena is mapped and touched only where these nodes write: no more than the job itself will take. Results are
 * thrown away.
 */
#ifndef OP_TIMING_H
#define OP_TIMING_H

#include "op/run.h"

struct timing {
	double seconds;          /* of one pass at the counts `mean` */
	double spread;           /* relative standard deviation of the repetitions; 0 when there was only one */
	double touched_bytes, touch_seconds; /* of taking fresh memory, for who wants to know how fast that is */
};

struct timing_options {
	const struct batch *batch;            /* a typical one */
	struct live mean;                     /* counts of the pass that is asked for */
	/* binds weights and caches; what it leaves unbound, and everything trainable, gets memory of its own */
	void (*bind)(void *ctx, struct run *r);
	void *ctx;
	/* every node is run, for passes that read more than caches hold and compute little */
	bool whole;
	double budget;                        /* seconds of repetitions, after one that warms up; 0: a quarter */
};

/* Bytes/s of taking fresh memory, as touched; a usual figure where too little was touched to tell. */
double timing_touch_rate(double bytes, double seconds);
#define TIMING_SLOW_RATE \
	0.65e9 /* the same where a virtual machine must ask its host for each page: 0.61 to 0.66 GB/s were seen */
#define TIMING_PAGE_RATE 6e9     /* bytes/s at which a file's pages come from the page cache */

int plan_time(struct timing *out, const struct plan *p, struct device *d, const struct timing_options *o,
              struct err *e);

#endif
