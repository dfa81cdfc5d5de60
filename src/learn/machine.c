/* machine: see machine.h. The best of several repetitions counts: whatever else runs on the machine can only make it slower. */
#include "learn/machine.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"

static const double budget = 0.03; /* seconds */
enum { BYTES_PIECE = 1 << 14, BYTES_MAX = 1 << 27 /* more than caches hold */ };

struct bench {
	const struct kernels *kernels;
	struct pool *pool;
	float *floats;
	size_t n;
};

static void add_piece(void *ctx, size_t item, int thread)
{
	struct bench *b = ctx;
	float *at = b->floats + item * BYTES_PIECE, *from = b->floats + b->n / 2 + item * BYTES_PIECE;
	(void)thread;
	b->kernels->add(at, at, from, BYTES_PIECE);
}

/* Seconds of the fastest of some calls. */
static double fastest(struct bench *b)
{
	double begin = clock_seconds(), best = INFINITY, last;

	do {
		last = clock_seconds();
		pool_run(b->pool, b->n / 2 / BYTES_PIECE, add_piece, b);
		best = MIN(best, clock_seconds() - last);
	} while (clock_seconds() - begin < budget);
	return MAX(best, 1e-9);
}

int machine_measure(struct machine_memory *m, const struct kernels *k, struct pool *p, size_t room, struct err *e)
{
	struct bench b = { .kernels = k, .pool = p };
	void *floats;

	b.n = MAX(MIN(room, (size_t)BYTES_MAX) / sizeof(float) / (2 * BYTES_PIECE), (size_t)1) * 2 * BYTES_PIECE;
	if (mem_map(&floats, b.n * sizeof(float), "a measurement", e) < 0)
		return -1;
	b.floats = floats;
	double begin = clock_seconds();
	mem_touch(floats, b.n * sizeof(float));
	m->touch_seconds = clock_seconds() - begin;
	m->touched_bytes = (double)b.n * sizeof(float);
	m->copy_rate = 1.5 * (double)b.n * sizeof(float) / fastest(&b);
	mem_unmap(floats, b.n * sizeof(float));
	return 0;
}
