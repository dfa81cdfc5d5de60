/* gemm: GFLOP/s of gemm_run on the shapes of a 135M model, the best of several runs.
 *
 *     gemm [-t THREADS] [-r RUNS] [-d DTYPE] [M N K form]      form: rows (y = x·Wᵀ), cols (dx = dy·W), dw (dW = dyᵀ·x)
 *
 * One line a case: M N K form dtype, GFLOP/s. Build: make bench-gemm. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernel/gemm.h"

struct shape {
	size_t m, n, k;
	const char *form;
};

static const struct shape shapes[] = {
	{ 1024, 576, 576, "rows" }, { 1024, 1536, 576, "rows" }, { 1024, 576, 1536, "rows" }, { 1024, 192, 576, "rows" },
	{ 1024, 49152, 576, "rows" }, { 64, 576, 576, "rows" }, { 8, 576, 576, "rows" }, { 1, 576, 576, "rows" }, { 1, 49152, 576, "rows" },
	{ 1024, 8, 576, "rows" }, { 1024, 576, 8, "rows" },
	{ 1024, 576, 576, "cols" }, { 1024, 576, 1536, "cols" }, { 1024, 1536, 576, "cols" }, { 1024, 576, 192, "cols" },
	{ 1024, 576, 49152, "cols" },
	{ 576, 576, 1024, "dw" }, { 1536, 576, 1024, "dw" }, { 576, 1536, 1024, "dw" }, { 192, 576, 1024, "dw" }, { 49152, 576, 1024, "dw" },
	{ 8, 576, 1024, "dw" }, { 576, 8, 1024, "dw" },
};

static float *floats_make(size_t n)
{
	struct rng_stream rng = { n };
	float *x = mem_array(n, sizeof(float));

	for (size_t i = 0; i < n; i++)
		x[i] = rng_next_float(&rng);
	return x;
}

static struct matrix matrix_make(enum dtype t, size_t rows, size_t cols)
{
	struct matrix m = { .dtype = t, .rows = rows, .cols = cols };
	struct err e = ERR_INIT;

	if (dtype_bytes(t, cols, &m.row_bytes, &e))
		BUG("%s", e.msg);
	char *data = mem_array(rows, m.row_bytes);
	float *row = floats_make(cols);
	for (size_t i = 0; i < rows; i++)
		if (dtypes[t].from_float)
			dtypes[t].from_float(row, data + i * m.row_bytes, cols);
	mem_free(row);
	m.data = data;
	return m;
}

static double best_seconds(const struct kernels *k, struct pool *p, const struct gemm *g, void *scratch, int runs)
{
	double best = INFINITY, flops = 2.0 * (double)g->m * (double)g->n * (double)g->term[0].k;
	int inner = (int)fmax(1, 2e9 / flops);

	for (int r = 0; r < runs; r++) {
		double start = clock_seconds();
		for (int i = 0; i < inner; i++)
			gemm_run(k, p, g, scratch);
		best = fmin(best, (clock_seconds() - start) / inner);
	}
	return best;
}

static void shape_run(const struct kernels *k, struct pool *p, const struct shape *s, enum dtype t, int runs, void *scratch)
{
	bool dw = strcmp(s->form, "dw") == 0, rows = strcmp(s->form, "rows") == 0;
	if (s->k % dtypes[t].block || (!rows && s->n % dtypes[t].block) || (dw && t != DTYPE_F32))
		return;
	float *a = floats_make(s->m * s->k), *c = floats_make(s->m * s->n);
	struct matrix b = matrix_make(t, rows ? s->n : s->k, rows ? s->k : s->n);
	struct gemm g = {
		.m = s->m, .n = s->n, .n_terms = 1, .c = c, .ldc = s->n,
		.term = { { .a = a, .a_row = dw ? 1 : s->k, .a_col = dw ? s->m : 1, .b = b, .transposed = rows, .k = s->k, .scale = 1 } },
	};
	double seconds = best_seconds(k, p, &g, scratch, runs);
	printf("%zu %zu %zu %s %s %.1f GFLOP/s, %.3f ms\n", s->m, s->n, s->k, s->form, dtypes[t].name,
	       2e-9 * (double)s->m * (double)s->n * (double)s->k / seconds, seconds * 1e3);
	fflush(stdout);
	mem_free(a);
	mem_free(c);
	mem_free((void *)b.data);
}

int main(int argc, char **argv)
{
	int threads = 1, runs = 7, option;
	enum dtype t = DTYPE_F32;
	struct err e = ERR_INIT;

	while ((option = getopt(argc, argv, "t:r:d:")) != -1) {
		if (option == 't')
			threads = atoi(optarg);
		else if (option == 'r')
			runs = atoi(optarg);
		else if (option == 'd' && dtype_from_name(optarg) >= 0)
			t = (enum dtype)dtype_from_name(optarg);
		else
			return 2;
	}
	const struct kernels *k = kernels_get(NULL, &e);
	if (!k) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	struct pool *p = pool_new(threads);
	void *scratch = aligned_alloc(128, gemm_scratch_bytes(k) * (size_t)threads);
	memset(scratch, 0, gemm_scratch_bytes(k) * (size_t)threads);
	if (argc - optind == 4) {
		struct shape s = { strtoul(argv[optind], NULL, 10), strtoul(argv[optind + 1], NULL, 10), strtoul(argv[optind + 2], NULL, 10), argv[optind + 3] };
		shape_run(k, p, &s, t, runs, scratch);
	} else
		for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
			shape_run(k, p, &shapes[i], t, runs, scratch);
	pool_free(p);
	return 0;
}
