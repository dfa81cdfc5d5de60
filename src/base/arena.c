/* arena: a list of chunks, the newest first. An allocation bumps within the newest chunk or opens another, at least as
 * large as all before together (up to 1 MiB), so the number of chunks stays small. Chunks come zeroed. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { ARENA_ALIGN = 16, ARENA_WIDE = 64, CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size; /* of data */
	_Alignas(ARENA_ALIGN) char data[];
};

static void chunk_add(struct arena *a, size_t need)
{
	size_t size = MIN(MAX(a->total_bytes, (size_t)CHUNK_MIN), (size_t)CHUNK_MAX), bytes;
	size = MAX(size, need);
	if (!size_add(size, sizeof(struct arena_chunk), &bytes))
		BUG("an arena chunk of %zu bytes", size);
	struct arena_chunk *c = mem_alloc(bytes);
	c->size = size;
	c->next = a->head;
	a->head = c;
}

static void *take(struct arena *a, size_t bytes, size_t align)
{
	if (bytes > SIZE_MAX / 2)
		BUG("an arena allocation of %zu bytes", bytes);
	for (;;) {
		struct arena_chunk *c = a->head;
		if (c) {
			size_t pad = (align - (uintptr_t)(c->data + c->used) % align) % align;
			if (c->size - c->used >= pad && c->size - c->used - pad >= bytes) {
				char *p = c->data + c->used + pad;
				c->used += pad + bytes;
				a->total_bytes += pad + bytes;
				return p;
			}
		}
		chunk_add(a, bytes + align);
	}
}

void *arena_alloc(struct arena *a, size_t bytes) { return take(a, MAX(bytes, (size_t)1), ARENA_ALIGN); }
void *arena_alloc64(struct arena *a, size_t bytes) { return take(a, MAX(bytes, (size_t)1), ARENA_WIDE); }

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t bytes;
	if (!size_mul(n, size, &bytes))
		BUG("an arena array of %zu items of %zu bytes", n, size);
	return arena_alloc(a, bytes);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	n = strnlen(s, n);
	char *out = arena_alloc(a, n + 1);
	memcpy(out, s, n);
	return out;
}

char *arena_strdup(struct arena *a, const char *s) { return arena_strndup(a, s, strlen(s)); }

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		BUG("a format that cannot be printed: %s", fmt);
	char *out = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(out, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return out;
}

void arena_release(struct arena *a)
{
	for (struct arena_chunk *c = a->head, *next; c; c = next) {
		next = c->next;
		mem_free(c);
	}
	*a = (struct arena)ARENA_INIT;
}
