/* informed: what a label of each item would tell a reward model (feedback/heads.h), where the file has states of its
 * answers. It is counted again after every few labels, beside what is served: on a connection of its own to the file,
 * in the thread that calls informed_look. */
#ifndef SERVE_INFORMED_H
#define SERVE_INFORMED_H

#include "base/arena.h"
#include "base/err.h"

struct informed;
/* path: of the file, which this process may have open too. −1: it cannot be read. */
int informed_new(struct informed **out, const char *path, struct err *e);
void informed_free(struct informed *i);
/* Counts anew if enough was said since; may take seconds. */
int informed_look(struct informed *i, struct err *e);
/* [n] in mem for next_of, NAN of items that were not counted; NULL: nothing is known. From any thread. */
const double *informed_of(struct informed *i, size_t n, struct arena *mem);

#endif
