/* x86_avx512vnni: the int8 kernels for AVX-512 with VNNI.
 *
 * vpdpbusd multiplies 4 unsigned by 4 signed bytes a lane and adds to 32 bits without saturation: panels are the
 * unsigned side, a broadcast of four activations the signed one. A block is 8 such steps. A tile is 8 rows: the block's
 * 8 vectors, expanded once, two vectors of scales and 8 sums stay in registers. */
#include "kernel/int8_512.h"

#include <string.h>

enum { ROWS = 8 };

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
	return share_add(t, n, second, w, x, c);
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
