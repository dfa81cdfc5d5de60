/* norm: what RMSNorm and LayerNorm share: rows in strips of fixed size, forward and backward.
 *
 * Nodes.  forward: in x (N,g·W), w (W), b (W) or none; out y (N,g·W), statistics (N,g) each
 *         backward: in dy, x, w, then the statistics; out dx, dw, db (each or none), partial sums
 * w is as wide as the row, or as a part of it: then each of the g parts is normed by itself, with the same w (Qwen3
 * norms the heads of its queries so).
 *
 * A strip adds its rows' share of dw and db up in a row of partial sums of its own, and those are added in the order of
 * the strips: the same bits with any number of threads. */
#ifndef OP_NORM_H
#define OP_NORM_H

#include "kernel/kernels.h"
#include "op/run.h"

struct norm_attr {
	float eps;
	bool add_x, add_w, add_b;   /* backward: to what is there */
};

/* One row, or one part of it. stat: [2] of that. dw, db: sums to add to, or NULL. */
struct norm_row {
	const struct kernels *k;
	const struct norm_attr *attr;
	const float *x, *w, *b, *dy;
	float *y, *dx, *dw, *db;
	float *stat[2];
	size_t C;
};

/* Checks x (N,g·W) and the vectors, adds y and n_stats statistics. */
int norm_shape(struct tape *t, struct node *n, int n_stats, struct err *e);
void norm_forward(struct run *r, const struct node *n, void (*row)(const struct norm_row *row));
/* Appends `back` for node number i. bias: the op's input 2, or TENSOR_NONE. */
void norm_backward(struct tape *t, uint32_t i, const struct op *back);
void norm_back_forward(struct run *r, const struct node *n, void (*row)(const struct norm_row *row));
void norm_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes);
void norm_back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes);
/* a row for a dx that nobody wants */
size_t norm_back_scratch(const struct tape *t, const struct node *n, const struct kernels *k);

#endif
