/* knn: the rows that are nearest to a row by the cosine of the angle between them: of rows of length 1 their product.
 * Of equals the first. */
#ifndef LEARN_KNN_H
#define LEARN_KNN_H

#include "learn/design.h"

void knn_unit(float *x, size_t rows, size_t cols);      /* each row divided by its length; zeros stay zeros */
/* nearest[m][k]: of each row of x the k nearest of `kept` [n][cols], the nearest first; where there are fewer, −1
 * after them. fold (or NULL): x is kept itself, and rows of a row's own part are left out. */
void knn_find(const float *kept, size_t n, const float *x, size_t m, size_t cols, size_t k, const int32_t *fold,
              const struct workshop *on, int32_t *nearest);

#endif
