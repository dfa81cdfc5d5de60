/* dtype: how numbers are stored. A dtype is a row of a table; quantization is a dtype, never a second program.
 *
 * A block type stores `block` consecutive numbers of a row in `bytes` bytes; rows are contiguous and a
 * row's length is a multiple of the block. A row of 4-bit floats (quant/nf4.h) has a head before its first block.
 * GGUF's layouts are those of ggml's `ggml-common.h` (facts: field
 * order and meaning); each lives in its own file `src/quant/quant_x.c`. */
#ifndef TENSOR_DTYPE_H
#define TENSOR_DTYPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum dtype {
	DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0, DTYPE_Q5_1, DTYPE_Q8_0,
	DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K, DTYPE_Q1_0, DTYPE_Q2_0, DTYPE_Q2_K, DTYPE_Q3_K, DTYPE_IQ1_S, DTYPE_IQ1_M,
	DTYPE_IQ2_XXS, DTYPE_IQ2_XS, DTYPE_IQ2_S, DTYPE_IQ3_XXS, DTYPE_IQ3_S, DTYPE_IQ4_NL, DTYPE_IQ4_XS, DTYPE_TQ1_0,
	DTYPE_TQ2_0, DTYPE_MXFP4, DTYPE_NVFP4, DTYPE_NF4, DTYPE_FP4, DTYPE_NF4_DQ, DTYPE_FP4_DQ, DTYPE_F64,
	DTYPE_F8_E4M3, DTYPE_F8_E5M2, DTYPE_I32, DTYPE_U8, DTYPE_COUNT
};

struct dtype_info {
	const char *name;   /* "Q4_1" */
	uint32_t block;     /* numbers a block; 1 for plain types */
	uint32_t bytes;     /* bytes a block */
	int gguf;           /* ggml's type number, -1: none */
	const char *safetensors; /* "F32", "BF16", … or NULL */
	/* n numbers, n a multiple of block, of one row where rows have a head; src and dst do not overlap. NULL for
	 * I32, U8. */
	void (*to_float)(const void *src, float *dst, size_t n);
	/* Rounds to nearest even (block types: their reference quantizer); NULL where this program never writes the
	 * type. */
	void (*from_float)(const float *src, void *dst, size_t n);
	/* Numbers j0 … j0+n−1 of the row that starts at `row`; j0 and n are multiples of 16 for block types. NULL for
	 * I32, U8. */
	void (*part)(const void *row, size_t j0, float *dst, size_t n);
};

extern const struct dtype_info dtypes[DTYPE_COUNT];

/* Bytes before a row's first block. */
static inline size_t dtype_head(enum dtype t)
{
	return t == DTYPE_NF4 || t == DTYPE_FP4 ? 4 : t == DTYPE_NF4_DQ || t == DTYPE_FP4_DQ ? 16 : 0;
}
/* Of a row of so many numbers, a multiple of the block. */
static inline size_t dtype_row_bytes(enum dtype t, size_t cols)
{
	return dtype_head(t) + cols / dtypes[t].block * dtypes[t].bytes;
}
void dtype_rows_to_float(enum dtype t, const void *src, size_t rows, size_t cols, float *dst);
/* Bytes of n numbers, of one row where rows have a head; -1 with a sentence when n is no multiple of the block or the
 * product overflows. */
int dtype_bytes(enum dtype t, size_t n, size_t *bytes, struct err *e);
/* The dtype by GGUF number, safetensors name or own name; -1 when there is none. */
int dtype_from_gguf(uint32_t type);
int dtype_from_safetensors(const char *name);
int dtype_from_name(const char *name); /* case-insensitive */

uint16_t f16_from_float(float x);
float f16_to_float(uint16_t h);
uint16_t bf16_from_float(float x);
float bf16_to_float(uint16_t h);
float f64_to_float(double x);          /* to nearest even, tiny results kept */
float f8_e4m3_to_float(uint8_t b);      /* without infinities: 448 is the largest, 0x7f and 0xff are NaN */
float f8_e5m2_to_float(uint8_t b);      /* the upper half of binary16 */

#endif
