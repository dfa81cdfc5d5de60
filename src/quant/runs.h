/* runs: a format's two slots of dtype's table, from its function that reads one run of 16 numbers of a block,
 *
 *     static void name_run(const uint8_t *block, size_t first, float *y)      first: a multiple of 16 within the block
 */
#ifndef QUANT_RUNS_H
#define QUANT_RUNS_H

#include "quant/quant.h"

#define QUANT_SLOTS(name, block, bytes) \
	void name##_part(const void *row, size_t j0, float *dst, size_t n) \
	{ \
		for (size_t j = j0; j < j0 + n; j += QUANT_RUN, dst += QUANT_RUN) \
			name##_run((const uint8_t *)row + j / (block) * (bytes), j % (block), dst); \
	} \
	void name##_to_float(const void *src, float *dst, size_t n) { name##_part(src, 0, dst, n); }

#endif
