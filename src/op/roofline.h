/* roofline: what a node costs on this machine, and how that is found out. A plan weighs by it what it recomputes
 * (op/plan.h).
 *
 *     seconds(node) = max(operations / speed of the best product in f32 or int8, bytes / speed of memory) / share of
 * its kind of op */
#ifndef OP_SPEEDS_H
#define OP_SPEEDS_H

#include "kernel/kernels.h"
#include "kernel/machine_speeds.h"
#include "op/tape.h"

struct device;


/* s NULL, or its flops or bytes 0: the usual. An op that was not measured runs at the roofline; without int_ops int8 is
 * as fast as f32. */
double node_seconds(const struct speeds *s, const struct tape *t, const struct node *n, const struct live *live);

/* Fills s->op: runs the ops of a block of usual width, forward, for about a fifth of a second; the best of several
 * repetitions. s's rates are there already. Takes about 40 MB, given back. */
int speeds_measure(struct speeds *s, struct device *d, struct err *e);

#endif
