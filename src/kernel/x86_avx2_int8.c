/* x86_avx2_int8: the int8 kernels for AVX2 without VNNI.
 *
 * vpmaddubsw multiplies u8 by s8 and adds pairs in 16 bits with saturation, so the unsigned side is taken by halves of
 * a byte: u = low + 16·high. Either half is at most 15 and an activation at most 127 in magnitude: the 16 products that
 * a lane collects over a block stay within 16·15·127 = 30,480 < 2¹⁵, and only then are they widened. 4-bit numbers need
 * the low half alone, which is why they are the fastest. Q6_K's sums are of half a block, 8·15·127, and its scales (16
 * times them, of the high half: |16·scale| ≤ 2,048) widen them.
 *
 * A tile is 4 rows × 16 columns: 8 sums of 16 bits. */
enum { ROWS = 4 };

#include "kernel/int8_256.h"

#define PIN(v) __asm__("" : "+x"(v))

/* The low four bits (or what is above them) of the bytes of group g, columns 8h … 8h+7. */
INLINE __m256i half_byte(const enum dtype t, const uint8_t *b, const unsigned g, const size_t h, const bool high)
{
	const uint8_t *q = b + panel_q_at(t) + 32 * h, *above = b + panel_h_at(t) + 32 * h;
	__m256i low = _mm256_set1_epi8(15), one = _mm256_set1_epi8(1), three = _mm256_set1_epi8(3);

	if (panel_is_byte(t))
		return _mm256_and_si256(high ? _mm256_srli_epi32(load(q + 64 * g), 4) : load(q + 64 * g), low);
	if (high && panel_has_halves(t))
		return _mm256_and_si256(_mm256_srli_epi32(load(above + 64 * (g / 4)), (int)(g % 4 * 2)), three);
	if (high)
		return _mm256_and_si256(_mm256_srli_epi32(load(above), (int)g), one);
	__m256i x = load(q + 64 * (g % 4));
	return _mm256_and_si256(g < 4 ? x : _mm256_srli_epi32(x, 4), low);
}

/* n[i][h] = Σ over groups from … to−1 of the half bytes times activations, in 16 bits: the dword of a column holds two
 * parts of it. */
INLINE void group_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b,
                       const unsigned from, const unsigned to, const bool high, __m256i n[ROWS][HALVES])
{
	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		n[i][0] = n[i][1] = _mm256_setzero_si256();
	UNROLL(8)
	for (unsigned g = from; g < to; g++) {
		__m256i u0 = half_byte(t, b, g, 0, high), u1 = half_byte(t, b, g, 1, high);
		UNROLL(4)
		for (size_t i = 0; i < m; i++) {
			__m256i y = four(((const struct q8_block *)(const void *)(a + i * a_ld))->q, g);
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
}

/* n[i][h] = Σ u·q of the block. */
INLINE void whole_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b,
                       __m256i n[ROWS][HALVES])
{
	__m256i high[ROWS][HALVES], one = _mm256_set1_epi16(1), sixteen = _mm256_set1_epi16(16);
	const bool both = panel_is_byte(t) || panel_has_fifth(t);

	group_sums(t, m, a, a_ld, b, 0, GROUPS, false, n);
	if (both)
		group_sums(t, m, a, a_ld, b, 0, GROUPS, true, high);
	UNROLL(4)
	for (size_t i = 0; i < m; i++)
		UNROLL(2)
		for (size_t h = 0; h < HALVES; h++) {
			n[i][h] = _mm256_madd_epi16(n[i][h], one);
			if (both)
				n[i][h] = _mm256_add_epi32(n[i][h], _mm256_madd_epi16(high[i][h], sixteen));
		}
}

/* The same 16 bits twice in each dword. */
INLINE __m256i twice(__m256i x)
{
	return _mm256_blend_epi16(x, _mm256_slli_epi32(x, 16), 0xaa);
}

/* n[i][h] = Σ over both halves of the block of scale·(Σ u·q − 32·Σ q): the scales are what widens the sums. Q6_K. */
INLINE void scaled_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b,
                        __m256i n[ROWS][HALVES])
{
	__m256i part[ROWS][HALVES];

	UNROLL(2)
	for (size_t h = 0; h < HALVES; h++)
		UNROLL(4)
		for (size_t i = 0; i < m; i++)
			n[i][h] = zeros_share(b, (const void *)(a + i * a_ld), h);
	UNROLL(4)
	for (unsigned s = 0; s < 4; s++) {
		const unsigned half = s / 2, high = s % 2;
		group_sums(t, m, a, a_ld, b, half * GROUPS / 2, (half + 1) * GROUPS / 2, high, part);
		UNROLL(2)
		for (size_t h = 0; h < HALVES; h++) {
			__m256i scale = twice(bytes_8(b + half * PANEL_ROWS + 8 * h));
			scale = high ? _mm256_slli_epi16(scale, 4) : scale;
			UNROLL(4)
			for (size_t i = 0; i < m; i++)
				n[i][h] = _mm256_add_epi32(n[i][h], _mm256_madd_epi16(part[i][h], scale));
		}
	}
}

INLINE void block_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b,
                       __m256i n[ROWS][HALVES])
{
	if (panel_has_halves(t))
		scaled_sums(t, m, a, a_ld, b, n);
	else
		whole_sums(t, m, a, a_ld, b, n);
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
		_mm256_storeu_si256((__m256i *)b->q,
		                    _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
		b->d = most / 127;
		UNROLL(2)
		for (int i = 0; i < 2; i++)
			b->half[i] = (int16_t)_mm256_cvtsi256_si32(
				by_halves(_mm256_add_epi32(q[2 * i], q[2 * i + 1]), false));
		b->s = b->d * (float)(b->half[0] + b->half[1]);
	}
}

void x86_avx2_int8_install(struct kernels *k)
{
	k->q8_row = q8_row;
	k->q8_tile = q8_tile;
}
