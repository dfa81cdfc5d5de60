/* int8: panels hold the file's numbers; products from panels in f32 have the bits of products from rows; int8 kernels
 * have ref's bits, also where 16-bit sums are fullest; a product in int8 is the same for any number of rows and
 * threads, and near the one in f32. */
#include "../test.h"

#include <math.h>
#include <stdio.h>

#include "kernel/gemm_int8.h"
#include "kernel/q8.h"
#include "matrix_sample.h"
#include "quant/panels.h"

static const enum dtype plain[] = { DTYPE_F32, DTYPE_F16, DTYPE_BF16 };

static uint8_t *panels_of(const struct matrix *m)
{
	uint8_t *p = mem_alloc(panels_bytes(m->dtype, m->rows, m->cols));

	panels_make(m->dtype, m->data, m->rows, m->cols, 0, (m->rows + PANEL_ROWS - 1) / PANEL_ROWS, p);
	return p;
}

static void test_order(struct test *t, enum dtype d)
{
	enum { ROWS = 37, MOST = 512 };
	const size_t COLS = d == DTYPE_NVFP4 ? 320 : MOST; /* no multiple of 256 */
	struct rng_stream rng = { 3 };
	struct matrix m = sample_matrix(d, ROWS, COLS, &rng);
	uint8_t *p = panels_of(&m);
	float want[MOST], got[MOST];
	bool right = true;

	test_case(t, "panels of %s hold the rows' numbers, and no more bytes%s", dtypes[d].name,
	          panel_has_head(d) ? ", or 3 %" : "");
	for (size_t i = 0; i < ROWS; i++) {
		dtypes[d].to_float((const char *)m.data + i * m.row_bytes, want, COLS);
		panels_row(d, p, i, COLS, got);
		for (size_t j = 0; j < COLS; j++)
			right &= got[j] == want[j]; /* a zero may have another sign */
	}
	CHECK(t, right);
	CHECK(t, panel_form(d) != d || d == DTYPE_IQ4_XS || d == DTYPE_Q2_K ||
	                 panel_bytes(d, COLS) <= PANEL_ROWS * m.row_bytes * (panel_has_head(d) ? 103 : 100) / 100);
	mem_free(p);
	mem_free((void *)m.data);
}

/* f32 from panels against f32 from rows, packed panels and few rows both. */
static void test_f32(struct test *t, const struct kernels *k, enum dtype d)
{
	static const size_t rows[] = { 1, 2, 3, 4, 17 }, columns[] = { 5, 16, 100, 192 };
	/* slices of the packed product begin within a head's blocks */
	const size_t K = d == DTYPE_NVFP4 ? 832 : dtypes[d].block > 32 ? 768 : 96;
	struct pool *pool = pool_new(2);
	char *scratch = mem_alloc(2 * gemm_scratch_bytes(k) + 128);
	bool right = true;

	test_case(t, "%s: f32 from panels of %s has the bits of f32 from rows", k->name, dtypes[d].name);
	for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(columns); i++) {
		size_t m = rows[i / ARRAY_LEN(columns)], n = columns[i % ARRAY_LEN(columns)];
		struct rng_stream rng = { i };
		struct matrix w = sample_matrix(d, n, K, &rng);
		uint8_t *p = panels_of(&w);
		float *x = sample_floats(m * K, &rng), *want = mem_array(m * n, sizeof(float)),
		      *got = mem_array(m * n, sizeof(float));
		struct gemm g = { .m = m, .n = n, .n_terms = 1, .c = want, .ldc = n };
		g.term[0] = (struct gemm_term){
			.a = x, .a_row = K, .a_col = 1, .b = w, .transposed = true, .k = K, .scale = 1
		};
		gemm_run(k, pool, &g, (void *)ROUND_UP((uintptr_t)scratch, 128));
		g.c = got;
		g.term[0].b.data = p;
		g.term[0].b.dtype = panel_form(d);
		g.term[0].b.panel_bytes = panel_bytes(d, K);
		gemm_run(k, pool, &g, (void *)ROUND_UP((uintptr_t)scratch, 128));
		right &= !memcmp(want, got, m * n * sizeof(float));
		mem_free(x);
		mem_free(want);
		mem_free(got);
		mem_free(p);
		mem_free((void *)w.data);
	}
	CHECK(t, right);
	mem_free(scratch);
	pool_free(pool);
}

/* Scales of 256 numbers are within 1016 times a power of two, or the matrix stays as it is. */
static void test_holds(struct test *t)
{
	enum { ROWS = 3, COLS = 320 };
	struct rng_stream rng = { 3 };
	struct matrix m = sample_matrix(DTYPE_NVFP4, ROWS, COLS, &rng);
	uint8_t *b = (uint8_t *)m.data + 2 * m.row_bytes + 4 * dtypes[DTYPE_NVFP4].bytes;

	test_case(t, "panels hold NVFP4 whose scales lie near each other");
	CHECK(t, panels_hold(DTYPE_NVFP4, m.data, ROWS, COLS));
	memcpy(b, (const uint8_t[]){ 3, 0, 127, 64 }, 4); /* 3 and 1024 of 2^-10 */
	CHECK(t, !panels_hold(DTYPE_NVFP4, m.data, ROWS, COLS));
	b[3] = 63; /* 960 */
	CHECK(t, panels_hold(DTYPE_NVFP4, m.data, ROWS, COLS));
	mem_free((void *)m.data);
}

static void test_quantize(struct test *t, const struct kernels *k, const struct kernels *ref)
{
	enum { N = 32 * 9 };
	float x[N];
	struct q8_block want[N / 32], got[N / 32];
	struct rng_stream rng = { 11 };

	test_case(t, "%s: q8_row has ref's bits", k->name);
	for (size_t i = 0; i < N; i++)
		x[i] = rng_next_float(&rng) * powf(10, (float)(i / 32) - 4);
	memset(x, 0, 32 * sizeof(float));
	for (size_t i = 32; i < 64; i++)
		x[i] = 1e-31f;
	for (size_t i = 64; i < 96; i++)
		x[i] = i % 2 ? 127 : i % 3 ? -126.5f : 2.5f; /* ties */
	ref->q8_row(x, N, (void *)want);
	k->q8_row(x, N, (void *)got);
	CHECK(t, !memcmp(want, got, sizeof(want)));
	CHECK(t, got[0].d == 0 && got[1].d == 0 && got[2].q[1] == 127);
	x[40] = NAN;
	k->q8_row(x, N, (void *)got);
	CHECK(t, isnan(got[1].d) && got[2].d == 1);
}

/* extreme: every number (and scale of a K-quant's block) at its largest, of bytes in half of the blocks at its least,
 * activations all +127 or all −127. NVFP4's rows end within 256 numbers. */
static void test_tile(struct test *t, const struct kernels *k, const struct kernels *ref, enum dtype type, bool extreme)
{
	enum { MOST = 1024, ROWS = 39 };
	const enum dtype d = panel_form(type);
	const size_t K = type == DTYPE_NVFP4 ? 960 : panel_has_head(d) ? MOST : 928, blocks = K / 32;
	struct rng_stream rng = { 5 };
	struct matrix w = sample_matrix(type, PANEL_ROWS, K, &rng);
	uint8_t *p = panels_of(&w);
	struct q8_block a[ROWS][MOST / 32];
	float *x = sample_floats(K, &rng), want[ROWS][PANEL_ROWS], got[ROWS][PANEL_ROWS];
	bool right = true;

	test_case(t, "%s: q8_tile %s has ref's bits%s", k->name, dtypes[type].name, extreme ? ", at the extremes" : "");
	for (size_t i = 0; i < ROWS; i++) {
		for (size_t q = 0; q < K; q++)
			x[q] = extreme ? (i % 2 ? 3.0f : -3.0f) : rng_next_float(&rng);
		ref->q8_row(x, K, (void *)a[i]);
	}
	for (size_t b = 0; extreme && b < blocks; b++) {
		memset(p + panel_block_at(d, b) + panel_q_at(d), panel_is_byte(d) && b % 2 ? 0 : 0xff,
		       panel_block_bytes(d) - panel_q_at(d));
		if (panel_has_head(d))
			memset(p + panel_block_at(d, b),
			       !panel_has_halves(d) ? 63 :
			       b % 2                ? 128 :
			                              127,
			       2 * (size_t)PANEL_ROWS);
	}
	for (size_t m = 1; m <= ROWS; m += m < 8 ? 1 : 5)
		for (size_t n = 5; n <= PANEL_ROWS; n += 11) {
			memset(want, 0, sizeof(want));
			memset(got, 0, sizeof(got));
			ref->q8_tile(d, m, n, K, (void *)a, sizeof(a[0]), p, want[0], PANEL_ROWS);
			k->q8_tile(d, m, n, K, (void *)a, sizeof(a[0]), p, got[0], PANEL_ROWS);
			right &= !memcmp(want, got, sizeof(want));
		}
	CHECK(t, right);
	mem_free(x);
	mem_free(p);
	mem_free((void *)w.data);
}

static double distance(const float *a, const float *b, size_t n)
{
	double error = 0, size = 0;

	for (size_t i = 0; i < n; i++) {
		error += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		size += (double)b[i] * b[i];
	}
	return sqrt(error / size);
}

/* An adapter's terms in the product's pass, or in one of their own: the same bits. g has been run, into c. */
static void test_terms(struct test *t, const struct kernels *k, struct pool *pool, struct gemm_int8 g, void *scratch)
{
	static const size_t ranks[] = { 8, GEMM_SLICE + 3 };
	struct rng_stream rng = { 10 };
	size_t bytes = g.m * g.n * sizeof(float);
	float *once = mem_array(g.m * g.n, sizeof(float));
	struct gemm up = { .m = g.m, .n = g.n, .c = g.c, .ldc = g.n, .accumulate = true };

	test_case(t, "%s: an adapter's terms are added in the same pass", k->name);
	for (size_t i = 0; i < ARRAY_LEN(ranks); i++)
		g.up[g.n_up++] = up.term[up.n_terms++] = (struct gemm_term){
			.a = sample_floats(g.m * ranks[i], &rng), .a_row = ranks[i], .a_col = 1,
			.b = sample_matrix(DTYPE_F32, g.n, ranks[i], &rng), .transposed = true, .k = ranks[i],
			.scale = 1
		};
	gemm_run(k, pool, &up, scratch);
	g.c = once;
	g.scratch = scratch;
	gemm_int8_run(k, pool, &g);
	CHECK(t, !memcmp(once, up.c, bytes));
	for (int i = 0; i < g.n_up; i++) {
		mem_free((void *)g.up[i].a);
		mem_free((void *)g.up[i].b.data);
	}
	mem_free(once);
}

static void test_product(struct test *t, const struct kernels *k)
{
	enum { M = 150, N = 200, K = 320 };
	static const int threads[] = { 1, 2, 3, 7 };
	struct rng_stream rng = { 9 };
	struct matrix w = sample_matrix(DTYPE_Q4_1, N, K, &rng);
	uint8_t *p = panels_of(&w), *rows = mem_alloc(gemm_int8_rows_bytes(M, K));
	float *x = sample_floats(M * K, &rng), *bias = sample_floats(N, &rng), *first = mem_array(M * N, sizeof(float)),
	      *c = mem_array(M * N, sizeof(float));
	struct gemm_int8 g = {
		.m = M, .n = N, .k = K, .a = x, .dtype = w.dtype, .panels = p, .rows = rows, .bias = bias, .c = first
	};

	test_case(t, "%s: a product in int8 is the same at any number of threads and of rows", k->name);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		struct pool *pool = pool_new(threads[i]);
		gemm_int8_run(k, pool, &g);
		if (i)
			CHECK(t, !memcmp(first, c, M * N * sizeof(float)));
		g.c = c;
		pool_free(pool);
	}
	struct pool *pool = pool_new(2);
	for (size_t i = 0; i < M; i += 31) {
		struct gemm_int8 one = g;
		one.m = 1;
		one.a = x + i * K;
		gemm_int8_run(k, pool, &one);
		CHECK(t, !memcmp(first + i * N, c, N * sizeof(float)));
	}
	test_case(t, "%s: bias, residual in place and what was there are added; near the product in f32", k->name);
	memcpy(c, first, M * N * sizeof(float));
	g.residual = c;
	gemm_int8_run(k, pool, &g);
	bool right = true;
	for (size_t i = 0; i < M * N; i++)
		right &= c[i] == first[i] + first[i];
	g.residual = NULL;
	g.accumulate = true;
	gemm_int8_run(k, pool, &g);
	for (size_t i = 0; i < M * N; i++)
		right &= c[i] == first[i] + (first[i] + first[i]);
	CHECK(t, right);
	char *scratch = mem_alloc(2 * gemm_scratch_bytes(k) + 128);
	g.accumulate = false;
	gemm_int8_run(k, pool, &g);
	test_terms(t, k, pool, g, (void *)ROUND_UP((uintptr_t)scratch, 128));
	struct gemm f = { .m = M, .n = N, .n_terms = 1, .c = c, .ldc = N, .bias = bias };
	f.term[0] =
		(struct gemm_term){ .a = x, .a_row = K, .a_col = 1, .b = w, .transposed = true, .k = K, .scale = 1 };
	gemm_run(k, pool, &f, (void *)ROUND_UP((uintptr_t)scratch, 128));
	CHECK_MSG(t, distance(first, c, M * N) < 0.01, "%.4g", distance(first, c, M * N));
	pool_free(pool);
	mem_free(scratch);
	mem_free(x);
	mem_free(bias);
	mem_free(first);
	mem_free(c);
	mem_free(rows);
	mem_free(p);
	mem_free((void *)w.data);
}

void test_int8(struct test *t);
void test_int8(struct test *t)
{
	const struct kernels *all[KERNEL_SETS];
	size_t n = kernels_all(all);

	test_holds(t);
	for (int d = 0; d < DTYPE_COUNT; d++)
		if (panels_fit((enum dtype)d))
			test_order(t, (enum dtype)d);
	for (size_t i = 0; i < n; i++) {
		test_quantize(t, all[i], all[0]);
		for (int d = 0; d < DTYPE_COUNT; d++) {
			if (!panels_int8((enum dtype)d))
				continue;
			test_f32(t, all[i], (enum dtype)d);
			if (panel_form((enum dtype)d) != (enum dtype)d && d != DTYPE_NVFP4)
				continue;
			test_tile(t, all[i], all[0], (enum dtype)d, false);
			test_tile(t, all[i], all[0], (enum dtype)d, true);
		}
		for (size_t d = 0; d < ARRAY_LEN(plain); d++)
			test_f32(t, all[i], plain[d]);
		test_product(t, all[i]);
	}
}
