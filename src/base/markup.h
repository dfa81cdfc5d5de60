/* markup: text for XML and HTML. */
#ifndef BASE_MARKUP_H
#define BASE_MARKUP_H

#include <stddef.h>

#include "base/buf.h"

/* Appends n bytes as character data, right in attributes too: < > & " ' are escaped, and what is no UTF-8 or no
 * character of XML 1.0 (controls except tab and line ends, U+FFFE, U+FFFF) becomes U+FFFD. */
void markup_text(struct buf *out, const char *s, size_t n);

#endif
