/* engine: what is asked of a model while others are answered. Whoever asks hands in a task, from any thread; the
 * engine's own thread runs it between two steps of the batcher, so nothing of a model needs a lock.
 *
 *     engine_new(&g, session, tokenizer, pool);
 *     while (…)
 *             engine_turn(g, 1, &e);         the engine's thread
 *     engine_free(g);
 *
 *     engine_do(g, task, ctx);               any thread */
#ifndef SERVE_ENGINE_H
#define SERVE_ENGINE_H

#include "infer/batcher.h"

struct engine;
typedef void engine_task(void *ctx);

/* Session, tokenizer and pool are borrowed, and the engine's alone until it is freed. A session of NULL: of a model
 * that answers nothing (an encoder), there is no batcher. */
struct engine *engine_new(struct session *s, const struct tokenizer *t, struct pool *pool);
/* Another model beside it, with a batcher of its own. Their tasks are one queue, and a turn of the first is a step of
 * each that has something to answer, one after the other. Freed before the first, in its thread, with no answer and no
 * task left. */
struct engine *engine_beside(struct engine *first, struct session *s, const struct tokenizer *t, struct pool *pool);
/* No task runs any more, and none of those that wait: to be called when nobody hands one in. */
void engine_free(struct engine *g);

/* Of all beside each other: tasks run in the order in which they came. */
void engine_do(struct engine *g, engine_task *task, void *ctx);
/* Used in tasks alone; NULL: there is none. */
struct batcher *engine_batcher(struct engine *g);

/* Of the first: runs the tasks that came, then one step of each, where there is something to answer; else it waits for
 * a task, `patience` seconds at most. 0, −1 and a sentence, or what a batcher's `done` returned. */
int engine_turn(struct engine *g, double patience, struct err *e);
/* Are there answers to be made, or tasks? */
bool engine_busy(struct engine *g);

#endif
