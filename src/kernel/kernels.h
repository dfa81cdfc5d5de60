/* kernels: the arithmetic, as a table of function pointers per instruction set.
 *
 * ref.c (plain C) fills every slot and is the judge; x86_*.c and arm_neon.c overlay what they do better. kernels_get
 * chooses by cpuid; KUNGFU_ISA=ref|avx2|avxvnni|avx512|avx512vnni|avx512amxint8|avx512amx|neon forces one, and a set
 * that this processor cannot execute is refused with a sentence. The table is constant afterwards.
 *
 * Rules. A result depends on the shape only, never on threads or on where a row stands in a tile: the sum over
 * K is one chain per output element (ascending k; fused multiply-add but in ref, so the fast tables agree bit for bit,
 * but where gemm goes by parts).
 * No libm in here: own exp, so that bits do not depend on the C library. Pointers marked (in place) may be equal,
 * otherwise buffers do not overlap. N rows, C row length. */
#ifndef KERNEL_KERNELS_H
#define KERNEL_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "kernel/activation.h"
#include "tensor/dtype.h"

struct adamw_step;
struct part_kernels;

struct sum_apart { const float *a, *w; size_t step, n; float *c; };

enum {
	KERNEL_MR_MAX = 16,
	KERNEL_NR_MAX = 64,
	KERNEL_FEW = 3,
	KERNEL_Q8_BYTES = 44,
	KERNEL_SCORES = 64,
	KERNEL_SETS = 8
};

struct kernels {
	const char *name;   /* "avx512" */
	int mr, nr;         /* micro-tile of gemm; nr is a multiple of 16 */
	const struct part_kernels *parts; /* products by parts (kernel/parts.h), or NULL */

	/* C[m,n] = (accumulate ? C : 0) + Σ_k A(i,k)·B(k,j) for m ≤ mr, n ≤ nr. A(i,k) = a[i*a_row + k*a_col];
	 * b is a packed panel [k][nr], zero beyond n; C row stride ldc. Reads and writes only m×n of C. */
	void (*gemm_tile)(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col,
	                  const float *b, float *c, size_t ldc, bool accumulate);
	/* Panels for gemm_tile: out[k][nr] = w[j][k0 + k], j < n ≤ nr, zero for j ≥ n. w is rows of `dtype`, row_bytes
	 * apart; for block types k0 and k are multiples of 16. This is y = x·Wᵀ. */
	void (*pack_rows)(enum dtype t, const void *w, size_t row_bytes, size_t n, size_t k0, size_t k, float *out);
	/* out[k][nr] = w[k][j0 + j], j < n ≤ nr, zero for j ≥ n: this is dx = dy·W. For block types j0 and n are
	 * multiples of 16. */
	void (*pack_cols)(enum dtype t, const void *w, size_t row_bytes, size_t k, size_t j0, size_t n, float *out);

	/* The same from panels (quant/panels.h): w is the panel of column 0, j < n ≤ nr; k0 and k are multiples of
	 * 32. */
	void (*pack_panels)(enum dtype t, const void *w, size_t panel_bytes, size_t n, size_t k0, size_t k, float *out);
	/* gemm_tile with B as it lies in f32, nothing packed: 16 columns of number k at b + k·step, the 16 after them
	 * `next` floats further. Where n is no multiple of 16, up to 16 columns of B are read. */
	void (*tile_in_place)(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col,
	                      const float *b, size_t step, size_t next, float *c, size_t ldc, bool accumulate);
	/* C[m,n] = Σ_k x[i*x_ld + k]·W(j,k) for m ≤ KERNEL_FEW rows and any n, straight from panels. The chain of
	 * gemm_tile, so the same bits. */
	void (*panel_rows)(enum dtype t, size_t m, size_t n, size_t k, const float *x, size_t x_ld, const void *w,
	                   size_t panel_bytes, float *c, size_t ldc);

	/* C[m,n] += Σ_k a[i*a_ld + k]·w[k][j] for m ≤ KERNEL_FEW rows and any n, straight from rows of `t` (F32, F16,
	 * BF16, Q8_0), row_bytes apart. The same chain. */
	void (*few_sums)(enum dtype t, size_t m, size_t n, size_t k, const float *a, size_t a_ld, const void *w,
	                 size_t row_bytes, float *c, size_t ldc);

	/* c[j] = Σ_k a[k]·w[k·step + j], j < n ≤ 16, of each of these, which have nothing in common but k: the chain
	 * of gemm_tile. 16 numbers are read of each of w's rows. */
	void (*sums_apart)(size_t sums, size_t k, const struct sum_apart *s);

	/* int8. A row of n numbers (a multiple of 32) becomes blocks of KERNEL_Q8_BYTES: f32 d, f32 s, 2 × s16 half, 32
	 * × s8 q, with x ≈ d·q, d = largest |x| / 127, q = round(x·(127 / largest)) to even, s = d·Σq, half: Σq of
	 * the first and of the last 16. A block that is nearly nothing (< 1e-30) is zero; NaN stays NaN in d. */
	void (*q8_row)(const float *x, size_t n, uint8_t *out);
	/* C[m,n] = Σ over blocks, ascending, for one panel (n ≤ 16) and any m rows made by q8_row, a_ld bytes apart.
	 * With i = Σ u·q, exact, each block does c = fma(m_j, s, fma(d_j, d·i, c))      with halves: i = Σ_halves
	 * scale·(Σ u·q − zero·half), c = fma(d_j, d·i, c) in this very order, in ref too: all tables agree bit for
	 * bit. Q2_K also adds its minima, c = fma(−dmin_j, d·Σ_halves minimum·half, c). */
	void (*q8_tile)(enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const void *panel,
	                float *c, size_t ldc);

	float (*dot)(const float *a, const float *b, size_t n);
	float (*dot_f16)(const float *a, const uint16_t *b, size_t n);        /* b: halves */
	/* Numbers of −127 … 127, of which the sum fits. */
	int32_t (*dot_s8)(const int8_t *a, const int8_t *b, size_t n);
	void (*axpy)(float *y, float a, const float *x, size_t n);            /* y += a·x */
	void (*add)(float *y, const float *a, const float *b, size_t n);      /* y = a + b (in place) */
	void (*scale)(float *y, const float *x, float a, size_t n);           /* y = a·x (in place) */
	/* f32 lanes over 64 Ki pieces, summed in double, fixed order */
	double (*sum_squares)(const float *x, size_t n);
	/* y = exp(x − max) (in place), *sum = Σ y */
	void (*exp_sum)(float *y, const float *x, float max, size_t n, float *sum);
	/* y = e^(x − most) in double, x ≤ most: all tables agree bit for bit (kernel/exp64.h) */
	void (*exp64)(double *y, const float *x, float most, size_t n);
	float (*max)(const float *x, size_t n);                               /* n ≥ 1 */

	/* y = cap·tanh(x/cap) (in place); cap > 0 */
	void (*soft_cap)(float *y, const float *x, float cap, size_t n);
	/* dx = dy·(1 − (y/cap)²), y what soft_cap made (in place over dy) */
	void (*soft_cap_back)(float *dx, const float *dy, const float *y, float cap, size_t n);

	/* gpt-oss's gate: g = min(gate, limit), u = up between −limit and limit, y = g·σ(alpha·g)·(u + 1) (in place);
	 * backward nothing goes through a bound that holds (dgate in gate or dy, dup in up: in place) */
	void (*clamped_swiglu)(float *y, const float *gate, const float *up, float alpha, float limit, size_t n);
	void (*clamped_swiglu_back)(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
	                            float alpha, float limit, size_t n);

	/* Attention's softmax on a tile of m rows of KERNEL_SCORES products q·k, one row after the other; scale > 0
	 * makes scores of them, z = scale·s, which a cap that is not 0 bounds: z = cap·tanh(scale·s/cap). Where bit j
	 * of seen[i] is not set, whatever stands there becomes 0. soften: most[i] grows to the row's largest score;
	 * where it grew, sum[i] and o's row of D numbers shrink with it; s = exp(z − most[i]), sum[i] += Σ s.
	 * soften_back: p = exp(z − lse[i·lse_ld]); where ds is not NULL, ds = scale·(p·(ds − delta[i])), with a cap
	 * times 1 − (z/cap)². */
	void (*soften)(size_t m, float *s, const uint64_t *seen, float scale, float cap, float *most, double *sum,
	               float *o, size_t o_ld, size_t D);
	void (*soften_back)(size_t m, float *p, const uint64_t *seen, float scale, float cap, const float *lse,
	                    size_t lse_ld, float *ds, const float *delta);

	/* One row each. y may be x. */
	float (*rmsnorm)(float *y, const float *x, const float *w, size_t n, float eps);           /* returns 1/rms */
	/* dx (+)= …; dw += dy·x·r when dw is not NULL; g is scratch-free: see op_rmsnorm.c for the formula */
	void (*rmsnorm_back)(float *dx, float *dw, const float *dy, const float *x, const float *w, float rstd,
	                     size_t n, bool accumulate);
	void (*layernorm)(float *y, const float *x, const float *w, const float *b, size_t n, float eps, float *mean,
	                  float *rstd);
	void (*layernorm_back)(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w,
	                       float mean, float rstd, size_t n, bool accumulate);

	struct activation_kernels act[ACTIVATION_COUNT];

	/* One head's vector of D at one position: pairs (i, i+D/2) or, interleaved, (2i, 2i+1); cs: [D/2] cos then
	 * [D/2] sin; sign −1 rotates back. (in place) */
	void (*rope)(float *y, const float *x, const float *cs, size_t D, bool interleaved, float sign);

	/* torch.optim.AdamW's order: w *= 1 − lr·decay; m, v; w −= step·m / (sqrt(v)·inv_sqrt_bias2 + eps), g used
	 * as g·g_scale. */
	void (*adamw)(float *w, const float *g, float *m, float *v, size_t n, const struct adamw_step *s);
};

struct adamw_step {
	float beta1, beta2, eps;
	float rest1, rest2;    /* 1 − β, subtracted in double and then rounded, as torch has them */
	float shrink;          /* 1 − lr·weight_decay */
	float step;            /* lr / (1 − β1^t) */
	float inv_sqrt_bias2;  /* 1 / sqrt(1 − β2^t) */
	float g_scale;         /* clipping · 1/number of targets */
};

/* The table for this processor. name NULL: what KUNGFU_ISA says, else the best one; avx512amx is never chosen so. */
const struct kernels *kernels_get(const char *name, struct err *e);
/* Every table this processor can execute, ref first; for tests. */
size_t kernels_all(const struct kernels *out[KERNEL_SETS]);
/* Has this table int8 kernels of its own, which are faster than f32; the reference's are not. */
bool kernels_fast_int8(const struct kernels *k);

/* Each overlay starts from the table below it and replaces slots. */
void ref_install(struct kernels *k);
void x86_avx2_install(struct kernels *k);
void x86_avx512_install(struct kernels *k);
void x86_avx2_int8_install(struct kernels *k);    /* the int8 slots */
void x86_avxvnni_install(struct kernels *k);      /* the product alone */
void x86_avx512vnni_install(struct kernels *k);   /* the int8 slots */
void x86_avx512amxint8_install(struct kernels *k); /* the int8 product of many rows */
void x86_avx512amx_install(struct kernels *k);    /* the parts */
bool x86_amx_granted(void);                       /* tiles, by the system and by what this was compiled with */
void arm_neon_install(struct kernels *k);

#endif
