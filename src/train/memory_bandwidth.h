/* memory_bandwidth: how fast this computer's memory is, for the plan's time. */
#ifndef TRAIN_MACHINE_H
#define TRAIN_MACHINE_H

#include "base/pool.h"
#include "kernel/kernels.h"

struct machine_memory {
	double copy_rate;          /* bytes/s that all threads together read and write, adding one array to another */
	double touched_bytes, touch_seconds; /* of taking fresh memory */
};

/* Seconds of taking so many bytes, some of which took `seconds`. Where free memory goes back to a virtual machine's
 * host (virtio's balloon with free page reporting), a little of it may still be there and what is large is not: the
 * rest is asked of the host page by page. root: holds sys/; NULL: "/". */
double memory_touch_seconds(double bytes, double touched, double seconds, const char *root);

/* Takes 0.03 s, and at most `room` bytes or little, given back. */
int memory_measure(struct machine_memory *m, const struct kernels *k, struct pool *p, size_t room, struct err *e);

#endif
