/* quant: the block formats of GGUF, one file each. Pure functions; see tensor/dtype.h for the contract. */
#ifndef QUANT_QUANT_H
#define QUANT_QUANT_H

#include <stddef.h>

/* d, m: f16 scale and minimum; w = d·q + m unless the file says otherwise. */
void q4_0_to_float(const void *src, float *dst, size_t n);
void q4_1_to_float(const void *src, float *dst, size_t n);
void q5_0_to_float(const void *src, float *dst, size_t n);
void q5_1_to_float(const void *src, float *dst, size_t n);
void q8_0_to_float(const void *src, float *dst, size_t n);
void q4_k_to_float(const void *src, float *dst, size_t n);
void q5_k_to_float(const void *src, float *dst, size_t n);
void q6_k_to_float(const void *src, float *dst, size_t n);

#endif
