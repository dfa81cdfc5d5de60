/* arena: memory with one lifetime. Allocations are zeroed, 16-byte aligned (64 by arena_alloc64)
 * and freed together by arena_release. Grows by chunks; pointers stay valid until release. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
	struct arena_chunk *head;
	size_t total_bytes; /* handed out so far */
};

#define ARENA_INIT { 0 }

void *arena_alloc(struct arena *a, size_t bytes);
void *arena_alloc64(struct arena *a, size_t bytes);
void *arena_array(struct arena *a, size_t n, size_t size); /* product checked */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_release(struct arena *a); /* frees everything; the arena can be used again */

#endif
