/* kernels: every table of this processor, slot by slot.
 *
 * exp and tanh are held against libm in double; panels must equal the dequantized numbers exactly; the other slots are
 * compared with ref at odd lengths, from unaligned places, in place where the header allows it, and may not touch what
 * lies beyond n. Tolerance: ref rounds each operation and sums in double, a table fuses some and sums in f32 lanes:
 * pointwise 16 half-units of the result's scale, sums sqrt(n) + 16 of the scale of Σ|terms| (exp's 2 ulp included). */
#include "../test.h"

#include <float.h>
#include <math.h>

#include "kernel/vecmath.h"
#include "quant/panels.h"
#include "matrix_sample.h"

enum { BEYOND = 40, MOST = 1200 };

static const size_t lengths[] = { 1, 2, 7, 8, 15, 16, 31, 65, 100, 576, 1201 - 1 };

#define GUARD 12345.0f

/* Buffers of one case: a b c inputs, x y z outputs of ref, u v w of the table; all begin one float off alignment. */
struct buffers {
	float *in[4], *want[4], *got[4];
};

static void buffers_make(struct buffers *b)
{
	for (int i = 0; i < 4; i++) {
		b->in[i] = (float *)mem_array(MOST + BEYOND, sizeof(float)) + 1;
		b->want[i] = (float *)mem_array(MOST + BEYOND, sizeof(float)) + 1;
		b->got[i] = (float *)mem_array(MOST + BEYOND, sizeof(float)) + 1;
	}
}

static void buffers_free(struct buffers *b)
{
	for (int i = 0; i < 4; i++) {
		mem_free(b->in[i] - 1);
		mem_free(b->want[i] - 1);
		mem_free(b->got[i] - 1);
	}
}

/* Random inputs; the outputs hold in[3] (what an accumulating kernel adds to), then guards. */
static void buffers_fill(struct buffers *b, size_t n, float size, uint64_t seed)
{
	struct rng_stream rng = { seed };

	for (int i = 0; i < 4; i++)
		for (size_t j = 0; j < n + 32; j++)
			b->in[i][j] = j < n ? size * rng_next_float(&rng) : GUARD;
	for (int i = 0; i < 4; i++) {
		memcpy(b->want[i], b->in[3], (n + 32) * sizeof(float));
		memcpy(b->got[i], b->in[3], (n + 32) * sizeof(float));
	}
}

static float largest(const float *x, size_t n)
{
	float m = 0;

	for (size_t i = 0; i < n; i++)
		m = fmaxf(m, fabsf(x[i]));
	return m;
}

/* Numbers 0 … n−1 within `halves` half-units of the scale; the guards untouched. */
static void compare(struct test *t, const float *got, const float *want, size_t n, float scale, float halves)
{
	float tolerance = halves * 0x1p-24f * fmaxf(scale, largest(want, n));

	for (size_t i = 0; i < n; i++)
		if (!(fabsf(got[i] - want[i]) <= tolerance)) {
			CHECK_MSG(t, false, "n %zu: [%zu] is %.9g, wanted %.9g ± %.2g", n, i, got[i], want[i],
			          tolerance);
			return;
		}
	for (size_t i = n; i < n + 32; i++)
		CHECK_MSG(t, got[i] == GUARD, "n %zu: [%zu] beyond the end was written", n, i);
}

static float sum_tolerance(size_t n)
{
	return sqrtf((float)n) + 16;
}

/* --- exp, tanh --- */

static void test_exp(struct test *t, const struct kernels *k)
{
	float x[64], y[64], sum;
	double worst = 0;

	test_case(t, "%s: exp within 2 ulp", k->name);
	for (float at = -87.3f; at < 88.69f; at += 0.0337f) {
		for (int i = 0; i < 64; i++)
			x[i] = at + 0.0005f * (float)i;
		k->exp_sum(y, x, 0, 64, &sum);
		for (int i = 0; i < 64; i++)
			if (x[i] <= 88.7f)
				worst = fmax(worst, fabs(y[i] / exp((double)x[i]) - 1));
	}
	CHECK_MSG(t, worst <= 2 * FLT_EPSILON, "relative error %.3g", worst);

	test_case(t, "%s: exp at the edges", k->name);
	float edges[8] = { 0, -0.0f, -1000, 1000, NAN, -INFINITY, INFINITY, 88.7f };
	k->exp_sum(y, edges, 0, 8, &sum);
	CHECK(t, y[0] == 1 && y[1] == 1 && y[2] > 0 && y[2] < 1.3e-38f && y[3] > 3e38f && isfinite(y[3]));
	CHECK(t, isnan(y[4]) && isnan(sum) && y[5] < 1.3e-38f && isfinite(y[6]) && isfinite(y[7]));
}

static void test_exp64(struct test *t, const struct kernels *k, const struct kernels *ref)
{
	float x[101];
	double y[101], want[101], worst = 0;

	test_case(t, "%s: e^x in double within 2 units in the last place, with ref's bits", k->name);
	for (float at = 0; at > -700; at -= 0.037f * (1 - at / 40)) {
		for (int i = 0; i < 101; i++)
			x[i] = at - 0.0003f * (float)i;
		k->exp64(y, x, 0.25f, 101);
		ref->exp64(want, x, 0.25f, 101);
		CHECK(t, !memcmp(y, want, sizeof(y)));
		for (int i = 0; i < 101; i++)
			worst = fmax(worst, fabs(y[i] / exp((double)x[i] - 0.25) - 1));
	}
	CHECK_MSG(t, worst <= 2 * DBL_EPSILON, "relative error %.3g", worst);
	float edges[6] = { 3, -INFINITY, NAN, -704, -706, -1e30f };
	k->exp64(y, edges, 3, 6);
	CHECK(t, y[0] == 1 && y[1] == 0 && isnan(y[2]) && y[3] > 0 && y[4] == 0 && y[5] == 0);
}

static void test_scalars(struct test *t)
{
	double worst_exp = 0, worst_tanh = 0;

	test_case(t, "vec_expf within 2 ulp, vec_tanhf within 2⁻²²");
	for (float x = -87; x < 88; x += 0.0007f)
		worst_exp = fmax(worst_exp, fabs(vec_expf(x) / exp((double)x) - 1));
	for (float x = -12; x < 12; x += 0.00013f)
		worst_tanh = fmax(worst_tanh, fabs(vec_tanhf(x) - tanh((double)x)));
	CHECK_MSG(t, worst_exp <= 2 * FLT_EPSILON, "%.3g", worst_exp);
	CHECK_MSG(t, worst_tanh <= 0x1p-22, "%.3g", worst_tanh);
	CHECK(t, vec_tanhf(-0.3f) == -vec_tanhf(0.3f) && vec_tanhf(50) == vec_tanhf(9) && isnan(vec_expf(NAN)) &&
	                 isnan(vec_tanhf(NAN)));
}

/* --- vectors --- */

static void test_sums(struct test *t, const struct kernels *k, const struct kernels *ref, struct buffers *b)
{
	test_case(t, "%s: dot, sum_squares, max, exp_sum", k->name);
	for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
		size_t n = lengths[l];
		double absolute = 0;
		float sum, want_sum;
		buffers_fill(b, n, 2, n);
		for (size_t i = 0; i < n; i++)
			absolute += fabs((double)b->in[0][i] * b->in[1][i]);
		CHECK(t, fabs(k->dot(b->in[0], b->in[1], n) - ref->dot(b->in[0], b->in[1], n)) <=
		                 absolute * sum_tolerance(n) * 0x1p-24);
		double squares = ref->sum_squares(b->in[0], n);
		CHECK(t, fabs(k->sum_squares(b->in[0], n) - squares) <= squares * sum_tolerance(n) * 0x1p-24);
		CHECK(t, k->max(b->in[0], n) == ref->max(b->in[0], n));
		b->in[0][n - 1] = 7;
		CHECK(t, k->max(b->in[0], n) == 7);

		ref->exp_sum(b->want[0], b->in[1], 1.5f, n, &want_sum);
		k->exp_sum(b->got[0], b->in[1], 1.5f, n, &sum);
		compare(t, b->got[0], b->want[0], n, 0, 8);
		CHECK(t, fabsf(sum - want_sum) <= want_sum * sum_tolerance(n) * 0x1p-24f);
		k->exp_sum(b->in[1], b->in[1], 1.5f, n, &want_sum);
		CHECK(t, sum == want_sum && memcmp(b->in[1], b->got[0], n * sizeof(float)) == 0);
	}
	test_case(t, "%s: sum_squares by pieces of 65,536", k->name);
	struct rng_stream rng = { 5 };
	float *x = sample_floats(200001, &rng);
	double want = ref->sum_squares(x, 200001);
	CHECK(t, fabs(k->sum_squares(x, 200001) - want) <= want * 1e-6);
	mem_free(x);
	CHECK(t, k->dot(NULL, NULL, 0) == 0 && k->sum_squares(NULL, 0) == 0);
}

static void test_narrow_sums(struct test *t, const struct kernels *k, struct buffers *b)
{
	int8_t x[600], y[600];
	uint16_t half[600];

	test_case(t, "%s: dot_f16, dot_s8", k->name);
	for (size_t n = 0; n < 600; n += n < 40 ? 1 : 61) {
		double sum = 0, absolute = 0;
		int32_t whole = 0;
		buffers_fill(b, n + 1, 1, n);
		for (size_t i = 0; i < n; i++) {
			half[i] = f16_from_float((float)i * 0.37f - 9);
			x[i] = (int8_t)(n % 2 ? (int)(i * 71 % 255) - 127 : -127);
			y[i] = (int8_t)(n % 2 ? 127 - (int)(i * 37 % 255) : i % 3 ? 127 : -127);
			sum += (double)b->in[0][i] * (double)f16_to_float(half[i]);
			absolute += fabs((double)b->in[0][i] * (double)f16_to_float(half[i]));
			whole += x[i] * y[i];
		}
		CHECK(t, fabs((double)k->dot_f16(b->in[0], half, n) - sum) <=
		                 absolute * sum_tolerance(n) * 0x1p-24);
		CHECK(t, k->dot_s8(x, y, n) == whole);
	}
}

static void test_vectors(struct test *t, const struct kernels *k, const struct kernels *ref, struct buffers *b)
{
	test_case(t, "%s: axpy, add, scale", k->name);
	for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
		size_t n = lengths[l];
		buffers_fill(b, n, 2, n);
		ref->axpy(b->want[0], 0.7f, b->in[0], n);
		k->axpy(b->got[0], 0.7f, b->in[0], n);
		compare(t, b->got[0], b->want[0], n, 0, 16);
		ref->add(b->want[1], b->in[0], b->in[1], n);
		k->add(b->got[1], b->in[0], b->in[1], n);
		compare(t, b->got[1], b->want[1], n, 0, 0);
		memcpy(b->got[2], b->in[0], n * sizeof(float));
		k->add(b->got[2], b->got[2], b->in[1], n);
		compare(t, b->got[2], b->want[1], n, 0, 0);
		ref->scale(b->want[3], b->in[0], -1.3f, n);
		k->scale(b->in[0], b->in[0], -1.3f, n);
		compare(t, b->in[0], b->want[3], n, 0, 0);
	}
}

/* --- attention's softmax --- */

enum { SOFTEN_ROWS = 9, SCORES = SOFTEN_ROWS * KERNEL_SCORES };

/* Row 0 sees nothing, 1 everything, the others this and that; scores that are not seen are NaN. */
static void softmax_draw(struct rng_stream *rng, uint64_t seen[SOFTEN_ROWS], float *s)
{
	for (int i = 0; i < SOFTEN_ROWS; i++)
		seen[i] = i == 0 ? 0 : i == 1 ? ~(uint64_t)0 : i == 2 ? 1 : rng_next(rng);
	for (int i = 0; i < SCORES; i++)
		s[i] = seen[i / KERNEL_SCORES] >> i % KERNEL_SCORES & 1 ? 9 * rng_next_float(rng) : NAN;
}

struct softened { float s[SCORES + 32], most[SOFTEN_ROWS], o[SOFTEN_ROWS * 80]; double sum[SOFTEN_ROWS]; };

static void soften_twice(const struct kernels *k, size_t D, float cap, struct softened *x, float scores[2][SCORES],
                         uint64_t seen[2][SOFTEN_ROWS])
{
	struct rng_stream rng = { D };

	for (int i = 0; i < SOFTEN_ROWS * 80; i++)
		x->o[i] = rng_next_float(&rng);
	for (int i = 0; i < SOFTEN_ROWS; i++) {
		x->most[i] = -1e30f;
		x->sum[i] = 0;
	}
	for (int n = 0; n < 2; n++) {
		memcpy(x->s, scores[n], SCORES * sizeof(float));
		for (int i = 0; i < 32; i++)
			x->s[SCORES + i] = GUARD;
		k->soften(SOFTEN_ROWS, x->s, seen[n], 0.3f, cap, x->most, x->sum, x->o, 80, D);
	}
}

/* Two tiles, so that what the first left shrinks. */
static void test_soften(struct test *t, const struct kernels *k, const struct kernels *ref, float cap)
{
	static const size_t sizes[] = { 2, 10, 64, 80 };
	static float scores[2][SCORES];
	static struct softened want, got;
	uint64_t seen[2][SOFTEN_ROWS];
	struct rng_stream rng = { 77 };

	test_case(t, "%s: soften%s", k->name, cap > 0 ? " with a cap" : "");
	for (size_t l = 0; l < ARRAY_LEN(sizes); l++) {
		softmax_draw(&rng, seen[0], scores[0]);
		softmax_draw(&rng, seen[1], scores[1]);
		soften_twice(ref, sizes[l], cap, &want, scores, seen);
		soften_twice(k, sizes[l], cap, &got, scores, seen);
		compare(t, got.s, want.s, SCORES, 1, 16);
		CHECK(t, got.sum[0] == 0 && got.most[0] == -1e30f);
		for (int i = 0; i < SOFTEN_ROWS; i++) {
			CHECK(t, fabsf(got.most[i] - want.most[i]) <= (cap > 0 ? 4 * 0x1p-24f : 0));
			CHECK(t, fabs(got.sum[i] - want.sum[i]) <= want.sum[i] * (sum_tolerance(128) + 8) * 0x1p-24);
			for (int d = 0; d < 80; d++)
				CHECK(t, fabsf(got.o[i * 80 + d] - want.o[i * 80 + d]) <= 16 * 0x1p-24f);
			for (int j = 0; j < KERNEL_SCORES; j++)
				CHECK(t, (seen[1][i] >> j & 1) || got.s[i * KERNEL_SCORES + j] == 0);
		}
	}
}

static void test_soften_back(struct test *t, const struct kernels *k, const struct kernels *ref, float cap)
{
	static float p[3][SCORES + 32], ds[3][SCORES + 32];
	float lse[2 * SOFTEN_ROWS], delta[SOFTEN_ROWS];
	uint64_t seen[SOFTEN_ROWS];
	struct rng_stream rng = { 78 };

	test_case(t, "%s: soften_back%s", k->name, cap > 0 ? " with a cap" : "");
	softmax_draw(&rng, seen, ds[0]);
	for (int i = 0; i < SCORES; i++)
		p[0][i] = isnan(ds[0][i]) ? NAN : -9 * rng_next_float(&rng);
	for (int i = 0; i < SOFTEN_ROWS; i++) {
		lse[2 * i] = rng_next_float(&rng);
		delta[i] = rng_next_float(&rng);
	}
	for (int i = 0; i < 32; i++)
		p[0][SCORES + i] = ds[0][SCORES + i] = GUARD;
	for (int n = 1; n < 3; n++) {
		memcpy(p[n], p[0], sizeof(p[0]));
		memcpy(ds[n], ds[0], sizeof(ds[0]));
		(n == 1 ? ref : k)->soften_back(SOFTEN_ROWS, p[n], seen, 0.3f, cap, lse, 2, ds[n], delta);
	}
	compare(t, p[2], p[1], SCORES, 0, 16);
	compare(t, ds[2], ds[1], SCORES, 9, 16);
	for (int i = 0; i < SCORES; i++)
		CHECK(t, !isnan(p[0][i]) || (p[2][i] == 0 && ds[2][i] == 0));
	memcpy(p[1], p[0], sizeof(p[0]));
	k->soften_back(SOFTEN_ROWS, p[1], seen, 0.3f, cap, lse, 2, NULL, NULL);
	CHECK(t, memcmp(p[1], p[2], sizeof(p[1])) == 0);
}

/* --- norms --- */

static void test_rmsnorm(struct test *t, const struct kernels *k, const struct kernels *ref, struct buffers *b)
{
	test_case(t, "%s: rmsnorm and its gradient", k->name);
	for (size_t l = 0; l < ARRAY_LEN(lengths); l++)
		for (int mode = 0; mode < 4; mode++) {
			size_t n = lengths[l];
			bool accumulate = mode & 1;
			buffers_fill(b, n, 2, n + 1);
			float r = ref->rmsnorm(b->want[0], b->in[0], b->in[1], n, 1e-5f),
			      s = k->rmsnorm(b->got[0], b->in[0], b->in[1], n, 1e-5f);
			CHECK(t, fabsf(r - s) <= r * sum_tolerance(n) * 0x1p-24f);
			compare(t, b->got[0], b->want[0], n, 0, sum_tolerance(n));
			ref->rmsnorm_back(b->want[1], mode & 2 ? b->want[2] : NULL, b->in[2], b->in[0], b->in[1], r, n,
			                  accumulate);
			k->rmsnorm_back(b->got[1], mode & 2 ? b->got[2] : NULL, b->in[2], b->in[0], b->in[1], r, n,
			                accumulate);
			compare(t, b->got[1], b->want[1], n, r * 8, sum_tolerance(n));
			compare(t, b->got[2], b->want[2], n, 4, 16);
			k->rmsnorm(b->in[0], b->in[0], b->in[1], n, 1e-5f);
			CHECK(t, memcmp(b->in[0], b->got[0], n * sizeof(float)) == 0);
		}
}

static void test_layernorm(struct test *t, const struct kernels *k, const struct kernels *ref, struct buffers *b)
{
	test_case(t, "%s: layernorm and its gradient", k->name);
	for (size_t l = 0; l < ARRAY_LEN(lengths); l++)
		for (int mode = 0; mode < 4; mode++) {
			size_t n = lengths[l];
			const float *bias = mode & 2 ? b->in[3] : NULL;
			float m[2], r[2];
			buffers_fill(b, n, 2, n + 2);
			ref->layernorm(b->want[0], b->in[0], b->in[1], bias, n, 1e-5f, &m[0], &r[0]);
			k->layernorm(b->got[0], b->in[0], b->in[1], bias, n, 1e-5f, &m[1], &r[1]);
			float scale = r[0] * 4;
			CHECK(t, fabsf(m[0] - m[1]) <= 2 * sum_tolerance(n) * 0x1p-24f &&
			                 fabsf(r[0] - r[1]) <= r[0] * 4 * sum_tolerance(n) * 0x1p-24f);
			compare(t, b->got[0], b->want[0], n, scale, 4 * sum_tolerance(n));
			ref->layernorm_back(b->want[1], mode & 2 ? b->want[2] : NULL, mode & 2 ? b->want[3] : NULL,
			                    b->in[2], b->in[0], b->in[1], m[0], r[0], n, mode & 1);
			k->layernorm_back(b->got[1], mode & 2 ? b->got[2] : NULL, mode & 2 ? b->got[3] : NULL, b->in[2],
			                  b->in[0], b->in[1], m[0], r[0], n, mode & 1);
			compare(t, b->got[1], b->want[1], n, r[0] * 8 * fmaxf(1, largest(b->want[0], n)),
			        sum_tolerance(n));
			compare(t, b->got[2], b->want[2], n, 8, 16);
			compare(t, b->got[3], b->want[3], n, 4, 16);
			k->layernorm(b->in[0], b->in[0], b->in[1], bias, n, 1e-5f, &m[0], &r[0]);
			CHECK(t, memcmp(b->in[0], b->got[0], n * sizeof(float)) == 0);
		}
}

/* --- activations --- */

/* f and f' as mathematics has them. */
static double activation_of(enum activation a, double x, double *slope)
{
	double e = exp(-x * x / 2), phi = 0.5 * erfc(-x / sqrt(2)), s = 1 / (1 + exp(-x)), c = sqrt(2 / M_PI),
	       t = tanh(c * (x + 0.044715 * x * x * x));

	*slope = NAN;
	switch (a) {
	case ACT_SILU: *slope = s * (1 + x * (1 - s)); return x * s;
	case ACT_GELU: *slope = phi + x * e / sqrt(2 * M_PI); return x * phi;
	case ACT_GELU_TANH:
		*slope = (1 + t) / 2 + x / 2 * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);
		return x / 2 * (1 + t);
	case ACT_RELU: *slope = x > 0; return fmax(x, 0);
	case ACT_RELU2: *slope = 2 * fmax(x, 0); return fmax(x, 0) * fmax(x, 0);
	case ACT_TANH: *slope = 1 - tanh(x) * tanh(x); return tanh(x);
	case ACT_SIGMOID: *slope = s * (1 - s); return s;
	case ACTIVATION_COUNT: break;
	}
	return NAN;
}

/* Alone and gated against ref and mathematics, and the same bits in place. */
static void activation_length(struct test *t, enum activation a, const struct activation_kernels *k,
                              const struct activation_kernels *ref, size_t n, struct buffers *b)
{
	size_t bytes = n * sizeof(float);

	buffers_fill(b, n, 6, n + 3);
	b->in[0][0] = a == ACT_GELU_TANH ? -5 : -200; /* its tanh is 6·10⁻⁸ short of 1 at most */
	ref->f(b->want[0], b->in[0], n);
	k->f(b->got[0], b->in[0], n);
	compare(t, b->got[0], b->want[0], n, 4, 16);
	ref->back(b->want[1], b->in[2], b->in[0], n);
	k->back(b->got[1], b->in[2], b->in[0], n);
	compare(t, b->got[1], b->want[1], n, 36, 32);
	for (size_t i = 0; i < n; i++) {
		double slope, y = activation_of(a, b->in[0][i], &slope);
		CHECK(t, fabs(y - b->got[0][i]) <= 2e-6 * fmax(1, fabs(y)));
		CHECK(t, fabs(slope * b->in[2][i] - b->got[1][i]) <= 2e-5 * fmax(1, fabs(b->in[2][i])));
	}
	memcpy(b->got[2], b->in[2], bytes);
	k->back(b->got[2], b->got[2], b->in[0], n);
	CHECK(t, memcmp(b->got[2], b->got[1], bytes) == 0);
	memcpy(b->got[2], b->in[0], bytes);
	k->back(b->got[2], b->in[2], b->got[2], n);
	CHECK(t, memcmp(b->got[2], b->got[1], bytes) == 0);
	memcpy(b->got[2], b->in[0], bytes);
	k->f(b->got[2], b->got[2], n);
	CHECK(t, memcmp(b->got[2], b->got[0], bytes) == 0);
}

static void gated_length(struct test *t, const struct activation_kernels *k, const struct activation_kernels *ref,
                         size_t n, struct buffers *b)
{
	size_t bytes = n * sizeof(float);

	buffers_fill(b, n, 6, n + 3);
	b->in[0][0] = -200;
	ref->gated(b->want[0], b->in[0], b->in[1], n);
	k->gated(b->got[0], b->in[0], b->in[1], n);
	compare(t, b->got[0], b->want[0], n, 6, 16);
	ref->gated_back(b->want[1], b->want[2], b->in[2], b->in[0], b->in[1], n);
	k->gated_back(b->got[1], b->got[2], b->in[2], b->in[0], b->in[1], n);
	compare(t, b->got[1], b->want[1], n, 36, 32);
	compare(t, b->got[2], b->want[2], n, 36, 32);
	memcpy(b->got[3], b->in[2], bytes);
	memcpy(b->want[3], b->in[1], bytes);
	k->gated_back(b->got[3], b->want[3], b->got[3], b->in[0], b->want[3], n);
	CHECK(t, memcmp(b->got[3], b->got[1], bytes) == 0 && memcmp(b->want[3], b->got[2], bytes) == 0);
	k->gated_back(b->in[0], b->in[1], b->in[2], b->in[0], b->in[1], n);
	CHECK(t, memcmp(b->in[0], b->got[1], bytes) == 0 && memcmp(b->in[1], b->got[2], bytes) == 0);
}

static void test_activations(struct test *t, const struct kernels *k, const struct kernels *ref, struct buffers *b)
{
	static const char *const names[] = {
#define X(NAME, name) #name,
		ACTIVATIONS(X)
#undef X
	};
	for (int a = 0; a < ACTIVATION_COUNT; a++) {
		test_case(t, "%s: %s and its gradient, alone and gated, also in place", k->name, names[a]);
		for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
			activation_length(t, (enum activation)a, &k->act[a], &ref->act[a], lengths[l], b);
			gated_length(t, &k->act[a], &ref->act[a], lengths[l], b);
		}
	}
}

static void test_soft_cap(struct test *t, const struct kernels *k, const struct kernels *ref, struct buffers *b)
{
	static const float caps[] = { 30, 0.5F };

	test_case(t, "%s: soft_cap and its gradient, also in place", k->name);
	for (size_t l = 0; l < 2 * ARRAY_LEN(lengths); l++) {
		size_t n = lengths[l / 2];
		float cap = caps[l % 2];
		buffers_fill(b, n, 4, n + 3);
		k->soft_cap(b->got[0], b->in[0], cap, n);
		for (size_t i = 0; i < n; i++) {
			double y = cap * tanh((double)b->in[0][i] / cap);
			CHECK(t, fabs(y - b->got[0][i]) <= 8e-7 * fabs(y));
		}
		ref->soft_cap(b->want[0], b->in[0], cap, n);
		compare(t, b->got[0], b->want[0], n, 0, 16);
		ref->soft_cap_back(b->want[1], b->in[1], b->want[0], cap, n);
		k->soft_cap_back(b->got[1], b->in[1], b->got[0], cap, n);
		compare(t, b->got[1], b->want[1], n, 16, 16);
		k->soft_cap_back(b->in[1], b->in[1], b->got[0], cap, n);
		k->soft_cap(b->in[0], b->in[0], cap, n);
		CHECK(t, memcmp(b->in[0], b->got[0], n * sizeof(float)) == 0);
		CHECK(t, memcmp(b->in[1], b->got[1], n * sizeof(float)) == 0);
	}
}

static void test_clamped_swiglu(struct test *t, const struct kernels *k, const struct kernels *ref, struct buffers *b)
{
	const float alpha = 1.702F, limit = 0.6F;

	test_case(t, "%s: clamped_swiglu and its gradient, also in place", k->name);
	for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
		size_t n = lengths[l];
		buffers_fill(b, n, 4, n + 5);
		const float *gate = b->in[0], *up = b->in[1], *dy = b->in[2];
		k->clamped_swiglu(b->got[0], gate, up, alpha, limit, n);
		for (size_t i = 0; i < n; i++) {
			double g = fmin(gate[i], limit), u = fmax(-limit, fmin(limit, up[i]));
			CHECK(t, fabs(g / (1 + exp(-(double)alpha * g)) * (u + 1) - b->got[0][i]) <= 1e-6);
		}
		ref->clamped_swiglu(b->want[0], gate, up, alpha, limit, n);
		compare(t, b->got[0], b->want[0], n, 0, 16);
		ref->clamped_swiglu_back(b->want[1], b->want[2], dy, gate, up, alpha, limit, n);
		k->clamped_swiglu_back(b->got[1], b->got[2], dy, gate, up, alpha, limit, n);
		compare(t, b->got[1], b->want[1], n, 16, 16);
		compare(t, b->got[2], b->want[2], n, 16, 16);
		k->clamped_swiglu_back(b->in[2], b->in[3], b->in[2], gate, up, alpha, limit, n);
		CHECK(t, memcmp(b->in[2], b->got[1], n * sizeof(float)) == 0);
		k->clamped_swiglu(b->in[0], b->in[0], up, alpha, limit, n);
		CHECK(t, memcmp(b->in[0], b->got[0], n * sizeof(float)) == 0);
	}
}

static void test_rope(struct test *t, const struct kernels *k, const struct kernels *ref, struct buffers *b)
{
	static const size_t sizes[] = { 2, 6, 32, 64, 80, 128 };

	test_case(t, "%s: rope, there and back", k->name);
	for (size_t l = 0; l < ARRAY_LEN(sizes); l++)
		for (int interleaved = 0; interleaved < 2; interleaved++) {
			size_t D = sizes[l];
			buffers_fill(b, D, 2, D);
			for (size_t i = 0; i < D / 2; i++) {
				b->in[1][i] = cosf((float)i);
				b->in[1][D / 2 + i] = sinf((float)i);
			}
			ref->rope(b->want[0], b->in[0], b->in[1], D, interleaved, 1);
			k->rope(b->got[0], b->in[0], b->in[1], D, interleaved, 1);
			compare(t, b->got[0], b->want[0], D, 4, 4);
			k->rope(b->got[0], b->got[0], b->in[1], D, interleaved, -1);
			compare(t, b->got[0], b->in[0], D, 4, 8);
		}
}

/* --- the optimizer --- */

static void test_adamw(struct test *t, const struct kernels *k, const struct kernels *ref, struct buffers *b)
{
	struct adamw_step s = { .beta1 = 0.9f,
		                .beta2 = 0.999f,
		                .rest1 = 0.1f,
		                .rest2 = 0.001f,
		                .eps = 1e-8f,
		                .shrink = 1 - 1e-5f,
		                .step = 1e-2f,
		                .inv_sqrt_bias2 = 31.6f,
		                .g_scale = 0.5f };

	test_case(t, "%s: adamw", k->name);
	for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
		size_t n = lengths[l];
		buffers_fill(b, n, 1, n + 5);
		for (size_t i = 0; i < n; i++)
			b->want[2][i] = b->got[2][i] = fabsf(b->in[3][i]);
		for (int step = 0; step < 3; step++) {
			ref->adamw(b->want[0], b->in[0], b->want[1], b->want[2], n, &s);
			k->adamw(b->got[0], b->in[0], b->got[1], b->got[2], n, &s);
		}
		for (int i = 0; i < 3; i++)
			compare(t, b->got[i], b->want[i], n, 1, 16);
	}
}

/* --- panels and tiles --- */

static void test_panels(struct test *t, const struct kernels *k)
{
	size_t nr = (size_t)k->nr, rows = nr + 3, cols = 512;
	float *out = mem_array(cols * nr, sizeof(float)), *y = mem_array(rows * cols, sizeof(float));

	for (int d = 0; d < DTYPE_I32; d++) {
		struct rng_stream rng = { (uint64_t)d };
		struct matrix m = sample_matrix((enum dtype)d, rows, cols, &rng);
		bool plain = dtypes[d].block == 1, right = true;
		for (size_t i = 0; i < rows; i++)
			dtypes[d].to_float((const char *)m.data + i * m.row_bytes, y + i * cols, cols);

		test_case(t, "%s: pack_rows %s", k->name, dtypes[d].name);
		for (size_t n = 1; n <= nr; n += n < nr - 1 && n > 1 ? 7 : 1)
			for (size_t k0 = 0; k0 < 96; k0 += plain ? 13 : 48) {
				size_t some = plain ? 37 + k0 : 32 + k0;
				n = n > nr ? nr : n;
				memset(out, 0xff, cols * nr * sizeof(float));
				k->pack_rows((enum dtype)d, m.data, m.row_bytes, n, k0, some, out);
				for (size_t i = 0; i < some * nr; i++)
					right &= out[i] == (i % nr < n ? y[i % nr * cols + k0 + i / nr] : 0);
				right &= isnan(out[some * nr]);
			}
		CHECK(t, right);

		test_case(t, "%s: pack_cols %s", k->name, dtypes[d].name);
		for (size_t n = plain ? 1 : 16; n <= nr; n += plain ? 1 : 16)
			for (size_t j0 = 0; j0 + n <= cols; j0 += plain ? 61 : 16) {
				memset(out, 0xff, cols * nr * sizeof(float));
				k->pack_cols((enum dtype)d, m.data, m.row_bytes, 9, j0, n, out);
				for (size_t i = 0; i < 9 * nr; i++)
					right &= out[i] == (i % nr < n ? y[i / nr * cols + j0 + i % nr] : 0);
				right &= isnan(out[9 * nr]);
			}
		CHECK(t, right);
		mem_free((void *)m.data);
	}
	mem_free(out);
	mem_free(y);
}

/* Every m and n of the micro-tile, B packed, from panels and from rows; C's surroundings stay. */
static void test_tiles(struct test *t, const struct kernels *k)
{
	size_t nr = (size_t)k->nr, ldc = nr + 3, K = 19;
	struct rng_stream rng = { 9 };
	float *a = sample_floats((size_t)k->mr * K, &rng), *b = sample_floats(nr * K, &rng),
	      *c = mem_array((size_t)(k->mr + 1) * ldc, sizeof(float));
	float *panels = mem_array(nr * K, sizeof(float));

	for (size_t i = 0; i < nr * K; i++)
		panels[i % nr / PANEL_ROWS * K * PANEL_ROWS + i / nr * PANEL_ROWS + i % PANEL_ROWS] = b[i];

	test_case(t, "%s: gemm_tile of every size", k->name);
	for (size_t m = 1; m <= (size_t)k->mr; m++)
		for (size_t n = 1; n <= nr; n++)
			for (int mode = 0; mode < 12; mode++) {
				bool across = mode & 1, accumulate = mode & 2, right = true;
				size_t a_row = across ? 1 : K, a_col = across ? (size_t)k->mr : 1;
				for (size_t i = 0; i < (size_t)(k->mr + 1) * ldc; i++)
					c[i] = 0.5f;
				if (mode & 4)
					k->tile_in_place(m, n, K, a, a_row, a_col, panels, PANEL_ROWS, K * PANEL_ROWS,
					                 c, ldc, accumulate);
				else if (mode & 8)
					k->tile_in_place(m, n, K, a, a_row, a_col, b, nr, PANEL_ROWS, c, ldc,
					                 accumulate);
				else
					k->gemm_tile(m, n, K, a, a_row, a_col, b, c, ldc, accumulate);
				for (size_t i = 0; i < (size_t)(k->mr + 1) * ldc; i++) {
					double sum = accumulate ? 0.5 : 0;
					for (size_t q = 0; q < K && i / ldc < m && i % ldc < n; q++)
						sum += (double)a[across ? i / ldc + q * (size_t)k->mr :
						                          i / ldc * K + q] *
						       b[q * nr + i % ldc];
					right &= i / ldc < m && i % ldc < n ? fabs(c[i] - sum) < 1e-5 : c[i] == 0.5f;
				}
				CHECK_MSG(t, right, "m %zu, n %zu, mode %d", m, n, mode);
			}
	mem_free(a);
	mem_free(b);
	mem_free(c);
	mem_free(panels);
}

/* Any number of sums, each with a stride and width of its own; C's surroundings stay. */
static void test_sums_apart(struct test *t, const struct kernels *k)
{
	enum { SUMS = 7, K = 37, WIDE = 21 };
	struct rng_stream rng = { 10 };
	float *a = sample_floats((size_t)SUMS * K, &rng),
	      *w = sample_floats((size_t)SUMS * K * WIDE + PANEL_ROWS, &rng);
	float got[SUMS * WIDE], want[PANEL_ROWS];
	struct sum_apart s[SUMS];

	test_case(t, "%s: sums_apart, the bits of a tile", k->name);
	for (size_t sums = 1; sums <= SUMS; sums++) {
		for (size_t p = 0; p < (size_t)SUMS * WIDE; p++)
			got[p] = 0.5F;
		for (size_t p = 0; p < sums; p++)
			s[p] = (struct sum_apart){ a + p * K, w + p * K * WIDE, WIDE - p,
				                   (p * 5 + sums) % PANEL_ROWS + 1, got + p * WIDE };
		k->sums_apart(sums, K, s);
		for (size_t p = 0; p < SUMS; p++) {
			size_t n = p < sums ? s[p].n : 0;
			if (n)
				k->tile_in_place(1, n, K, s[p].a, K, 1, s[p].w, s[p].step, PANEL_ROWS, want, WIDE,
				                 false);
			bool right = !memcmp(got + p * WIDE, want, n * sizeof(*want));
			for (size_t j = n; j < WIDE; j++)
				right &= got[p * WIDE + j] == 0.5F;
			CHECK_MSG(t, right, "number %zu of %zu, %zu columns", p, sums, n);
		}
	}
	mem_free(a);
	mem_free(w);
}

static void test_choice(struct test *t, const struct kernels *const *all, size_t n)
{
	struct err e = ERR_INIT;

	test_case(t, "tables are found by name; an unknown one is refused with the names that can be used");
	for (size_t i = 0; i < n; i++)
		CHECK(t, kernels_get(all[i]->name, &e) == all[i]);
	CHECK(t, kernels_get("sse9", &e) == NULL && strstr(e.msg, "sse9") && strstr(e.msg, "ref"));
	for (size_t i = 0; i < n; i++)
		CHECK(t, all[i]->nr % 16 == 0 && all[i]->mr <= KERNEL_MR_MAX && all[i]->nr <= KERNEL_NR_MAX);
}

void test_kernels(struct test *t);
void test_kernels(struct test *t)
{
	const struct kernels *all[KERNEL_SETS];
	size_t n = kernels_all(all);
	struct buffers b;

	buffers_make(&b);
	test_choice(t, all, n);
	test_scalars(t);
	for (size_t i = 0; i < n; i++) {
		const struct kernels *k = all[i], *ref = all[0];
		test_exp64(t, k, ref);
		test_exp(t, k);
		test_sums(t, k, ref, &b);
		test_narrow_sums(t, k, &b);
		test_vectors(t, k, ref, &b);
		for (int capped = 0; capped < 2; capped++) {
			test_soften(t, k, ref, capped ? 1.5F : 0);
			test_soften_back(t, k, ref, capped ? 1.5F : 0);
		}
		test_rmsnorm(t, k, ref, &b);
		test_layernorm(t, k, ref, &b);
		test_activations(t, k, ref, &b);
		test_soft_cap(t, k, ref, &b);
		test_clamped_swiglu(t, k, ref, &b);
		test_rope(t, k, ref, &b);
		test_adamw(t, k, ref, &b);
		test_panels(t, k);
		test_tiles(t, k);
		test_sums_apart(t, k);
	}
	buffers_free(&b);
}
