/* int8_512: the int8 product in vectors of 16 columns, a panel's width, for instruction sets of 512 bits.
 *
 * The sets differ in how they come to a block's integers, which are exact; what is made of them is one text, so all
 * tables agree bit for bit. */
#include "kernel/kernels.h"

#include <immintrin.h>

#include "kernel/q8.h"
#include "kernel/unroll.h"
#include "quant/panels.h"

enum { GROUPS = 8 /* of four numbers in a block */ };

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

/* c and the share of a block whose integers are n, or of forms with halves n of the first and `second` of the other. */
INLINE __m512 share_add(const enum dtype t, __m512i n, __m512i second, const struct scales *w, const struct q8_block *x,
                        __m512 c)
{
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
