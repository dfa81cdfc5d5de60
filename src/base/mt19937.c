/* mt19937: x[k+624] = x[k+397] ^ ((x[k] & upper | x[k+1] & lower)·A), tempered. */
#include "base/mt19937.h"

#include "base/mem.h"

enum { MIDDLE = 397 };

void mt19937_seed(struct mt19937 *g, uint32_t seed)
{
	g->word[0] = seed;
	for (uint32_t i = 1; i < MT19937_WORDS; i++)
		g->word[i] = 1812433253U * (g->word[i - 1] ^ g->word[i - 1] >> 30) + i;
	g->next = MT19937_WORDS;
}

void mt19937_seed_words(struct mt19937 *g, const uint32_t *key, size_t n)
{
	uint32_t *x = g->word, i = 1;
	size_t j = 0;

	mt19937_seed(g, 19650218U);
	for (size_t k = MAX(n, (size_t)MT19937_WORDS); k; k--) {
		x[i] = (x[i] ^ (x[i - 1] ^ x[i - 1] >> 30) * 1664525U) + key[j] + (uint32_t)j;
		j = (j + 1) % n;
		if (++i == MT19937_WORDS) {
			x[0] = x[MT19937_WORDS - 1];
			i = 1;
		}
	}
	for (size_t k = MT19937_WORDS - 1; k; k--) {
		x[i] = (x[i] ^ (x[i - 1] ^ x[i - 1] >> 30) * 1566083941U) - i;
		if (++i == MT19937_WORDS) {
			x[0] = x[MT19937_WORDS - 1];
			i = 1;
		}
	}
	x[0] = 0x80000000U;
}

static void turn(struct mt19937 *g)
{
	for (int i = 0; i < MT19937_WORDS; i++) {
		uint32_t x = (g->word[i] & 0x80000000U) | (g->word[(i + 1) % MT19937_WORDS] & 0x7fffffffU);
		g->word[i] = g->word[(i + MIDDLE) % MT19937_WORDS] ^ x >> 1 ^ (x & 1 ? 0x9908b0dfU : 0);
	}
	g->next = 0;
}

uint32_t mt19937_next(struct mt19937 *g)
{
	if (g->next == MT19937_WORDS)
		turn(g);
	uint32_t x = g->word[g->next++];
	x ^= x >> 11;
	x ^= x << 7 & 0x9d2c5680U;
	x ^= x << 15 & 0xefc60000U;
	return x ^ x >> 18;
}

void mt19937_uniform(struct mt19937 *g, float *out, size_t n, float from, float to)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (float)(mt19937_next(g) & 0xffffffU) * 0x1p-24F * (to - from) + from;
}
