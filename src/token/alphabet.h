/* alphabet: bytes as text. Every byte is written as one printable character, so that any bytes are valid UTF-8; files
 * of byte-level tokenizers hold their pieces so. */
#ifndef TOKEN_ALPHABET_H
#define TOKEN_ALPHABET_H

#include "base/buf.h"

void alphabet_write(struct buf *out, const char *bytes, size_t n);
/* Appends the bytes that a text stands for; false, and nothing appended, when one of its characters is not of the
 * alphabet. */
bool alphabet_read(struct buf *out, const char *text, size_t n);

#endif
