/* batches: files of requests that are answered when there is room, as OpenAI's Batch API has them.
 *
 *     DIR/batches/ID.json      the object that clients see
 *     DIR/batches/ID.out, .err its lines as they end: those that were answered, those that were refused
 *
 * A line is a request as any other (models_answer), begun when fewer answers than --parallel are asked for by all; one
 * at a time goes on beside more than that, so a batch ends on a busy server too. Lines are read, made tokens and kept
 * by a thread of its own. When a server is started again the lines that are in the two files are not asked again. */
#ifndef SERVE_BATCHES_H
#define SERVE_BATCHES_H

#include "serve/beside.h"

struct batches;

enum { BATCH_LINES = 50000 };

int batches_new(struct batches **out, struct beside *b, struct err *e); /* b is borrowed */
void batches_free(struct batches *b);
/* About five times a second: there may be room for a line. */
void batches_tick(struct batches *b);
/* No line is begun any more. cut: what ends from now on was cut and is not kept: the next server asks it again. To be
 * cut before the models go. */
void batches_stop(struct batches *b, bool cut);

/* --- any thread --- */

/* key: the name of who asks and is charged with it. Checks all lines; what is wrong with them is in the object, whose
 * status is failed then. New; NULL and a sentence. */
json_t *batches_add(struct batches *b, const char *endpoint, const char *input, const char *key,
                    const json_t *metadata, struct err *e);
json_t *batches_get(struct batches *b, const char *id);   /* new; NULL: there is none */
json_t *batches_list(struct batches *b);                  /* new; the newest first */
/* The lines that were begun still end. 0; 1: it is over; −1: there is none. *now: the object, new. */
int batches_cancel(struct batches *b, const char *id, json_t **now);

#endif
