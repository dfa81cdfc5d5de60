/* machine_speeds: what a machine can do, as numbers that a plan chooses by. Filled by whoever measured;
 * gas/profile.h keeps them. */
#ifndef KERNEL_SPEEDS_H
#define KERNEL_SPEEDS_H

enum { SPEEDS_OPS = 32, SPEEDS_NAME = 24 };

struct op_share {
	char op[SPEEDS_NAME];     /* "attention", "linear", and "linear int8" where its products are in int8 */
	double share;             /* of the roofline's speed that such nodes reach; more than 1 where caches help */
};

struct speeds {
	double flops, int_ops, bytes; /* a second: of the best product in f32 and in int8, and read from memory */
	struct op_share op[SPEEDS_OPS];
	int n_ops;
};

#endif
