/* int8_256: the int8 product in vectors of 8 columns, two to a panel of 16, for instruction sets of 256 bits.
 *
 * Who includes it defines, before, how many ROWS a tile has, and anywhere block_sums: the integers of one block, the
 * only part in which the sets differ. They are exact, so all tables agree bit for bit. The f32 sums of a tile wait in
 * the nearest cache. */
#include "kernel/kernels.h"

#include <immintrin.h>
#include <string.h>

#include "kernel/q8.h"
#include "kernel/unroll.h"
#include "quant/panels.h"

enum { GROUPS = 8 /* of four numbers in a block */, HALVES = 2 /* vectors of 8 columns */ };

/* n[i][h] = what the block of row i and columns 8h … 8h+7 comes to: Σ u·q, and of Q6_K Σ over both halves of scale·(Σ
 * u·q − 32·Σ q); m ≤ ROWS. */
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

/* Minus 32·scale·Σ q of both halves of a block of Q6_K: what its numbers' zero comes to. */
INLINE __m256i zeros_share(const uint8_t *b, const struct q8_block *x, const size_t h)
{
	__m256i pairs =
		_mm256_blend_epi16(bytes_8(b + 8 * h), _mm256_slli_epi32(bytes_8(b + PANEL_ROWS + 8 * h), 16), 0xaa);

	return _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), _mm256_madd_epi16(pairs, four(x->half, 0))),
	                         5);
}

INLINE __m256 f16_8(const uint8_t *p)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

/* Scale and offset of columns 8h … 8h+7. */
INLINE void scales_of(const enum dtype t, const uint8_t *head, const uint8_t *b, const size_t h, __m256 *d, __m256 *o)
{
	*d = f16_8((panel_has_head(t) ? head : b) + 16 * h);
	if (panel_has_halves(t)) {
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

INLINE void block_add(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *head,
                      const uint8_t *b, float sum[ROWS][PANEL_ROWS])
{
	__m256i n[ROWS][HALVES];

	block_sums(t, m, a, a_ld, b, n);
	UNROLL(2)
	for (size_t h = 0; h < HALVES; h++) {
		__m256 d, o;
		scales_of(t, head, b, h, &d, &o);
		UNROLL(8)
		for (size_t i = 0; i < m; i++) {
			const struct q8_block *x = (const void *)(a + i * a_ld);
			__m256 p = _mm256_mul_ps(_mm256_set1_ps(x->d), _mm256_cvtepi32_ps(n[i][h])),
			       s = _mm256_load_ps(sum[i] + 8 * h);
			s = _mm256_fmadd_ps(d, p, s);
			_mm256_store_ps(sum[i] + 8 * h,
			                panel_has_halves(t) ? s : _mm256_fmadd_ps(o, _mm256_set1_ps(x->s), s));
		}
	}
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

Q8_TILE(tiles)
