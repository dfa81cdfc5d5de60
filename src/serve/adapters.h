/* adapters: those that lie over the model that is served, by their names. They come and go between two steps: given at
 * the start, named in a request and found in a folder, or by a call; and go by a call, or when others want their place.
 *
 *     adapters_new(&a, &options, &e);
 *     session_new(…, adapters_overlay(a), …);  adapters_serve(a, session, batcher);
 *     k = adapters_find(a, "mail");            any thread
 *     adapters_hold(a, k, &number, &e);        the engine's: it is loaded, and stays until
 *     adapters_leave(a, number);
 *
 * A name stands for files. What computes is an adapter as its files were when they were read, and has a number
 * (session_use) that nobody else gets while a request holds it or a sequence keeps what it computed. Files with
 * other times are looked at by their bytes' hash (XXH3-128): when they changed they are another adapter, with another
 * number.
 * Requests that were begun with the one before end with it. So what is kept of one is never taken for another's.
 *
 * Of those that no request holds, the one that was used least lately goes where no number is left, or no memory;
 * those that are pinned (given at the start) stay. */
#ifndef SERVE_ADAPTERS_H
#define SERVE_ADAPTERS_H

#include <jansson.h>

#include "infer/batcher.h"

struct adapters;

struct adapters_options {
	struct model *model;           /* borrowed until adapters_free */
	const char *model_name;        /* which no adapter may have */
	/* [n] given at the start, and pinned */
	const char *const *names, *const *paths;
	size_t n;
	const char *dir;               /* where others are: DIR/NAME or DIR/NAME.gguf; NULL: nowhere */
	void (*changed)(void *ctx, size_t bytes); /* after they came or went: what they take now; or NULL */
	void *ctx;
};

/* Loads those that are given. Everything of o is borrowed until adapters_free. */
int adapters_new(struct adapters **out, const struct adapters_options *o, struct err *e);
void adapters_free(struct adapters *a);        /* after the session */
/* The session that was made with adapters_overlay, and who feeds it: it has another overlay when they change. */
void adapters_serve(struct adapters *a, struct session *s, struct batcher *b);
/* Bytes that they may take together from now on; 0: no bound. Those that are there stay until another one comes. */
void adapters_bound(struct adapters *a, size_t bytes);

/* --- any thread --- */

/* What a name stands for, which stays its number; −2: there is none such. */
int adapters_find(struct adapters *a, const char *name);
/* A name for files that are read when it is first asked for; nothing where it is taken. */
void adapters_name(struct adapters *a, const char *name, const char *path);
/* A list of {name, path, loaded, pinned}; new. */
json_t *adapters_list(struct adapters *a);
/* Where loading by calls may look: a path in `dir`, as it is or behind it; NULL and a sentence. mem_free. */
char *adapters_path(const struct adapters *a, const char *path, struct err *e);

/* --- the engine's thread --- */

/* A name for files, which are read at once; it can be asked for from then on. Refused is a name that is taken. */
int adapters_load(struct adapters *a, const char *name, const char *path, struct err *e);
/* Nobody can ask for it any more; requests that hold it end first. */
int adapters_unload(struct adapters *a, const char *name, struct err *e);
/* The adapter of a name, as its files are now; *number: its own, for session_use. ADAPTERS_BUSY: all places are held by
 * requests, later there is one. */
enum { ADAPTERS_BUSY = 1 };
int adapters_hold(struct adapters *a, int known, int *number, struct err *e);
void adapters_leave(struct adapters *a, int number);
/* What lies over the model now, or NULL; how often it was another one. */
const struct overlay *adapters_overlay(const struct adapters *a);
int64_t adapters_age(const struct adapters *a);

#endif
