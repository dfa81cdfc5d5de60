/* jsonx: Jansson with the errors that this project wants. Objects are refused with duplicate keys;
 * depth is limited by Jansson (2048). */
#ifndef BASE_JSONX_H
#define BASE_JSONX_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

/* NULL and "where: line 3 column 7: …" */
json_t *jsonx_load(const char *text, size_t n, const char *where, struct err *e);
/* The same; strings may hold \u0000, so json_string_length says where they end. */
json_t *jsonx_load_nul(const char *text, size_t n, const char *where, struct err *e);
json_t *jsonx_load_file(const char *path, struct err *e);
/* indent 2, atomic, newline at the end */
int jsonx_write_file(const char *path, const json_t *j, struct err *e);
char *jsonx_line(const json_t *j);                                                /* compact, one line, mem_free */

/* Typed fields. The getters return the default when the key is absent or null, and -1 with a sentence when the type is
 * wrong. */
int jsonx_int(const json_t *o, const char *key, long long init, long long *out, struct err *e);
int jsonx_real(const json_t *o, const char *key, double init, double *out, struct err *e); /* accepts integers */
int jsonx_bool(const json_t *o, const char *key, int init, int *out, struct err *e);
int jsonx_string(const json_t *o, const char *key, const char *init, const char **out, struct err *e); /* borrowed */
/* The object there, a new reference; NULL where there is none, or something else. */
json_t *jsonx_object(const json_t *o, const char *key);

/* Doubles that JSON cannot hold (NaN, infinities) become null. */
json_t *jsonx_number(double x);
/* Bytes as a string: what is no UTF-8 becomes U+FFFD. */
json_t *jsonx_text(const char *bytes, size_t n);
/* The same of a path, whose bytes need not be UTF-8: for eyes, it may not name the file any more. */
json_t *jsonx_path(const char *path);

#endif
