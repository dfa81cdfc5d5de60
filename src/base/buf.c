/* buf: bytes that grow by doubling. One byte beyond len is always kept for the NUL. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/mem.h"

enum { FIRST_BYTES = 64 };
#define DEFAULT_MAX ((size_t)1 << 30)

/* Room for n more bytes and the NUL; false past the bound, which is remembered. */
static bool reserve(struct buf *b, size_t n)
{
	size_t max = b->max ? b->max : DEFAULT_MAX;
	if (b->overflow || n > max || b->len > max - n) {
		b->overflow = true;
		return false;
	}
	if (b->len + n + 1 > b->cap) {
		size_t cap = MAX(MAX(MIN(b->cap * 2, max + 1), b->len + n + 1), (size_t)FIRST_BYTES);
		b->data = b->arena ? arena_resize(b->arena, b->data, cap) : mem_grow(b->data, cap, 1);
		b->cap = cap;
	}
	return true;
}

char *buf_more(struct buf *b, size_t n)
{
	if (!reserve(b, n))
		return NULL;
	b->len += n;
	b->data[b->len] = 0;
	return b->data + b->len - n;
}

void buf_add(struct buf *b, const void *data, size_t n)
{
	char *to = buf_more(b, n);

	if (to && n)
		memcpy(to, data, n);
}

void buf_adds(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }
void buf_addc(struct buf *b, char c) { buf_add(b, &c, 1); }

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		BUG("a format that cannot be printed: %s", fmt);
	if (!reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

const char *buf_str(const struct buf *b) { return b->data ? b->data : ""; }

char *buf_detach(struct buf *b, size_t *len)
{
	char *data = b->data ? b->data : b->arena ? arena_alloc(b->arena, 1) : mem_alloc(1);
	if (len)
		*len = b->len;
	*b = (struct buf){ .max = b->max, .arena = b->arena };
	return data;
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->data)
		b->data[0] = 0;
}

void buf_release(struct buf *b)
{
	if (b->arena && b->data)
		arena_resize(b->arena, b->data, 0);
	else
		mem_free(b->data);
	*b = (struct buf){ .max = b->max, .arena = b->arena };
}
