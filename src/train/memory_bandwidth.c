/* memory_bandwidth: how fast this machine copies memory and takes fresh pages, tried on some of it. The best of
 * several repetitions counts: whatever else runs on the machine can only make it slower. A job of little memory, for
 * which it hardly matters, is not kept waiting for it. */
#include "train/memory_bandwidth.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "op/timing.h"

static const double budget = 0.03; /* seconds, of BYTES_MAX; less of less */
enum { BYTES_PIECE = 1 << 14, BYTES_MAX = 1 << 27 /* more than caches hold */, REPETITIONS = 3 /* at least */ };

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
	double begin = clock_seconds(), best = INFINITY, last,
	       seconds = budget * (double)b->n * sizeof(float) / BYTES_MAX;
	int n = 0;

	do {
		last = clock_seconds();
		pool_run(b->pool, b->n / 2 / BYTES_PIECE, add_piece, b);
		best = MIN(best, clock_seconds() - last);
	} while (++n < REPETITIONS || clock_seconds() - begin < seconds);
	return MAX(best, 1e-9);
}

/* A device's features are ones and zeroes, the lowest first; a balloon is device 5, reporting its feature 5
 * (virtio 1.2, 5.5.3). */
static bool reports_free_pages(const char *devices, const char *name)
{
	struct err ignored = ERR_INIT;
	struct buf device = BUF_INIT, features = BUF_INIT;
	char *a = mem_printf("%s/%s/device", devices, name), *b = mem_printf("%s/%s/features", devices, name);
	bool reports = io_read(&device, a, &ignored) == 0 && io_read(&features, b, &ignored) == 0 &&
	               strtol(buf_str(&device), NULL, 0) == 5 && features.len > 5 && buf_str(&features)[5] == '1';

	buf_release(&device);
	buf_release(&features);
	mem_free(a);
	mem_free(b);
	return reports;
}

static bool goes_back_to_host(const char *root)
{
	struct err ignored = ERR_INIT;
	char *devices = mem_printf("%s/sys/bus/virtio/devices", root ? root : ""), **names;
	size_t n;
	bool reports = false;

	if (io_list(devices, &names, &n, &ignored) == 0) {
		for (size_t i = 0; i < n && !reports; i++)
			reports = reports_free_pages(devices, names[i]);
		io_list_free(names, n);
	}
	mem_free(devices);
	return reports;
}

double memory_touch_seconds(double bytes, double touched, double seconds, const char *root)
{
	double rate = timing_touch_rate(touched, seconds), rest = fmax(bytes - touched, 0);

	return (bytes - rest) / rate + rest / (goes_back_to_host(root) ? fmin(rate, TIMING_SLOW_RATE) : rate);
}

int memory_measure(struct machine_memory *m, const struct kernels *k, struct pool *p, size_t room, struct err *e)
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
