/* pass: a tape with all that running it takes: the plan, the memory under it and the batch that goes through.
 *
 *     pass_begin   the tape is open; the caller records what is computed (op/ops.h, model/graph.h)
 *     pass_plan    every tensor gets its place, no memory is taken yet; may be called again with other options
 *     pass_start   memory is taken; what comes from outside (weights, caches) is then bound to `run`, and
 *                  run_ready called
 *     pass_step    runs the batch, as often as wanted; nothing is allocated
 *     pass_stop    gives memory and batch back, the plan stays; pass_release gives everything back
 *
 * A pass of zeros may be stopped and released. It stays where it is from pass_begin on: run and graph point into it. */
#ifndef OP_PASS_H
#define OP_PASS_H

#include "op/run.h"
#include "op/timing.h"

struct pass {
	struct tape tape;
	struct plan plan;
	struct run run;
	struct batch batch;       /* of the tape's capacities; filled by the caller before each step */
	struct device *device;    /* borrowed */
	struct run_memory *shared; /* set before pass_start: memory that it shares (op/run.h); NULL: it has its own */
	bool planned, started;
};

/* gradients: whether anything will be trained; such a tape is ended by tape_backward. */
void pass_begin(struct pass *p, struct device *d, const struct batch_cap *cap, bool gradients);
/* Errors: the first mistake of the recording, or a limit that cannot be met (op/plan.h). o: NULL for as it comes. */
int pass_plan(struct pass *p, const struct plan_options *o, struct err *e);
int pass_start(struct pass *p, struct err *e);
int pass_step(struct pass *p);            /* −1: given up (op/run.h) */
void pass_stop(struct pass *p);
void pass_release(struct pass *p);

size_t pass_bytes(const struct pass *p);  /* what it takes when started: arena, scratch of all threads, batch */

struct work { double flops, int_ops; };  /* all operations; of these, those done in int8 */

/* Operations at these live counts (or their sums over many batches), recomputation included. */
struct work pass_work(const struct pass *p, const struct live *live);
/* Of so many steps whose counts add up to `sum`: what each takes whatever its counts is in it as often. */
struct work pass_work_of(const struct pass *p, const struct live *sum, double steps);

#endif
