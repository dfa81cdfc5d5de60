/* cursor: every read checks what is left, and a failed one leaves the position where it was and the error standing. */
#include "base/cursor.h"

#include <string.h>

struct cursor cursor_make(const void *data, size_t size)
{
	return (struct cursor){ .data = data, .size = size };
}

const void *cursor_bytes(struct cursor *c, size_t n)
{
	static const uint8_t nothing;
	if (c->failed || n > c->size - c->pos) {
		c->failed = true;
		return NULL;
	}
	const uint8_t *p = c->data ? c->data + c->pos : &nothing;
	c->pos += n;
	return p;
}

/* n ≤ 8 bytes, little endian. */
static uint64_t take(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);
	uint64_t x = 0;
	for (size_t i = 0; p && i < n; i++)
		x |= (uint64_t)p[i] << 8 * i;
	return x;
}

uint8_t cursor_u8(struct cursor *c) { return (uint8_t)take(c, 1); }
uint16_t cursor_u16(struct cursor *c) { return (uint16_t)take(c, 2); }
uint32_t cursor_u32(struct cursor *c) { return (uint32_t)take(c, 4); }
uint64_t cursor_u64(struct cursor *c) { return take(c, 8); }

float cursor_f32(struct cursor *c)
{
	uint32_t bits = cursor_u32(c);
	float x;
	memcpy(&x, &bits, sizeof(x));
	return x;
}

double cursor_f64(struct cursor *c)
{
	uint64_t bits = cursor_u64(c);
	double x;
	memcpy(&x, &bits, sizeof(x));
	return x;
}

size_t cursor_left(const struct cursor *c) { return c->failed ? 0 : c->size - c->pos; }
