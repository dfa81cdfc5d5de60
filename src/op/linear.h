/* linear: what op_linear.c and the fusions of its nodes share. */
#ifndef OP_LINEAR_H
#define OP_LINEAR_H

#include "kernel/gemm_int8.h"
#include "op/ops.h"
#include "op/run.h"

/* Term k is at IN_U + 2·k and the next. */
enum { IN_X, IN_W, IN_U, IN_UP, IN_BIAS = IN_U + 2 * LINEAR_TERMS, IN_RESIDUAL, IN_WT, N_IN };

struct linear_attr {
	float scale;
	bool int8;
	bool inside;            /* terms are not added */
	bool dx_given;          /* backward: whoever reads the output gives its share of dx, or nobody */
};

/* Backward: in dy and the other factor, for dx perhaps du and A of terms too; out the gradient. */
enum { DX_DY, DX_W, DX_DU, DX_DOWN, DX_PAIRS = 1 + LINEAR_TERMS };

struct linear_back_attr {
	float scale[DX_PAIRS];
	bool accumulate, int8;
};

extern const struct op op_row_linear, op_linear_dx;

/* The product of a node that has no int8; c, m and n are set. */
struct gemm linear_gemm(const struct run *r, const uint32_t in[N_IN], uint32_t out, float scale);
/* The same in int8. */
struct gemm_int8 linear_gemm_int8(const struct run *r, const uint32_t in[N_IN], uint32_t out, uint32_t rows);
struct gemm_term linear_dx_term(const struct run *r, uint32_t dy, uint32_t w, float scale);

void linear_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes);
void linear_product_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                         double *bytes);
size_t linear_scratch(const struct tape *t, const struct node *n, const struct kernels *k);

#endif
