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

/* The normal distribution's tail: Φ(−a) = exp(−a²/2)·t·c(t) with t = 1/(1 + k·a), a ≥ 0. c has degree 6 and
 * was fitted to the least largest absolute error of Φ (2·10⁻⁹; 10⁻⁷ in f32). */
#define TAIL_K 0.45f
#define TAIL_C0 0x1.6b0d6p-3f
#define TAIL_C1 0x1.a4a93ep-3f
#define TAIL_C2 0x1.292578p-6f
#define TAIL_C3 0x1.93162ep-2f
#define TAIL_C4 -0x1.e56b0ep-2f
#define TAIL_C5 0x1.bd54c2p-3f
#define TAIL_C6 -0x1.361946p-5f
#define NORMAL_DENSITY 0.3989422804f /* 1/sqrt(2π) */

float vec_expf(float x);  /* ref.c: the scalar form */
/* 1 − 2/(exp(2x) + 1), clamped to |x| ≤ 9; odd by construction; absolute error ≤ 2⁻²² */
float vec_tanhf(float x);
/* e/(e + 2) with e = exp(2x) − 1 from exp's own parts, which do not cancel: relative error ≤ 4 ulp */
float vec_tanh_finef(float x);

#endif
