/* nf4: 4-bit floats of bitsandbytes (Dettmers et al. 2023, QLoRA; its functional.quantize_4bit): 64 numbers share a
 * scale s, their largest absolute value, and each is a place of a map of 16:
 *
 *     w = round(map[q]·s)            round: to the dtype that the matrix was quantized from, or not at all
 *
 * NF4's map are quantiles of the normal distribution, FP4's floats of a sign, two bits of exponent and one of
 * mantissa. With double quantization 256 scales share one more: s = map'[s₈]·s' + offset, the offset being the mean
 * scale of the matrix and map' the dynamic map of 8 bits. Blocks count through the matrix, row after row. */
#ifndef QUANT_NF4_H
#define QUANT_NF4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/pool.h"
#include "tensor/dtype.h"

enum { NF4_BLOCK = 64, NF4_NESTED = 256 /* blocks that share a scale of scales */ };
enum nf4_rounding { NF4_F32, NF4_F16, NF4_BF16 };

extern const float nf4_values[16], fp4_map_values[16];
extern const float nf4_dynamic_values[129];               /* those of map' from code 127 on */
/* map'; 127 − i is the negative of 127 + i, but of the last, which has none. */
static inline float nf4_dynamic(uint8_t code)
{
	return code >= 127 ? nf4_dynamic_values[code - 127] : -nf4_dynamic_values[127 - code];
}
static inline bool nf4_is(enum dtype t) { return t >= DTYPE_NF4 && t <= DTYPE_FP4_DQ; }
static inline bool nf4_is_nested(enum dtype t) { return t == DTYPE_NF4_DQ || t == DTYPE_FP4_DQ; }
static inline const float *nf4_map(enum dtype t)
{
	return t == DTYPE_NF4 || t == DTYPE_NF4_DQ ? nf4_values : fp4_map_values;
}
/* Of a row as it is stored (quant_nf4.c): the scale of block b, and how its numbers are rounded. */
static inline float nf4_scale(enum dtype t, const uint8_t *row, size_t b)
{
	float s, nested, offset;

	if (!nf4_is_nested(t)) {
		memcpy(&s, row + dtype_head(t) + b * 36, sizeof(s));
		return s;
	}
	size_t second = row[2] | (size_t)row[3] << 8;
	memcpy(&offset, row + 4, sizeof(offset));
	memcpy(&nested, row + 8 + (b >= second ? 4 : 0), sizeof(nested));
	s = nf4_dynamic(row[dtype_head(t) + b * 33]) * nested;
	return s + offset; /* rounded in between, as there */
}
static inline enum nf4_rounding nf4_rounding(const uint8_t *row) { return (enum nf4_rounding)row[0]; }

/* A matrix as bitsandbytes has it. */
struct nf4_matrix {
	size_t rows, cols, block;                         /* block: numbers of a scale */
	enum nf4_rounding rounding;
	const uint8_t *q;                                 /* two a byte, the first in its upper half */
	const float *scale;                               /* [blocks], or NULL and: */
	const uint8_t *code;                              /* [blocks] s₈ */
	const float *nested;                              /* [blocks / 256] s' */
	float offset;
};
/* Can rows be stored as t: whole blocks, and of nested scales at most two to a row. */
bool nf4_fits(enum dtype t, size_t cols);
/* A row as t stores it, which is nested or not as the matrix is. */
void nf4_put_row(enum dtype t, const struct nf4_matrix *m, size_t row, uint8_t *out);

/* What quantize_4bit makes of a matrix of finite numbers. x: row r of it, as bitsandbytes would see it, to floats. */
struct nf4_source {
	size_t rows, cols;
	void (*read)(const void *ctx, size_t row, float *out);
	const void *ctx;
};
/* Codes, scales and, where t is nested, scales of scales into arrays of the caller's: q [rows·cols/2], scale
 * [rows·cols/64], code the same, nested [blocks/256, rounded up]. −1: a number is not finite. */
int nf4_quantize(enum dtype t, struct pool *p, const struct nf4_source *x, uint8_t *q, float *scale, uint8_t *code,
                 float *nested, float *offset);
/* Of its use: codes of 64 numbers, and their scale; the mean as torch adds it up in one thread. */
float nf4_block(enum dtype t, const float x[NF4_BLOCK], uint8_t q[NF4_BLOCK]);
float nf4_mean(const float *x, size_t n);

#endif
