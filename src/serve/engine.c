/* engine: a queue of tasks before a batcher. Tasks are few and short next to a step, so one lock and one condition
 * suffice. */
#include "serve/engine.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <time.h>

#include "base/mem.h"

struct task {
	engine_task *run;
	void *ctx;
	struct task *next;
};

struct engine {
	struct batcher *batcher;
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct task *first, **end;
};

struct engine *engine_new(struct session *s, const struct tokenizer *t, struct pool *pool)
{
	struct engine *g = mem_alloc(sizeof(*g));
	pthread_condattr_t how;

	*g = (struct engine){ .batcher = s ? batcher_new(s, t, pool) : NULL };
	g->end = &g->first;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&how);
	pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
	pthread_cond_init(&g->came, &how);
	pthread_condattr_destroy(&how);
	return g;
}

void engine_free(struct engine *g)
{
	if (!g)
		return;
	for (struct task *t = g->first, *next; t; t = next) {
		next = t->next;
		mem_free(t);
	}
	batcher_free(g->batcher);
	pthread_cond_destroy(&g->came);
	pthread_mutex_destroy(&g->lock);
	mem_free(g);
}

void engine_do(struct engine *g, engine_task *run, void *ctx)
{
	struct task *t = mem_alloc(sizeof(*t));

	*t = (struct task){ run, ctx, NULL };
	pthread_mutex_lock(&g->lock);
	*g->end = t;
	g->end = &t->next;
	pthread_cond_signal(&g->came);
	pthread_mutex_unlock(&g->lock);
}

struct batcher *engine_batcher(struct engine *g) { return g->batcher; }

static void wait_locked(struct engine *g, double patience)
{
	struct timespec until;
	double whole;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(modf(patience, &whole) * 1e9);
	until.tv_sec += (time_t)whole + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (!g->first)
		if (pthread_cond_timedwait(&g->came, &g->lock, &until) == ETIMEDOUT)
			return;
}

/* All that came; NULL: nothing did. */
static struct task *take(struct engine *g, double patience)
{
	pthread_mutex_lock(&g->lock);
	if (patience > 0)
		wait_locked(g, patience);
	struct task *t = g->first;
	g->first = NULL;
	g->end = &g->first;
	pthread_mutex_unlock(&g->lock);
	return t;
}

static bool answers(const struct engine *g) { return g->batcher && batcher_busy(g->batcher); }

int engine_turn(struct engine *g, double patience, struct err *e)
{
	for (struct task *t = take(g, answers(g) ? 0 : patience), *next; t; t = next) {
		next = t->next;
		t->run(t->ctx);
		mem_free(t);
	}
	return answers(g) ? batcher_step(g->batcher, e) : 0;
}

bool engine_busy(struct engine *g)
{
	pthread_mutex_lock(&g->lock);
	bool waits = g->first;
	pthread_mutex_unlock(&g->lock);
	return waits || answers(g);
}
