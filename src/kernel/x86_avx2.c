/* x86_avx2: the table for AVX2, FMA and F16C. */
#include "kernel/kernels.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

enum { MR = 6, NR = 16, LANES = 8 };

/* Lanes 0 … n−1, n ≤ 8. */
INLINE __m256i mask_of(size_t n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE void tile(const size_t M, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, float *c, size_t ldc,
                 bool accumulate)
{
	__m256 s[MR][2];
	const float *p[2] = { a, a + 3 * a_row };
	__m256i low = mask_of(n), high = mask_of(n > LANES ? n - LANES : 0);

#pragma GCC unroll 6
	for (size_t i = 0; i < M; i++) {
		s[i][0] = accumulate ? _mm256_maskload_ps(c + i * ldc, low) : _mm256_setzero_ps();
		s[i][1] = accumulate ? _mm256_maskload_ps(c + i * ldc + LANES, high) : _mm256_setzero_ps();
	}
	for (; k; k--, b += NR) {
		__m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + LANES);
#pragma GCC unroll 6
		for (size_t i = 0; i < M; i++) {
			__m256 x = _mm256_broadcast_ss(p[i / 3] + i % 3 * a_row);
			s[i][0] = _mm256_fmadd_ps(x, b0, s[i][0]);
			s[i][1] = _mm256_fmadd_ps(x, b1, s[i][1]);
		}
#pragma GCC unroll 6
		for (size_t i = 0; i < M; i++)
			__asm__("" : "+x"(s[i][0]), "+x"(s[i][1]));
		p[0] += a_col;
		p[1] += a_col;
	}
#pragma GCC unroll 6
	for (size_t i = 0; i < M; i++) {
		_mm256_maskstore_ps(c + i * ldc, low, s[i][0]);
		_mm256_maskstore_ps(c + i * ldc + LANES, high, s[i][1]);
	}
}

static void gemm_tile(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, float *c, size_t ldc,
                      bool accumulate)
{
	switch (m) {
	case 1: tile(1, n, k, a, a_row, a_col, b, c, ldc, accumulate); break;
	case 2: tile(2, n, k, a, a_row, a_col, b, c, ldc, accumulate); break;
	case 3: tile(3, n, k, a, a_row, a_col, b, c, ldc, accumulate); break;
	case 4: tile(4, n, k, a, a_row, a_col, b, c, ldc, accumulate); break;
	case 5: tile(5, n, k, a, a_row, a_col, b, c, ldc, accumulate); break;
	case 6: tile(6, n, k, a, a_row, a_col, b, c, ldc, accumulate); break;
	}
}

void x86_avx2_install(struct kernels *k)
{
	k->mr = MR;
	k->nr = NR;
	k->gemm_tile = gemm_tile;
}
