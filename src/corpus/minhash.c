/* minhash: an order is a number made of an n-gram's 64-bit hash, (low·a + high·b + c), its high bits folded into its
 * low ones; a signature keeps 16 bits of each least one, so two that differ agree with probability 2⁻¹⁶, which no
 * threshold sees. Bands lie in one table of open addresses; equal ones lie behind each other in the order they came. */
#include "corpus/minhash.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

enum { MOST_CANDIDATES = 64, SEED = 0x6b66 };
static const double STEP = 0.001;

/* --- bands --- */

/* Error of both kinds, by the midpoints of steps of 0.001. */
static double error_of(int bands, int rows, double threshold)
{
	double wrong = 0;

	for (int i = 0; i < (int)(1 / STEP); i++) {
		double s = (i + 0.5) * STEP, none = pow(1 - pow(s, rows), bands);
		wrong += (s < threshold ? 1 - none : none) * STEP;
	}
	return wrong;
}

void minhash_init(struct minhash *m, int permutations, int ngram, double threshold)
{
	struct rng_key key = { SEED, RNG_SHUFFLE };
	double least = INFINITY;
	uint32_t words[4];

	*m = (struct minhash){ .permutations = permutations, .ngram = ngram, .threshold = threshold };
	for (int bands = 1; bands <= permutations; bands++)
		for (int rows = 1; rows * bands <= permutations; rows++) {
			double wrong = error_of(bands, rows, threshold);
			if (wrong < least) {
				least = wrong;
				m->bands = bands;
				m->rows = rows;
			}
		}
	for (int i = 0; i < permutations; i++) {
		rng_words(key, (uint64_t)i, 0, 0, words);
		m->key[0][i] = words[0] | 1;
		m->key[1][i] = words[1] | 1;
		m->key[2][i] = words[2];
	}
}

/* --- signatures --- */

static void take(const struct minhash *m, uint64_t gram, uint32_t *least)
{
	uint32_t low = (uint32_t)gram, high = (uint32_t)(gram >> 32);

	for (int i = 0; i < m->permutations; i++) {
		uint32_t v = low * m->key[0][i] + high * m->key[1][i] + m->key[2][i];
		v = (v ^ v >> 16) * 0x7feb352du;
		v ^= v >> 15;
		least[i] = MIN(least[i], v);
	}
}

void minhash_signature(const struct minhash *m, const struct shingles *s, uint16_t *signature)
{
	uint32_t least[MINHASH_MOST];
	int n = (int)MIN((size_t)m->ngram, s->n);

	memset(least, 0xff, sizeof(least));
	for (size_t i = 0; i + (size_t)n <= s->n && n; i++)
		take(m, shingle_at(s, i, n), least);
	for (int i = 0; i < m->permutations; i++) /* the least of many is small: its low bits tell it from others */
		signature[i] = (uint16_t)(least[i] ^ least[i] >> 16);
}

double minhash_similarity(const struct minhash *m, const uint16_t *a, const uint16_t *b)
{
	int same = 0;

	for (int i = 0; i < m->permutations; i++)
		same += a[i] == b[i];
	return (double)same / m->permutations;
}

/* --- the store --- */

struct near {
	const struct minhash *m;
	uint16_t *signature; /* [n·permutations] */
	uint32_t *name;      /* [n] */
	size_t n, cap;
	uint32_t *tag, *item; /* [slots]: a band's hash and whose it is; item 0: free, else its number + 1 */
	size_t slots, used;
};

struct near *near_new(const struct minhash *m)
{
	struct near *x = mem_alloc(sizeof(*x));

	*x = (struct near){ .m = m, .slots = 1 << 12 };
	x->tag = mem_array(x->slots, sizeof(*x->tag));
	x->item = mem_array(x->slots, sizeof(*x->item));
	return x;
}

static const uint16_t *signature_of(const struct near *x, size_t i)
{
	return x->signature + i * (size_t)x->m->permutations;
}

/* A band is its number and its rows. */
static uint64_t band_hash(const struct minhash *m, const uint16_t *signature, int band)
{
	uint16_t bytes[MINHASH_MOST + 1];

	bytes[0] = (uint16_t)band;
	memcpy(bytes + 1, signature + band * m->rows, (size_t)m->rows * sizeof(*bytes));
	return hash_64(bytes, (size_t)(m->rows + 1) * sizeof(*bytes));
}

int64_t near_find(const struct near *x, const uint16_t *signature, double *similarity)
{
	int64_t best = -1;

	for (int band = 0; band < x->m->bands; band++) {
		uint64_t hash = band_hash(x->m, signature, band);
		int looked = 0;
		for (size_t i = hash & (x->slots - 1); x->item[i] && looked < MOST_CANDIDATES;
		     i = (i + 1) & (x->slots - 1)) {
			size_t item = x->item[i] - 1;
			if (x->tag[i] != (uint32_t)(hash >> 32) || (best >= 0 && (int64_t)item >= best))
				continue;
			looked++;
			double s = minhash_similarity(x->m, signature, signature_of(x, item));
			if (s >= x->m->threshold) {
				best = (int64_t)item;
				*similarity = s;
			}
		}
	}
	return best < 0 ? -1 : (int64_t)x->name[best];
}

static void put(struct near *x, uint64_t hash, uint32_t item)
{
	size_t i = hash & (x->slots - 1);

	while (x->item[i])
		i = (i + 1) & (x->slots - 1);
	x->tag[i] = (uint32_t)(hash >> 32);
	x->item[i] = item;
	x->used++;
}

/* The slots are not kept by their low bits, so bands are made again from the signatures. */
static void put_all(struct near *x, size_t from)
{
	for (size_t i = from; i < x->n; i++)
		for (int band = 0; band < x->m->bands; band++)
			put(x, band_hash(x->m, signature_of(x, i), band), (uint32_t)i + 1);
}

void near_add(struct near *x, const uint16_t *signature, uint32_t name)
{
	size_t k = (size_t)x->m->permutations;

	if (x->n >= UINT32_MAX - 1)
		BUG("more than 2^32 − 2 documents in a store of near copies");
	if (x->n == x->cap) {
		x->cap = MAX(256, x->cap + x->cap / 2);
		x->signature = mem_grow(x->signature, x->cap, k * sizeof(*x->signature));
		x->name = mem_grow(x->name, x->cap, sizeof(*x->name));
	}
	x->name[x->n] = name;
	memcpy(x->signature + x->n++ * k, signature, k * sizeof(*signature));
	if (3 * (x->used + (size_t)x->m->bands) < 2 * x->slots) {
		put_all(x, x->n - 1);
		return;
	}
	mem_free(x->tag);
	mem_free(x->item);
	while (3 * x->n * (size_t)x->m->bands >= x->slots)
		x->slots *= 2;
	x->tag = mem_array(x->slots, sizeof(*x->tag));
	x->item = mem_array(x->slots, sizeof(*x->item));
	x->used = 0;
	put_all(x, 0);
}

void near_free(struct near *x)
{
	if (!x)
		return;
	mem_free(x->signature);
	mem_free(x->name);
	mem_free(x->tag);
	mem_free(x->item);
	mem_free(x);
}
