/* rng: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 *
 * The 128-bit counter is (a low, a high, b, c). The 64-bit key is the seed with the purpose mixed in, one to one for
 * each purpose. A permutation of 0..n-1 is a balanced Feistel network on the smallest even number of bits that holds
 * n, walked along its cycle until the value is below n again (Black and Rogaway 2002): at most 4 steps on average.
 * Not for secrets. */
#include "base/rng.h"

#include <math.h>

#include "base/err.h"

enum { PHILOX_ROUNDS = 10, FEISTEL_ROUNDS = 8 };

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014), a bijection. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
	for (int round = 0; round < PHILOX_ROUNDS; round++) {
		uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
		c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
		c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
		c1 = (uint32_t)p1;
		c3 = (uint32_t)p0;
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

void rng_words(struct rng_key k, uint64_t a, uint32_t b, uint32_t c, uint32_t out[4])
{
	uint64_t key = k.seed ^ mix(k.purpose);
	rng_philox((const uint32_t[4]){ (uint32_t)a, (uint32_t)(a >> 32), b, c },
	           (const uint32_t[2]){ (uint32_t)key, (uint32_t)(key >> 32) }, out);
}

float rng_uniform(struct rng_key k, uint64_t a, uint32_t b, uint32_t c)
{
	uint32_t w[4];
	rng_words(k, a, b, c, w);
	return (float)(w[0] >> 8) * 0x1p-24f;
}

float rng_normal(struct rng_key k, uint64_t a, uint32_t b, uint32_t c)
{
	const double two_pi = 6.283185307179586;
	uint32_t w[4];
	rng_words(k, a, b, c, w);
	double u = ((double)w[0] + 0.5) * 0x1p-32, v = (double)w[1] * 0x1p-32; /* u never 0 */
	return (float)(sqrt(-2 * log(u)) * cos(two_pi * v));
}

void rng_normals(struct rng_key k, uint64_t a, uint32_t b, uint32_t c, float out[4])
{
	const double two_pi = 6.283185307179586;
	uint32_t w[4];
	rng_words(k, a, b, c, w);
	for (int i = 0; i < 4; i += 2) {
		double u = ((double)w[i] + 0.5) * 0x1p-32, v = two_pi * ((double)w[i + 1] * 0x1p-32);
		double r = sqrt(-2 * log(u));
		out[i] = (float)(r * cos(v));
		out[i + 1] = (float)(r * sin(v));
	}
}

/* One pass through the network on 2·half bits. */
static uint64_t feistel(uint64_t x, unsigned half, const uint64_t key[2])
{
	uint64_t mask = ((uint64_t)1 << half) - 1, left = x >> half, right = x & mask;
	for (unsigned round = 0; round < FEISTEL_ROUNDS; round++) {
		uint64_t f = mix(mix(right + key[0] + round * 0x9e3779b97f4a7c15u) ^ key[1]) >> (64 - half);
		uint64_t next = left ^ f;
		left = right;
		right = next;
	}
	return left << half | right;
}

uint64_t rng_permute(struct rng_key k, uint64_t epoch, uint64_t n, uint64_t i)
{
	uint32_t w[4];
	unsigned half = 1;
	if (i >= n)
		BUG("element %llu of a permutation of %llu", (unsigned long long)i, (unsigned long long)n);
	while (half < 32 && (n - 1) >> 2 * half)
		half++;
	rng_words(k, epoch, 0, 0, w);
	const uint64_t key[2] = { (uint64_t)w[1] << 32 | w[0], (uint64_t)w[3] << 32 | w[2] };
	do
		i = feistel(i, half, key);
	while (i >= n);
	return i;
}

uint64_t rng_next(struct rng_stream *s)
{
	return mix(s->state += 0x9e3779b97f4a7c15u);
}

/* Lemire's multiplication, with rejection, so that every value is equally likely. */
uint32_t rng_below(struct rng_stream *s, uint32_t n)
{
	if (n == 0)
		BUG("a number below 0");
	uint64_t m;
	do
		m = (rng_next(s) >> 32) * n;
	while ((uint32_t)m < -n % n);
	return (uint32_t)(m >> 32);
}

float rng_next_float(struct rng_stream *s)
{
	return (float)(rng_next(s) >> 40) * 0x1p-23f - 1;
}
