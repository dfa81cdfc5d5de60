/* x86_avx512: the table for AVX-512 F, BW, VL and DQ; what it does not replace stays AVX2's.
 *
 * gemm: 14 rows × 2 vectors of 16 columns are 28 sums, two registers hold B, one the broadcast of A: 31 of 32. A step
 * of k loads 16 times for 28 multiply-adds, so two multiply-adds a cycle are fed from two loads a cycle.
 * Panels: every storage type yields its runs of 16 numbers as one vector (run_read); along k such runs of 16 rows are
 * transposed in registers, along the columns they are the panel's rows already. */
#include "kernel/kernels.h"

#include <immintrin.h>
#include <string.h>

#include "kernel/vecmath.h"
#include "quant/quant.h"

#define INLINE static inline __attribute__((always_inline))

enum { MR = 14, NR = 32, LANES = 16 };

/* --- gemm --- */

INLINE __mmask16 lanes(size_t n)
{
	return (__mmask16)(n >= LANES ? 0xffff : (1u << n) - 1);
}

/* m rows × v vectors, n columns in all. Rows are reached from every third by one stride: five pointers and one index register. */
INLINE void tile(const size_t m, const size_t v, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, float *c,
                 size_t ldc, bool accumulate)
{
	__m512 s[MR][2];
	const float *p[5];
	__mmask16 last = lanes(n - LANES * (v - 1));

#pragma GCC unroll 14
	for (size_t i = 0; i < m; i++)
#pragma GCC unroll 2
		for (size_t j = 0; j < v; j++)
			s[i][j] = accumulate ? _mm512_maskz_loadu_ps(j + 1 < v ? 0xffff : last, c + i * ldc + LANES * j) : _mm512_setzero_ps();
#pragma GCC unroll 5
	for (size_t i = 0; i < (m + 2) / 3; i++)
		p[i] = a + 3 * i * a_row;
	for (; k; k--, b += NR) {
		__m512 b0 = _mm512_loadu_ps(b), b1 = v > 1 ? _mm512_loadu_ps(b + LANES) : b0;
#pragma GCC unroll 14
		for (size_t i = 0; i < m; i++) {
			__m512 x = _mm512_set1_ps(p[i / 3][i % 3 * a_row]);
			s[i][0] = _mm512_fmadd_ps(x, b0, s[i][0]);
			if (v > 1)
				s[i][1] = _mm512_fmadd_ps(x, b1, s[i][1]);
		}
		/* The sums stay in registers: without this the compiler keeps some of them in memory. */
#pragma GCC unroll 14
		for (size_t i = 0; i < m; i++)
#pragma GCC unroll 2
			for (size_t j = 0; j < v; j++)
				__asm__("" : "+v"(s[i][j]));
#pragma GCC unroll 5
		for (size_t i = 0; i < (m + 2) / 3; i++)
			p[i] += a_col;
	}
#pragma GCC unroll 14
	for (size_t i = 0; i < m; i++)
#pragma GCC unroll 2
		for (size_t j = 0; j < v; j++)
			_mm512_mask_storeu_ps(c + i * ldc + LANES * j, j + 1 < v ? 0xffff : last, s[i][j]);
}

#define TILE_CASE(m) \
	case m: \
		if (n > LANES) \
			tile(m, 2, n, k, a, a_row, a_col, b, c, ldc, accumulate); \
		else \
			tile(m, 1, n, k, a, a_row, a_col, b, c, ldc, accumulate); \
		break;

static void gemm_tile(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b, float *c, size_t ldc,
                      bool accumulate)
{
	if (n == 0)
		return;
	switch (m) {
	TILE_CASE(1) TILE_CASE(2) TILE_CASE(3) TILE_CASE(4) TILE_CASE(5) TILE_CASE(6) TILE_CASE(7)
	TILE_CASE(8) TILE_CASE(9) TILE_CASE(10) TILE_CASE(11) TILE_CASE(12) TILE_CASE(13) TILE_CASE(14)
	}
}

/* --- runs of 16 numbers --- */

INLINE uint16_t read_u16(const uint8_t *p)
{
	uint16_t x;
	memcpy(&x, p, sizeof(x));
	return x;
}

INLINE __m512 f16_all(const uint8_t *p)
{
	return _mm512_cvtph_ps(_mm256_set1_epi16((short)read_u16(p)));
}

INLINE float f16_one(const uint8_t *p)
{
	return _cvtsh_ss(read_u16(p));
}

INLINE __m512i nibbles(const uint8_t *p, size_t high)
{
	__m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
	return high ? _mm512_srli_epi32(x, 4) : _mm512_and_si512(x, _mm512_set1_epi32(15));
}

INLINE __m512i with_fifth(__m512i x, __mmask16 bits)
{
	return _mm512_mask_or_epi32(x, bits, x, _mm512_set1_epi32(16));
}

INLINE __m512 affine(__m512 d, __m512i q, __m512 m)
{
	return _mm512_fmadd_ps(d, _mm512_cvtepi32_ps(q), m);
}

INLINE __m512 scaled(__m512 d, __m512i q, int offset)
{
	return _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_sub_epi32(q, _mm512_set1_epi32(offset))));
}

INLINE __m512 k_affine(const uint8_t *b, size_t j, __m512i q)
{
	int scale, min;

	k_scale_min(b + 4, (int)j, &scale, &min);
	return affine(_mm512_set1_ps(f16_one(b) * (float)scale), q, _mm512_set1_ps(-(f16_one(b + 2) * (float)min)));
}

INLINE __m512 q4_k_run(const uint8_t *row, size_t at)
{
	const uint8_t *b = row + at / 256 * 144;
	size_t j = at % 256 / 32;

	return k_affine(b, j, nibbles(b + 16 + j / 2 * 32 + at % 32, j % 2));
}

INLINE __m512 q5_k_run(const uint8_t *row, size_t at)
{
	const uint8_t *b = row + at / 256 * 176;
	size_t j = at % 256 / 32;
	__m128i fifth = _mm_loadu_si128((const __m128i *)(b + 16 + at % 32));
	__mmask16 bits = _mm_test_epi8_mask(fifth, _mm_set1_epi8((char)(1 << j)));

	return k_affine(b, j, with_fifth(nibbles(b + 48 + j / 2 * 32 + at % 32, j % 2), bits));
}

INLINE __m512 q6_k_run(const uint8_t *row, size_t at)
{
	const uint8_t *b = row + at / 256 * 210;
	size_t half = at % 256 / 128, g = at % 128 / 32;
	__m512i high = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(b + 128 + half * 32 + at % 32)));
	__m512i q = nibbles(b + half * 64 + g % 2 * 32 + at % 32, g / 2);

	high = _mm512_and_si512(_mm512_srl_epi32(high, _mm_cvtsi32_si128((int)(2 * g))), _mm512_set1_epi32(3));
	q = _mm512_or_si512(q, _mm512_slli_epi32(high, 4));
	return scaled(_mm512_set1_ps(f16_one(b + 208) * (float)(int8_t)b[192 + at % 256 / LANES]), q, 32);
}

/* Numbers at … at+15 of a row; of plain types only those in the mask, the others zero. */
INLINE __m512 run_read(const enum dtype t, const uint8_t *row, size_t at, __mmask16 mask)
{
	const uint8_t *b = row + at / 32 * (t == DTYPE_Q4_0 ? 18 : t == DTYPE_Q4_1 ? 20 : t == DTYPE_Q5_0 ? 22 : t == DTYPE_Q5_1 ? 24 : 34);
	size_t high = at / LANES % 2;

	switch (t) {
	case DTYPE_F32:
		return _mm512_maskz_loadu_ps(mask, row + 4 * at);
	case DTYPE_F16:
		return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, row + 2 * at));
	case DTYPE_BF16:
		return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, row + 2 * at)), 16));
	case DTYPE_Q4_0:
		return scaled(f16_all(b), nibbles(b + 2, high), 8);
	case DTYPE_Q4_1:
		return affine(f16_all(b), nibbles(b + 4, high), f16_all(b + 2));
	case DTYPE_Q5_0:
		return scaled(f16_all(b), with_fifth(nibbles(b + 6, high), read_u16(b + 2 + 2 * high)), 16);
	case DTYPE_Q5_1:
		return affine(f16_all(b), with_fifth(nibbles(b + 8, high), read_u16(b + 4 + 2 * high)), f16_all(b + 2));
	case DTYPE_Q8_0:
		return scaled(f16_all(b), _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(b + 2 + LANES * high))), 0);
	case DTYPE_Q4_K:
		return q4_k_run(row, at);
	case DTYPE_Q5_K:
		return q5_k_run(row, at);
	case DTYPE_Q6_K:
		return q6_k_run(row, at);
	default:
		BUG("no panels of dtype %d", (int)t);
	}
}

/* --- panels --- */

/* x[i][j] → x[j][i]: pairs, fours, then quarters of the vector twice. */
INLINE void transpose(__m512 x[LANES])
{
	__m512 y[LANES];

#pragma GCC unroll 8
	for (int i = 0; i < LANES; i += 2) {
		y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
		y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
	}
#pragma GCC unroll 4
	for (int i = 0; i < LANES; i += 4)
#pragma GCC unroll 2
		for (int h = 0; h < 2; h++) {
			__m512d a = _mm512_castps_pd(y[i + h]), b = _mm512_castps_pd(y[i + h + 2]);
			x[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
			x[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
		}
	/* x[4g + c] now holds, in its quarter q, rows 4g … 4g+3 of column 4q + c. */
#pragma GCC unroll 4
	for (int c = 0; c < 4; c++) {
		y[c] = _mm512_shuffle_f32x4(x[c], x[4 + c], 0x88);
		y[4 + c] = _mm512_shuffle_f32x4(x[c], x[4 + c], 0xdd);
		y[8 + c] = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0x88);
		y[12 + c] = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0xdd);
	}
#pragma GCC unroll 4
	for (int c = 0; c < 4; c++) {
		x[c] = _mm512_shuffle_f32x4(y[c], y[8 + c], 0x88);
		x[8 + c] = _mm512_shuffle_f32x4(y[c], y[8 + c], 0xdd);
		x[4 + c] = _mm512_shuffle_f32x4(y[4 + c], y[12 + c], 0x88);
		x[12 + c] = _mm512_shuffle_f32x4(y[4 + c], y[12 + c], 0xdd);
	}
}

/* 16 columns of a panel from n ≤ 16 rows. */
INLINE void rows_pack(const enum dtype t, const uint8_t *w, size_t row_bytes, size_t n, size_t k0, size_t k, float *out)
{
	__m512 x[LANES];

	for (size_t q = 0; q < k; q += LANES) {
		size_t some = k - q < LANES ? k - q : LANES;
		__mmask16 mask = lanes(some);
		if (n == LANES) {
#pragma GCC unroll 16
			for (size_t j = 0; j < LANES; j++)
				x[j] = run_read(t, w + j * row_bytes, k0 + q, mask);
		} else {
			for (size_t j = 0; j < LANES; j++)
				x[j] = j < n ? run_read(t, w + j * row_bytes, k0 + q, mask) : _mm512_setzero_ps();
		}
		transpose(x);
		if (some == LANES) {
#pragma GCC unroll 16
			for (size_t i = 0; i < LANES; i++)
				_mm512_storeu_ps(out + (q + i) * NR, x[i]);
		} else {
			for (size_t i = 0; i < some; i++)
				_mm512_storeu_ps(out + (q + i) * NR, x[i]);
		}
	}
}

INLINE void rows_pack_both(const enum dtype t, const void *w, size_t row_bytes, size_t n, size_t k0, size_t k, float *out)
{
	for (size_t h = 0; h < NR; h += LANES)
		rows_pack(t, (const uint8_t *)w + h * row_bytes, row_bytes, n < h ? 0 : n - h < LANES ? n - h : LANES, k0, k, out + h);
}

INLINE void cols_pack(const enum dtype t, const void *w, size_t row_bytes, size_t k, size_t j0, size_t n, float *out)
{
	__mmask16 mask0 = lanes(n), mask1 = lanes(n > LANES ? n - LANES : 0);
	const uint8_t *row = w;

	for (; k; k--, row += row_bytes, out += NR) {
		_mm512_storeu_ps(out, run_read(t, row, j0, mask0));
		_mm512_storeu_ps(out + LANES, n > LANES ? run_read(t, row, j0 + LANES, mask1) : _mm512_setzero_ps());
	}
}

#define FOR_DTYPES(X) X(F32) X(F16) X(BF16) X(Q4_0) X(Q4_1) X(Q5_0) X(Q5_1) X(Q8_0) X(Q4_K) X(Q5_K) X(Q6_K)

static void pack_rows(enum dtype t, const void *w, size_t row_bytes, size_t n, size_t k0, size_t k, float *out)
{
	switch (t) {
#define X(T) case DTYPE_##T: rows_pack_both(DTYPE_##T, w, row_bytes, n, k0, k, out); break;
	FOR_DTYPES(X)
#undef X
	default: BUG("no panels of dtype %d", (int)t);
	}
}

static void pack_cols(enum dtype t, const void *w, size_t row_bytes, size_t k, size_t j0, size_t n, float *out)
{
	switch (t) {
#define X(T) case DTYPE_##T: cols_pack(DTYPE_##T, w, row_bytes, k, j0, n, out); break;
	FOR_DTYPES(X)
#undef X
	default: BUG("no panels of dtype %d", (int)t);
	}
}

void x86_avx512_install(struct kernels *k)
{
	k->mr = MR;
	k->nr = NR;
	k->gemm_tile = gemm_tile;
	k->pack_rows = pack_rows;
	k->pack_cols = pack_cols;
}
