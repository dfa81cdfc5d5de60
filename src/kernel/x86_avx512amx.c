/* x86_avx512amx: float32 products on the tiles of AMX-BF16 (kernel/parts.h).
 *
 * Eight tiles of 16 rows × 64 bytes: four hold 32 × 32 sums, two the rows and two the columns of a part. A block's
 * products are in such an order that each needs one new pair of tiles: 14 loads for 24 products of 16 cycles.
 *
 * The tile unit adds up pairs: lane q of a row and line q of a tile of columns hold numbers q and q + 16 of the block,
 * so a pair is made of two vectors by a shift and a blend, of rows as of columns.
 *
 * The parts are cut by integer arithmetic: x1 is x's first 8 bits, so that nothing becomes an infinity, x2 the rest
 * rounded to 8 bits, half away from zero, x3 what is left, which has 7 at most and either sign.
 *
 * A compiler without -mamx-bf16 makes a file of nothing. */
#include "kernel/kernels.h"

#ifdef __AMX_BF16__
#include <string.h>

#include "kernel/parts.h"
#include "kernel/tiles.h"
#include "kernel/transpose_512.h"
#include "kernel/unroll.h"

enum { TILE = PARTS_ROWS * PARTS_K /* numbers */, HALF = PARTS_K / 2 };

/* Tiles 0 … 3: sums; 4, 5: rows; 6, 7: columns. */
static void begin(void)
{
	struct tile_config c = { .palette = 1 };

	for (int i = 0; i < 8; i++) {
		c.bytes[i] = LINE;
		c.rows[i] = PARTS_ROWS;
	}
	tiles_begin(&c);
}

static void end(void)
{
	_tile_release();
}

/* --- parts --- */

struct parts {
	__m512i x[PARTS_MOST];       /* in the upper halves; below them is something */
};

INLINE __m512i upper(__m512i x)
{
	return _mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000));
}

INLINE __m512i rest(__m512 x, __m512i part)
{
	return _mm512_castps_si512(_mm512_sub_ps(x, _mm512_castsi512_ps(part)));
}

/* Of an infinity the rest is no number. */
INLINE struct parts cut(const int parts, __m512 x)
{
	struct parts p = { { _mm512_castps_si512(x) } };

	if (parts > 1)
		p.x[1] = rest(x, upper(p.x[0]));
	if (parts > 2) {
		__m512i r = p.x[1];
		p.x[1] = _mm512_add_epi32(r, _mm512_set1_epi32(0x8000));
		p.x[2] = rest(_mm512_castsi512_ps(r), upper(p.x[1]));
	}
	return p;
}

/* Numbers q and q + HALF of 16 rows or columns. */
INLINE __m512i paired(__m512i low, __m512i high)
{
	return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(low, 16), high);
}

INLINE void put_pairs(const int parts, __m512 low, __m512 high, size_t tile, uint16_t *out)
{
	struct parts a = cut(parts, low), b = cut(parts, high);

	UNROLL(4)
	for (int p = 0; p < parts; p++)
		_mm512_store_si512(out + (size_t)p * tile, paired(a.x[p], b.x[p]));
}

INLINE __mmask16 first(size_t n)
{
	return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffff);
}

INLINE size_t less(size_t a, size_t b)
{
	return a < b ? 0 : a - b;
}

static void rows(size_t m, size_t k, const float *a, size_t a_row, uint16_t *out)
{
	for (; k; k = less(k, PARTS_K), a += PARTS_K, out += PARTS_A) {
		const __mmask16 low = first(k), high = first(less(k, HALF));
		for (size_t i = 0; i < m; i++) {
			const float *x = a + i * a_row;
			put_pairs(3, _mm512_maskz_loadu_ps(low, x), _mm512_maskz_loadu_ps(high, x + HALF), TILE,
			          out + i * PARTS_K);
		}
	}
}

/* Half a block of 16 rows, as rows. */
INLINE void half_across(size_t m, size_t k, const float *a, size_t a_col, const int32_t *ks, float out[16][16])
{
	__m512 x[16];

	UNROLL(16)
	for (size_t q = 0; q < 16; q++)
		x[q] = q < k ? _mm512_maskz_loadu_ps(first(m), a + (ks ? (size_t)ks[q] : q) * a_col) :
		               _mm512_setzero_ps();
	transpose_512(x);
	UNROLL(16)
	for (size_t i = 0; i < 16; i++)
		_mm512_store_ps(out[i], x[i]);
}

static void across(size_t m, size_t k, const float *a, size_t a_col, const int32_t *ks, uint16_t *out)
{
	float half[2][16][16] __attribute__((aligned(LINE)));

	for (; k; k = less(k, PARTS_K), out += PARTS_A) {
		half_across(m, k, a, a_col, ks, half[0]);
		half_across(m, less(k, HALF), a + (ks ? 0 : HALF * a_col), a_col, ks ? ks + HALF : NULL, half[1]);
		for (size_t i = 0; i < m; i++)
			put_pairs(3, _mm512_load_ps(half[0][i]), _mm512_load_ps(half[1][i]), TILE, out + i * PARTS_K);
		if (ks)
			ks += PARTS_K;
		else
			a += PARTS_K * a_col;
	}
}

INLINE void block_columns(const int parts, const size_t groups, size_t k, const float *b, size_t step, size_t next,
                          uint16_t *out)
{
	for (size_t q = 0; q < HALF; q++, b += step, out += PARTS_K)
		UNROLL(2)
		for (size_t h = 0; h < groups; h++) {
			__m512 low = q < k ? _mm512_loadu_ps(b + h * next) : _mm512_setzero_ps();
			__m512 high = q + HALF < k ? _mm512_loadu_ps(b + HALF * step + h * next) : _mm512_setzero_ps();
			put_pairs(parts, low, high, 2 * TILE, out + h * TILE);
		}
}

INLINE void columns_of(const int parts, const size_t groups, size_t k, const float *b, size_t step, size_t next,
                       uint16_t *out)
{
	for (; k >= PARTS_K; k -= PARTS_K, b += PARTS_K * step, out += PARTS_B)
		block_columns(parts, groups, PARTS_K, b, step, next, out);
	if (k)
		block_columns(parts, groups, k, b, step, next, out);
}

static void columns(int parts, size_t n, size_t k, const float *b, size_t step, size_t next, uint16_t *out)
{
	UNROLL(4)
	for (int p = 1; p <= PARTS_MOST; p++)
		if (p == parts && n > 16)
			columns_of(p, 2, k, b, step, next, out);
		else if (p == parts)
			columns_of(p, 1, k, b, step, next, out);
}

/* --- products --- */

#define ROWS_OF(p) \
	do { \
		_tile_loadd(4, a + (p) * TILE, LINE); \
		if (two) \
			_tile_loadd(5, a + next + (p) * TILE, LINE); \
	} while (0)
#define COLUMNS_OF(p) \
	do { \
		_tile_loadd(6, b + (p) * 2 * TILE, LINE); \
		_tile_loadd(7, b + ((p) * 2 + 1) * TILE, LINE); \
	} while (0)
#define MULTIPLY() \
	do { \
		_tile_dpbf16ps(0, 4, 6); \
		_tile_dpbf16ps(1, 4, 7); \
		if (two) { \
			_tile_dpbf16ps(2, 5, 6); \
			_tile_dpbf16ps(3, 5, 7); \
		} \
	} while (0)

/* A block: see parts.h for the order. */
INLINE void block(const int parts, const bool two, const uint16_t *a, size_t next, const uint16_t *b)
{
	COLUMNS_OF(parts - 1);
	ROWS_OF(parts > 1 ? 0 : 1);
	if (parts > 2) {
		MULTIPLY();
		COLUMNS_OF(1);
	}
	if (parts > 1) {
		MULTIPLY();
		ROWS_OF(1);
		MULTIPLY();
		COLUMNS_OF(0);
	}
	MULTIPLY();
	ROWS_OF(2);
	MULTIPLY();
	ROWS_OF(0);
	MULTIPLY();
}

/* One tile of rows, or two. */
INLINE void sums(const int parts, const bool two, size_t k, const uint16_t *a, size_t next, const uint16_t *b, float *c,
                 size_t ldc, bool accumulate)
{
	const size_t stride = ldc * sizeof(float);

	/* those of the next strip */
	for (size_t i = 0; two && i < 2 * PARTS_ROWS; i++) {
		_mm_prefetch(c + (i + 2 * PARTS_ROWS) * ldc, _MM_HINT_T0);
		_mm_prefetch(c + (i + 2 * PARTS_ROWS) * ldc + 16, _MM_HINT_T0);
	}
	SETTLED();
	if (accumulate) {
		_tile_loadd(0, c, stride);
		_tile_loadd(1, c + 16, stride);
		if (two) {
			_tile_loadd(2, c + PARTS_ROWS * ldc, stride);
			_tile_loadd(3, c + PARTS_ROWS * ldc + 16, stride);
		}
	} else {
		_tile_zero(0);
		_tile_zero(1);
		_tile_zero(2);
		_tile_zero(3);
	}
	for (; k; k = less(k, PARTS_K), a += PARTS_A, b += PARTS_B)
		block(parts, two, a, next, b);
	_tile_stored(0, c, stride);
	_tile_stored(1, c + 16, stride);
	if (two) {
		_tile_stored(2, c + PARTS_ROWS * ldc, stride);
		_tile_stored(3, c + PARTS_ROWS * ldc + 16, stride);
	}
}

static void sums_any(int parts, bool two, size_t k, const uint16_t *a, size_t next, const uint16_t *b, float *c,
                     size_t ldc, bool accumulate)
{
	UNROLL(4)
	for (int p = 1; p <= PARTS_MOST; p++)
		if (p == parts && two)
			sums(p, true, k, a, next, b, c, ldc, accumulate);
		else if (p == parts)
			sums(p, false, k, a, next, b, c, ldc, accumulate);
}

static void tile(int parts, size_t m, size_t n, size_t k, const uint16_t *a, size_t next, const uint16_t *b, float *c,
                 size_t ldc, bool accumulate)
{
	float some[2 * PARTS_ROWS][PARTS_COLUMNS] __attribute__((aligned(LINE)));
	bool two = m > PARTS_ROWS;

	if (n == PARTS_COLUMNS && m % PARTS_ROWS == 0) {
		sums_any(parts, two, k, a, next, b, c, ldc, accumulate);
		return;
	}
	const __mmask16 left = first(n), right = first(less(n, 16));
	for (size_t i = 0; accumulate && i < m; i++) {
		_mm512_store_ps(some[i], _mm512_maskz_loadu_ps(left, c + i * ldc));
		_mm512_store_ps(some[i] + 16, _mm512_maskz_loadu_ps(right, c + i * ldc + 16));
	}
	sums_any(parts, two, k, a, next, b, some[0], PARTS_COLUMNS, accumulate);
	for (size_t i = 0; i < m; i++) {
		_mm512_mask_storeu_ps(c + i * ldc, left, _mm512_load_ps(some[i]));
		_mm512_mask_storeu_ps(c + i * ldc + 16, right, _mm512_load_ps(some[i] + 16));
	}
}

static const struct part_kernels part_kernels = {
	.begin = begin, .end = end, .rows = rows, .across = across, .columns = columns, .tile = tile
};

void x86_avx512amx_install(struct kernels *k)
{
	k->parts = &part_kernels;
}
#else
void x86_avx512amx_install(struct kernels *k)
{
	(void)k;
}
#endif
