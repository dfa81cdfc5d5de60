/* engine: a queue of tasks before a batcher, or before several, one a model. Tasks are few and short next to a step, so
 * one lock and one condition suffice. */
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
	struct engine *main, *next;    /* who has the queue; of the main the list of those beside it, in no order */
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct task *first, **end;
};

struct engine *engine_new(struct session *s, const struct tokenizer *t, struct pool *pool)
{
	struct engine *g = mem_alloc(sizeof(*g));
	pthread_condattr_t how;

	*g = (struct engine){ .batcher = s ? batcher_new(s, t, pool) : NULL };
	g->main = g;
	g->end = &g->first;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&how);
	pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
	pthread_cond_init(&g->came, &how);
	pthread_condattr_destroy(&how);
	return g;
}

struct engine *engine_beside(struct engine *main, struct session *s, const struct tokenizer *t, struct pool *pool)
{
	struct engine *g = mem_alloc(sizeof(*g));

	*g = (struct engine){ .batcher = s ? batcher_new(s, t, pool) : NULL, .main = main, .next = main->next };
	main->next = g;
	return g;
}

/* It leaves those that the main steps. */
static void free_beside(struct engine *g)
{
	struct engine **at = &g->main->next;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	batcher_free(g->batcher);
	mem_free(g);
}

void engine_free(struct engine *g)
{
	if (!g)
		return;
	if (g->main != g) {
		free_beside(g);
		return;
	}
	if (g->next)
		BUG("the engine of a model is freed before those beside it");
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

	g = g->main;
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

/* Has any of them something to answer? */
static bool answers(const struct engine *g)
{
	for (; g; g = g->next)
		if (g->batcher && batcher_busy(g->batcher))
			return true;
	return false;
}

int engine_turn(struct engine *g, double patience, struct err *e)
{
	int status = 0;

	for (struct task *t = take(g, answers(g) ? 0 : patience), *next; t; t = next) {
		next = t->next;
		t->run(t->ctx);
		mem_free(t);
	}
	for (struct engine *one = g; one && status == 0; one = one->next)
		if (one->batcher && batcher_busy(one->batcher))
			status = batcher_step(one->batcher, e);
	return status;
}

bool engine_busy(struct engine *g)
{
	pthread_mutex_lock(&g->lock);
	bool waits = g->first;
	pthread_mutex_unlock(&g->lock);
	return waits || answers(g);
}
