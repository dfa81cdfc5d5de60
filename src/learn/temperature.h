/* temperature: the one number T that makes probabilities softmax(z/T) true (Guo et al. 2017): the one by which rows
 * that the outputs z were not fitted on lose least, Σ −log p(y). Which label is the largest stays as it is. */
#ifndef LEARN_TEMPERATURE_H
#define LEARN_TEMPERATURE_H

#include <stddef.h>
#include <stdint.h>

/* z[n][k]; rows with y < 0 are left out. Between 1/20 and 20; 1 where there are none. smooth: of what is wanted each
 * label gets so much, and y the rest: that few rows are all right does not make the next one sure (Platt 1999 has
 * 1/(n + 2) of two labels). */
double temperature_fit(const double *z, const int32_t *y, size_t n, size_t k, double smooth);
/* The mean of −log softmax(z/T)(y) of the rows with y ≥ 0. */
double temperature_loss(const double *z, const int32_t *y, size_t n, size_t k, double t);

#endif
