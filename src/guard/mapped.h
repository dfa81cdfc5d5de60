/* mapped: a text of which every byte knows where in the original bytes it comes from, so that what is found in a
 * decoded, folded text has its place in what a person sent. */
#ifndef GUARD_MAPPED_H
#define GUARD_MAPPED_H

#include <stdint.h>

#include "base/buf.h"

struct mapped {
	struct buf s;
	uint32_t *from, *to; /* [s.len] byte i is made of the original's [from, to) */
	size_t cap;
};

void mapped_put(struct mapped *m, const char *bytes, size_t n, uint32_t from, uint32_t to);
/* The original itself, n bytes: each is made of itself. */
void mapped_original(struct mapped *m, const char *text, size_t n);
/* n bytes of another text from `at` on, with their places; where they are now. */
char *mapped_copy(struct mapped *m, const struct mapped *of, size_t at, size_t n);
/* The original's bytes that [begin, end) is made of, a span without holes; begin < end. */
void mapped_span(const struct mapped *m, size_t begin, size_t end, size_t *from, size_t *to);
void mapped_clear(struct mapped *m);
void mapped_release(struct mapped *m);

#endif
