/* arena: a list of chunks, the newest first. An allocation bumps within the newest chunk or opens another, at least as
 * large as all before together (up to 1 MiB), so the number of chunks stays small. Chunks come zeroed. Blocks are
 * allocations of their own in a ring of two-way links, so that one can be resized wherever it stands. */
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

struct arena_block {
	struct arena_block *next, *before;
	size_t size; /* of data */
	_Alignas(ARENA_ALIGN) char data[];
};

/* Counts `more` bytes instead of `less`; does not return where that is beyond the limit. */
static void hold(struct arena *a, size_t less, size_t more)
{
	if (a->limit && more > less && more - less > a->limit - MIN(a->held, a->limit))
		a->full(a->who);
	a->held += more - less;
}

static void chunk_add(struct arena *a, size_t need)
{
	size_t size = MIN(MAX(a->total_bytes, (size_t)CHUNK_MIN), (size_t)CHUNK_MAX), bytes;
	size = MAX(size, need);
	if (!size_add(size, sizeof(struct arena_chunk), &bytes))
		BUG("an arena chunk of %zu bytes", size);
	hold(a, 0, bytes);
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

void *arena_resize(struct arena *a, void *block, size_t bytes)
{
	struct arena_block *old = block ? (struct arena_block *)(void *)((char *)block - sizeof(*old)) : NULL, *b;
	struct arena_block *before = old ? old->before : NULL, *next = old ? old->next : a->blocks;

	if (bytes > SIZE_MAX / 2)
		BUG("an arena block of %zu bytes", bytes);
	hold(a, old ? old->size + sizeof(*old) : 0, bytes ? bytes + sizeof(*old) : 0);
	if (bytes) {
		b = mem_grow(old, bytes + sizeof(*b), 1);
		b->next = next;
		b->before = before;
		b->size = bytes;
	} else {
		mem_free(old);
		b = next;
	}
	if (before)
		before->next = b;
	else
		a->blocks = b;
	if (next)
		next->before = bytes ? b : before;
	return bytes ? b->data : NULL;
}

void arena_release(struct arena *a)
{
	for (struct arena_block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		mem_free(b);
	}
	for (struct arena_chunk *c = a->head, *next; c; c = next) {
		next = c->next;
		mem_free(c);
	}
	*a = (struct arena){ .limit = a->limit, .full = a->full, .who = a->who };
}
