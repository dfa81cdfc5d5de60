/* rng: randomness without state. A value is a function of (seed, purpose, counters), by
 * Philox4x32-10 (Salmon et al. 2011), so that recomputing, resuming and threads change nothing. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

enum rng_purpose { RNG_SHUFFLE = 1, RNG_INIT, RNG_DROPOUT, RNG_SAMPLE, RNG_TEST, RNG_NOISE, RNG_MASK,
                   RNG_FIM, RNG_CANARY };

struct rng_key {
	uint64_t seed;
	uint32_t purpose; /* enum rng_purpose */
};

/* The cipher itself; the counter and the key as in the paper's reference, Random123. */
void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Four 32-bit words for the counter (a, b, c). */
void rng_words(struct rng_key k, uint64_t a, uint32_t b, uint32_t c, uint32_t out[4]);
float rng_uniform(struct rng_key k, uint64_t a, uint32_t b, uint32_t c); /* [0, 1), 24 bits */
float rng_normal(struct rng_key k, uint64_t a, uint32_t b, uint32_t c);  /* mean 0, variance 1 (Box-Muller) */
/* Four of them, apart from one another; not those of rng_normal. */
void rng_normals(struct rng_key k, uint64_t a, uint32_t b, uint32_t c, float out[4]);

/* Element i of a keyed permutation of 0..n-1 (Feistel with cycle walking): order needs no state, skipping is O(1). */
uint64_t rng_permute(struct rng_key k, uint64_t epoch, uint64_t n, uint64_t i);

/* A plain sequential stream, for tests and fuzz inputs. */
struct rng_stream { uint64_t state; };
uint64_t rng_next(struct rng_stream *s);                 /* splitmix64 */
uint32_t rng_below(struct rng_stream *s, uint32_t n);    /* 0..n-1 */
float rng_next_float(struct rng_stream *s);              /* [-1, 1) */

#endif
