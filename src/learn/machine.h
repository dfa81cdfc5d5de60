/* machine: how fast this computer is, measured in a moment: for the plan's time. */
#ifndef LEARN_MACHINE_H
#define LEARN_MACHINE_H

#include "kernel/gemm.h"

struct machine_speed {
	double forward, backward;  /* FLOP/s of y = x·Wᵀ and dx = dy·W with the weight given */
	double bytes;              /* bytes/s that all threads together read and write */
};

/* Takes about 0.2 s and at most `room` bytes of memory, given back. rows: as many as a micro-batch has. */
int machine_measure(struct machine_speed *s, const struct kernels *k, struct pool *p, const struct matrix *w, size_t rows, size_t room, struct err *e);

#endif
