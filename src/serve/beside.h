/* beside: what a server does beside answering: it keeps files, tunes adapters on them, works through batches. All of it
 * lies in the folder of --files-dir, so a server that is started there again goes on with it; one at a time.
 *
 * Calls read and change it in http's threads; beside_tick, of the engine's, moves it on. Lines of batches are asked by
 * a thread of their own (serve/batches.h). */
#ifndef SERVE_BESIDE_H
#define SERVE_BESIDE_H

#include "serve/openai.h"

struct beside_options {
	const char *dir;      /* --files-dir */
	const char *ledger;   /* that a tuning job is recorded in, --ledger; NULL: the usual one */
	int tune_threads;     /* of a tuning job */
	struct models *models; /* that are served: jobs tune them, lines ask them */
};

struct tuning;
struct batches;
struct beside {
	struct beside_options o; /* borrowed until beside_free */
	struct tuning *tuning;
	struct batches *batches;
	int lock;                /* of the folder: one server writes it; −1: not yet */
};

/* With nothing open: models have it from their beginning on. */
struct beside *beside_new(const struct beside_options *o);
void beside_free(struct beside *b);
/* What lies in the folder, once the models are known and before anything is asked. */
int beside_open(struct beside *b, struct err *e);
/* There are other models now: those that were tuned for them have their names there. */
void beside_models(struct beside *b);
/* Jobs that ended become models, those that wait begin, lines of batches are asked; about five times a second, by the
 * thread that ends it too (a job's process ends with that thread). b may be NULL here and below. */
void beside_tick(struct beside *b);
/* Jobs stop where they can be gone on with, and no line of a batch is begun any more. Lines that were begun end; cut:
 * they are cut now, and the next server asks them again. To be cut before the models go. */
void beside_stop(struct beside *b, bool cut);

/* --- for the calls --- */

/* false and a refusal: no --files-dir was given. */
bool beside_dir(struct openai *s, struct http_reply *r);
/* A page of a list whose objects have ids, the newest first: after, limit (1 to `most`, `usual` where it is not
 * said), order. */
void beside_list(const struct http_request *q, const json_t *all, int usual, int most, struct http_reply *r);
/* An id that grows with time: the prefix and 16 hexadecimal digits. */
void beside_id(const char *prefix, char id[48]);

#endif
