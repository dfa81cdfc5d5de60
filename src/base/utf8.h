/* utf8: strict UTF-8 (no overlong forms, no surrogates, at most U+10FFFF). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Bytes of the character at s (1–4), its code point in *cp; 0 if the bytes are invalid or incomplete; s has n > 0
 * bytes. */
size_t utf8_decode(const char *s, size_t n, uint32_t *cp);
size_t utf8_encode(uint32_t cp, char out[4]);               /* bytes written; cp must be valid */
bool utf8_valid(const char *s, size_t n, size_t *bad);      /* *bad: offset of the first wrong byte; may be NULL */
size_t utf8_count(const char *s, size_t n);                 /* characters; an invalid byte counts as one */
/* Length of the longest prefix that does not end inside a character: what a stream may print now. */
size_t utf8_complete(const char *s, size_t n);
bool utf8_is_space(uint32_t cp);                            /* Unicode's White_Space, which Rust goes by */
void utf8_repair(struct buf *out, const char *s, size_t n); /* appends; invalid bytes become U+FFFD */

#endif
