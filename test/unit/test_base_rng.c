/* Philox against Random123's known answers; permutations as bijections; moments. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/mt19937.h"
#include "base/rng.h"

static void known_answers(struct test *t)
{
	/* kat_vectors of Random123 1.09: philox4x32 10 */
	static const struct { uint32_t counter[4], key[2], out[4]; } cases[] = {
		{ { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
		{ { ~0u, ~0u, ~0u, ~0u }, { ~0u, ~0u }, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
		{ { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
		  { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
	};
	test_case(t, "Philox4x32-10's known answers");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t out[4];
		rng_philox(cases[i].counter, cases[i].key, out);
		CHECK_MSG(t, memcmp(out, cases[i].out, sizeof(out)) == 0, "vector %zu: %08x %08x %08x %08x", i, out[0],
		          out[1], out[2], out[3]);
	}
}

static void bijections(struct test *t)
{
	static const uint64_t sizes[] = { 1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000, 4096, 10007 };
	bool seen[10007];
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
		for (uint64_t epoch = 0; epoch < 3; epoch++) {
			struct rng_key k = { 42 + s, RNG_SHUFFLE };
			uint64_t n = sizes[s], twice = 0, fixed = 0;
			test_case(t, "permutation of %llu, epoch %llu", (unsigned long long)n,
			          (unsigned long long)epoch);
			memset(seen, 0, sizeof(seen));
			for (uint64_t i = 0; i < n; i++) {
				uint64_t j = rng_permute(k, epoch, n, i);
				CHECK(t, j < n);
				twice += seen[j];
				seen[j] = true;
				fixed += i == j;
			}
			CHECK_MSG(t, twice == 0, "%llu values come twice", (unsigned long long)twice);
			/* Poisson(1) */
			CHECK_MSG(t, n < 1000 || fixed < 10, "%llu fixed points", (unsigned long long)fixed);
		}
	test_case(t, "large permutations");
	CHECK(t, rng_permute((struct rng_key){ 1, RNG_SHUFFLE }, 0, UINT64_MAX, UINT64_MAX - 1) < UINT64_MAX);
	CHECK(t, rng_permute((struct rng_key){ 1, RNG_SHUFFLE }, 0, (uint64_t)1 << 40, 5) < (uint64_t)1 << 40);
}

/* Where item 0 of 6 goes over many epochs: chi-square with 5 degrees of freedom. */
static void permutation_is_fair(struct test *t)
{
	enum { EPOCHS = 12000 };
	int count[6][6] = { 0 };
	double chi = 0;
	test_case(t, "every place is equally likely");
	for (uint64_t epoch = 0; epoch < EPOCHS; epoch++)
		for (uint64_t i = 0; i < 6; i++)
			count[i][rng_permute((struct rng_key){ 9, RNG_SHUFFLE }, epoch, 6, i)]++;
	for (int i = 0; i < 6; i++)
		for (int j = 0; j < 6; j++)
			chi += pow(count[i][j] - EPOCHS / 6.0, 2) / (EPOCHS / 6.0);
	CHECK_MSG(t, chi < 60, "chi-square %.1f of 25 degrees", chi); /* p = 1e-4 at 60 */
}

static void streams_differ(struct test *t)
{
	struct rng_key k = { 7, RNG_INIT };
	uint32_t a[4], b[4];
	test_case(t, "seed, purpose and each counter change the words");
	rng_words(k, 1, 2, 3, a);
	rng_words(k, 1, 2, 3, b);
	CHECK(t, memcmp(a, b, sizeof(a)) == 0);
	rng_words((struct rng_key){ 8, RNG_INIT }, 1, 2, 3, b);
	CHECK(t, memcmp(a, b, sizeof(a)) != 0);
	rng_words((struct rng_key){ 7, RNG_DROPOUT }, 1, 2, 3, b);
	CHECK(t, memcmp(a, b, sizeof(a)) != 0);
	rng_words(k, (uint64_t)1 << 32 | 1, 2, 3, b);
	CHECK(t, memcmp(a, b, sizeof(a)) != 0);
	rng_words(k, 1, 3, 2, b);
	CHECK(t, memcmp(a, b, sizeof(a)) != 0);
}

static void moments(struct test *t)
{
	enum { N = 200000 };
	double s1 = 0, s2 = 0, s4 = 0, u1 = 0, u2 = 0, low = 1, high = 0;
	struct rng_key k = { 3, RNG_NOISE };
	test_case(t, "moments of the uniform and the normal distribution");
	for (uint64_t i = 0; i < N; i++) {
		double x = rng_normal(k, i, 0, 0), u = rng_uniform(k, i, 1, 0);
		s1 += x;
		s2 += x * x;
		s4 += x * x * x * x;
		u1 += u;
		u2 += u * u;
		low = MIN(low, u);
		high = MAX(high, u);
	}
	CHECK_MSG(t, fabs(s1 / N) < 0.01 && fabs(s2 / N - 1) < 0.015 && fabs(s4 / N - 3) < 0.1, "%g %g %g", s1 / N,
	          s2 / N, s4 / N);
	CHECK_MSG(t, fabs(u1 / N - 0.5) < 0.003 && fabs(u2 / N - 1.0 / 3) < 0.003 && low >= 0 && high < 1, "%g %g",
	          u1 / N, u2 / N);
}

static void sequence(struct test *t)
{
	struct rng_stream r = { 1234567 };
	int count[7] = { 0 };
	test_case(t, "splitmix64's known answers, fair small numbers");
	CHECK(t, rng_next(&r) == 6457827717110365317u && rng_next(&r) == 3203168211198807973u);
	for (int i = 0; i < 70000; i++)
		count[rng_below(&r, 7)]++;
	for (int i = 0; i < 7; i++)
		CHECK_MSG(t, count[i] > 9600 && count[i] < 10400, "%d: %d", i, count[i]);
	for (int i = 0; i < 1000; i++) {
		float x = rng_next_float(&r);
		CHECK(t, x >= -1 && x < 1);
	}
	CHECK(t, rng_below(&r, 1) == 0);
}

/* The 10,000th number that ISO C++ asks of mt19937, and torch.empty(5).uniform_(-0.5, 0.5, generator) of seed 5. */
static void twister(struct test *t)
{
	static const float torch[] = { 0.3303F, -0.3739F, 0.4075F, 0.3199F, 0.4201F };
	struct mt19937 g;
	uint32_t x = 0;
	float drawn[ARRAY_LEN(torch)];

	test_case(t, "the Mersenne Twister's known answers");
	mt19937_seed(&g, 5489);
	for (int i = 0; i < 10000; i++)
		x = mt19937_next(&g);
	CHECK_MSG(t, x == 4123659995U, "%u", x);
	mt19937_seed(&g, 5);
	mt19937_uniform(&g, drawn, ARRAY_LEN(drawn), -0.5F, 0.5F);
	for (size_t i = 0; i < ARRAY_LEN(torch); i++)
		CHECK_MSG(t, fabsf(drawn[i] - torch[i]) < 1e-4F, "%zu: %g", i, (double)drawn[i]);
}

void test_base_rng(struct test *t)
{
	known_answers(t);
	bijections(t);
	permutation_is_fair(t);
	streams_differ(t);
	moments(t);
	sequence(t);
	twister(t);
}
