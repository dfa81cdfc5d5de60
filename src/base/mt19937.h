/* mt19937: the Mersenne Twister of 32 bits (Matsumoto and Nishimura 1998), for numbers that other programs draw and
 * that must be theirs: PyTorch's generator on a processor, Python's random. Our own randomness is base/rng.h. */
#ifndef BASE_MT19937_H
#define BASE_MT19937_H

#include <stddef.h>
#include <stdint.h>

enum { MT19937_WORDS = 624 };
struct mt19937 { uint32_t word[MT19937_WORDS]; int next; };

void mt19937_seed(struct mt19937 *g, uint32_t seed);
/* Their init_by_array: n words, n ≥ 1. */
void mt19937_seed_words(struct mt19937 *g, const uint32_t *key, size_t n);
uint32_t mt19937_next(struct mt19937 *g);
/* n numbers of torch.empty(…).uniform_(from, to, generator): 24 bits each. */
void mt19937_uniform(struct mt19937 *g, float *out, size_t n, float from, float to);

#endif
