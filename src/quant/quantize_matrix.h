/* quantize_matrix: a matrix from one storage type to another, its rows spread over the threads. */
#ifndef QUANT_QUANTIZE_MATRIX_H
#define QUANT_QUANTIZE_MATRIX_H

#include "base/pool.h"
#include "tensor/dtype.h"

struct quantize_matrix {
	const char *name;           /* for a sentence */
	enum dtype from, to;        /* to: one that quantize_writes */
	const void *data;           /* [rows] of `from` */
	size_t rows, cols;
	const float *weights;       /* [cols] or NULL, as quantize_row has them */
	void *out;                  /* [rows] of `to` */
	const float *factors;       /* [cols][cols] or NULL, as gptq_rows has them; then gptq_writes(to) */
	const float *scales;        /* [rows][cols/32] or NULL: of the blocks (quant/ranges.h); then ranges_of(to) */
};

/* Errors: a number that is not finite, one that the type's scales cannot hold, interrupted. */
int quantize_matrix(struct pool *p, const struct quantize_matrix *m, struct err *e);

#endif
