/* arena: memory with one lifetime. Allocations are zeroed, 16-byte aligned (64 by arena_alloc64)
 * and freed together by arena_release. Grows by chunks; pointers stay valid until release.
 *
 * A bounded arena never holds more than `limit` bytes from the system: whoever asks for more is not answered, but full
 * is called, which must not return (it leaves by longjmp; what the arena holds is released later, as ever). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena_block;
struct arena {
	struct arena_chunk *head;
	struct arena_block *blocks;
	size_t total_bytes;         /* handed out so far, without blocks */
	size_t held, limit;         /* from the system, blocks too; 0: no limit */
	void (*full)(void *who);
	void *who;
};

#define ARENA_INIT { 0 }

void *arena_alloc(struct arena *a, size_t bytes);
void *arena_alloc64(struct arena *a, size_t bytes);
void *arena_array(struct arena *a, size_t n, size_t size); /* product checked */
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A block that can grow, shrink and go (bytes 0) by itself; NULL: a new one. Its new bytes are not zeroed. */
void *arena_resize(struct arena *a, void *block, size_t bytes);
void arena_release(struct arena *a); /* frees everything; the arena can be used again */

#endif
