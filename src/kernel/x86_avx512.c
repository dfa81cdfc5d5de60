/* x86_avx512: the primitives of kernel/lanes.h for AVX-512 F, BW, VL and DQ.
 *
 * gemm: 14 rows × 2 vectors of 16 columns are 28 sums, two registers hold B, one the broadcast of A: 31 of 32. A step
 * of k loads 16 times for 28 multiply-adds, so two multiply-adds a cycle are fed from two loads a cycle. */
#include "kernel/kernels.h"

#include <immintrin.h>
#include <math.h>

#include "kernel/transpose_512.h"
#include "kernel/unroll.h"

#define VEC __m512
#define LANES 16
#define PIN(v) __asm__("" : "+v"(v))

enum { MR = 14, NR = 32, PANELS_AT_ONCE = 4 };

#define v_zero _mm512_setzero_ps
#define v_set1 _mm512_set1_ps
#define v_load _mm512_loadu_ps
#define v_store _mm512_storeu_ps
#define v_add _mm512_add_ps
#define v_sub _mm512_sub_ps
#define v_mul _mm512_mul_ps
#define v_div _mm512_div_ps
#define v_sqrt _mm512_sqrt_ps
#define v_abs _mm512_abs_ps
#define v_fma _mm512_fmadd_ps
#define v_fnma _mm512_fnmadd_ps
#define v_max _mm512_max_ps
#define v_min _mm512_min_ps

INLINE __mmask16 first(size_t n)
{
	return (__mmask16)((1u << n) - 1);
}

INLINE VEC v_load_n(const float *p, size_t n)
{
	return _mm512_maskz_loadu_ps(first(n), p);
}

INLINE void v_store_n(float *p, size_t n, VEC v)
{
	_mm512_mask_storeu_ps(p, first(n), v);
}

INLINE VEC v_first(VEC v, size_t n)
{
	return _mm512_maskz_mov_ps(first(n), v);
}

INLINE VEC v_seen(uint32_t bits, VEC v, VEC other)
{
	return _mm512_mask_mov_ps(other, (__mmask16)bits, v);
}

INLINE VEC v_copysign(VEC magnitude, VEC sign)
{
	return _mm512_or_ps(magnitude, _mm512_and_ps(sign, _mm512_set1_ps(-0.0f)));
}

INLINE VEC v_shift_exponent(VEC p, VEC n)
{
	return _mm512_castsi512_ps(
		_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(n), 23)));
}

INLINE float v_sum(VEC v)
{
	__m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	b = _mm_add_ps(b, _mm_movehl_ps(b, b));
	return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

INLINE float v_largest(VEC v)
{
	__m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	b = _mm_max_ps(b, _mm_movehl_ps(b, b));
	return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

INLINE void v_transpose(VEC x[LANES])
{
	transpose_512(x);
}

INLINE float f16_one(const uint8_t *p)
{
	return _cvtsh_ss((unsigned short)(p[0] | p[1] << 8));
}

struct run {
	__m512i q;
};

INLINE __m128i bytes16(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)p);
}

INLINE struct run run_nibbles(const uint8_t *p, int shift)
{
	__m512i x = _mm512_srl_epi32(_mm512_cvtepu8_epi32(bytes16(p)), _mm_cvtsi32_si128(shift));

	return (struct run){ _mm512_and_si512(x, _mm512_set1_epi32(15)) };
}

INLINE struct run run_signed(const uint8_t *p)
{
	return (struct run){ _mm512_cvtepi8_epi32(bytes16(p)) };
}

INLINE struct run run_fifth(struct run r, uint16_t bits)
{
	return (struct run){ _mm512_mask_or_epi32(r.q, bits, r.q, _mm512_set1_epi32(16)) };
}

INLINE struct run run_pairs(struct run r, const uint8_t *p, int shift)
{
	__m512i x = _mm512_srl_epi32(_mm512_cvtepu8_epi32(bytes16(p)), _mm_cvtsi32_si128(shift));

	return (struct run){ _mm512_or_si512(r.q, _mm512_slli_epi32(_mm512_and_si512(x, _mm512_set1_epi32(3)), 4)) };
}

INLINE uint16_t bit_of_bytes(const uint8_t *p, int bit)
{
	return _mm_test_epi8_mask(bytes16(p), _mm_set1_epi8((char)(1 << bit)));
}

INLINE void run_affine(struct run r, float d, float m, VEC out[1])
{
	out[0] = _mm512_fmadd_ps(_mm512_set1_ps(d), _mm512_cvtepi32_ps(r.q), _mm512_set1_ps(m));
}

INLINE void run_lookup(struct run r, const float *map, float s, VEC out[1])
{
	out[0] = _mm512_mul_ps(_mm512_permutexvar_ps(r.q, _mm512_loadu_ps(map)), _mm512_set1_ps(s));
}

INLINE VEC v_as_f16(VEC v)
{
	return _mm512_cvtph_ps(_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

INLINE VEC v_as_bf16(VEC v)
{
	__m512i x = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(x, 16), _mm512_set1_epi32(1));

	x = _mm512_add_epi32(x, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
	return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)));
}

INLINE void run_dwords(const uint8_t *p, int shift, int mask, VEC out[1])
{
	__m512i x = _mm512_srli_epi32(_mm512_loadu_si512(p), (unsigned)shift);

	out[0] = _mm512_cvtepi32_ps(_mm512_and_si512(x, _mm512_set1_epi32(mask)));
}

INLINE void run_f16(const uint8_t *p, VEC out[1])
{
	out[0] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

INLINE void run_bf16(const uint8_t *p, VEC out[1])
{
	__m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));

	out[0] = _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}

#include "kernel/lanes.h"

void x86_avx512_install(struct kernels *k)
{
	lanes_install(k);
}
