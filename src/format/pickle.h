/* pickle: Python's serialized objects (its pickletools.py says what each byte does), read without running anything.
 *
 * A pickle is a program for a machine with a stack. This machine knows numbers, texts, tuples, lists and dicts; every
 * global that it names, every call and every persistent id is asked of the host, who knows the few that it wants and
 * refuses all others by their name. So nothing is imported and nothing is called. */
#ifndef FORMAT_PICKLE_H
#define FORMAT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum pickle_kind {
	PICKLE_NONE, PICKLE_BOOL, PICKLE_INT, PICKLE_REAL, PICKLE_TEXT, PICKLE_TUPLE, PICKLE_LIST,
	PICKLE_DICT,                         /* item: key, value, key, value … as they came */
	PICKLE_GLOBAL,                       /* i: the host's number */
	PICKLE_HOST,                         /* own: the host's */
	PICKLE_MARK,                         /* only inside the machine */
};

struct pickle_value {
	enum pickle_kind kind;
	int64_t i;                           /* of an integer, a truth value, a global */
	double real;
	const char *text;                    /* NUL-terminated, of n bytes, UTF-8 as Python says, not checked */
	size_t n, cap;                       /* items, or bytes */
	struct pickle_value **item;
	void *own;
};

struct pickle_host {
	void *ctx;
	/* A number for a global, −1: refused, by its name. */
	int (*global)(void *ctx, const char *module, const char *name);
	/* What a call of it gives, args a tuple; NULL and a sentence. */
	struct pickle_value *(*call)(void *ctx, int global, const struct pickle_value *args, struct err *e);
	struct pickle_value *(*persistent)(void *ctx, const struct pickle_value *id, struct err *e);
};

/* The value at the beginning of data; *used: how many bytes it took. Everything lives in mem. `where` is for
 * sentences. */
int pickle_read(struct arena *mem, const void *data, size_t size, const struct pickle_host *host, const char *where,
                struct pickle_value **out, size_t *used, struct err *e);
struct pickle_value *pickle_new(struct arena *mem, enum pickle_kind kind);
/* The last value of a key that is this text; NULL. */
const struct pickle_value *pickle_get(const struct pickle_value *dict, const char *key);

#endif
