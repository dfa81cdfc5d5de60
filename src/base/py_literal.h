/* py_literal: Python's literals as ast.literal_eval reads them, and JSON as Python's str and repr write it.
 *
 * Texts in single, double or three quotes with their escapes, side by side as one; whole numbers of 64 bits and numbers
 * with a point or exponent, with a sign; True, False, None; lists, tuples and dicts with texts as keys. A tuple becomes
 * a list. Bytes, sets, complex numbers, prefixes of texts other than none and keys that are no texts are refused. */
#ifndef BASE_PY_LITERAL_H
#define BASE_PY_LITERAL_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

/* New; NULL and a sentence. */
json_t *py_literal(const char *text, size_t n, struct err *e);
/* str(v), repr(v) of what json.loads would make of it. */
void py_str(struct buf *out, const json_t *v);
void py_repr(struct buf *out, const json_t *v);

#endif
