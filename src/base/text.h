/* text: how a string ends; how what is no file begins. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

bool text_ends(const char *s, const char *end);        /* a string ends in itself */
/* Bytes before the ending; 0: s has another ending, or nothing before it. */
size_t text_stem(const char *s, const char *end);
/* What came in a file's place, by its first bytes, as "an empty file"; NULL: nothing that is known. */
const char *text_instead(const void *data, size_t n);

#endif
