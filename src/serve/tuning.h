/* tuning: jobs that tune an adapter of a model that is served, as OpenAI's Fine-tuning API has them.
 *
 * A job is a run of `kungfu tune` (after a stop of `kungfu resume`) by a process of its own, niced, with
 * beside_options.tune_threads threads: what goes wrong there harms no answer. One runs at a time, others wait in the
 * order of their ids. It ends with the thread that calls tuning_tick, however that ends.
 *
 *     DIR/jobs/ID/job.json      {"job": the object that clients see, "own": what it is made of}
 *     DIR/jobs/ID/events.jsonl  its events, a line each
 *     DIR/jobs/ID/run           the run directory (train/run_dir.h): the result lies in it
 *     DIR/jobs/ID/log           what the process said
 *
 * The result is an adapter by the name that the object's fine_tuned_model has, from the moment at which it is there,
 * and of each later server of the same model. */
#ifndef SERVE_TUNING_H
#define SERVE_TUNING_H

#include "serve/beside.h"

struct tuning;

/* Jobs that ran when a server ended wait again. b is borrowed. */
int tuning_new(struct tuning **out, struct beside *b, struct err *e);
/* Results are models of those that are served now. Any thread. */
void tuning_attach(struct tuning *t);
void tuning_free(struct tuning *t);
/* The thread of the engine, and of tuning_stop. */
void tuning_tick(struct tuning *t);
/* The process that runs is told to stop, once; its job waits for the next server. wait: until it is there no more. */
void tuning_stop(struct tuning *t, bool wait);

/* --- any thread --- */

/* A job that waits; job: its object without id, status and times; own: {args: words after `kungfu tune
 * MODEL`, base, path: the model's name and place, name: of the result, which the id is put behind}. Both are taken.
 * New, or NULL and a sentence. */
json_t *tuning_add(struct tuning *t, json_t *job, json_t *own, struct err *e);
json_t *tuning_get(struct tuning *t, const char *id);           /* new; NULL: there is none */
json_t *tuning_list(struct tuning *t);                          /* new; the newest first */
/* To one of cancelled, paused, queued (a paused one goes on). 0; 1: its status, *now, does not allow it; −1: none. */
int tuning_turn_to(struct tuning *t, const char *id, const char *status, json_t **now);
/* The newest first; new. NULL: there is no such job. Checkpoints are the result and those that the run has kept, each a
 * model by its fine_tuned_model_checkpoint; of a job that runs none are told. */
json_t *tuning_events(struct tuning *t, const char *id);
json_t *tuning_checkpoints(struct tuning *t, const char *id);
char *tuning_run(struct tuning *t, const char *id);             /* its run directory; mem_free */

#endif
