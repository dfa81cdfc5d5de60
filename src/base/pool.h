/* pool: the threads. One pool at work in a thread at a time; work is a list of n items cut by shape
 * alone, so results do not depend on the number of threads. Items are taken from one atomic counter; the caller
 * works too. Nested calls run serially. Waiting spins briefly, then sleeps. Every thread sets
 * flush-to-zero, so that denormals cost nothing and mean the same everywhere; in the caller's thread that stays so
 * (float_state, for who must leave no trace). Its own threads take no signals. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool;

struct pool *pool_new(int threads); /* 0: as many as this process may run on (affinity and cgroup) */
void pool_free(struct pool *p);
int pool_threads(const struct pool *p);

/* Calls fn(ctx, item, thread) for every item in 0..n-1, thread in 0..pool_threads-1; returns when all are done. */
void pool_run(struct pool *p, size_t n, void (*fn)(void *ctx, size_t item, int thread), void *ctx);

/* The same for work that may be given up: from the moment that somebody asks (base/stop.h) items are left out. What
 * they would have made is not there then. false: some were. */
bool pool_try(struct pool *p, size_t n, void (*fn)(void *ctx, size_t item, int thread), void *ctx);
/* From here on pool_run is so too, until `on` is false: for a list of jobs that are given up together. Whether that was
 * so before. */
bool pool_give_up(struct pool *p, bool on);

struct pool_list { void *ctx; size_t n; };
/* The same for the items of several lists as one: fn(lists[i].ctx, item of that list, thread). Lists do not depend on
 * each other. */
void pool_run_lists(struct pool *p, const struct pool_list *lists, int n_lists,
                    void (*fn)(void *ctx, size_t item, int thread));

/* From now on every thread tells `seen` when it worked on a job (clock_seconds), before pool_run returns; NULL: nobody
 * any more. For profiles. */
void pool_watch(struct pool *p, void (*seen)(void *ctx, int thread, double begin, double end), void *ctx);

int cpu_count(void); /* what pool_new(0) would use */

/* How the calling thread rounds and flushes floats: as it is, and back to that. */
unsigned long float_state(void);
void float_restore(unsigned long state);
/* From now on, in the calling thread, denormals are numbers: for who makes what others make with them. */
void float_keep_denormals(void);

#endif
