/* logistic: the logistic function and its logarithm, without overflow. */
#ifndef BASE_LOGISTIC_H
#define BASE_LOGISTIC_H

#include <math.h>

/* σ(x) = 1/(1 + exp(−x)) */
static inline double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* log(1 + exp(x)) = −log σ(−x) */
static inline double softplus(double x) { return x > 0 ? log1p(exp(-x)) + x : log1p(exp(x)); }

#endif
