/* buf: a growable string of bytes, always NUL-terminated after the first append.
 * `max` bounds its growth (0: 1 GiB); growing past it sets `overflow` and drops the bytes, so
 * that a hostile input can be noticed once at the end. With an arena the memory is a block of it, and its limit
 * holds. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct buf {
	char *data; /* NULL while empty; use buf_str for a C string */
	size_t len, cap, max;
	bool overflow;
	struct arena *arena; /* NULL: from the system */
};

#define BUF_INIT { 0 }

void buf_add(struct buf *b, const void *data, size_t n);
char *buf_more(struct buf *b, size_t n);            /* n bytes more, to be written; NULL past the bound */
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *buf_str(const struct buf *b);           /* "" while empty */
char *buf_detach(struct buf *b, size_t *len);       /* freed by mem_free where no arena is; len may be NULL */
void buf_clear(struct buf *b);                      /* len 0, memory kept */
void buf_release(struct buf *b);

#endif
