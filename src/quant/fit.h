/* fit: scales and integers for a few numbers, by search: the steps of ggml's quantizers in their order and in f32, each
 * product and sum rounded by itself, so that a file has the bits that llama-quantize writes when it is built without
 * fused multiply-adds.
 *
 * All minimize Σ w_i·(x_i − what q_i stands for)². n is at most 256. */
#ifndef QUANT_FIT_H
#define QUANT_FIT_H

#include <stdbool.h>
#include <stdint.h>

/* The nearest integer, ties to even, of |x| < 2²². */
int fit_nearest(float x);
int fit_clamp(int x, int least, int most);

/* x ≈ scale·(q − most), q from 0 to 2·most − 1: the best of 19 scales near −most / (the number of largest
 * magnitude). w NULL: x². */
float fit_signed(int n, int most, const float *x, const float *w, int8_t *q);
/* x ≈ scale·(q − most) with w = x²: from the same start each q in turn moves to where it is best, up to five
 * rounds. */
float fit_signed_by_turns(int n, int most, const float *x, int8_t *q);

/* x ≈ scale·q − *minus, q from 0 to most, *minus ≥ 0: the least squares for the q that each of `steps` + 1
 * scales gives, (first + step·i + most) / (largest − least). */
struct fit_affine {
	int most;
	float first, step;
	int steps;
	bool absolute;  /* |difference| is weighed instead of its square */
};
float fit_affine(const struct fit_affine *how, int n, const float *x, const float *w, uint8_t *q, float *minus);

/* x ≈ scale·q, x ≥ 0, q from 0 to most. */
float fit_unsigned(int n, int most, const float *x, const float *w, uint8_t *q);

#endif
