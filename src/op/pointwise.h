/* pointwise: what elementwise ops share: the live numbers of a tensor are cut into fixed pieces for the pool, and
 * backward is one node that reads dy and makes the gradients of the first inputs, each like its input. */
#ifndef OP_POINTWISE_H
#define OP_POINTWISE_H

#include "op/run.h"

enum { POINTWISE_PIECE = 16384 };

/* one FLOP a number */
void pointwise_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes);
/* Output 0 is like input 0. */
void pointwise_output(struct tape *t, struct node *n, const char *name);
/* f for the numbers begin … begin+n−1, piece by piece, of as many as tensor `like` has. */
void pointwise_pieces(struct run *r, uint32_t like, void (*f)(void *ctx, size_t begin, size_t n), void *ctx);
/* out[0] = f(in[0], in[1]) or, with f1, f1(in[0]). */
void pointwise_run(struct run *r, const struct node *n, void (*f)(float *y, const float *a, const float *b, size_t n));
void pointwise_run1(struct run *r, const struct node *n, void (*f)(float *y, const float *x, size_t n));

/* Appends `back` for node number i. It reads dy, then the tensors `also`, and writes the gradients of inputs 0 …
 * n_grads−1, which are handed to those that want one. */
void pointwise_backward(struct tape *t, uint32_t i, const struct op *back, int n_grads, const uint32_t *also,
                        int n_also, const void *attr, size_t attr_bytes);

#endif
