/* py_re: regular expressions as Python's re reads them, by PCRE2: characters are Unicode's, \d, \w and \s too, and
 * empty matches come as re has them since Python 3.7. What the two spell differently (\Z, (?P>…), possessive marks,
 * inline flags in the middle) is PCRE2's. A match that takes more than PCRE2's own limits allow is a sentence. */
#ifndef BASE_PY_RE_H
#define BASE_PY_RE_H

#include "base/buf.h"
#include "base/err.h"

struct py_re;
struct py_span { const char *s; size_t n; };   /* s NULL: the group has no part in the match */

int py_re_new(struct py_re **out, const char *pattern, struct err *e);
void py_re_free(struct py_re *re);
size_t py_re_groups(const struct py_re *re);    /* without the whole match */

/* One after the other, as re.finditer. 1: the next match, the whole one in span[0], groups behind it; 0: no more; −1
 * and a sentence. text is UTF-8. */
struct py_re_walk { const char *text; size_t n, at; bool empty; };
int py_re_next(const struct py_re *re, struct py_re_walk *w, const struct py_span **span, struct err *e);

/* re.sub with a text that stands for itself. */
int py_re_replace(const struct py_re *re, const char *with, const char *text, size_t n, struct buf *out, struct err *e);
/* re.sub as it is, \1 and \g<1> in `with` being groups. */
int py_re_sub(const struct py_re *re, const char *with, const char *text, size_t n, struct buf *out, struct err *e);

#endif
