/* test_engine: tasks from several threads run in the engine's own, those of each thread in its order, also while it
 * waits for one; and what they ask of the batcher is answered. */
#include "../test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/io.h"
#include "base/mem.h"
#include "serve/engine.h"

enum { THREADS = 4, TASKS = 50 };

struct giver {
	struct engine *engine;
	pthread_t thread;
	int given, ran;                /* ran: the engine's thread's alone */
	bool disordered;
};

struct given { struct giver *from; int number; };

static void note(void *ctx)
{
	struct given *g = ctx;

	g->from->disordered |= g->number != g->from->ran++;
	mem_free(g);
}

static void *give(void *ctx)
{
	struct giver *g = ctx;

	for (; g->given < TASKS; g->given++) {
		struct given *one = mem_alloc(sizeof(*one));
		*one = (struct given){ g, g->given };
		engine_do(g->engine, note, one);
	}
	return NULL;
}

static void test_tasks(struct test *t)
{
	struct giver givers[THREADS] = { 0 };
	struct err e = ERR_INIT;
	struct engine *g = engine_new(NULL, NULL, NULL);
	int ran = 0;

	test_case(t, "tasks of %d threads run once, in each one's order", THREADS);
	CHECK(t, !engine_busy(g) && !engine_batcher(g));
	for (int i = 0; i < THREADS; i++) {
		givers[i].engine = g;
		pthread_create(&givers[i].thread, NULL, give, &givers[i]);
	}
	while (ran < THREADS * TASKS) {
		CHECK(t, engine_turn(g, 60, &e) == 0);
		ran = 0;
		for (int i = 0; i < THREADS; i++)
			ran += givers[i].ran;
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(givers[i].thread, NULL);
		CHECK(t, givers[i].ran == TASKS && !givers[i].disordered);
	}
	CHECK(t, !engine_busy(g) && engine_turn(g, 0, &e) == 0);
	engine_free(g);
}

/* --- answers --- */

struct asked { struct engine *engine; struct sampler greedy; atomic_int done; size_t tokens; };

static int take(void *ctx, int64_t ticket, struct generation *g, struct err *e)
{
	struct asked *a = ctx;
	(void)ticket, (void)e;

	a->tokens += g->ids.n;
	a->done++;
	return 0;
}

static void ask(void *ctx)
{
	static const int32_t ids[] = { 3, 1, 4, 1, 5 };
	struct asked *a = ctx;
	struct err e = ERR_INIT;
	struct batcher_request r = { .ids = ids, .n = 5, .done = take, .ctx = a,
		                     .generate = { .max_new_tokens = 6, .sampler = &a->greedy } };

	batcher_add(engine_batcher(a->engine), &r, &e);
}

static void *ask_some(void *ctx)
{
	struct asked *a = ctx;

	for (int i = 0; i < 3; i++)
		engine_do(a->engine, ask, a);
	return NULL;
}

static void test_answers(struct test *t)
{
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(2);
	struct device device = device_cpu(kernels_get(NULL, &e), pool);
	struct model m;
	struct session *s;
	struct session_size size = { .n_ctx = 64, .n_sequences = 3 };
	char *path = io_join(test_golden(), "llama");
	pthread_t threads[2];

	test_case(t, "what is asked from other threads is answered");
	CHECK_MSG(t, model_open(&m, path, &e) == 0 && model_tokenizer(&m, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, session_new(&s, &m, NULL, &device, &size, &e) == 0, "%s", e.msg);
	struct asked a = { .engine = engine_new(s, m.tokenizer, pool) };
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, ask_some, &a);
	while (a.done < 6)
		CHECK_MSG(t, engine_turn(a.engine, 60, &e) == 0, "%s", e.msg);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK(t, a.tokens == 36 && !engine_busy(a.engine));
	engine_free(a.engine);
	session_free(s);
	model_close(&m);
	pool_free(pool);
	mem_free(path);
}

void test_engine(struct test *t)
{
	test_tasks(t);
	test_answers(t);
}
