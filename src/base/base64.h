/* base64: RFC 4648's alphabet, with padding. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

void base64_write(struct buf *out, const uint8_t *bytes, size_t n); /* appends */
/* Appends the bytes of a text; −1 where a character is none of the alphabet. Padding may be missing. */
int base64_read(struct buf *out, const char *text, size_t n);
/* The six bits that a character stands for; −1: it is none of the alphabet. */
int base64_digit(char c);

#endif
