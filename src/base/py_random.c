/* py_random: Python's random over the Mersenne Twister. A sample is drawn from a list that shrinks where the list is
 * short, else by numbers that are drawn again when they came before: the draws differ, so the border is Python's. */
#include "base/py_random.h"

#include <stdbool.h>

#include "base/mem.h"

void py_random_seed(struct mt19937 *g, uint64_t seed)
{
	uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };

	mt19937_seed_words(g, key, key[1] ? 2 : 1);
}

uint32_t py_random_below(struct mt19937 *g, uint32_t n)
{
	int bits = 32 - __builtin_clz(n);
	uint32_t r;

	do
		r = mt19937_next(g) >> (32 - bits);
	while (r >= n);
	return r;
}

/* 21, and where more than five are drawn the power of 4 that 3k is at most, on top. */
static size_t border(size_t k)
{
	size_t power = 1;

	while (power < 3 * k)
		power *= 4;
	return k > 5 ? 21 + power : 21;
}

void py_random_sample(struct mt19937 *g, size_t n, size_t k, size_t *out)
{
	size_t *pool = mem_array(n, sizeof(*pool));
	bool list = n <= border(k);

	for (size_t i = 0; i < n; i++)
		pool[i] = list ? i : 0;
	for (size_t i = 0; i < k && list; i++) {
		size_t j = py_random_below(g, (uint32_t)(n - i));
		out[i] = pool[j];
		pool[j] = pool[n - i - 1];
	}
	for (size_t i = 0; i < k && !list; i++) {
		do
			out[i] = py_random_below(g, (uint32_t)n);
		while (pool[out[i]]);
		pool[out[i]] = 1;
	}
	mem_free(pool);
}
