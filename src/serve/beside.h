/* beside: what a server does beside answering: it keeps files, tunes adapters on them, works through batches. All of it
 * lies in the folder of --files-dir, so a server that is started there again goes on with it.
 *
 * Calls read and change it in http's thread; beside_tick, of the engine's, moves it on. */
#ifndef SERVE_BESIDE_H
#define SERVE_BESIDE_H

#include "serve/openai.h"

/* Of openai_options.files_dir, where it is said; once, before anything is asked. */
int beside_open(struct openai *s, struct err *e);
/* Jobs that ended become models, those that wait begin, lines of batches are asked; about five times a second, by the
 * thread that ends it too (a job's process ends with that thread). */
void beside_tick(struct openai *s);
/* Jobs stop where they can be gone on with, and no line of a batch is begun any more. Lines that were begun end; cut:
 * they are cut now, and the next server asks them again. */
void beside_stop(struct openai *s, bool cut);
void beside_close(struct openai *s);

/* --- for the calls --- */

struct tuning;
struct batches;
struct beside {
	struct tuning *tuning;
	struct batches *batches;
};

/* false and a refusal: no --files-dir was given. */
bool beside_dir(struct openai *s, struct http_reply *r);
/* A page of a list whose objects have ids, the newest first: after, limit (1 to `most`, `usual` where it is not
 * said), order. */
void beside_list(const struct http_request *q, const json_t *all, int usual, int most, struct http_reply *r);
/* An id that grows with time: the prefix and 16 hexadecimal digits. */
void beside_id(const char *prefix, char id[48]);

#endif
