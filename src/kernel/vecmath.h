/* vecmath: the constants that every instruction set shares, so that exp means the same polynomial everywhere.
 * exp: n = round(x·log2e), r = x − n·ln2 in two parts, a polynomial of degree 6 on |r| ≤ ln2/2, exponent by shift;
 * x is clamped to [−87.3, 88.7]. Relative error ≤ 2 ulp. */
#ifndef KERNEL_VECMATH_H
#define KERNEL_VECMATH_H

float vec_expf(float x);  /* ref.c: the scalar form */
float vec_tanhf(float x); /* 1 − 2/(exp(2x) + 1), clamped to |x| ≤ 9; odd by construction */

#endif
