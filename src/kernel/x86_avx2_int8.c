/* x86_avx2_int8: the int8 kernels for AVX2 without VNNI.
 *
 * vpmaddubsw multiplies u8 by s8 and adds pairs in 16 bits with saturation, so the unsigned side is taken by halves of a byte: u = low + 16·high.
 * Either half is at most 15 and an activation at most 127 in magnitude: the 16 products that a lane collects over a block stay within
 * 16·15·127 = 30,480 < 2¹⁵, and only then are they widened. 4-bit numbers need the low half alone, which is why they are the fastest.
 *
 * A tile is 4 rows × 16 columns: 8 sums of 16 bits; the f32 sums of a tile wait in the nearest cache. */
#include "kernel/kernels.h"

#include <immintrin.h>
#include <string.h>

#include "kernel/q8.h"
#include "kernel/unroll.h"
#include "quant/panels.h"

#define PIN(v) __asm__("" : "+x"(v))

enum { ROWS = 4, GROUPS = 8, HALVES = 2 /* vectors of 8 columns */ };

INLINE __m256i load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

/* The low (or high) four bits of the bytes of group g, columns 8h … 8h+7. */
INLINE __m256i half_byte(const enum dtype t, const uint8_t *b, const unsigned g, const size_t h, const bool high)
{
	const uint8_t *q = b + panel_q_at(t) + 32 * h;
	__m256i four = _mm256_set1_epi8(15), one = _mm256_set1_epi8(1);

	if (panel_is_byte(t))
		return _mm256_and_si256(high ? _mm256_srli_epi32(load(q + 64 * g), 4) : load(q + 64 * g), four);
	if (high)
		return _mm256_and_si256(_mm256_srli_epi32(load(b + panel_h_at(t) + 32 * h), (int)g), one);
	__m256i x = load(q + 64 * (g % 4));
	return _mm256_and_si256(g < 4 ? x : _mm256_srli_epi32(x, 4), four);
}

/* n[i][h] = Σ over the block of the half bytes times activations. */
INLINE void block_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b, const bool high, __m256i n[ROWS][HALVES])
{
	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		n[i][0] = n[i][1] = _mm256_setzero_si256();
	UNROLL(8)
	for (unsigned g = 0; g < GROUPS; g++) {
		__m256i u0 = half_byte(t, b, g, 0, high), u1 = half_byte(t, b, g, 1, high);
		UNROLL(4)
		for (size_t i = 0; i < m; i++) {
			int x;
			memcpy(&x, ((const struct q8_block *)(const void *)(a + i * a_ld))->q + 4 * g, sizeof(x));
			__m256i y = _mm256_set1_epi32(x);
			n[i][0] = _mm256_add_epi16(n[i][0], _mm256_maddubs_epi16(u0, y));
			n[i][1] = _mm256_add_epi16(n[i][1], _mm256_maddubs_epi16(u1, y));
		}
		/* Without this the compiler keeps some of the sums in memory. */
		UNROLL(4)
		for (size_t i = 0; i < m; i++) {
			PIN(n[i][0]);
			PIN(n[i][1]);
		}
	}
	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		UNROLL(2)
		for (size_t h = 0; h < HALVES; h++)
			n[i][h] = _mm256_madd_epi16(n[i][h], _mm256_set1_epi16(1));
}

INLINE void block_add(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b, float sum[ROWS][PANEL_ROWS])
{
	__m256i n[ROWS][HALVES], high[ROWS][HALVES];
	const bool both = panel_is_byte(t) || panel_has_fifth(t);

	block_sums(t, m, a, a_ld, b, false, n);
	if (both)
		block_sums(t, m, a, a_ld, b, true, high);
	UNROLL(2)
	for (size_t h = 0; h < HALVES; h++) {
		__m256 d = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(b + 16 * h)));
		__m256 o = panel_has_min(t) ? _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(b + 32 + 16 * h))) : _mm256_mul_ps(_mm256_set1_ps(-panel_zero(t)), d);
		UNROLL(4)
		for (size_t i = 0; i < m; i++) {
			const struct q8_block *x = (const void *)(a + i * a_ld);
			__m256i whole = both ? _mm256_add_epi32(n[i][h], _mm256_slli_epi32(high[i][h], 4)) : n[i][h];
			__m256 p = _mm256_mul_ps(_mm256_set1_ps(x->d), _mm256_cvtepi32_ps(whole)), s = _mm256_load_ps(sum[i] + 8 * h);
			_mm256_store_ps(sum[i] + 8 * h, _mm256_fmadd_ps(o, _mm256_set1_ps(x->s), _mm256_fmadd_ps(d, p, s)));
		}
	}
}

INLINE void tile(const enum dtype t, const size_t m, size_t n, size_t blocks, const uint8_t *a, size_t a_ld, const uint8_t *b, float *c, size_t ldc)
{
	_Alignas(32) float sum[ROWS][PANEL_ROWS] = { 0 };

	for (; blocks; blocks--, a += KERNEL_Q8_BYTES, b += panel_block_bytes(t))
		block_add(t, m, a, a_ld, b, sum);
	for (size_t i = 0; i < m; i++)
		memcpy(c + i * ldc, sum[i], n * sizeof(float));
}

INLINE void tiles(const enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const uint8_t *b, float *c, size_t ldc)
{
	for (; m >= ROWS; m -= ROWS, a += ROWS * a_ld, c += ROWS * ldc)
		tile(t, ROWS, n, k / PANEL_BLOCK, a, a_ld, b, c, ldc);
	UNROLL(4)
	for (size_t i = 1; i < ROWS; i++)
		if (m == i)
			tile(t, i, n, k / PANEL_BLOCK, a, a_ld, b, c, ldc);
}

static void q8_tile(enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const void *panel, float *c, size_t ldc)
{
	switch (t) {
	case DTYPE_Q4_0: tiles(DTYPE_Q4_0, m, n, k, a, a_ld, panel, c, ldc); break;
	case DTYPE_Q4_1: tiles(DTYPE_Q4_1, m, n, k, a, a_ld, panel, c, ldc); break;
	case DTYPE_Q5_0: tiles(DTYPE_Q5_0, m, n, k, a, a_ld, panel, c, ldc); break;
	case DTYPE_Q5_1: tiles(DTYPE_Q5_1, m, n, k, a, a_ld, panel, c, ldc); break;
	case DTYPE_Q8_0: tiles(DTYPE_Q8_0, m, n, k, a, a_ld, panel, c, ldc); break;
	default: BUG("no int8 product with dtype %d", (int)t);
	}
}

/* --- activations --- */

INLINE __m256i by_halves(__m256i v, bool max)
{
	__m256i w = _mm256_permute2x128_si256(v, v, 1);

	v = max ? _mm256_max_epu32(v, w) : _mm256_add_epi32(v, w);
	w = _mm256_shuffle_epi32(v, 0x4e);
	v = max ? _mm256_max_epu32(v, w) : _mm256_add_epi32(v, w);
	w = _mm256_shuffle_epi32(v, 0xb1);
	return max ? _mm256_max_epu32(v, w) : _mm256_add_epi32(v, w);
}

INLINE float largest(const __m256 v[4])
{
	__m256i magnitude = _mm256_set1_epi32(0x7fffffff), m = _mm256_setzero_si256();

	UNROLL(4)
	for (int i = 0; i < 4; i++)
		m = _mm256_max_epu32(m, _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude));
	return _mm256_cvtss_f32(_mm256_castsi256_ps(by_halves(m, true)));
}

static void q8_row(const float *x, size_t n, uint8_t *out)
{
	for (size_t at = 0; at < n; at += PANEL_BLOCK, out += KERNEL_Q8_BYTES) {
		struct q8_block *b = (void *)out;
		__m256 v[4];
		__m256i q[4];
		UNROLL(4)
		for (size_t i = 0; i < 4; i++)
			v[i] = _mm256_loadu_ps(x + at + 8 * i);
		float most = largest(v);
		if (most < Q8_NOTHING) {
			memset(b, 0, sizeof(*b));
			continue;
		}
		__m256 inverse = _mm256_set1_ps(127 / most);
		UNROLL(4)
		for (int i = 0; i < 4; i++)
			q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
		/* Packing works within halves of the vector; the dwords are put in order afterwards. */
		__m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
		_mm256_storeu_si256((__m256i *)b->q, _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
		__m256i all = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
		b->d = most / 127;
		b->s = b->d * (float)_mm256_cvtsi256_si32(by_halves(all, false));
	}
}

void x86_avx2_int8_install(struct kernels *k)
{
	k->q8_row = q8_row;
	k->q8_tile = q8_tile;
}
