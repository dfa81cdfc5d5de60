/* q8: a block of 32 activations in int8, see kernels.h. */
#ifndef KERNEL_Q8_H
#define KERNEL_Q8_H

#include <stdint.h>

struct q8_block {
	float d, s;
	int16_t half[2];
	int8_t q[32];
};

#define Q8_NOTHING 1e-30f /* 127 divided by less may be infinite */

#endif
