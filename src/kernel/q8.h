/* q8: a block of 32 activations in int8, see kernels.h. */
#ifndef KERNEL_Q8_H
#define KERNEL_Q8_H

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "tensor/dtype.h"

struct q8_block {
	float d, s;
	int16_t half[2];
	int8_t q[32];
};

/* The g-th four bytes of activations, or their two sums, as one number to broadcast. */
static inline int q8_four(const void *a, size_t g)
{
	int x;

	memcpy(&x, (const char *)a + 4 * g, sizeof(x));
	return x;
}

#define Q8_NOTHING 1e-30f /* 127 divided by less may be infinite */

/* The slot q8_tile, from a function for each format that `tiles` is compiled as. */
#define Q8_TILE(tiles) \
	static void q8_tile(enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, \
	                    const void *panel, float *c, size_t ldc) \
	{ \
		switch (t) { \
		case DTYPE_Q4_0: tiles(DTYPE_Q4_0, m, n, k, a, a_ld, panel, c, ldc); break; \
		case DTYPE_Q4_1: tiles(DTYPE_Q4_1, m, n, k, a, a_ld, panel, c, ldc); break; \
		case DTYPE_Q5_0: tiles(DTYPE_Q5_0, m, n, k, a, a_ld, panel, c, ldc); break; \
		case DTYPE_Q5_1: tiles(DTYPE_Q5_1, m, n, k, a, a_ld, panel, c, ldc); break; \
		case DTYPE_Q8_0: tiles(DTYPE_Q8_0, m, n, k, a, a_ld, panel, c, ldc); break; \
		case DTYPE_Q4_K: tiles(DTYPE_Q4_K, m, n, k, a, a_ld, panel, c, ldc); break; \
		case DTYPE_Q5_K: tiles(DTYPE_Q5_K, m, n, k, a, a_ld, panel, c, ldc); break; \
		case DTYPE_Q6_K: tiles(DTYPE_Q6_K, m, n, k, a, a_ld, panel, c, ldc); break; \
		case DTYPE_Q2_K: tiles(DTYPE_Q2_K, m, n, k, a, a_ld, panel, c, ldc); break; \
		case DTYPE_IQ4_XS: tiles(DTYPE_IQ4_XS, m, n, k, a, a_ld, panel, c, ldc); break; \
		default: BUG("no int8 product with dtype %d", (int)t); \
		} \
	}

#endif
