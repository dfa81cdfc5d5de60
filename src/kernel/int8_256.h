/* int8_256: the int8 product in vectors of 8 columns, two to a panel of 16, for instruction sets of 256 bits.
 *
 * Who includes it defines, before, how many ROWS a tile has, and anywhere block_sums: the integers of one block, in
 * which the sets differ. They are exact, so all tables agree bit for bit. The f32 sums of a tile wait in the nearest
 * cache. `tiles` is a whole product, for Q8_TILE. */
#include "kernel/kernels.h"

#include <immintrin.h>
#include <string.h>

#include "kernel/q8.h"
#include "kernel/unroll.h"
#include "quant/panels.h"

enum { GROUPS = 8 /* of four numbers in a block */, HALVES = 2 /* vectors of 8 columns */ };

/* n[i][h] = what the block of row i and columns 8h … 8h+7 comes to: Σ u·q, and of forms with halves Σ over both of
 * scale·(Σ u·q − zero·Σ q); m ≤ ROWS. */
INLINE void block_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b,
                       __m256i n[ROWS][HALVES]);

INLINE __m256i load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

/* Four bytes of activations (or their two sums) to every lane. */
INLINE __m256i four(const void *a, size_t g) { return _mm256_set1_epi32(q8_four(a, g)); }

INLINE __m256i bytes_8(const uint8_t *p)
{
	return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

/* The numbers of group g, columns 8h … 8h+7, as unsigned bytes. */
INLINE __m256i numbers(const enum dtype t, const uint8_t *b, const unsigned g, const size_t h)
{
	const uint8_t *q = b + panel_q_at(t) + 32 * h, *above = b + panel_h_at(t) + 32 * h;

	if (panel_is_byte(t))
		return load(q + 64 * g);
	__m256i x = load(q + 64 * (g % 4)), bits;
	x = _mm256_and_si256(g < 4 ? x : _mm256_srli_epi32(x, 4), _mm256_set1_epi8(15));
	if (panel_has_fifth(t)) {
		bits = g < 4 ? _mm256_slli_epi32(load(above), 4 - (int)g) : _mm256_srli_epi32(load(above), (int)g - 4);
		return _mm256_or_si256(x, _mm256_and_si256(bits, _mm256_set1_epi8(16)));
	}
	if (panel_has_pairs(t)) {
		bits = load(above + 64 * (g / 4));
		bits = g % 4 < 3 ? _mm256_slli_epi32(bits, 4 - 2 * (int)(g % 4)) : _mm256_srli_epi32(bits, 2);
		return _mm256_or_si256(x, _mm256_and_si256(bits, _mm256_set1_epi8(48)));
	}
	return x;
}

/* The signed scales of both halves of a block, side by side in a column's dword. */
INLINE __m256i scale_pairs(const uint8_t *b, const size_t h)
{
	return _mm256_blend_epi16(bytes_8(b + 8 * h), _mm256_slli_epi32(bytes_8(b + PANEL_ROWS + 8 * h), 16), 0xaa);
}

/* The minima of both halves of a block of Q2_K, as scale_pairs. */
INLINE __m256i min_pairs(const enum dtype t, const uint8_t *b, const size_t h)
{
	return panel_has_half_mins(t) ? scale_pairs(b + 2 * PANEL_ROWS, h) : _mm256_setzero_si256();
}

/* Minus zero·scale·Σ q of both halves of a block: what its numbers' zero (32 or 128) comes to. */
INLINE __m256i zeros_share(const enum dtype t, const uint8_t *b, const struct q8_block *x, const size_t h)
{
	if (panel_zero(t) == 0)
		return _mm256_setzero_si256();
	__m256i sums = _mm256_madd_epi16(scale_pairs(b, h), four(x->half, 0));

	return _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), sums), panel_is_byte(t) ? 7 : 5);
}

INLINE __m256 f16_8(const uint8_t *p)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

/* Scale and offset of columns 8h … 8h+7. */
INLINE void scales_of(const enum dtype t, const uint8_t *head, const uint8_t *b, const size_t h, __m256 *d, __m256 *o)
{
	*d = panel_is_wide(t) ? _mm256_loadu_ps((const float *)head + 8 * h) :
	                        f16_8((panel_has_head(t) ? head : b) + 16 * h);
	if (panel_has_half_mins(t)) {
		*o = _mm256_mul_ps(_mm256_set1_ps(-1), f16_8(head + 2 * PANEL_ROWS + 16 * h));
	} else if (panel_has_halves(t)) {
		*o = _mm256_setzero_ps();
	} else if (panel_has_head(t)) {
		*d = _mm256_mul_ps(*d, _mm256_cvtepi32_ps(bytes_8(b + 8 * h)));
		*o = _mm256_mul_ps(f16_8(head + 2 * PANEL_ROWS + 16 * h),
		                   _mm256_cvtepi32_ps(bytes_8(b + PANEL_ROWS + 8 * h)));
		*o = _mm256_mul_ps(_mm256_set1_ps(-1), *o);
	} else {
		*o = panel_has_min(t) ? f16_8(b + 2 * PANEL_ROWS + 16 * h) :
		                        _mm256_mul_ps(_mm256_set1_ps(-panel_zero(t)), *d);
	}
}

/* sum += o·s + d·(x's scale)·n, in the order that kernels.h gives; of Q2_K with Σ min·half in the place of Σ q */
INLINE void add_scaled(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const __m256i n[ROWS][HALVES],
                       const __m256 d[HALVES], const __m256 o[HALVES], const __m256i mins[HALVES],
                       float sum[ROWS][PANEL_ROWS])
{
	UNROLL(8)
	for (size_t i = 0; i < m; i++) {
		const struct q8_block *x = (const void *)(a + i * a_ld);
		__m256 by = _mm256_set1_ps(x->d), s = _mm256_set1_ps(x->s);
		UNROLL(2)
		for (size_t h = 0; h < HALVES; h++) {
			__m256 c = _mm256_load_ps(sum[i] + 8 * h);
			c = _mm256_fmadd_ps(d[h], _mm256_mul_ps(by, _mm256_cvtepi32_ps(n[i][h])), c);
			if (panel_has_half_mins(t)) {
				__m256i least = _mm256_madd_epi16(mins[h], four(x->half, 0));
				c = _mm256_fmadd_ps(o[h], _mm256_mul_ps(by, _mm256_cvtepi32_ps(least)), c);
			} else if (!panel_has_halves(t)) {
				c = _mm256_fmadd_ps(o[h], s, c);
			}
			_mm256_store_ps(sum[i] + 8 * h, c);
		}
	}
}

INLINE void block_add(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *head,
                      const uint8_t *b, float sum[ROWS][PANEL_ROWS])
{
	__m256i n[ROWS][HALVES];
	__m256i mins[HALVES] = { min_pairs(t, b, 0), min_pairs(t, b, 1) };
	__m256 d[HALVES], o[HALVES];

	block_sums(t, m, a, a_ld, b, n);
	UNROLL(2)
	for (size_t h = 0; h < HALVES; h++)
		scales_of(t, head, b, h, &d[h], &o[h]);
	add_scaled(t, m, a, a_ld, n, d, o, mins, sum);
}

INLINE void tile(const enum dtype t, const size_t m, size_t n, size_t blocks, const uint8_t *a, size_t a_ld,
                 const uint8_t *panel, float *c, size_t ldc)
{
	_Alignas(32) float sum[ROWS][PANEL_ROWS] = { 0 };

	for (size_t j = 0; j < blocks; j++, a += KERNEL_Q8_BYTES)
		block_add(t, m, a, a_ld, panel + panel_head_at(t, j), panel + panel_block_at(t, j), sum);
	for (size_t i = 0; i < m; i++)
		memcpy(c + i * ldc, sum[i], n * sizeof(float));
}

INLINE void tiles(const enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const uint8_t *b,
                  float *c, size_t ldc)
{
	for (; m >= ROWS; m -= ROWS, a += ROWS * a_ld, c += ROWS * ldc)
		tile(t, ROWS, n, k / PANEL_BLOCK, a, a_ld, b, c, ldc);
	UNROLL(8)
	for (size_t i = 1; i < ROWS; i++)
		if (m == i)
			tile(t, i, n, k / PANEL_BLOCK, a, a_ld, b, c, ldc);
}
