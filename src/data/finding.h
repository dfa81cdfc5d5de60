/* finding: what is wrong with one row, and a list of such, of which the first are kept and all are counted. */
#ifndef DATA_FINDING_H
#define DATA_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

enum { FINDINGS_KEPT = 100 };

struct finding {
	const char *file;                     /* borrowed: outlives the list */
	size_t line;
	const char *text;
};

struct findings {                             /* zeroed: none */
	struct arena mem;
	struct finding first[FINDINGS_KEPT];  /* as many as there are, at most FINDINGS_KEPT */
	size_t n;                             /* of all */
};

size_t findings_kept(const struct findings *f);
void findings_add(struct findings *f, const char *file, size_t line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Takes the sentence of e, without its place "FILE:LINE: ", and empties it. False where f is NULL: it is an error. */
bool findings_take(struct findings *f, const char *file, size_t line, struct err *e);
/* Adds all of `more`, whose texts are copied. */
void findings_join(struct findings *f, const struct findings *more);
/* −1 and the first with its place, if there is one. */
int findings_refuse(const struct findings *f, struct err *e);
void findings_release(struct findings *f);

#endif
