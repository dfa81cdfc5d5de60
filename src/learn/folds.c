/* folds: dealt out like cards, sorted by class and in a class by the seed's order. See folds.h. */
#include "learn/folds.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

struct card { double key; uint64_t order; size_t row; };

static int by_key(const void *a, const void *b)
{
	const struct card *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

void folds_make(int32_t *fold, const int32_t *y, const double *numbers, size_t n, int parts, uint64_t seed)
{
	struct card *cards = mem_array(n + 1, sizeof(*cards));
	struct rng_key key = { seed, RNG_SHUFFLE };

	for (size_t i = 0; i < n; i++)
		cards[i] = (struct card){ y ? y[i] : numbers[i], rng_permute(key, 0, n, i), i };
	qsort(cards, n, sizeof(*cards), by_key);
	for (size_t i = 0; i < n; i++)
		fold[cards[i].row] = (int32_t)(i % (size_t)parts);
	mem_free(cards);
}

size_t folds_pick(const int32_t *fold, size_t n, int32_t part, bool others, int32_t *pick)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if ((fold[i] == part) != others)
			pick[k++] = (int32_t)i;
	return k;
}
