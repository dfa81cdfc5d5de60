/* quant: the block formats of GGUF, one file each. Pure functions; see tensor/dtype.h for the contract.
 *
 * Every format here stores runs of 16 numbers that can be read alone, most by one affine map w = scale·q + offset, so
 * any multiple of 16 is a place where a row can be entered: x_part reads numbers j0 … j0+n−1 of the row that starts
 * at `row`. The products scale·q are exact in f32 (f16 scales have 11 bits, integers at most 6+8), so there is one
 * rounding or none, and a fused multiply-add gives the same bits as a product and a sum. */
#ifndef QUANT_QUANT_H
#define QUANT_QUANT_H

#include <stddef.h>

enum { QUANT_RUN = 16 };

/* Every format: its two slots of dtype's table. The file of each says what w is. */
#define QUANT_FORMATS(X) \
	X(q1_0) X(q2_0) X(q4_0) X(q4_1) X(q5_0) X(q5_1) X(q8_0) X(q2_k) X(q3_k) X(q4_k) X(q5_k) X(q6_k) \
	X(iq1_s) X(iq1_m) X(iq2_xxs) X(iq2_xs) X(iq2_s) X(iq3_xxs) X(iq3_s) X(iq4_nl) X(iq4_xs) X(tq1_0) X(tq2_0) \
	X(mxfp4) X(nvfp4) X(nf4) X(fp4) X(nf4_dq) X(fp4_dq)
#define QUANT_DECLARE(format) \
	void format##_part(const void *row, size_t j0, float *dst, size_t n); \
	void format##_to_float(const void *src, float *dst, size_t n);
QUANT_FORMATS(QUANT_DECLARE)

/* The reference quantizers of these formats: scale from the block's extremes, then nearest. */
void q4_0_from_float(const float *src, void *dst, size_t n);
void q4_1_from_float(const float *src, void *dst, size_t n);
void q8_0_from_float(const float *src, void *dst, size_t n);

/* The eight 6-bit scales and minima of a Q4_K or Q5_K block, packed in 12 bytes. */
void k_scale_min(const unsigned char scales[12], int j, int *scale, int *min);
int q3_k_scale(const unsigned char scales[12], int j);     /* −32 … 31, of numbers 16j … */
int iq4_xs_scale(const unsigned char *block, int j);       /* −32 … 31, of numbers 32j … */
float iq1_m_d(const unsigned char *block);
float mxfp4_half_scale(unsigned char e);                   /* what the doubled values are multiplied with */
float nvfp4_half_scale(unsigned char x);
extern const signed char iq4_values[16], fp4_values[16];   /* the latter doubled */

#endif
