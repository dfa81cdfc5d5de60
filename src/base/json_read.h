/* json_read: JSON that is as it should be, read quickly into Jansson's values; what is not, or is rare, is left to
 * Jansson, which says what is wrong with it. */
#ifndef BASE_JSON_READ_H
#define BASE_JSON_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The value that Jansson would read under JSON_REJECT_DUPLICATES | JSON_DECODE_ANY (nul: and JSON_ALLOW_NUL), new;
 * NULL: ask Jansson. */
json_t *json_read(const char *text, size_t n, bool nul);

#endif
