/* quantize: rows of floats as blocks, with the bits of llama.cpp's own quantizers (ggml_quantize_chunk without fused
 * multiply-adds and without flushing of denormals).
 *
 * weights: how much each of the row's n columns matters, from an importance matrix; NULL: none, and then some types use
 * the numbers themselves. Rows are independent; n is a multiple of the type's block. Pure functions. */
#ifndef QUANT_QUANTIZE_H
#define QUANT_QUANTIZE_H

#include <stdbool.h>

#include "tensor/dtype.h"

/* Is it written: all plain types and all block types but IQ1, IQ2 and IQ3, which are only read. */
bool quantize_writes(enum dtype t);
void quantize_row(enum dtype t, const float *x, size_t n, const float *weights, void *out);

/* The families, one file each; quantize_row knows which. */
typedef void (*quantize_fn)(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q1_0(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q2_0(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q4_0(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q4_1(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q5_0(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q5_1(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q2_k(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q3_k(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q4_k(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q5_k(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_q6_k(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_iq4_nl(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_iq4_xs(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_tq1_0(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_tq2_0(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_mxfp4(const float *x, size_t n, const float *weights, uint8_t *out);
void quantize_nvfp4(const float *x, size_t n, const float *weights, uint8_t *out);

/* Of the families' use: Σ x², and weights[i]·√(more + x²), what an importance comes to at a number of that
 * size. */
float quantize_squares(const float *x, size_t n);
void quantize_weigh(const float *x, size_t n, const float *weights, float more, float *out);

#endif
