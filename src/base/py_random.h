/* py_random: what Python's random.Random(seed) draws, for choices that other programs make by it and that must be
 * theirs (lm-eval's examples). CPython's Lib/random.py and Modules/_randommodule.c, versions 3.2 and later. */
#ifndef BASE_PY_RANDOM_H
#define BASE_PY_RANDOM_H

#include "base/mt19937.h"

void py_random_seed(struct mt19937 *g, uint64_t seed);
/* randrange(n), n ≥ 1: bits of as many as n has, drawn again while they are n or more. */
uint32_t py_random_below(struct mt19937 *g, uint32_t n);
/* sample(range(n), k), k ≤ n, in the order of the draws. */
void py_random_sample(struct mt19937 *g, size_t n, size_t k, size_t *out);

#endif
