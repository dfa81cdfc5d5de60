/* parted: text that is data and nothing else: where the text of a special token stands in it, U+200B (a zero-width
 * space) is put after its first character, so that it is no special token wherever it goes. */
#ifndef TOKEN_PARTED_H
#define TOKEN_PARTED_H

#include "token/tokenizer.h"

/* Parts them in place; *n (or NULL) counts them. −1: no UTF-8, or one that cannot be parted. */
int special_tokens_part(const struct tokenizer *t, struct buf *text, size_t *n, struct err *e);

#endif
