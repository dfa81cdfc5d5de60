/* linear: what is linear in a row's numbers, fitted as scikit-learn fits it.
 *
 *     logistic   least  1/n·Σ −log p(y_i) + ½/(C·n)·‖W‖²,  p = softmax(W·x + b); of two classes σ(w·x +
 *                b) of the second. Its LogisticRegression, which leaves b alone too
 *     ridge      least  Σ (y_i − w·x − b)² + alpha·‖w‖²: its Ridge, by conjugate gradients (Hestenes &
 *                Stiefel 1952) on the normal equations of centered rows */
#ifndef LEARN_LINEAR_H
#define LEARN_LINEAR_H

#include "base/err.h"
#include "learn/design.h"

struct linear_model {
	size_t cols;
	int outputs;                /* one a class; 1 of two classes and of numbers */
	double *w, *b;              /* [cols][outputs], [outputs], one block of mem_ */
};

struct fit_options {
	double C;                   /* the inverse of the penalty; of ridge alpha is 1/C */
	double tolerance;           /* of max |gradient|, as scikit-learn's tol */
	int most;                   /* steps */
	bool rough;                 /* dense products in float: the last digits do not count */
};

void linear_begin(struct linear_model *m, size_t cols, int classes /* 0: numbers */);   /* zeros */
void linear_release(struct linear_model *m);

/* From what m is on. y: classes from 0; numbers. −1: a stop was asked for. */
int logistic_fit(struct linear_model *m, const struct design *x, const int32_t *y, const struct fit_options *o,
                 const struct workshop *on, struct err *e);
int ridge_fit(struct linear_model *m, const struct design *x, const double *y, const struct fit_options *o,
              const struct workshop *on, struct err *e);
/* Seconds of a step of a fit, by one that is made: for plans. rough: as fit_options has it. */
double linear_step_seconds(const struct design *x, size_t outputs, bool rough, const struct workshop *on);
/* z[rows][outputs] = W·x + b */
void linear_outputs(const struct linear_model *m, const struct design *x, const struct workshop *on, double *z);

#endif
