/* gemm: GFLOP/s of gemm_run on the shapes of a 135M model, the best of several runs, of two tables in turns.
 *
 *     gemm [-t THREADS] [-r RUNS] [-d DTYPE] [-k TABLE] [-o OTHER] [-p] [M N K form]      form: rows (y = x·Wᵀ), cols (dx = dy·W), dw (dW = dyᵀ·x)
 *
 * One line a case: M N K form dtype, GFLOP/s of the table and of the other. -p: B is in panels, as it is in a model
 * that is served. Build: cc -O2 -Isrc bench/gemm.c build/libkungfu.a and the libraries that the program has. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernel/gemm.h"
#include "quant/panels.h"

struct shape {
	size_t m, n, k;
	const char *form;
};

static const struct shape shapes[] = {
	{ 1024, 576, 576, "rows" }, { 1024, 1536, 576, "rows" }, { 1024, 576, 1536, "rows" }, { 1024, 192, 576, "rows" },
	{ 1024, 49152, 576, "rows" }, { 256, 576, 576, "rows" }, { 64, 576, 576, "rows" }, { 16, 576, 576, "rows" }, { 4, 576, 576, "rows" },
	{ 1, 576, 576, "rows" }, { 64, 49152, 576, "rows" }, { 16, 49152, 576, "rows" }, { 4, 49152, 576, "rows" }, { 1, 49152, 576, "rows" },
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

/* The same in panels. */
static struct matrix panels_of(struct matrix m)
{
	struct matrix p = { .dtype = m.dtype, .rows = m.rows, .cols = m.cols, .row_bytes = m.row_bytes };

	char *data = aligned_alloc(64, ROUND_UP(panels_bytes(m.dtype, m.rows, m.cols), 64));
	panels_make(m.dtype, m.data, m.rows, m.cols, 0, (m.rows + PANEL_ROWS - 1) / PANEL_ROWS, data);
	p.panel_bytes = panel_bytes(m.dtype, m.cols);
	p.data = data;
	mem_free((void *)m.data);
	return p;
}

struct setup {
	const struct kernels *k[2];    /* the table and another, or NULL */
	struct pool *pool;
	void *scratch;
	int runs;
	bool panels;
};

static double seconds_of(const struct setup *s, const struct kernels *k, const struct gemm *g, int inner)
{
	double (*now)(void) = pool_threads(s->pool) == 1 ? clock_cpu_seconds : clock_seconds, start = now();

	for (int i = 0; i < inner; i++)
		gemm_run(k, s->pool, g, s->scratch);
	return (now() - start) / inner;
}

static void shape_run(const struct setup *u, const struct shape *s, enum dtype t)
{
	bool dw = strcmp(s->form, "dw") == 0, rows = strcmp(s->form, "rows") == 0;
	if (s->k % dtypes[t].block || (!rows && s->n % dtypes[t].block) || (dw && t != DTYPE_F32))
		return;
	float *a = floats_make(s->m * s->k), *c = floats_make(s->m * s->n);
	struct matrix b = matrix_make(t, rows ? s->n : s->k, rows ? s->k : s->n);
	if (u->panels && rows && s->k % PANEL_BLOCK == 0)
		b = panels_of(b);
	struct gemm g = {
		.m = s->m, .n = s->n, .n_terms = 1, .c = c, .ldc = s->n, .free = true,
		.term = { { .a = a, .a_row = dw ? 1 : s->k, .a_col = dw ? s->m : 1, .b = b, .transposed = rows, .k = s->k, .scale = 1 } },
	};
	double flops = 2.0 * (double)s->m * (double)s->n * (double)s->k, best[2] = { INFINITY, INFINITY };
	for (int r = 0; r < u->runs; r++)
		for (int x = 0; x < 2 && u->k[x]; x++)
			best[x] = fmin(best[x], seconds_of(u, u->k[x], &g, (int)fmax(1, 5e8 / flops)));
	printf("%6zu %6zu %6zu %s %s", s->m, s->n, s->k, s->form, dtypes[t].name);
	for (int x = 0; x < 2 && u->k[x]; x++)
		printf("  %s %7.1f GFLOP/s %8.3f ms", u->k[x]->name, 1e-9 * flops / best[x], best[x] * 1e3);
	if (u->k[1])
		printf("  × %.2f", best[1] / best[0]);
	printf("\n");
	fflush(stdout);
	mem_free(a);
	mem_free(c);
	mem_free((void *)b.data);
}

static const struct kernels *table_of(const char *name)
{
	struct err e = ERR_INIT;
	const struct kernels *k = kernels_get(name, &e);

	if (!k) {
		fprintf(stderr, "%s\n", e.msg);
		exit(1);
	}
	return k;
}

int main(int argc, char **argv)
{
	int threads = 1, option;
	struct setup u = { .runs = 7 };
	enum dtype t = DTYPE_F32;
	size_t bytes = 0;

	while ((option = getopt(argc, argv, "t:r:d:k:o:p")) != -1) {
		if (option == 't')
			threads = atoi(optarg);
		else if (option == 'r')
			u.runs = atoi(optarg);
		else if (option == 'd' && dtype_from_name(optarg) >= 0)
			t = (enum dtype)dtype_from_name(optarg);
		else if (option == 'k' || option == 'o')
			u.k[option == 'o'] = table_of(optarg);
		else if (option == 'p')
			u.panels = true;
		else
			return 2;
	}
	u.k[0] = u.k[0] ? u.k[0] : table_of(NULL);
	u.pool = pool_new(threads);
	for (int x = 0; x < 2 && u.k[x]; x++)
		bytes = MAX(bytes, gemm_scratch_bytes(u.k[x]) * (size_t)threads);
	u.scratch = aligned_alloc(128, bytes);
	memset(u.scratch, 0, bytes);
	if (argc - optind == 4) {
		struct shape s = { strtoul(argv[optind], NULL, 10), strtoul(argv[optind + 1], NULL, 10), strtoul(argv[optind + 2], NULL, 10), argv[optind + 3] };
		shape_run(&u, &s, t);
	} else
		for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
			shape_run(&u, &shapes[i], t);
	pool_free(u.pool);
	return 0;
}
