/* transpose_512: sixteen vectors of AVX-512 as rows, made columns in registers; for files that are compiled with it. */
#ifndef KERNEL_TRANSPOSE_512_H
#define KERNEL_TRANSPOSE_512_H

#include <immintrin.h>

#include "kernel/unroll.h"

/* Pairs, fours, then quarters of the vector twice: after the second step x[4g + c] holds, in its quarter q, rows 4g …
 * 4g+3 of column 4q + c. */
INLINE void transpose_512(__m512 x[16])
{
	__m512 y[16];

	UNROLL(8)
	for (int i = 0; i < 16; i += 2) {
		y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
		y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
	}
	UNROLL(4)
	for (int i = 0; i < 16; i += 4)
		UNROLL(2)
		for (int h = 0; h < 2; h++) {
			__m512d a = _mm512_castps_pd(y[i + h]), b = _mm512_castps_pd(y[i + h + 2]);
			x[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
			x[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
		}
	UNROLL(4)
	for (int c = 0; c < 4; c++) {
		y[c] = _mm512_shuffle_f32x4(x[c], x[4 + c], 0x88);
		y[4 + c] = _mm512_shuffle_f32x4(x[c], x[4 + c], 0xdd);
		y[8 + c] = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0x88);
		y[12 + c] = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0xdd);
	}
	UNROLL(4)
	for (int c = 0; c < 4; c++) {
		x[c] = _mm512_shuffle_f32x4(y[c], y[8 + c], 0x88);
		x[8 + c] = _mm512_shuffle_f32x4(y[c], y[8 + c], 0xdd);
		x[4 + c] = _mm512_shuffle_f32x4(y[4 + c], y[12 + c], 0x88);
		x[12 + c] = _mm512_shuffle_f32x4(y[4 + c], y[12 + c], 0xdd);
	}
}

#endif
