/* profile_measure: what the machine can do at best, measured with the kernels that will do the work. See profile.h.
 *
 * Product: x·Wᵀ with f32 weights in shapes of small and middle-sized models, W packed anew in each, as in a step;
 * the fastest counts. The same in int8, W in panels of Q4_0, the quickest there are, x quantized on the way. Reading:
 * sums over a range that no cache holds. Copying: y = x over the same. The barrier: jobs in which the threads only
 * meet. */
#include "gas/profile.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/stop.h"
#include "kernel/gemm_int8.h"
#include "quant/panels.h"

enum { PIECE = 1 << 16, BARRIERS = 500, PATIENCE = 20000 };
static const double budget = 0.2; /* seconds a measurement */
static const size_t range_bytes = (size_t)512 << 20;
static const struct shape { size_t m, n, k; } shapes[] = { { 1024, 1536, 576 }, { 1024, 2048, 2048 } };

struct bench {
	const struct kernels *kernels;
	struct pool *pool;
	struct gemm gemm;
	struct gemm_int8 int8;
	void *scratch;
	float *floats;
	size_t n;                 /* whole pieces, an even number of them */
	unsigned threads;
	atomic_uint here;
};

static void run_gemm(struct bench *b)
{
	gemm_run(b->kernels, b->pool, &b->gemm, b->scratch);
}

static void run_int8(struct bench *b)
{
	gemm_int8_run(b->kernels, b->pool, &b->int8);
}

static void read_piece(void *ctx, size_t item, int thread)
{
	struct bench *b = ctx;
	(void)thread;
	if (b->kernels->max(b->floats + item * PIECE, PIECE) > 2)
		BUG("numbers that nobody wrote");
}

static void run_read(struct bench *b)
{
	pool_run(b->pool, b->n / PIECE, read_piece, b);
}

static void copy_piece(void *ctx, size_t item, int thread)
{
	struct bench *b = ctx;
	(void)thread;
	b->kernels->scale(b->floats + b->n / 2 + item * PIECE, b->floats + item * PIECE, 1, PIECE);
}

static void run_copy(struct bench *b)
{
	pool_run(b->pool, b->n / 2 / PIECE, copy_piece, b);
}

/* Waits until every thread has one of the job's items; not for ever, as one may not be given a processor. */
static void meet(void *ctx, size_t item, int thread)
{
	struct bench *b = ctx;
	unsigned all = atomic_fetch_add(&b->here, 1) / b->threads * b->threads + b->threads;
	(void)item, (void)thread;

	for (int i = 0; i < PATIENCE && atomic_load(&b->here) < all; i++)
		;
}

static void run_barriers(struct bench *b)
{
	atomic_store(&b->here, 0);
	for (int i = 0; i < BARRIERS && !stop_asked(); i++)
		pool_run(b->pool, b->threads, meet, b);
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
	} while (clock_seconds() - begin < budget && !stop_asked());
	return MAX(best, 1e-9);
}

static double measure_gemm(struct bench *b, const struct shape *s)
{
	struct matrix w = {
		.dtype = DTYPE_F32, .data = b->floats, .rows = s->n, .cols = s->k, .row_bytes = s->k * sizeof(float)
	};
	float *a = b->floats + s->n * s->k, *c = a + s->m * s->k;

	b->gemm = (struct gemm){
		.m = s->m, .n = s->n, .n_terms = 1, .c = c, .ldc = s->n,
		.term[0] = { .a = a, .a_row = s->k, .a_col = 1, .b = w, .transposed = true, .k = s->k, .scale = 1 },
	};
	return 2.0 * (double)s->m * (double)s->k * (double)s->n / fastest(b, run_gemm);
}

/* Panels and quantized rows both lie where f32 has its weights: there is room. */
static double measure_int8(struct bench *b, const struct shape *s)
{
	float *a = b->floats + s->n * s->k, *c = a + s->m * s->k;
	size_t panels = ROUND_UP(panels_bytes(DTYPE_Q4_0, s->n, s->k), (size_t)64);

	b->int8 = (struct gemm_int8){ .m = s->m, .n = s->n, .k = s->k, .a = a, .dtype = DTYPE_Q4_0, .panels = b->floats,
	                              .rows = (uint8_t *)b->floats + panels, .c = c };
	return 2.0 * (double)s->m * (double)s->k * (double)s->n / fastest(b, run_int8);
}

static size_t shape_floats(const struct shape *s)
{
	return s->n * s->k + s->m * s->k + s->m * s->n;
}

static void measure(struct profile *p, struct bench *b)
{
	double bytes = (double)b->n * sizeof(float);

	p->read_bytes = bytes / fastest(b, run_read);
	p->copy_bytes = bytes / fastest(b, run_copy);
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (shape_floats(&shapes[i]) <= b->n && !stop_asked()) {
			p->sgemm_flops = MAX(p->sgemm_flops, measure_gemm(b, &shapes[i]));
			p->int8_ops = MAX(p->int8_ops, measure_int8(b, &shapes[i]));
		}
	p->barrier_seconds = fastest(b, run_barriers) / BARRIERS;
}

int profile_measure(struct profile *p, const struct kernels *k, struct pool *pool, struct err *e)
{
	size_t piece = 2 * PIECE * sizeof(float), scratch_bytes = gemm_scratch_bytes(k) * (size_t)pool_threads(pool);
	size_t least = ROUND_UP(shape_floats(&shapes[0]) * sizeof(float), piece),
	       bytes = MAX(MIN(range_bytes, mem_available() / 4) / piece * piece, least);
	struct bench b = {
		.kernels = k, .pool = pool, .n = bytes / sizeof(float), .threads = (unsigned)pool_threads(pool)
	};
	char *processor = profile_processor();
	void *floats;

	*p = (struct profile){ .threads = pool_threads(pool) };
	snprintf(p->processor, sizeof(p->processor), "%s", processor);
	snprintf(p->isa, sizeof(p->isa), "%s", k->name);
	clock_iso(p->date);
	mem_free(processor);
	if (mem_map(&floats, bytes, "a measurement", e) < 0)
		return -1;
	if (mem_map(&b.scratch, scratch_bytes, "a measurement", e) < 0) {
		mem_unmap(floats, bytes);
		return -1;
	}
	mem_touch(floats, bytes);
	mem_touch(b.scratch, scratch_bytes);
	b.floats = floats;
	measure(p, &b);
	mem_unmap(floats, bytes);
	mem_unmap(b.scratch, scratch_bytes);
	return stop_look(e, "the machine was measured");
}
