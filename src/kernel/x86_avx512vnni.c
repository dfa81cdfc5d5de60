/* x86_avx512vnni: the int8 kernels for AVX-512 with VNNI.
 *
 * vpdpbusd multiplies 4 unsigned by 4 signed bytes a lane and adds to 32 bits without saturation: panels are the
 * unsigned side, a broadcast of four activations the signed one. A block is 8 such steps. A tile is 8 rows: the block's
 * 8 vectors, expanded once, two vectors of scales and 8 sums stay in registers. */
#include "kernel/kernels.h"

#include <immintrin.h>
#include <string.h>

#include "kernel/q8.h"
#include "kernel/unroll.h"
#include "quant/panels.h"

enum { ROWS = 8, GROUPS = 8 };

INLINE __m512 f16_16(const uint8_t *p)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

/* The fifth bits of group g at bit 4 of its bytes. */
INLINE __m512i fifth(__m512i h, const unsigned g)
{
	__m512i x = g < 4 ? _mm512_slli_epi32(h, 4 - g) : _mm512_srli_epi32(h, g - 4);

	return _mm512_and_si512(x, _mm512_set1_epi8(16));
}

/* The fifth and sixth bits of group g at bits 4 and 5 of its bytes. */
INLINE __m512i sixth(const uint8_t *h, const unsigned g)
{
	__m512i x = _mm512_loadu_si512(h + 64 * (g / 4));

	x = g % 4 < 3 ? _mm512_slli_epi32(x, 4 - 2 * (g % 4)) : _mm512_srli_epi32(x, 2);
	return _mm512_and_si512(x, _mm512_set1_epi8(48));
}

INLINE void expand(const enum dtype t, const uint8_t *b, __m512i u[GROUPS])
{
	const uint8_t *q = b + panel_q_at(t);
	__m512i low = _mm512_set1_epi8(15);

	UNROLL(8)
	for (unsigned g = 0; g < GROUPS; g++) {
		if (panel_is_byte(t)) {
			u[g] = _mm512_loadu_si512(q + 64 * g);
			continue;
		}
		__m512i x = _mm512_loadu_si512(q + 64 * (g % 4));
		u[g] = _mm512_and_si512(g < 4 ? x : _mm512_srli_epi32(x, 4), low);
		if (panel_has_fifth(t))
			u[g] = _mm512_or_si512(u[g], fifth(_mm512_loadu_si512(b + panel_h_at(t)), g));
		if (panel_has_pairs(t))
			u[g] = _mm512_or_si512(u[g], sixth(b + panel_h_at(t), g));
	}
}

/* Four bytes of activations (or their two sums) to every lane. */
INLINE __m512i four(const void *a, size_t g) { return _mm512_set1_epi32(q8_four(a, g)); }

INLINE __m512i bytes_16(const uint8_t *p)
{
	return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
}

/* What a block's 16 columns have beside their numbers: number = d·u + m; with halves d·scale·(u − zero), pairs:
 * both scales in 16 bits, mins: both minima. */
struct scales {
	__m512 d, m;
	__m512i scale[2], pairs, mins;
};

/* Two numbers of each column, which stand in bytes, side by side. */
INLINE __m512i pairs_of(const uint8_t *b)
{
	return _mm512_mask_blend_epi16(0xaaaaaaaa, bytes_16(b), _mm512_slli_epi32(bytes_16(b + PANEL_ROWS), 16));
}

INLINE struct scales scales_of(const enum dtype t, const uint8_t *head, const uint8_t *b)
{
	struct scales s = { .d = panel_is_wide(t) ? _mm512_loadu_ps(head) : f16_16(panel_has_head(t) ? head : b) };

	if (panel_has_halves(t)) {
		s.scale[0] = bytes_16(b);
		s.scale[1] = bytes_16(b + PANEL_ROWS);
		s.pairs = pairs_of(b);
		if (panel_has_half_mins(t)) {
			s.mins = pairs_of(b + 2 * PANEL_ROWS);
			s.m = _mm512_mul_ps(_mm512_set1_ps(-1), f16_16(head + 2 * PANEL_ROWS));
		}
	} else if (panel_has_head(t)) {
		s.d = _mm512_mul_ps(s.d, _mm512_cvtepi32_ps(bytes_16(b)));
		s.m = _mm512_mul_ps(f16_16(head + 2 * PANEL_ROWS), _mm512_cvtepi32_ps(bytes_16(b + PANEL_ROWS)));
		s.m = _mm512_mul_ps(_mm512_set1_ps(-1), s.m);
	} else {
		s.m = panel_has_min(t) ? f16_16(b + 2 * PANEL_ROWS) :
		                         _mm512_mul_ps(_mm512_set1_ps(-panel_zero(t)), s.d);
	}
	return s;
}

/* c and the block's share: groups 0 … 3 are the first half. */
INLINE __m512 block_add(const enum dtype t, const __m512i u[GROUPS], const struct scales *w, const struct q8_block *x,
                        __m512 c)
{
	__m512i n = _mm512_setzero_si512(), second = n;

	UNROLL(8)
	for (size_t g = 0; g < GROUPS; g++)
		if (panel_has_halves(t) && g >= GROUPS / 2)
			second = _mm512_dpbusd_epi32(second, u[g], four(x->q, g));
		else
			n = _mm512_dpbusd_epi32(n, u[g], four(x->q, g));
	if (panel_has_halves(t)) {
		__m512i zero = _mm512_slli_epi32(_mm512_madd_epi16(w->pairs, four(x->half, 0)),
		                                 panel_is_byte(t) ? 7 : 5);
		n = _mm512_add_epi32(_mm512_mullo_epi32(w->scale[0], n), _mm512_mullo_epi32(w->scale[1], second));
		if (panel_zero(t) != 0)
			n = _mm512_sub_epi32(n, zero);
	}
	c = _mm512_fmadd_ps(w->d, _mm512_mul_ps(_mm512_set1_ps(x->d), _mm512_cvtepi32_ps(n)), c);
	if (panel_has_half_mins(t)) {
		__m512 least = _mm512_cvtepi32_ps(_mm512_madd_epi16(w->mins, four(x->half, 0)));
		return _mm512_fmadd_ps(w->m, _mm512_mul_ps(_mm512_set1_ps(x->d), least), c);
	}
	return panel_has_halves(t) ? c : _mm512_fmadd_ps(w->m, _mm512_set1_ps(x->s), c);
}

INLINE void tile(const enum dtype t, const size_t m, __mmask16 columns, size_t blocks, const uint8_t *a, size_t a_ld,
                 const uint8_t *panel, float *c, size_t ldc)
{
	__m512 sum[ROWS];

	UNROLL(8)
	for (size_t i = 0; i < m; i++)
		sum[i] = _mm512_setzero_ps();
	for (size_t j = 0; j < blocks; j++, a += KERNEL_Q8_BYTES) {
		const uint8_t *b = panel + panel_block_at(t, j);
		__m512i u[GROUPS];
		expand(t, b, u);
		struct scales w = scales_of(t, panel + panel_head_at(t, j), b);
		UNROLL(8)
		for (size_t i = 0; i < m; i++)
			sum[i] = block_add(t, u, &w, (const void *)(a + i * a_ld), sum[i]);
	}
	UNROLL(8)
	for (size_t i = 0; i < m; i++)
		_mm512_mask_storeu_ps(c + i * ldc, columns, sum[i]);
}

INLINE void tiles(const enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const uint8_t *b,
                  float *c, size_t ldc)
{
	__mmask16 columns = (__mmask16)((1u << n) - 1);

	for (; m >= ROWS; m -= ROWS, a += ROWS * a_ld, c += ROWS * ldc)
		tile(t, ROWS, columns, k / PANEL_BLOCK, a, a_ld, b, c, ldc);
	UNROLL(8)
	for (size_t i = 1; i < ROWS; i++)
		if (m == i)
			tile(t, i, columns, k / PANEL_BLOCK, a, a_ld, b, c, ldc);
}

Q8_TILE(tiles)

/* In bytes, because those of a block with a NaN sum to 0 and dwords would overflow. */
INLINE int16_t sum_of_bytes(__m128i a)
{
	__m128i s = _mm_sad_epu8(_mm_xor_si128(a, _mm_set1_epi8(-128)), _mm_setzero_si128());

	return (int16_t)(_mm_cvtsi128_si64(s) + _mm_extract_epi64(s, 1) - 128 * 16);
}

static void q8_row(const float *x, size_t n, uint8_t *out)
{
	__m512i magnitude = _mm512_set1_epi32(0x7fffffff);

	for (size_t at = 0; at < n; at += PANEL_BLOCK, out += KERNEL_Q8_BYTES) {
		struct q8_block *b = (void *)out;
		__m512 v0 = _mm512_loadu_ps(x + at), v1 = _mm512_loadu_ps(x + at + 16);
		unsigned bits =
			_mm512_reduce_max_epu32(_mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(v0), magnitude),
		                                                 _mm512_and_si512(_mm512_castps_si512(v1), magnitude)));
		float most;
		memcpy(&most, &bits, sizeof(most));
		if (most < Q8_NOTHING) {
			memset(b, 0, sizeof(*b));
			continue;
		}
		__m512 inverse = _mm512_set1_ps(127 / most);
		__m128i q0 = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(v0, inverse)));
		__m128i q1 = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(v1, inverse)));
		_mm_storeu_si128((__m128i *)b->q, q0);
		_mm_storeu_si128((__m128i *)(b->q + 16), q1);
		b->d = most / 127;
		b->half[0] = sum_of_bytes(q0);
		b->half[1] = sum_of_bytes(q1);
		b->s = b->d * (float)(b->half[0] + b->half[1]);
	}
}

void x86_avx512vnni_install(struct kernels *k)
{
	k->q8_row = q8_row;
	k->q8_tile = q8_tile;
}
