/* gemm against a triple loop in double, for every table and storage type; and the promise that neither threads nor the
 * other rows show.
 *
 * Tolerance: one chain of K rounded steps (two roundings each in ref) errs by at most 2·(K+4)·2⁻²⁴·Σ|a·b|. */
#include "../test.h"

#include <math.h>
#include <stdio.h>

#include "kernel/gemm.h"
#include "matrix_sample.h"

struct sizes {
	size_t m, n, k;
};

static float *dequantized(const struct matrix *m)
{
	float *x = mem_array(m->rows * m->cols + 1, sizeof(float));

	for (size_t i = 0; i < m->rows; i++)
		dtypes[m->dtype].to_float((const char *)m->data + i * m->row_bytes, x + i * m->cols, m->cols);
	return x;
}

/* The judge: out and its tolerance. */
static void gemm_judge(const struct gemm *g, const float *c_old, double *out, double *tolerance)
{
	for (size_t i = 0; i < g->m * g->n; i++)
		out[i] = tolerance[i] = 0;
	for (int t = 0; t < g->n_terms; t++) {
		const struct gemm_term *q = &g->term[t];
		float *b = dequantized(&q->b);
		for (size_t i = 0; i < g->m; i++)
			for (size_t j = 0; j < g->n; j++)
				for (size_t k = 0; k < q->k; k++) {
					double p = (double)q->a[i * q->a_row + k * q->a_col] * q->scale *
					           b[q->transposed ? j * q->b.cols + k : k * q->b.cols + j];
					out[i * g->n + j] += p;
					tolerance[i * g->n + j] +=
						fabs(p) * 2 * (double)(g->term[0].k + g->term[1].k + 4) * 0x1p-24;
				}
		mem_free(b);
	}
	for (size_t i = 0; i < g->m * g->n; i++) {
		size_t at = i / g->n * g->ldc + i % g->n;
		double extra[3] = { g->bias ? g->bias[i % g->n] : 0, g->residual ? g->residual[at] : 0,
			            g->accumulate ? c_old[at] : 0 };
		for (int x = 0; x < 3; x++) {
			out[i] += extra[x];
			tolerance[i] += fabs(extra[x]) * 0x1p-22 + fabs(out[i]) * 0x1p-23;
		}
	}
}

struct setup {
	const struct kernels *k;
	struct pool *pool;
	void *scratch;
	bool free;                     /* products by parts */
};

static struct setup setup_make(const struct kernels *k, int threads)
{
	return (struct setup){ k, pool_new(threads), mem_alloc(gemm_scratch_bytes(k) * (size_t)threads + 128) };
}

static void setup_run(const struct setup *s, const struct gemm *g)
{
	struct gemm product = *g;

	product.free |= s->free;
	gemm_run(s->k, s->pool, &product, (void *)ROUND_UP((uintptr_t)s->scratch, 128));
}

static void setup_release(struct setup *s)
{
	pool_free(s->pool);
	mem_free(s->scratch);
}

static struct gemm_term term_sample(struct sizes z, enum dtype t, bool transposed, bool a_transposed, float scale,
                                    struct rng_stream *rng)
{
	return (struct gemm_term){
		.a = sample_floats(z.m * z.k, rng),
		.a_row = a_transposed ? 1 : z.k,
		.a_col = a_transposed ? z.m : 1,
		.b = sample_matrix(t, transposed ? z.n : z.k, transposed ? z.k : z.n, rng),
		.transposed = transposed,
		.k = z.k,
		.scale = scale,
	};
}

static void term_release(struct gemm_term *t)
{
	mem_free((void *)t->a);
	mem_free((void *)t->b.data);
}

/* One product in full dress against the judge; columns beyond n must stay as they were. */
static void check_product(struct test *t, const struct setup *s, struct gemm *g)
{
	size_t size = g->m * g->ldc;
	struct rng_stream rng = { 7 };
	float *c = sample_floats(size, &rng), *old = mem_array(size + 1, sizeof(float));
	double *want = mem_array(g->m * g->n + 1, sizeof(double)),
	       *tolerance = mem_array(g->m * g->n + 1, sizeof(double));
	bool alias = g->residual == c;

	memcpy(old, c, size * sizeof(float));
	g->c = c;
	gemm_judge(g, old, want, tolerance);
	setup_run(s, g);
	for (size_t i = 0; i < g->m; i++) {
		for (size_t j = 0; j < g->n; j++) {
			double d = fabs(c[i * g->ldc + j] - want[i * g->n + j]);
			if (!(d <= tolerance[i * g->n + j] + 1e-30)) {
				CHECK_MSG(t, false, "C[%zu,%zu] = %.9g, wanted %.9g ± %.3g (alias %d)", i, j,
				          c[i * g->ldc + j], want[i * g->n + j], tolerance[i * g->n + j], alias);
				goto out;
			}
		}
		for (size_t j = g->n; j < g->ldc; j++)
			CHECK(t, c[i * g->ldc + j] == old[i * g->ldc + j]);
	}
out:
	mem_free(c);
	mem_free(old);
	mem_free(want);
	mem_free(tolerance);
}

static void test_dtypes(struct test *t, const struct setup *s)
{
	static const struct sizes some[] = { { 1, 256, 256 }, { 31, 256, 512 }, { 65, 512, 256 } };

	for (int d = 0; d < DTYPE_I32; d++)
		for (size_t i = 0; i < ARRAY_LEN(some); i++)
			for (int transposed = 0; transposed < 2; transposed++) {
				struct rng_stream rng = { (uint64_t)d * 100 + i };
				test_case(t, "%s: %s %s, %zu×%zu×%zu", s->k->name, dtypes[d].name,
				          transposed ? "rows" : "columns", some[i].m, some[i].n, some[i].k);
				struct gemm g = { .m = some[i].m, .n = some[i].n, .ldc = some[i].n, .n_terms = 1 };
				g.term[0] = term_sample(some[i], (enum dtype)d, transposed, false, 1, &rng);
				check_product(t, s, &g);
				term_release(&g.term[0]);
			}
}

/* Q4_1 … Q8_0 have rows of 32: panels and slices that end inside a group of panels. */
static void test_small_blocks(struct test *t, const struct setup *s)
{
	for (int d = DTYPE_Q4_0; d <= DTYPE_Q8_0; d++)
		for (int transposed = 0; transposed < 2; transposed++) {
			struct rng_stream rng = { (uint64_t)d };
			struct sizes z = { 9, transposed ? 45 : 96, transposed ? 288 : 301 };
			test_case(t, "%s: %s %s, uneven", s->k->name, dtypes[d].name, transposed ? "rows" : "columns");
			struct gemm g = { .m = z.m, .n = z.n, .ldc = z.n, .n_terms = 1 };
			g.term[0] = term_sample(z, (enum dtype)d, transposed, false, 1, &rng);
			check_product(t, s, &g);
			term_release(&g.term[0]);
		}
}

static void test_shapes(struct test *t, const struct setup *s)
{
	static const size_t ms[] = { 0, 1, 7, 14, 31, 65, 300 }, ns[] = { 0, 1, 8, 17, 33, 300 },
			    ks[] = { 0, 1, 7, 65, 257, 600 };

	for (size_t a = 0; a < ARRAY_LEN(ms); a++)
		for (size_t b = 0; b < ARRAY_LEN(ns); b++)
			for (size_t c = 0; c < ARRAY_LEN(ks); c++) {
				struct rng_stream rng = { a * 100 + b * 10 + c };
				struct sizes z = { ms[a], ns[b], ks[c] };
				bool transposed = (a + b + c) % 2, a_transposed = (a + b) % 3 == 0;
				test_case(t, "%s: %zu×%zu×%zu f32", s->k->name, z.m, z.n, z.k);
				struct gemm g = { .m = z.m, .n = z.n, .ldc = z.n + c % 3, .n_terms = 1 };
				g.term[0] = term_sample(z, c % 2 ? DTYPE_F16 : DTYPE_F32, transposed, a_transposed, 1,
				                        &rng);
				check_product(t, s, &g);
				term_release(&g.term[0]);
			}
}

/* dA = duᵀ·x and dW = dyᵀ·x: few rows over B's rows in place, whose last columns are packed; many, for which A is. The
 * scale is A's where that is exact. */
static void test_across(struct test *t, const struct setup *s)
{
	static const struct sizes sizes[] = { { 8, 200, 100 }, { 12, 64, 33 }, { 200, 8, 70 }, { 401, 150, 393 } };
	static const float scales[] = { 1, 2, 0.37f };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		for (size_t j = 0; j < ARRAY_LEN(scales); j++)
			for (int accumulate = 0; accumulate < 2; accumulate++) {
				struct rng_stream rng = { i + 10 * j };
				struct sizes z = sizes[i];
				test_case(t, "%s: across %zu×%zu×%zu, scale %g", s->k->name, z.m, z.n, z.k,
				          (double)scales[j]);
				struct gemm g = {
					.m = z.m, .n = z.n, .ldc = z.n, .n_terms = 1, .accumulate = accumulate
				};
				g.term[0] = term_sample(z, DTYPE_F32, false, true, scales[j], &rng);
				check_product(t, s, &g);
				term_release(&g.term[0]);
			}
}

static void test_epilogues(struct test *t, const struct setup *s)
{
	for (int bits = 0; bits < 16; bits++) {
		struct rng_stream rng = { (uint64_t)bits };
		struct sizes z = { 37, 96, bits & 1 ? 64 : 320 }, low = { 37, 96, 8 };
		test_case(t, "%s: epilogue %d", s->k->name, bits);
		struct gemm g = { .m = z.m, .n = z.n, .ldc = z.n + 3, .n_terms = 2, .accumulate = bits & 2 };
		float *bias = sample_floats(z.n, &rng), *residual = sample_floats(z.m * g.ldc, &rng);
		g.bias = bits & 4 ? bias : NULL;
		g.residual = bits & 8 ? residual : NULL;
		g.term[0] = term_sample(z, DTYPE_Q4_1, true, false, 1, &rng);
		g.term[1] = term_sample(low, DTYPE_F32, true, false, 0.37f, &rng);
		check_product(t, s, &g);
		term_release(&g.term[0]);
		term_release(&g.term[1]);
		mem_free(bias);
		mem_free(residual);
	}
}

/* y += x·Wᵀ, written as a residual that is C itself: the same as accumulate. */
static void test_residual_in_place(struct test *t, const struct setup *s)
{
	struct rng_stream rng = { 3 };
	struct sizes z = { 29, 64, 300 };
	float *c = sample_floats(z.m * z.n, &rng), *d = mem_array(z.m * z.n, sizeof(float));
	struct gemm g = { .m = z.m, .n = z.n, .ldc = z.n, .n_terms = 1, .residual = c, .c = c };

	test_case(t, "%s: the residual may be C", s->k->name);
	memcpy(d, c, z.m * z.n * sizeof(float));
	g.term[0] = term_sample(z, DTYPE_F32, false, false, 1, &rng);
	setup_run(s, &g);
	g.c = d;
	g.residual = NULL;
	g.accumulate = true;
	setup_run(s, &g);
	CHECK(t, memcmp(c, d, z.m * z.n * sizeof(float)) == 0);
	term_release(&g.term[0]);
	mem_free(c);
	mem_free(d);
}

/* Items of dW = dyᵀ·x depend on the number of threads. */
static void test_threads(struct test *t, const struct kernels *k, bool across, bool free)
{
	static const int threads[] = { 2, 3, 7 };
	struct rng_stream rng = { 11 };
	struct sizes z = { across ? 402 : 147, 192, 320 };
	float *c = mem_array(z.m * z.n, sizeof(float)), *d = mem_array(z.m * z.n, sizeof(float));
	struct gemm g = { .m = z.m, .n = z.n, .ldc = z.n, .n_terms = 1, .c = c, .free = free };
	struct setup one = setup_make(k, 1);

	g.term[0] = term_sample(z, across ? DTYPE_F32 : DTYPE_Q4_0, !across, across, 1, &rng);
	setup_run(&one, &g);
	g.c = d;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		struct setup many = setup_make(k, threads[i]);
		test_case(t, "%s: %d threads, the same bits%s%s", k->name, threads[i], across ? ", A transposed" : "",
		          free ? ", by parts" : "");
		memset(d, 0xff, z.m * z.n * sizeof(float));
		setup_run(&many, &g);
		CHECK(t, memcmp(c, d, z.m * z.n * sizeof(float)) == 0);
		setup_release(&many);
	}
	memset(d, 0xff, z.m * z.n * sizeof(float));
	test_case(t, "%s: gemm_serial, the same bits", k->name);
	gemm_serial(k, &g, (void *)ROUND_UP((uintptr_t)one.scratch, 128));
	CHECK(t, memcmp(c, d, z.m * z.n * sizeof(float)) == 0);
	setup_release(&one);
	term_release(&g.term[0]);
	mem_free(c);
	mem_free(d);
}

/* Rows i … i+m−1 alone against the same rows among 300, with A read in place and through its packed form. */
static void test_rows_alone(struct test *t, const struct setup *s, bool a_transposed)
{
	static const size_t counts[] = { 1, 2, 5, 13, 40 };
	struct rng_stream rng = { 13 };
	/* 1024 apart: A is packed by narrow tables */
	struct sizes z = { a_transposed ? 1024 : 300, 160, a_transposed ? 288 : 576 };
	float *c = mem_array(z.m * z.n, sizeof(float)), *d = mem_array(z.m * z.n, sizeof(float));
	struct gemm g = { .m = z.m, .n = z.n, .ldc = z.n, .n_terms = 1, .c = c };

	g.term[0] = term_sample(z, DTYPE_Q8_0, true, a_transposed, 1, &rng);
	setup_run(s, &g);
	test_case(t, "%s: rows alone equal rows in a batch%s", s->k->name, a_transposed ? ", A transposed" : "");
	g.c = d;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		size_t first = 17 * i + 3;
		struct gemm part = g;
		part.m = counts[i];
		part.term[0].a += first * g.term[0].a_row;
		setup_run(s, &part);
		CHECK_MSG(t, memcmp(c + first * z.n, d, part.m * z.n * sizeof(float)) == 0, "%zu rows from %zu", part.m,
		          first);
	}
	term_release(&g.term[0]);
	mem_free(c);
	mem_free(d);
}

/* All tables that use fused multiply-add walk the same chain: one result. */
static void test_tables_agree(struct test *t, const struct kernels **all, size_t n)
{
	struct rng_stream rng = { 17 };
	struct sizes z = { 45, 96, 320 };
	float *c[KERNEL_SETS];
	struct gemm g = { .m = z.m, .n = z.n, .ldc = z.n, .n_terms = 1 };

	g.term[0] = term_sample(z, DTYPE_Q5_1, true, false, 1, &rng);
	for (size_t i = 1; i < n; i++) {
		struct setup s = setup_make(all[i], 1);
		g.c = c[i] = mem_array(z.m * z.n, sizeof(float));
		setup_run(&s, &g);
		setup_release(&s);
		test_case(t, "%s: the same bits as %s", all[i]->name, all[1]->name);
		CHECK(t, memcmp(c[1], c[i], z.m * z.n * sizeof(float)) == 0);
	}
	for (size_t i = 1; i < n; i++)
		mem_free(c[i]);
	term_release(&g.term[0]);
}

/* --- by parts --- */

enum { SIDE = 128, DEPTH = 320 };

/* x·Wᵀ of a row of ones and of rows that are given; W is ones but for one number. */
static void product_with(const struct setup *s, float x, float w, float *c)
{
	static float a[2 * DEPTH], b[SIDE * DEPTH];
	struct gemm g = { .m = 2, .n = SIDE, .ldc = SIDE, .n_terms = 1, .c = c };

	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		a[i] = 1;
	for (size_t i = 0; i < ARRAY_LEN(b); i++)
		b[i] = 1;
	a[DEPTH + 37] = x;
	b[5 * DEPTH + 50] = w;
	g.term[0] = (struct gemm_term){ .a = a, .a_row = DEPTH, .a_col = 1, .transposed = true, .k = DEPTH, .scale = 1,
		                        .b = { DTYPE_F32, b, SIDE, DEPTH, DEPTH * sizeof(float), 0 } };
	setup_run(s, &g);
}

/* What is no finite number shows in all that it touches and nowhere else; what is finite stays so. */
static void test_specials(struct test *t, const struct setup *s)
{
	static const float odd[] = { INFINITY, -INFINITY, NAN };
	float c[2 * SIDE];

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		test_case(t, "%s: by parts, %g among the numbers", s->k->name, (double)odd[i]);
		product_with(s, odd[i], 1, c);
		CHECK(t, c[0] == DEPTH && c[SIDE - 1] == DEPTH && !isfinite(c[SIDE]) && !isfinite(c[2 * SIDE - 1]));
		product_with(s, 1, odd[i], c);
		CHECK(t, c[4] == DEPTH && c[6] == DEPTH && !isfinite(c[5]) && !isfinite(c[SIDE + 5]));
	}
	test_case(t, "%s: by parts, the largest and the smallest numbers", s->k->name);
	product_with(s, 0x1.fffffep127f, 1, c);
	CHECK_MSG(t, c[SIDE] == 0x1.fffffep127f, "%a", (double)c[SIDE]);
	product_with(s, 1, -0x1.fffffep127f, c);
	CHECK_MSG(t, c[5] == -0x1.fffffep127f && c[4] == DEPTH, "%a", (double)c[5]);
	product_with(s, 0x1.fffffep-102f, 0x1p120f, c);
	CHECK_MSG(t, c[SIDE + 5] == 0x1p120f, "%a", (double)c[SIDE + 5]);
}

/* The largest error, in units of 2⁻²⁴·Σ|a·b|, of numbers whose sizes differ by up to 2^spread. */
static double worst_error(const struct setup *s, int spread)
{
	struct rng_stream rng = { 23 };
	struct sizes z = { SIDE, SIDE, 4 * DEPTH };
	float *c = mem_array(z.m * z.n, sizeof(float));
	struct gemm g = { .m = z.m, .n = z.n, .ldc = z.n, .n_terms = 1, .c = c };
	double worst = 0;

	g.term[0] = term_sample(z, DTYPE_F32, true, false, 1, &rng);
	float *a = (float *)g.term[0].a, *b = (float *)g.term[0].b.data;
	for (size_t i = 0; i < z.m * z.k && spread; i++) {
		a[i] = ldexpf(a[i], (int)(rng_next(&rng) % (unsigned)spread));
		b[i] = ldexpf(b[i], (int)(rng_next(&rng) % (unsigned)spread));
	}
	setup_run(s, &g);
	for (size_t i = 0; i < z.m * z.n; i++) {
		double sum = 0, size = 0;
		for (size_t q = 0; q < z.k; q++) {
			double p = (double)a[i / z.n * z.k + q] * b[i % z.n * z.k + q];
			sum += p;
			size += fabs(p);
		}
		worst = fmax(worst, fabs(c[i] - sum) / size * 0x1p24);
	}
	term_release(&g.term[0]);
	mem_free(c);
	return worst;
}

/* No worse than one chain, which rounds 4·DEPTH times: measured is half of it (kernel/parts.h). */
static void test_exactness(struct test *t, const struct setup *s)
{
	struct setup chain = *s, parts = *s;

	chain.free = false;
	parts.free = true;
	for (int spread = 0; spread <= 16; spread += 8) {
		double one = worst_error(&chain, spread), other = worst_error(&parts, spread);
		test_case(t, "%s: by parts as exact as a chain, sizes over 2^%d", s->k->name, spread);
		CHECK_MSG(t, other <= one && other > 0, "%g, a chain %g", other, one);
	}
}

static void test_products(struct test *t, const struct setup *s)
{
	test_dtypes(t, s);
	test_small_blocks(t, s);
	test_shapes(t, s);
	test_across(t, s);
	test_epilogues(t, s);
	test_residual_in_place(t, s);
	test_rows_alone(t, s, false);
	test_rows_alone(t, s, true);
}

static void test_parts(struct test *t, const struct setup *all)
{
	struct setup s = *all;

	s.free = true;
	test_products(t, &s);
	test_specials(t, &s);
	test_exactness(t, &s);
}

void test_gemm(struct test *t);
void test_gemm(struct test *t)
{
	const struct kernels *all[KERNEL_SETS];
	size_t n = kernels_all(all);

	for (size_t i = 0; i < n; i++) {
		struct setup s = setup_make(all[i], 2);
		test_products(t, &s);
		if (all[i]->parts)
			test_parts(t, &s);
		setup_release(&s);
		for (int free = 0; free <= !!all[i]->parts; free++) {
			test_threads(t, all[i], false, free);
			test_threads(t, all[i], true, free);
		}
	}
	test_tables_agree(t, all, n);
}
