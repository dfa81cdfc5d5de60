/* quant: the block formats of GGUF, one file each. Pure functions; see tensor/dtype.h for the contract.
 *
 * Every format here stores runs of 16 numbers that share one affine map w = scale·q + offset, so any multiple of 16 is
 * a place where a row can be entered: x_part reads numbers j0 … j0+n−1 of the row that starts at `row`. The products
 * scale·q are exact in f32 (f16 scales have 11 bits, integers at most 6+8), so there is one rounding or none, and a
 * fused multiply-add gives the same bits as a product and a sum. */
#ifndef QUANT_QUANT_H
#define QUANT_QUANT_H

#include <stddef.h>

enum { QUANT_RUN = 16 };

/* d, m: f16 scale and minimum; w = d·q + m unless the file says otherwise. */
void q4_0_part(const void *row, size_t j0, float *dst, size_t n);
void q4_1_part(const void *row, size_t j0, float *dst, size_t n);
void q5_0_part(const void *row, size_t j0, float *dst, size_t n);
void q5_1_part(const void *row, size_t j0, float *dst, size_t n);
void q8_0_part(const void *row, size_t j0, float *dst, size_t n);
void q4_k_part(const void *row, size_t j0, float *dst, size_t n);
void q5_k_part(const void *row, size_t j0, float *dst, size_t n);
void q6_k_part(const void *row, size_t j0, float *dst, size_t n);

void q4_0_to_float(const void *src, float *dst, size_t n);
void q4_1_to_float(const void *src, float *dst, size_t n);
void q5_0_to_float(const void *src, float *dst, size_t n);
void q5_1_to_float(const void *src, float *dst, size_t n);
void q8_0_to_float(const void *src, float *dst, size_t n);
void q4_k_to_float(const void *src, float *dst, size_t n);
void q5_k_to_float(const void *src, float *dst, size_t n);
void q6_k_to_float(const void *src, float *dst, size_t n);

/* The reference quantizers of these formats: scale from the block's extremes, then nearest. */
void q4_0_from_float(const float *src, void *dst, size_t n);
void q4_1_from_float(const float *src, void *dst, size_t n);
void q8_0_from_float(const float *src, void *dst, size_t n);

/* The eight 6-bit scales and minima of a Q4_K or Q5_K block, packed in 12 bytes. */
void k_scale_min(const unsigned char scales[12], int j, int *scale, int *min);

#endif
