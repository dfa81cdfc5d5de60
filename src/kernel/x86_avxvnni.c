/* x86_avxvnni: the int8 product for AVX2 with VNNI in 256 bits, which processors without AVX-512 have too.
 *
 * vpdpbusd multiplies 4 unsigned by 4 signed bytes a lane and adds to 32 bits without saturation, so no byte is taken
 * by halves: half to a quarter of what AVX2 alone takes. A tile is 6 rows × 16 columns: 12 sums, two vectors of
 * weights, one of activations. */
enum { ROWS = 6 };

#include "kernel/int8_256.h"

/* n[i][h] = Σ u·q over the groups from … to−1. */
INLINE void group_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b,
                       const unsigned from, const unsigned to, __m256i n[ROWS][HALVES])
{
	UNROLL(8)
	for (size_t i = 0; i < m; i++)
		n[i][0] = n[i][1] = _mm256_setzero_si256();
	UNROLL(8)
	for (unsigned g = from; g < to; g++) {
		__m256i u0 = numbers(t, b, g, 0), u1 = numbers(t, b, g, 1);
		UNROLL(8)
		for (size_t i = 0; i < m; i++) {
			__m256i y = four(((const struct q8_block *)(const void *)(a + i * a_ld))->q, g);
			n[i][0] = _mm256_dpbusd_avx_epi32(n[i][0], u0, y);
			n[i][1] = _mm256_dpbusd_avx_epi32(n[i][1], u1, y);
		}
	}
}

INLINE void block_sums(const enum dtype t, const size_t m, const uint8_t *a, size_t a_ld, const uint8_t *b,
                       __m256i n[ROWS][HALVES])
{
	__m256i part[ROWS][HALVES];

	if (!panel_has_halves(t)) {
		group_sums(t, m, a, a_ld, b, 0, GROUPS, n);
		return;
	}
	UNROLL(2)
	for (unsigned half = 0; half < 2; half++) {
		group_sums(t, m, a, a_ld, b, half * GROUPS / 2, (half + 1) * GROUPS / 2, part);
		UNROLL(2)
		for (size_t h = 0; h < HALVES; h++) {
			__m256i scale = bytes_8(b + half * PANEL_ROWS + 8 * h);
			UNROLL(8)
			for (size_t i = 0; i < m; i++) {
				__m256i so_far = half ? n[i][h] : zeros_share(t, b, (const void *)(a + i * a_ld), h);
				n[i][h] = _mm256_add_epi32(so_far, _mm256_mullo_epi32(part[i][h], scale));
			}
		}
	}
}

Q8_TILE(tiles)

void x86_avxvnni_install(struct kernels *k)
{
	k->q8_tile = q8_tile;
}
