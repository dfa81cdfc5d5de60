/* held: see held.h. Nanoseconds are integers, so that the order in which threads add them does not matter. */
#include "held.h"

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/mem.h"
#include "op/device.h"
#include "op/run.h"

enum { READING_LEAST = 1000, READING_MOST = 50000000, PLACES = 1024 }; /* ns; in the program */
static const double flops_per_byte = 5; /* as op/timing.c weighs them */

static atomic_bool on;
static _Atomic int64_t steady, cpu;
static _Atomic int64_t worked;          /* how often time was passed */
static _Thread_local bool is_main;
void (*held_passed)(double now);
size_t held_memory = (size_t)4 << 30;
/* Where the main thread reads the clock: what the next reading there takes, and `worked` at the last. */
static struct place { const void *at; int64_t takes, worked; } places[PLACES];
static int n_places;
static struct device_type held_type;
static const struct device_type *real_type;

double __real_clock_seconds(void);
double __real_clock_cpu_seconds(void);
double __real_clock_suspended_seconds(void);
size_t __real_mem_available(void);
struct device __real_device_cpu(const struct kernels *k, struct pool *pool);

void held_begin(void)
{
	atomic_store(&steady, 0);
	atomic_store(&cpu, 0);
	n_places = 0;
	is_main = true;
	atomic_store(&on, true);
}

void held_end(void)
{
	is_main = false;
	atomic_store(&on, false);
}

void held_pass(double seconds, double cpu_seconds)
{
	atomic_fetch_add(&steady, llround(1e9 * seconds));
	atomic_fetch_add(&cpu, llround(1e9 * cpu_seconds));
	atomic_fetch_add(&worked, 1);
}

/* --- in the place of base/clock.h's and base/mem.h's --- */

static int64_t reading_takes(const void *at)
{
	struct place *p = places;
	int64_t now = atomic_load(&worked);

	while (p < places + n_places && p->at != at)
		p++;
	if (p == places + PLACES)
		BUG("the clock is read in more than %d places", PLACES);
	if (p == places + n_places || p->worked != now)
		*p = (struct place){ at, READING_LEAST, now };
	n_places = MAX(n_places, (int)(p - places) + 1);
	int64_t takes = p->takes;
	p->takes = MIN(4 * takes, (int64_t)READING_MOST);
	return takes;
}

static void tell(void)
{
	if (is_main && held_passed)
		held_passed(1e-9 * (double)atomic_load(&steady));
}

double __wrap_clock_seconds(void)
{
	if (!atomic_load(&on))
		return __real_clock_seconds();
	if (is_main) {
		atomic_fetch_add(&steady, reading_takes(__builtin_return_address(0)));
		tell();
	}
	return 1e-9 * (double)atomic_load(&steady);
}

double __wrap_clock_cpu_seconds(void)
{
	return atomic_load(&on) ? 1e-9 * (double)atomic_load(&cpu) : __real_clock_cpu_seconds();
}

double __wrap_clock_suspended_seconds(void)
{
	return atomic_load(&on) ? 0 : __real_clock_suspended_seconds();
}

size_t __wrap_mem_available(void) { return atomic_load(&on) ? held_memory : __real_mem_available(); }

/* --- in the place of op/device.h's --- */

double held_node_seconds(const struct tape *t, const struct node *n, const struct live *live)
{
	double flops = 0, bytes = 0;

	n->op->cost(t, n, live, &flops, &bytes);
	return (flops + flops_per_byte * bytes) / HELD_RATE;
}

static void forward(struct device *d, struct run *r, const struct node *n)
{
	struct tape view = { .tensors = r->plan->tensors, .n_tensors = r->plan->n_tensors, .cap = r->plan->cap };
	struct live live = batch_live(r->batch);

	real_type->forward(d, r, n);
	double seconds = held_node_seconds(&view, n, &live);
	held_pass(seconds, seconds * pool_threads(r->pool));
	tell();
}

struct device __wrap_device_cpu(const struct kernels *k, struct pool *pool)
{
	struct device d = __real_device_cpu(k, pool);

	if (!atomic_load(&on))
		return d;
	real_type = d.type;
	held_type = *d.type;
	held_type.forward = forward;
	d.type = &held_type;
	return d;
}
