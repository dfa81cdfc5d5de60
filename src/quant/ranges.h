/* ranges: rows of blocks whose scales are given, not looked for, so that a scale may be a parameter of its own (Esser
 * et al. 2020, LSQ):
 *
 *     q = s·k,  k the type's integer or value nearest to w/s;  s as the file has it, in f16
 *     ∂q/∂s = k − w/s inside the range of s·k, k beyond it     ∂q/∂w = 1 inside, 0 beyond
 *
 * For Q4_0, Q5_0 and IQ4_NL, whose blocks of 32 have one scale and nothing else. Pure functions. */
#ifndef QUANT_RANGES_H
#define QUANT_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

enum { RANGE_BLOCK = 32 };

bool ranges_of(enum dtype t);
/* The scales [cols/32] of a row of blocks. */
void ranges_read(enum dtype t, const void *blocks, size_t cols, float *scale);
/* q [cols]: what the row x is with these scales; x itself may be given. Where x is not finite, it stays. */
void ranges_round(enum dtype t, const float *x, const float *scale, size_t cols, float *q);
/* The row as blocks, whose decoder gives those numbers. */
void ranges_write(enum dtype t, const float *x, const float *scale, size_t cols, void *blocks);
/* g [cols], the gradient in q of the row w, becomes that in w; d_scale [cols/32] that in the scales. */
void ranges_gradient(enum dtype t, const float *w, const float *scale, size_t cols, float *g, float *d_scale);

#endif
