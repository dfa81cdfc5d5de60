/* knn: products of some rows with all that are kept, then the largest of them. See knn.h. */
#include "learn/knn.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/gemm.h"

enum { BLOCK_ROWS = 128 };

struct block {
	const float *product;           /* [rows][n] */
	size_t n, k, first;
	const int32_t *fold;
	int32_t *nearest;               /* of all rows */
};

void knn_unit(float *x, size_t rows, size_t cols)
{
	for (size_t i = 0; i < rows; i++) {
		double sum = 0;
		for (size_t c = 0; c < cols; c++)
			sum += (double)x[i * cols + c] * (double)x[i * cols + c];
		for (size_t c = 0; c < cols && sum > 0; c++)
			x[i * cols + c] = (float)((double)x[i * cols + c] / sqrt(sum));
	}
}

static void choose(void *ctx, size_t item, int thread)
{
	const struct block *b = ctx;
	const float *s = b->product + item * b->n;
	int32_t *best = b->nearest + (b->first + item) * b->k;
	size_t have = 0;
	(void)thread;

	memset(best, 0xFF, b->k * sizeof(*best));
	for (size_t j = 0; j < b->n; j++) {
		if (b->fold && b->fold[j] == b->fold[b->first + item])
			continue;
		if (have == b->k && !(s[j] > s[best[have - 1]]))
			continue;
		size_t at = have < b->k ? have++ : have - 1;
		for (; at > 0 && s[j] > s[best[at - 1]]; at--)
			best[at] = best[at - 1];
		best[at] = (int32_t)j;
	}
}

void knn_find(const float *kept, size_t n, const float *x, size_t m, size_t cols, size_t k, const int32_t *fold,
              const struct workshop *on, int32_t *nearest)
{
	struct arena mem = ARENA_INIT;
	float *product = arena_array(&mem, MIN(m, (size_t)BLOCK_ROWS) * n + 1, sizeof(*product));
	void *scratch = arena_alloc64(&mem, (size_t)pool_threads(on->pool) * gemm_scratch_bytes(on->kernels));

	for (size_t i = 0; i < m; i += BLOCK_ROWS) {
		struct gemm g = { .m = MIN(m - i, (size_t)BLOCK_ROWS), .n = n, .n_terms = 1, .c = product, .ldc = n };
		struct block b = { product, n, k, i, fold, nearest };
		g.term[0] = (struct gemm_term){ .a = x + i * cols, .a_row = cols, .a_col = 1,
			                        .b = { DTYPE_F32, kept, n, cols, cols * sizeof(float), 0 },
			                        .transposed = true, .k = cols, .scale = 1 };
		gemm_run(on->kernels, on->pool, &g, scratch);
		pool_run(on->pool, g.m, choose, &b);
	}
	arena_release(&mem);
}
