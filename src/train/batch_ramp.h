/* batch_ramp: how many windows a step takes, and how many came before it: functions of the step's number.
 *
 * Megatron-LM's --rampup-batch-size START INCREMENT SAMPLES: the batch grows from START by INCREMENT at equal shares of
 * SAMPLES windows up to the global one. With n = ceil((global - START) / INCREMENT) increments, a step before which c
 * windows were learnt takes
 *
 *     min(global, START + floor(c n / SAMPLES) INCREMENT) where c < SAMPLES, else global
 *
 * Megatron wants INCREMENT to divide the difference; here the last increment is what is left. A stage is the steps that
 * follow each other with one batch; what is asked costs a few divisions a stage, and does not walk over steps. */
#ifndef TRAIN_BATCH_RAMP_H
#define TRAIN_BATCH_RAMP_H

#include <stdint.h>

#include "base/err.h"

struct batch_ramp {
	uint64_t global, start, increment;
	uint64_t samples;          /* 0: every step takes `global` */
};

/* "START,INCREMENT,SAMPLES" into r, whose `global` is known; 0: not yet. NULL: no ramp. */
int batch_ramp_parse(struct batch_ramp *r, const char *text, struct err *e);
uint64_t batch_ramp_before(const struct batch_ramp *r, uint64_t step);
uint64_t batch_ramp_size(const struct batch_ramp *r, uint64_t step);
uint64_t batch_ramp_steps(const struct batch_ramp *r, uint64_t windows);  /* whole ones that so many are enough for */
/* Micro-batches of all steps before one, where a micro-batch has up to `most` windows. */
uint64_t batch_ramp_micros(const struct batch_ramp *r, uint64_t step, uint64_t most);

#endif
