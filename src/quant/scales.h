/* scales: of block types that have no panels of their own, what their numbers are multiples of. With it they go into
 * the panels of another type (quant/panels.h) without changing. */
#ifndef QUANT_SCALES_H
#define QUANT_SCALES_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

/* Numbers 32j … 32j+31 of a row of type t are d·scale[i / 16]·q, i from 0 to 31, with integers q. */
struct run_scales {
	float d;
	int scale[2];
};
/* cols: of the row. d is one for all of 256 numbers 256i …, where they have more scales than one. */
void scales_read(enum dtype t, const uint8_t *row, size_t j, size_t cols, struct run_scales *s);

#endif
