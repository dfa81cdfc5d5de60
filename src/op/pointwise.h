/* pointwise: what elementwise ops share: the live numbers of a tensor are cut into fixed pieces for the pool. */
#ifndef OP_POINTWISE_H
#define OP_POINTWISE_H

#include "op/run.h"

enum { POINTWISE_PIECE = 16384 };

size_t pointwise_count(const struct run *r, uint32_t tensor);                 /* live numbers */
/* one FLOP a number */
void pointwise_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes);
/* out[0] = f(in[0], in[1]) or, with f1, f1(in[0]). */
void pointwise_run(struct run *r, const struct node *n, void (*f)(float *y, const float *a, const float *b, size_t n));
void pointwise_run1(struct run *r, const struct node *n, void (*f)(float *y, const float *x, size_t n));

#endif
