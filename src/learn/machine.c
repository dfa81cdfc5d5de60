/* machine: short measurements with the kernels that will do the work. See machine.h.
 *
 * The best of several repetitions counts: whatever else runs on the machine can only make a product slower. */
#include "learn/machine.h"

#include "base/clock.h"
#include "base/mem.h"

static const double budget = 0.06; /* seconds a measurement */
enum { BYTES_PIECE = 1 << 14, BYTES_MAX = 1 << 25 };

struct bench {
	const struct kernels *kernels;
	struct pool *pool;
	struct gemm gemm;
	void *scratch;
	float *floats;
	size_t n;
};

static void run_gemm(struct bench *b)
{
	gemm_run(b->kernels, b->pool, &b->gemm, b->scratch);
}

static void add_piece(void *ctx, size_t item, int thread)
{
	struct bench *b = ctx;
	float *at = b->floats + item * BYTES_PIECE, *from = b->floats + b->n / 2 + item * BYTES_PIECE;
	(void)thread;
	b->kernels->add(at, at, from, BYTES_PIECE);
}

static void run_bytes(struct bench *b)
{
	pool_run(b->pool, b->n / 2 / BYTES_PIECE, add_piece, b);
}

/* Seconds of the fastest call. */
static double fastest(struct bench *b, void (*run)(struct bench *))
{
	double begin = clock_seconds(), best = 1e9;
	run(b);
	do {
		double last = clock_seconds();
		run(b);
		best = MIN(best, clock_seconds() - last);
	} while (clock_seconds() - begin < budget);
	return MAX(best, 1e-9);
}

static double measure_gemm(struct bench *b, const struct matrix *w, size_t rows, bool transposed)
{
	size_t k = transposed ? w->cols : w->rows, n = transposed ? w->rows : w->cols;
	b->gemm = (struct gemm){
		.m = rows, .n = n, .n_terms = 1, .c = b->floats + rows * k, .ldc = n,
		.term[0] = { .a = b->floats, .a_row = k, .a_col = 1, .b = *w, .transposed = transposed, .k = k, .scale = 1 },
	};
	return 2.0 * (double)rows * (double)k * (double)n / fastest(b, run_gemm);
}

int machine_measure(struct machine_speed *s, const struct kernels *k, struct pool *p, const struct matrix *w, size_t rows, size_t room, struct err *e)
{
	size_t row_bytes = (w->rows + w->cols) * sizeof(float), scratch_bytes = gemm_scratch_bytes(k) * (size_t)pool_threads(p);
	void *floats, *scratch;
	struct bench b = { .kernels = k, .pool = p };

	rows = MAX(MIN(rows, room / row_bytes), (size_t)1);
	size_t bytes = MAX(MIN(room, (size_t)BYTES_MAX), rows * row_bytes);
	b.n = MAX(bytes / sizeof(float) / (2 * BYTES_PIECE), (size_t)1) * 2 * BYTES_PIECE;
	bytes = MAX(b.n * sizeof(float), bytes);
	if (mem_map(&floats, bytes, "a measurement", e) < 0)
		return -1;
	if (mem_map(&scratch, scratch_bytes, "a measurement", e) < 0) {
		mem_unmap(floats, bytes);
		return -1;
	}
	b.floats = floats;
	b.scratch = scratch;
	mem_touch(floats, bytes);
	s->bytes = 1.5 * (double)b.n * sizeof(float) / fastest(&b, run_bytes);
	s->forward = measure_gemm(&b, w, rows, true);
	s->backward = measure_gemm(&b, w, rows, false);
	mem_unmap(floats, bytes);
	mem_unmap(scratch, scratch_bytes);
	return 0;
}
