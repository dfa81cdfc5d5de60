/* attention: tiles of TILE × TILE of scores: which of their keys a row sees, as bits of a word a row; the rows and
 * keys that a tile has to be computed for; and its products over keys and values in panels, along the head or
 * across it.
 *
 * The causal mask follows from the keys' ends; a window is laid over it by positions: a tile whose positions are all
 * too far apart is nobody's, one whose positions are all near is left as it is, and only those at its edge are compared
 * pair by pair. */
#include "op/attention.h"

#include "base/mem.h"

void product_scores(const struct kernels *k, size_t m, size_t K, const float *a, size_t a_row, const float *panels,
                    float *c, const struct extent *e)
{
	size_t mr = (size_t)k->mr, nr = (size_t)k->nr;
	for (size_t j = 0; j < TILE; j += nr)
		for (size_t i = 0; i < m; i += mr)
			if (e->from[i / mr] < j + nr && e->to[i / mr] > j)
				k->gemm_tile(MIN(mr, m - i), MIN(nr, ROUND_UP(e->to[i / mr] - j, (size_t)16)), K,
				             a + i * a_row, a_row, 1, panels + j * K, c + i * TILE + j, TILE, false);
}

void product_add(const struct kernels *k, size_t m, size_t D, size_t K, const float *a, size_t a_row, size_t a_col,
                 const float *panels, float *c, size_t ldc, const struct extent *e)
{
	size_t mr = (size_t)k->mr, nr = (size_t)k->nr;
	for (size_t j = 0; j < D; j += nr)
		for (size_t i = 0; i < m; i += mr) {
			size_t from = e->from[i / mr], to = e->to[i / mr];
			if (from < to)
				k->gemm_tile(MIN(mr, m - i), MIN(nr, D - j), to - from, a + i * a_row + from * a_col,
				             a_row, a_col, panels + j * K + from * nr, c + i * ldc + j, ldc, true);
		}
}

void pack_across(const struct kernels *k, struct rows w, size_t at, size_t c, size_t n, size_t D, float *out)
{
	size_t nr = (size_t)k->nr;
	for (size_t j = 0; j < n; j += nr)
		k->pack_rows(w.dtype, w.data + (at + j) * w.bytes, w.bytes, MIN(nr, n - j), c, D, out + j * D);
}

void pack_along(const struct kernels *k, struct rows w, size_t at, size_t c, size_t n, size_t D, float *out)
{
	size_t nr = (size_t)k->nr;
	for (size_t d = 0; d < D; d += nr, out += n * nr)
		k->pack_cols(w.dtype, w.data + at * w.bytes, w.bytes, n, c + d, MIN(nr, D - d), out);
}

size_t panel_size(const struct kernels *k, size_t D)
{
	size_t nr = (size_t)k->nr;
	return MAX(ROUND_UP((size_t)TILE, nr) * D, TILE * ROUND_UP(D, nr));
}

/* --- the mask --- */

static uint64_t bits_below(size_t n)
{
	return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
}

/* Is there a key that is still seen by rows after `key`? Most tiles of a cache of many sequences have none, so this is
 * to be short. */
static bool any_lasts(const int32_t *end, size_t n, int32_t key)
{
	int32_t any = 0;

	for (size_t j = 0; j < n; j++)
		any |= end[j] > key;
	return any;
}

/* Neighbouring keys mostly end together, so a row is a few masks, not 64 comparisons. */
static enum tile_mask causal_mask(const struct batch *b, size_t i0, size_t i1, size_t j0, size_t j1,
                                  uint64_t word[TILE])
{
	uint64_t mask[TILE];
	int32_t end[TILE], least = INT32_MAX;
	size_t runs = 0;

	if ((size_t)b->key[i1 - 1] < j0 || !any_lasts(b->vis_end + j0, j1 - j0, b->key[i0]))
		return MASK_NONE;
	for (size_t j = j0; j < j1; j++) {
		if (runs == 0 || end[runs - 1] != b->vis_end[j]) {
			end[runs] = b->vis_end[j];
			mask[runs++] = 0;
			least = MIN(least, b->vis_end[j]);
		}
		mask[runs - 1] |= (uint64_t)1 << (j - j0);
	}
	bool all = least > b->key[i1 - 1] && (size_t)b->key[i0] + 1 >= j1;
	for (size_t i = i0; i < i1; i++) {
		size_t key = (size_t)b->key[i];
		uint64_t w = 0;
		for (size_t n = 0; n < runs; n++)
			w |= end[n] > b->key[i] ? mask[n] : 0;
		word[i - i0] = key < j0 ? 0 : w & bits_below(key - j0 + 1);
	}
	return all ? MASK_ALL : MASK_SOME;
}

/* Documents share nothing, so all keys of one have the same first and last row. */
static enum tile_mask both_ways_mask(const struct batch *b, size_t i0, size_t i1, size_t j0, size_t j1,
                                     uint64_t word[TILE])
{
	uint64_t mask[TILE], any = 0, all = ~(uint64_t)0;
	size_t first[TILE], runs = 0;

	for (size_t j = j0; j < j1; j++) {
		if (runs == 0 || b->vis_from[first[runs - 1]] != b->vis_from[j]) {
			first[runs] = j;
			mask[runs++] = 0;
		}
		mask[runs - 1] |= (uint64_t)1 << (j - j0);
	}
	for (size_t i = i0; i < i1; i++) {
		uint64_t w = 0;
		for (size_t n = 0; n < runs; n++)
			w |= b->vis_from[first[n]] <= b->key[i] && b->key[i] < b->vis_end[first[n]] ? mask[n] : 0;
		word[i - i0] = w;
		any |= w;
		all &= w;
	}
	return !any ? MASK_NONE : all == bits_below(j1 - j0) ? MASK_ALL : MASK_SOME;
}

struct span { int32_t least, most; };

static struct span span_of(const int32_t *x, size_t from, size_t to)
{
	struct span s = { INT32_MAX, INT32_MIN };

	for (size_t i = from; i < to; i++) {
		s.least = MIN(s.least, x[i]);
		s.most = MAX(s.most, x[i]);
	}
	return s;
}

/* What a window leaves of a tile by positions alone. */
static enum tile_mask window_reaches(const struct attention_attr *a, struct span row, struct span key)
{
	if (row.least - key.most >= a->window || (a->both_ways && key.least - row.most >= a->window))
		return MASK_NONE;
	return row.most - key.least < a->window && (!a->both_ways || key.most - row.least < a->window) ? MASK_ALL :
	                                                                                                MASK_SOME;
}

static enum tile_mask cut_by_window(const struct attention_attr *a, const struct batch *b, size_t i0, size_t i1,
                                    size_t j0, size_t j1, uint64_t word[TILE])
{
	uint64_t any = 0;

	for (size_t i = i0; i < i1; i++) {
		uint64_t w = 0;
		for (size_t j = j0; j < j1; j++) {
			int32_t back = b->pos[i] - b->key_pos[j];
			w |= (uint64_t)(back < a->window && -back < a->window) << (j - j0);
		}
		any |= word[i - i0] &= w;
	}
	return any ? MASK_SOME : MASK_NONE;
}

enum tile_mask tile_mask(const struct attention_attr *a, const struct batch *b, size_t i0, size_t i1, size_t j0,
                         size_t j1, uint64_t word[TILE])
{
	enum tile_mask reach = MASK_ALL, seen;

	if (a->window)
		reach = window_reaches(a, span_of(b->pos, i0, i1), span_of(b->key_pos, j0, j1));
	if (reach == MASK_NONE)
		return MASK_NONE;
	seen = a->both_ways ? both_ways_mask(b, i0, i1, j0, j1, word) : causal_mask(b, i0, i1, j0, j1, word);
	return seen == MASK_NONE || reach == MASK_ALL ? seen : cut_by_window(a, b, i0, i1, j0, j1, word);
}

void extent_of_rows(const struct kernels *k, const uint64_t *word, size_t rows, struct extent *e)
{
	size_t mr = (size_t)k->mr;

	for (size_t i = 0; i < rows; i += mr) {
		uint64_t any = 0;
		for (size_t r = i; r < MIN(i + mr, rows); r++)
			any |= word[r];
		e->from[i / mr] = (uint8_t)(any ? __builtin_ctzll(any) : 0);
		e->to[i / mr] = (uint8_t)(any ? 64 - __builtin_clzll(any) : 0);
	}
}

void extent_of_keys(const struct kernels *k, const uint64_t *word, size_t rows, size_t keys, struct extent *e)
{
	size_t mr = (size_t)k->mr;

	for (size_t j = 0; j < keys; j += mr) {
		uint64_t mask = bits_below(j + mr) & ~bits_below(j);
		size_t from = 0, to = rows;
		for (; from < to && !(word[from] & mask); from++)
			;
		for (; to > from && !(word[to - 1] & mask); to--)
			;
		e->from[j / mr] = (uint8_t)from;
		e->to[j / mr] = (uint8_t)to;
	}
}
