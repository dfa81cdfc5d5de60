/* exp64: e^(x − most) in double, of many numbers: what a draw from a whole vocabulary is made of. Adds and multiplies
 * alone, in one order, with no contraction: every table that includes it has the same bits, whatever its compiler takes
 * at once; a C library picks its exp by what the processor can do.
 *
 *     e^t = 2^k · e^r     k = round(t / ln 2), r = t − k·ln 2 within ±0.3466, ln 2 in two parts (Cody, Waite 1980)
 *     e^r                 Taylor's series to r¹², whose rest is below 2e-16
 *
 * Within 2 units in the last place; 0 where t is below −708. t > 709 is not computed. */
#ifndef KERNEL_EXP64_H
#define KERNEL_EXP64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline double exp64_series(double r)
{
	double y = 1 / 479001600.0;

	y = y * r + 1 / 39916800.0;
	y = y * r + 1 / 3628800.0;
	y = y * r + 1 / 362880.0;
	y = y * r + 1 / 40320.0;
	y = y * r + 1 / 5040.0;
	y = y * r + 1 / 720.0;
	y = y * r + 1 / 120.0;
	y = y * r + 1 / 24.0;
	y = y * r + 1 / 6.0;
	y = y * r + 0.5;
	return y * r * r + r + 1;
}

static void exp64(double *y, const float *x, float most, size_t n)
{
	const double inverse = 0x1.71547652b82fep0, high = 0x1.62e42fefa0000p-1, low = 0x1.cf79abc9e3b3ap-40,
	             rounds = 0x1.8p52; /* a small number beside it is rounded to an integer, its lowest bits */

	for (size_t i = 0; i < n; i++) {
		double t = (double)x[i] - (double)most, above = t * inverse + rounds, k = above - rounds, scale;
		double e = exp64_series(t - k * high - k * low);
		uint64_t bits;

		memcpy(&bits, &above, sizeof(bits));
		bits = (bits + 1023) << 52;
		memcpy(&scale, &bits, sizeof(scale));
		e *= scale;
		memcpy(&bits, &e, sizeof(bits));
		bits &= t < -708 ? 0 : ~(uint64_t)0;   /* no branch */
		memcpy(&y[i], &bits, sizeof(bits));
	}
}

#endif
