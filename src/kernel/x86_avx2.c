/* x86_avx2: the primitives of kernel/lanes.h for AVX2, FMA and F16C.
 *
 * gemm: 6 rows × 2 vectors of 8 columns are 12 sums, two registers hold B, one the broadcast of A: 15 of 16. */
#include "kernel/kernels.h"

#include <immintrin.h>
#include <math.h>

#include "kernel/unroll.h"

#define VEC __m256
#define LANES 8
#define PIN(v) __asm__("" : "+x"(v))

enum { MR = 6, NR = 16, PANELS_AT_ONCE = 2 };

#define v_zero _mm256_setzero_ps
#define v_set1 _mm256_set1_ps
#define v_load _mm256_loadu_ps
#define v_store _mm256_storeu_ps
#define v_add _mm256_add_ps
#define v_sub _mm256_sub_ps
#define v_mul _mm256_mul_ps
#define v_div _mm256_div_ps
#define v_sqrt _mm256_sqrt_ps
#define v_fma _mm256_fmadd_ps
#define v_fnma _mm256_fnmadd_ps
#define v_max _mm256_max_ps
#define v_min _mm256_min_ps

INLINE __m256i first(size_t n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

INLINE VEC v_load_n(const float *p, size_t n)
{
	return _mm256_maskload_ps(p, first(n));
}

INLINE void v_store_n(float *p, size_t n, VEC v)
{
	_mm256_maskstore_ps(p, first(n), v);
}

INLINE VEC v_first(VEC v, size_t n)
{
	return _mm256_and_ps(v, _mm256_castsi256_ps(first(n)));
}

INLINE VEC v_seen(uint32_t bits, VEC v, VEC other)
{
	__m256i at = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128),
		set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), at), at);

	return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(set));
}

INLINE VEC v_abs(VEC v)
{
	return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

INLINE VEC v_copysign(VEC magnitude, VEC sign)
{
	return _mm256_or_ps(magnitude, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}

INLINE VEC v_shift_exponent(VEC p, VEC n)
{
	return _mm256_castsi256_ps(
		_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(n), 23)));
}

INLINE float v_sum(VEC v)
{
	__m128 b = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
	b = _mm_add_ps(b, _mm_movehl_ps(b, b));
	return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

INLINE float v_largest(VEC v)
{
	__m128 b = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
	b = _mm_max_ps(b, _mm_movehl_ps(b, b));
	return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

/* Pairs, fours, then the halves of the vector. */
INLINE void v_transpose(VEC x[LANES])
{
	VEC y[LANES];

	UNROLL(4)
	for (int i = 0; i < LANES; i += 2) {
		y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
		y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
	}
	UNROLL(2)
	for (int i = 0; i < LANES; i += 4)
		UNROLL(2)
		for (int h = 0; h < 2; h++) {
			x[i + 2 * h] = _mm256_shuffle_ps(y[i + h], y[i + h + 2], 0x44);
			x[i + 2 * h + 1] = _mm256_shuffle_ps(y[i + h], y[i + h + 2], 0xee);
		}
	UNROLL(4)
	for (int c = 0; c < 4; c++) {
		y[c] = _mm256_permute2f128_ps(x[c], x[4 + c], 0x20);
		y[4 + c] = _mm256_permute2f128_ps(x[c], x[4 + c], 0x31);
	}
	UNROLL(8)
	for (int c = 0; c < LANES; c++)
		x[c] = y[c];
}

INLINE float f16_one(const uint8_t *p)
{
	return _cvtsh_ss((unsigned short)(p[0] | p[1] << 8));
}

struct run {
	__m256i q[2];
};

INLINE __m256i bytes8(const uint8_t *p)
{
	return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}

INLINE struct run run_masked(const uint8_t *p, int shift, int mask)
{
	__m128i by = _mm_cvtsi32_si128(shift);
	__m256i m = _mm256_set1_epi32(mask);

	return (struct run){ { _mm256_and_si256(_mm256_srl_epi32(bytes8(p), by), m),
		               _mm256_and_si256(_mm256_srl_epi32(bytes8(p + 8), by), m) } };
}

INLINE struct run run_nibbles(const uint8_t *p, int shift)
{
	return run_masked(p, shift, 15);
}

INLINE struct run run_signed(const uint8_t *p)
{
	return (struct run){ { _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)),
		               _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8))) } };
}

INLINE __m256i fifth(__m256i q, int bits)
{
	__m256i at = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128),
		set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits), at), at);

	return _mm256_or_si256(q, _mm256_and_si256(set, _mm256_set1_epi32(16)));
}

INLINE struct run run_fifth(struct run r, uint16_t bits)
{
	return (struct run){ { fifth(r.q[0], bits), fifth(r.q[1], bits >> 8) } };
}

INLINE struct run run_pairs(struct run r, const uint8_t *p, int shift)
{
	struct run x = run_masked(p, shift, 3);

	return (struct run){ { _mm256_or_si256(r.q[0], _mm256_slli_epi32(x.q[0], 4)),
		               _mm256_or_si256(r.q[1], _mm256_slli_epi32(x.q[1], 4)) } };
}

INLINE uint16_t bit_of_bytes(const uint8_t *p, int bit)
{
	__m128i x = _mm_loadu_si128((const __m128i *)p), at = _mm_set1_epi8((char)(1 << bit));

	return (uint16_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_and_si128(x, at), at));
}

INLINE void run_affine(struct run r, float d, float m, VEC out[2])
{
	__m256 scale = _mm256_set1_ps(d), offset = _mm256_set1_ps(m);

	out[0] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(r.q[0]), offset);
	out[1] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(r.q[1]), offset);
}

INLINE VEC lookup8(__m256i q, const float *map)
{
	__m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(map), q),
	       high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(map + 8), q);

	return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(q, 28))); /* bit 3 chooses */
}

INLINE void run_lookup(struct run r, const float *map, float s, VEC out[2])
{
	for (int v = 0; v < 2; v++)
		out[v] = _mm256_mul_ps(lookup8(r.q[v], map), _mm256_set1_ps(s));
}

INLINE VEC v_as_f16(VEC v)
{
	return _mm256_cvtph_ps(_mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

INLINE VEC v_as_bf16(VEC v)
{
	__m256i x = _mm256_castps_si256(v), odd = _mm256_and_si256(_mm256_srli_epi32(x, 16), _mm256_set1_epi32(1));

	x = _mm256_add_epi32(x, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
	return _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000)));
}

INLINE void run_dwords(const uint8_t *p, int shift, int mask, VEC out[2])
{
	UNROLL(2)
	for (int v = 0; v < 2; v++) {
		__m256i x = _mm256_srli_epi32(_mm256_loadu_si256((const __m256i *)(p + 32 * v)), shift);
		out[v] = _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(mask)));
	}
}

INLINE void run_f16(const uint8_t *p, VEC out[2])
{
	out[0] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
	out[1] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 16)));
}

INLINE void run_bf16(const uint8_t *p, VEC out[2])
{
	for (int v = 0; v < 2; v++)
		out[v] = _mm256_castsi256_ps(
			_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 16 * v))), 16));
}

#include "kernel/lanes.h"

void x86_avx2_install(struct kernels *k)
{
	lanes_install(k);
}
