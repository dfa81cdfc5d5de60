/* vecmath: the constants that every instruction set shares, so that exp means the same polynomial everywhere.
 * exp: n = round(x·log2e), r = x − n·ln2 in two parts, 1 + r + r²·q(r) on |r| ≤ ln2/2, exponent by shift;
 * x is clamped to [−87.3, 88.7], NaN stays NaN. Relative error ≤ 2 ulp.
 * q has degree 4 and was fitted to the least largest relative error (4·10⁻⁹ with these rounded coefficients). */
#ifndef KERNEL_VECMATH_H
#define KERNEL_VECMATH_H

#define EXP_LOW (-87.3f)
#define EXP_HIGH 88.7f
#define EXP_LOG2E 1.44269504f
#define EXP_MAGIC 0x1.8p23f       /* adding it rounds to an integer, kept in the low bits */
#define EXP_LN2_HIGH 0.693359375f /* nine bits: n times it is exact */
#define EXP_LN2_LOW -2.12194440e-4f
#define EXP_C2 0x1.fffffcp-2f
#define EXP_C3 0x1.55549p-3f
#define EXP_C4 0x1.5558f8p-5f
#define EXP_C5 0x1.123b02p-7f
#define EXP_C6 0x1.6a2256p-10f

#define TANH_LIMIT 9.0f           /* 1 − tanh(9) is below half a unit in the last place of 1 */
#define GELU_SCALE 0.7978845608f  /* sqrt(2/π) */
#define GELU_CUBE 0.044715f

float vec_expf(float x);  /* ref.c: the scalar form */
float vec_tanhf(float x); /* 1 − 2/(exp(2x) + 1), clamped to |x| ≤ 9; odd by construction; absolute error ≤ 2⁻²² */

#endif
