/* learner_parts: what the files learner*.c share; nobody else includes it. */
#ifndef LEARN_LEARNER_PARTS_H
#define LEARN_LEARNER_PARTS_H

#include "learn/learner.h"

/* z[rows][labels] of a linear model's outputs, where two classes have one. */
void learner_spread(const struct learner *l, const double *out, size_t rows, double *z);
/* z[m][labels] by the k nearest of a row, nearest[m][most]. Log of (votes + 1/labels)/(k + 1); of numbers the mean. */
void learner_vote(const struct learner *l, const int32_t *y, const double *number, const int32_t *nearest, size_t m,
                  size_t most, int k, double *z);
/* The features of a layer (its place in x->layer), of the rows in pick (or NULL: all), centered and scaled. */
void learner_features(const struct learner *l, const struct examples *x, size_t place, const int32_t *pick, size_t n,
                      float *out);

#endif
