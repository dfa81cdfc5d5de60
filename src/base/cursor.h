/* cursor: a bounded reader of bytes from outside, little endian, with a sticky error: after the
 * first read past the end every read gives 0 and `failed` stays true, so a parser checks once. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *data;
	size_t pos, size;
	bool failed;
};

struct cursor cursor_make(const void *data, size_t size);
const void *cursor_bytes(struct cursor *c, size_t n); /* NULL when failed */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
float cursor_f32(struct cursor *c);
double cursor_f64(struct cursor *c);
size_t cursor_left(const struct cursor *c); /* 0 when failed */

#endif
