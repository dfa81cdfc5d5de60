/* ref: every kernel in plain C, slot by slot; the judge of the other tables.
 *
 * Nothing here is clever. gemm_tile adds rounded products one after another in ascending k, starting from C or
 * from zero; sums over a row are taken in double and rounded once, so a faster table may differ by its own rounding
 * only. Formulas stand at the functions. */
#include "kernel/kernels.h"

#include <math.h>
#include <string.h>

#include "kernel/exp64.h"
#include "kernel/q8.h"
#include "kernel/vecmath.h"
#include "quant/panels.h"

enum { MR = 4, NR = 16, RUN = 16, PIECE = 65536 };

/* --- exp and tanh --- */

float vec_expf(float x)
{
	union { float f; uint32_t u; } n, p;

	x = x < EXP_LOW ? EXP_LOW : x;
	x = x > EXP_HIGH ? EXP_HIGH : x;
	n.f = x * EXP_LOG2E + EXP_MAGIC;
	float whole = n.f - EXP_MAGIC;
	float r = x - whole * EXP_LN2_HIGH;
	r = r - whole * EXP_LN2_LOW;
	float q = (((EXP_C6 * r + EXP_C5) * r + EXP_C4) * r + EXP_C3) * r + EXP_C2;
	p.f = (q * r + 1) * r + 1;
	p.u += n.u << 23;
	return p.f;
}

float vec_tanhf(float x)
{
	float a = fabsf(x);

	a = a > TANH_LIMIT ? TANH_LIMIT : a;
	return copysignf(1 - 2 / (vec_expf(2 * a) + 1), x);
}

float vec_tanh_finef(float x)
{
	union { float f; uint32_t u; } n, power = { .f = 1 };
	float a = fabsf(x);

	a = 2 * (a > TANH_LIMIT ? TANH_LIMIT : a);
	n.f = a * EXP_LOG2E + EXP_MAGIC;
	float whole = n.f - EXP_MAGIC;
	float r = a - whole * EXP_LN2_HIGH;
	r = r - whole * EXP_LN2_LOW;
	float q = (((EXP_C6 * r + EXP_C5) * r + EXP_C4) * r + EXP_C3) * r + EXP_C2;
	power.u += n.u << 23;
	float e = power.f * ((q * r + 1) * r) + (power.f - 1);
	return copysignf(e / (e + 2), x);
}

/* --- gemm --- */

static void tile_in_place(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b,
                          size_t step, size_t next, float *c, size_t ldc, bool accumulate)
{
	(void)next; /* NR is 16 */
	for (size_t i = 0; i < m; i++) {
		float sum[NR] = { 0 };
		if (accumulate)
			memcpy(sum, c + i * ldc, n * sizeof(float));
		for (size_t q = 0; q < k; q++) {
			float x = a[i * a_row + q * a_col];
			for (size_t j = 0; j < NR; j++)
				sum[j] += x * b[q * step + j];
		}
		memcpy(c + i * ldc, sum, n * sizeof(float));
	}
}

static void gemm_tile(size_t m, size_t n, size_t k, const float *a, size_t a_row, size_t a_col, const float *b,
                      float *c, size_t ldc, bool accumulate)
{
	tile_in_place(m, n, k, a, a_row, a_col, b, NR, 0, c, ldc, accumulate);
}

static void pack_rows(enum dtype t, const void *w, size_t row_bytes, size_t n, size_t k0, size_t k, float *out)
{
	float run[RUN];

	memset(out, 0, k * NR * sizeof(float));
	for (size_t j = 0; j < n; j++)
		for (size_t q = 0; q < k; q += RUN) {
			size_t some = k - q < RUN ? k - q : RUN;
			dtypes[t].part((const char *)w + j * row_bytes, k0 + q, run, some);
			for (size_t i = 0; i < some; i++)
				out[(q + i) * NR + j] = run[i];
		}
}

static void pack_cols(enum dtype t, const void *w, size_t row_bytes, size_t k, size_t j0, size_t n, float *out)
{
	for (size_t q = 0; q < k; q++, out += NR) {
		dtypes[t].part((const char *)w + q * row_bytes, j0, out, n);
		memset(out + n, 0, (NR - n) * sizeof(float));
	}
}

/* --- panels, int8 --- */

static void pack_panels(enum dtype t, const void *w, size_t bytes, size_t n, size_t k0, size_t k, float *out)
{
	float x[PANEL_BLOCK];
	(void)bytes; /* NR is one panel */

	memset(out, 0, k * NR * sizeof(float));
	for (size_t q = 0; q < k; q += PANEL_BLOCK)
		for (size_t j = 0; j < n; j++) {
			panel_floats(t, w, (k0 + q) / PANEL_BLOCK, j, x);
			for (size_t i = 0; i < PANEL_BLOCK; i++)
				out[(q + i) * NR + j] = x[i];
		}
}

static void panel_rows(enum dtype t, size_t m, size_t n, size_t k, const float *x, size_t x_ld, const void *w,
                       size_t bytes, float *c, size_t ldc)
{
	float b[PANEL_BLOCK * NR];

	for (size_t j = 0; j < n; j += NR) {
		const uint8_t *panel = (const uint8_t *)w + j / NR * bytes;
		size_t some = n - j < NR ? n - j : NR;
		for (size_t q = 0; q < k; q += PANEL_BLOCK) {
			pack_panels(t, panel, bytes, some, q, PANEL_BLOCK, b);
			gemm_tile(m, some, PANEL_BLOCK, x + q, x_ld, 1, b, c + j, ldc, q > 0);
		}
	}
}

static void few_sums(enum dtype t, size_t m, size_t n, size_t k, const float *a, size_t a_ld, const void *w,
                     size_t row_bytes, float *c, size_t ldc)
{
	float run[RUN];

	for (size_t q = 0; q < k; q++)
		for (size_t j = 0; j < n; j += RUN) {
			size_t some = n - j < RUN ? n - j : RUN;
			dtypes[t].part((const char *)w + q * row_bytes, j, run, some);
			for (size_t i = 0; i < m; i++)
				for (size_t l = 0; l < some; l++)
					c[i * ldc + j + l] += a[i * a_ld + q] * run[l];
		}
}

static void sums_apart(size_t n, size_t k, const struct sum_apart *s)
{
	for (; n; n--, s++)
		tile_in_place(1, s->n, k, s->a, 0, 1, s->w, s->step, 0, s->c, 0, false);
}

/* The largest magnitude by its bits: NaN counts as the largest of all. */
static float largest(const float *x, size_t n)
{
	union { float f; uint32_t u; } m = { 0 }, v;

	for (size_t i = 0; i < n; i++) {
		v.f = x[i];
		v.u &= 0x7fffffff;
		m.u = v.u > m.u ? v.u : m.u;
	}
	return m.f;
}

static void q8_block(const float *x, struct q8_block *b)
{
	float most = largest(x, PANEL_BLOCK), inverse = 127 / most;

	memset(b, 0, sizeof(*b));
	if (most < Q8_NOTHING)
		return;
	for (int i = 0; i < PANEL_BLOCK; i++) {
		float v = rintf(x[i] * inverse);
		b->q[i] = (int8_t)(v >= -127 && v <= 127 ? v : 0);
		b->half[i / 16] = (int16_t)(b->half[i / 16] + b->q[i]);
	}
	b->d = most / 127;
	b->s = b->d * (float)(b->half[0] + b->half[1]);
}

static void q8_row(const float *x, size_t n, uint8_t *out)
{
	for (size_t i = 0; i < n; i += PANEL_BLOCK, out += sizeof(struct q8_block))
		q8_block(x + i, (void *)out);
}

static void q8_add(enum dtype t, const uint8_t *panel, size_t block, size_t j, const struct q8_block *a, float *c)
{
	struct panel_share w;
	int zero = panel_has_halves(t) ? (int)panel_zero(t) : 0, sum = 0;

	panel_share(t, panel, block, j, &w);
	for (int k = 0; k < PANEL_BLOCK; k++)
		sum += w.scale[k / 16] * (w.u[k] - zero) * a->q[k];
	*c = fmaf(w.d, a->d * (float)sum, *c);
	if (panel_has_half_mins(t))
		*c = fmaf(w.m, a->d * (float)(w.min[0] * a->half[0] + w.min[1] * a->half[1]), *c);
	else if (!panel_has_halves(t))
		*c = fmaf(w.m, a->s, *c);
}

static void q8_tile(enum dtype t, size_t m, size_t n, size_t k, const uint8_t *a, size_t a_ld, const void *panel,
                    float *c, size_t ldc)
{
	size_t blocks = k / PANEL_BLOCK;

	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < n; j++) {
			c[i * ldc + j] = 0;
			for (size_t b = 0; b < blocks; b++)
				q8_add(t, panel, b, j, (const void *)(a + i * a_ld + b * KERNEL_Q8_BYTES),
				       &c[i * ldc + j]);
		}
}

/* --- vectors --- */

static float dot(const float *a, const float *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)a[i] * b[i];
	return (float)sum;
}

static float dot_f16(const float *a, const uint16_t *b, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)a[i] * (double)f16_to_float(b[i]);
	return (float)sum;
}

static int32_t dot_s8(const int8_t *a, const int8_t *b, size_t n)
{
	int32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (int16_t)a[i] * (int16_t)b[i];
	return sum;
}

static void axpy(float *y, float a, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += a * x[i];
}

static void add(float *y, const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = a[i] + b[i];
}

static void scale(float *y, const float *x, float a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = a * x[i];
}

static double sum_squares(const float *x, size_t n)
{
	double total = 0;

	for (size_t at = 0; at < n; at += PIECE) {
		double sum = 0;
		for (size_t i = at; i < n && i < at + PIECE; i++)
			sum += (double)x[i] * x[i];
		total += sum;
	}
	return total;
}

static void exp_sum(float *y, const float *x, float max, size_t n, float *sum)
{
	double total = 0;

	for (size_t i = 0; i < n; i++) {
		y[i] = vec_expf(x[i] - max);
		total += y[i];
	}
	*sum = (float)total;
}

static float max(const float *x, size_t n)
{
	float m = x[0];

	for (size_t i = 1; i < n; i++)
		m = x[i] > m ? x[i] : m;
	return m;
}

/* --- attention --- */

static bool is_seen(uint64_t word, int j)
{
	return word >> j & 1;
}

static float score_of(float product, float by, float cap)
{
	return cap == 0 ? product * by : cap * vec_tanh_finef(product * by / cap);
}

static void soften_row(float *s, uint64_t word, float by, float cap, float *most, double *sum, float *o, size_t D)
{
	float m = *most;

	for (int j = 0; j < KERNEL_SCORES; j++) {
		s[j] = score_of(s[j], by, cap);
		m = is_seen(word, j) && s[j] > m ? s[j] : m;
	}
	if (m > *most) {
		float shrink = vec_expf(*most - m);
		for (size_t d = 0; d < D; d++)
			o[d] *= shrink;
		*sum *= shrink;
		*most = m;
	}
	for (int j = 0; j < KERNEL_SCORES; j++) {
		s[j] = is_seen(word, j) ? vec_expf(s[j] - m) : 0;
		*sum += s[j];
	}
}

static void soften(size_t m, float *s, const uint64_t *seen, float by, float cap, float *most, double *sum, float *o,
                   size_t o_ld, size_t D)
{
	for (size_t i = 0; i < m; i++)
		soften_row(s + i * KERNEL_SCORES, seen[i], by, cap, &most[i], &sum[i], o + i * o_ld, D);
}

static void soften_back(size_t m, float *p, const uint64_t *seen, float by, float cap, const float *lse, size_t lse_ld,
                        float *ds, const float *delta)
{
	for (size_t at = 0; at < m * KERNEL_SCORES; at++) {
		size_t i = at / KERNEL_SCORES;
		bool is = is_seen(seen[i], (int)(at % KERNEL_SCORES));
		float z = score_of(p[at], by, cap), slope = cap == 0 ? 1 : 1 - z / cap * (z / cap);
		p[at] = is ? vec_expf(z - lse[i * lse_ld]) : 0;
		if (ds)
			ds[at] = is ? slope * (by * (p[at] * (ds[at] - delta[i]))) : 0;
	}
}

/* --- norms --- */

/* r = 1/sqrt(mean(x²) + eps); y = (x·r)·w */
static float rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	float r = 1 / sqrtf((float)(sum / (double)n) + eps);
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] * r * w[i];
	return r;
}

/* With g = dy·w and x̂ = x·r: dx = r·(g − x̂·mean(g·x̂)); dw += dy·x̂. */
static void rmsnorm_back(float *dx, float *dw, const float *dy, const float *x, const float *w, float r, size_t n,
                         bool accumulate)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)(dy[i] * w[i]) * (x[i] * r);
	float mean = (float)(sum / (double)n);
	for (size_t i = 0; i < n; i++) {
		float hat = x[i] * r, d = r * (dy[i] * w[i] - hat * mean);
		if (dw)
			dw[i] += dy[i] * hat;
		dx[i] = accumulate ? dx[i] + d : d;
	}
}

/* r = 1/sqrt(mean((x − mean)²) + eps); y = (x − mean)·r·w + b; b may be NULL. */
static void layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps, float *mean,
                      float *rstd)
{
	double sum = 0, square = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i];
	float m = (float)(sum / (double)n);
	for (size_t i = 0; i < n; i++)
		square += (double)(x[i] - m) * (x[i] - m);
	float r = 1 / sqrtf((float)(square / (double)n) + eps);
	for (size_t i = 0; i < n; i++)
		y[i] = (x[i] - m) * r * w[i] + (b ? b[i] : 0);
	*mean = m;
	*rstd = r;
}

/* With g = dy·w and x̂ = (x − mean)·r: dx = r·(g − mean(g) − x̂·mean(g·x̂)); dw += dy·x̂; db += dy. dw
 * and db may be NULL. */
static void layernorm_back(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w, float mean,
                           float r, size_t n, bool accumulate)
{
	double sum = 0, product = 0;

	for (size_t i = 0; i < n; i++) {
		sum += dy[i] * w[i];
		product += (double)(dy[i] * w[i]) * ((x[i] - mean) * r);
	}
	float g_mean = (float)(sum / (double)n), p_mean = (float)(product / (double)n);
	for (size_t i = 0; i < n; i++) {
		float hat = (x[i] - mean) * r, d = r * (dy[i] * w[i] - g_mean - hat * p_mean);
		if (dw)
			dw[i] += dy[i] * hat;
		if (db)
			db[i] += dy[i];
		dx[i] = accumulate ? dx[i] + d : d;
	}
}

/* --- activations --- */

/* f and f' at x. */
struct slope { float y, by; };

/* s = σ(x) = 1/(1 + exp(−x)): x·s, s·(1 + x·(1 − s)) */
static struct slope silu_slope(float x)
{
	float s = 1 / (1 + vec_expf(-x));

	return (struct slope){ x * s, s * (1 + x * (1 - s)) };
}

static float silu(float x) { return x / (1 + vec_expf(-x)); }

/* x·Φ(x), Φ(x) + x·φ(x) */
static struct slope gelu_slope(float x)
{
	float a = fabsf(x), t = 1 / (1 + TAIL_K * a), bell = vec_expf(-0.5f * (a * a));
	float c = (((((TAIL_C6 * t + TAIL_C5) * t + TAIL_C4) * t + TAIL_C3) * t + TAIL_C2) * t + TAIL_C1) * t + TAIL_C0;
	float phi = 0.5f + copysignf(0.5f - bell * (t * c), x);

	return (struct slope){ x * phi, phi + NORMAL_DENSITY * (x * bell) };
}

static float gelu(float x) { return gelu_slope(x).y; }

/* t = tanh(√(2/π)·(x + 0.044715·x³)): x/2·(1 + t), (1 + t)/2 + x/2
 * ·(1 − t²)·√(2/π)·(1 + 3·0.044715·x²) */
static struct slope gelu_tanh_slope(float x)
{
	float t = vec_tanhf(GELU_SCALE * (x + GELU_CUBE * x * x * x));

	return (struct slope){ 0.5f * x * (1 + t), 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * GELU_SCALE *
		                                                            (1 + 3 * GELU_CUBE * x * x) };
}

static float gelu_tanh(float x) { return gelu_tanh_slope(x).y; }

static float relu(float x) { return x < 0 ? 0 : x; } /* NaN stays */
static struct slope relu_slope(float x) { return (struct slope){ relu(x), x <= 0 ? 0 : 1 }; }

static struct slope relu2_slope(float x)
{
	float y = relu(x);

	return (struct slope){ y * y, 2 * y };
}

static float relu2(float x) { return relu(x) * relu(x); }

static float tanh_act(float x) { return vec_tanh_finef(x); }

static struct slope tanh_act_slope(float x)
{
	float y = tanh_act(x);

	return (struct slope){ y, 1 - y * y };
}

static float sigmoid(float x) { return 1 / (1 + vec_expf(-x)); }

static struct slope sigmoid_slope(float x)
{
	float y = sigmoid(x);

	return (struct slope){ y, y * (1 - y) };
}

#define X(NAME, name) \
	static void name##_f(float *y, const float *x, size_t n) \
	{ \
		for (size_t i = 0; i < n; i++) \
			y[i] = name(x[i]); \
	} \
	static void name##_back(float *dx, const float *dy, const float *x, size_t n) \
	{ \
		for (size_t i = 0; i < n; i++) \
			dx[i] = dy[i] * name##_slope(x[i]).by; \
	} \
	static void name##_gated(float *y, const float *gate, const float *up, size_t n) \
	{ \
		for (size_t i = 0; i < n; i++) \
			y[i] = name(gate[i]) * up[i]; \
	} \
	static void name##_gated_back(float *dgate, float *dup, const float *dy, const float *gate, const float *up, \
	                              size_t n) \
	{ \
		for (size_t i = 0; i < n; i++) { \
			float d = dy[i], u = up[i]; \
			struct slope s = name##_slope(gate[i]); \
			dup[i] = d * s.y; \
			dgate[i] = d * u * s.by; \
		} \
	}
ACTIVATIONS(X)
#undef X

static void soft_cap(float *y, const float *x, float cap, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = cap * vec_tanh_finef(x[i] / cap);
}

static void soft_cap_back(float *dx, const float *dy, const float *y, float cap, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dx[i] = dy[i] * (1 - y[i] / cap * (y[i] / cap));
}

static void clamped_swiglu(float *y, const float *gate, const float *up, float alpha, float limit, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float g = gate[i] > limit ? limit : gate[i];
		float u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];
		y[i] = g * sigmoid(alpha * g) * (u + 1);
	}
}

static void clamped_swiglu_back(float *dgate, float *dup, const float *dy, const float *gate, const float *up,
                                float alpha, float limit, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float g = gate[i] > limit ? limit : gate[i], s = sigmoid(alpha * g), d = dy[i];
		float u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];
		float slope = s * (alpha * g * (1 - s) + 1);
		bool gate_holds = gate[i] >= limit, up_holds = fabsf(up[i]) >= limit;
		dup[i] = up_holds ? 0 : d * (g * s);
		dgate[i] = gate_holds ? 0 : d * (u + 1) * slope;
	}
}

/* (a, b) → (a·cos − b·sin, b·cos + a·sin) for each pair */
static void rope(float *y, const float *x, const float *cs, size_t D, bool interleaved, float sign)
{
	size_t half = D / 2;

	for (size_t i = 0; i < half; i++) {
		size_t p = interleaved ? 2 * i : i, q = interleaved ? 2 * i + 1 : i + half;
		float a = x[p], b = x[q], c = cs[i], s = sign * cs[half + i];
		y[p] = a * c - b * s;
		y[q] = b * c + a * s;
	}
}

/* m += (1 − β1)·(g − m); v = β2·v + (1 − β2)·g²: torch's lerp_ and addcmul_. */
static void adamw(float *w, const float *g, float *m, float *v, size_t n, const struct adamw_step *s)
{
	for (size_t i = 0; i < n; i++) {
		float d = g[i] * s->g_scale;
		m[i] = m[i] + s->rest1 * (d - m[i]);
		v[i] = v[i] * s->beta2 + s->rest2 * d * d;
		w[i] = w[i] * s->shrink - s->step * m[i] / (sqrtf(v[i]) * s->inv_sqrt_bias2 + s->eps);
	}
}

void ref_install(struct kernels *k)
{
	*k = (struct kernels){
		.name = "ref",
		.mr = MR,
		.nr = NR,
		.gemm_tile = gemm_tile,
		.pack_rows = pack_rows,
		.pack_cols = pack_cols,
		.pack_panels = pack_panels,
		.tile_in_place = tile_in_place,
		.panel_rows = panel_rows,
		.few_sums = few_sums,
		.sums_apart = sums_apart,
		.q8_row = q8_row,
		.q8_tile = q8_tile,
		.dot = dot,
		.dot_f16 = dot_f16,
		.dot_s8 = dot_s8,
		.axpy = axpy,
		.add = add,
		.scale = scale,
		.sum_squares = sum_squares,
		.exp_sum = exp_sum,
		.exp64 = exp64,
		.max = max,
		.soft_cap = soft_cap,
		.soft_cap_back = soft_cap_back,
		.clamped_swiglu = clamped_swiglu,
		.clamped_swiglu_back = clamped_swiglu_back,
		.soften = soften,
		.soften_back = soften_back,
		.rmsnorm = rmsnorm,
		.rmsnorm_back = rmsnorm_back,
		.layernorm = layernorm,
		.layernorm_back = layernorm_back,
#define X(NAME, name) .act[ACT_##NAME] = { name##_f, name##_back, name##_gated, name##_gated_back },
		ACTIVATIONS(X)
#undef X
		.rope = rope,
		.adamw = adamw,
	};
}
