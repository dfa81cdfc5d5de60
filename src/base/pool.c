/* pool: threads that take items of one job at a time.
 *
 * The job's generation and its next item share one 64-bit word, the ticket (generation << 32 | item), and an item is
 * taken by compare-and-swap on it. So a thread that wakes late can never take an item of another job than the one
 * whose fields it read: publishing first closes the ticket (a new generation with no items), then writes the fields,
 * then opens it; a swap that saw the old word fails. Therefore nobody waits for threads that sleep: a job is over when
 * its items are, and on a crowded machine the caller simply does most of them.
 *
 * Waiting spins for SPIN_SECONDS, then sleeps in the kernel (futex). Where there are more threads than processors
 * spinning would take the time of the thread that is waited for, so it is left out. */
#include "base/pool.h"

#include <linux/futex.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/stop.h"

#define SPIN_SECONDS 30e-6
#define JOB_ITEMS_MAX ((size_t)0xfffffffe)
#define CLOSED 0xffffffffu

typedef void item_fn(void *ctx, size_t item, int thread);
typedef void seen_fn(void *ctx, int thread, double begin, double end);

struct worker {
	struct pool *pool;
	pthread_t id;
	int thread;
};

struct pool {
	int threads;
	bool spin;
	struct worker *workers; /* [1..threads-1] */
	atomic_bool busy, stop;
	seen_fn *seen; /* written between jobs only */
	void *seen_ctx;
	/* the job; written only while the ticket is closed */
	_Atomic(item_fn *) fn;
	_Atomic(void *) ctx;
	atomic_bool gives_up; /* items are left out when a stop is asked for; changed between jobs only */
	atomic_bool guarded; /* the caller may not allocate, so nobody may who works for it */
	atomic_size_t first; /* item 0 of this job is item `first` of the caller's list */
	atomic_uint items;
	_Alignas(64) _Atomic uint64_t ticket;
	_Alignas(64) atomic_uint epoch; /* futex: goes up with every job */
	atomic_int sleepers;
	_Alignas(64) atomic_uint done;  /* futex: items finished */
	atomic_bool waiting;            /* the caller sleeps on done */
};

static _Thread_local int current_thread;
static _Thread_local bool inside;

/* Denormals are read and written as zero from here on, in the calling thread. */
static void flush_denormals(void)
{
#if defined(__SSE__)
	unsigned want = _mm_getcsr() | 0x8040; /* FTZ, DAZ */
	if (want != _mm_getcsr())
		_mm_setcsr(want);
#elif defined(__aarch64__)
	uint64_t fpcr;
	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	if (!(fpcr >> 24 & 1))
		__asm__ volatile("msr fpcr, %0" : : "r"(fpcr | (uint64_t)1 << 24));
#endif
}

void float_keep_denormals(void)
{
#if defined(__SSE__)
	_mm_setcsr(_mm_getcsr() & ~0x8040u);
#elif defined(__aarch64__)
	uint64_t fpcr;
	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	__asm__ volatile("msr fpcr, %0" : : "r"(fpcr & ~((uint64_t)1 << 24)));
#endif
}

unsigned long float_state(void)
{
#if defined(__SSE__)
	return _mm_getcsr();
#elif defined(__aarch64__)
	uint64_t fpcr;
	__asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
	return fpcr;
#else
	return 0;
#endif
}

void float_restore(unsigned long state)
{
#if defined(__SSE__)
	_mm_setcsr((unsigned)state);
#elif defined(__aarch64__)
	__asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)state));
#else
	(void)state;
#endif
}

static void relax(void)
{
#if defined(__SSE__)
	_mm_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Sleeps while *word is `value`; may wake for no reason. */
static void futex_wait(atomic_uint *word, unsigned value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* Waits a little for *word to leave `value`; true when it did. */
static bool spin_while(const struct pool *p, atomic_uint *word, unsigned value)
{
	if (!p->spin)
		return atomic_load(word) != value;
	double end = clock_spin_seconds() + SPIN_SECONDS;
	do
		for (int i = 0; i < 32; i++) {
			if (atomic_load_explicit(word, memory_order_acquire) != value)
				return true;
			relax();
		}
	while (clock_spin_seconds() < end);
	return false;
}

static bool gives_up(const struct pool *p)
{
	return atomic_load_explicit(&p->gives_up, memory_order_relaxed) && stop_asked();
}

/* Runs items until none is left. */
static void work(struct pool *p, int thread)
{
	unsigned finished = 0;
	uint64_t t = atomic_load(&p->ticket);
	seen_fn *seen = NULL;
	double begin = 0;
	for (;;) {
		item_fn *fn = atomic_load(&p->fn);
		void *ctx = atomic_load(&p->ctx);
		size_t first = atomic_load(&p->first), item = (uint32_t)t;
		bool guarded = atomic_load(&p->guarded);
		if (item >= atomic_load(&p->items) || item == CLOSED)
			break;
		if (!atomic_compare_exchange_strong(&p->ticket, &t, t + 1))
			continue;
		if (guarded != mem_guard_armed())
			(guarded ? mem_guard_arm : mem_guard_disarm)();
		/* an item is ours: the job's fields cannot change before it is done */
		if (!finished && (seen = p->seen))
			begin = clock_seconds();
		if (!gives_up(p))
			fn(ctx, first + item, thread);
		finished++;
		t = atomic_load(&p->ticket);
	}
	if (!finished)
		return;
	if (seen)
		seen(p->seen_ctx, thread, begin, clock_seconds());
	atomic_fetch_add(&p->done, finished);
	if (atomic_load(&p->waiting))
		futex_wake(&p->done, 1);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	current_thread = w->thread;
	inside = true;
	flush_denormals();
	unsigned seen = 0;
	for (;;) {
		if (!spin_while(p, &p->epoch, seen)) {
			atomic_fetch_add(&p->sleepers, 1);
			while (atomic_load(&p->epoch) == seen)
				futex_wait(&p->epoch, seen);
			atomic_fetch_sub(&p->sleepers, 1);
		}
		seen = atomic_load(&p->epoch);
		if (atomic_load(&p->stop))
			return NULL;
		work(p, w->thread);
	}
}

/* Tells the workers that there is something new. */
static void announce(struct pool *p)
{
	atomic_fetch_add(&p->epoch, 1);
	if (atomic_load(&p->sleepers) > 0)
		futex_wake(&p->epoch, p->threads);
}

/* One job of at most JOB_ITEMS_MAX items. */
static void run_job(struct pool *p, size_t first, unsigned items, item_fn *fn, void *ctx)
{
	uint64_t generation = (atomic_load(&p->ticket) >> 32) + 1;
	atomic_store(&p->ticket, generation << 32 | CLOSED);
	atomic_store(&p->fn, fn);
	atomic_store(&p->ctx, ctx);
	atomic_store(&p->guarded, mem_guard_armed());
	atomic_store(&p->first, first);
	atomic_store(&p->items, items);
	atomic_store(&p->done, 0);
	atomic_store(&p->ticket, generation << 32);
	announce(p);
	work(p, 0);
	for (unsigned done; (done = atomic_load(&p->done)) < items;) {
		if (spin_while(p, &p->done, done))
			continue;
		atomic_store(&p->waiting, true);
		if (atomic_load(&p->done) == done)
			futex_wait(&p->done, done);
		atomic_store(&p->waiting, false);
	}
}

void pool_run(struct pool *p, size_t n, void (*fn)(void *ctx, size_t item, int thread), void *ctx)
{
	flush_denormals();
	if (inside || p->threads == 1 || n <= 1) {
		for (size_t i = 0; i < n && !gives_up(p); i++)
			fn(ctx, i, current_thread);
		return;
	}
	if (atomic_exchange(&p->busy, true))
		BUG("pool_run called from two threads at once");
	inside = true;
	for (size_t first = 0, items; first < n; first += items) {
		items = MIN(n - first, JOB_ITEMS_MAX);
		run_job(p, first, (unsigned)items, fn, ctx);
	}
	inside = false;
	atomic_store(&p->busy, false);
}

bool pool_give_up(struct pool *p, bool on) { return atomic_exchange(&p->gives_up, on); }

bool pool_try(struct pool *p, size_t n, void (*fn)(void *ctx, size_t item, int thread), void *ctx)
{
	bool before = pool_give_up(p, true);

	pool_run(p, n, fn, ctx);
	pool_give_up(p, before);
	return !stop_asked();
}

struct lists {
	const struct pool_list *list;
	void (*fn)(void *ctx, size_t item, int thread);
};

static void item_of_lists(void *ctx, size_t item, int thread)
{
	const struct lists *all = ctx;
	const struct pool_list *l = all->list;

	for (; item >= l->n; l++)
		item -= l->n;
	all->fn(l->ctx, item, thread);
}

void pool_run_lists(struct pool *p, const struct pool_list *lists, int n_lists,
                    void (*fn)(void *ctx, size_t item, int thread))
{
	struct lists all = { lists, fn };
	size_t n = 0;

	for (int i = 0; i < n_lists; i++)
		n += lists[i].n;
	pool_run(p, n, item_of_lists, &all);
}

/* Born with every signal blocked: handlers run in threads of whoever made the pool. But a fault is the thread's own,
 * and one that is blocked ends the process without a word. */
static void start_workers(struct pool *p)
{
	static const int faults[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL };
	sigset_t all, before;

	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (int i = 1; i < p->threads; i++) {
		p->workers[i] = (struct worker){ .pool = p, .thread = i };
		if (pthread_create(&p->workers[i].id, NULL, worker_main, &p->workers[i]))
			p->threads = i; /* the system allows no more; results do not depend on their number */
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct pool *pool_new(int threads)
{
	int cpus = cpu_count();
	struct pool *p = mem_alloc(sizeof(*p));
	p->threads = threads > 0 ? threads : cpus;
	p->spin = p->threads <= cpus;
	p->workers = mem_array((size_t)p->threads, sizeof(*p->workers));
	atomic_store(&p->ticket, CLOSED);
	flush_denormals();
	start_workers(p);
	return p;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	atomic_store(&p->stop, true);
	announce(p);
	for (int i = 1; i < p->threads; i++)
		pthread_join(p->workers[i].id, NULL);
	mem_free(p->workers);
	mem_free(p);
}

void pool_watch(struct pool *p, void (*seen)(void *ctx, int thread, double begin, double end), void *ctx)
{
	p->seen = seen;
	p->seen_ctx = ctx;
}

int pool_threads(const struct pool *p) { return p->threads; }

int cpu_count(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
	double quota = cgroup_cpus(NULL);
	if (quota > 0 && quota < n)
		n = (int)ceil(quota);
	return MAX(n, 1);
}
