/* folds: rows into parts for cross-validation: each class spread over the parts as evenly as it goes, in an order that
 * the seed gives (a keyed permutation, so no state). Of numbers rows are spread by their order: each part has as many
 * small ones as large ones. */
#ifndef LEARN_FOLDS_H
#define LEARN_FOLDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* fold[n]: the part of each row, 0 … parts − 1. y: classes, or numbers; the other is NULL. */
void folds_make(int32_t *fold, const int32_t *y, const double *numbers, size_t n, int parts, uint64_t seed);
/* The rows of a part, or all others: ascending into pick[n]; returns how many. */
size_t folds_pick(const int32_t *fold, size_t n, int32_t part, bool others, int32_t *pick);

#endif
