/* markup: text for XML and HTML, and what HTML's references to characters stand for. */
#ifndef BASE_MARKUP_H
#define BASE_MARKUP_H

#include <stddef.h>

#include "base/buf.h"

/* Appends n bytes as character data, right in attributes too: < > & " ' are escaped, and what is no UTF-8 or no
 * character of XML 1.0 (controls except tab and line ends, U+FFFE, U+FFFF) becomes U+FFFD. */
void markup_text(struct buf *out, const char *s, size_t n);

/* Appends n bytes with every reference (&amp; &#39; &#x27; and HTML 5's names, of which old ones need no semicolon)
 * replaced by its characters, as browsers and Python's html.unescape do: what names no character stays as it is, a
 * number that is none is U+FFFD, one of a control or of no character nothing. */
void markup_unescape(struct buf *out, const char *s, size_t n);

#endif
