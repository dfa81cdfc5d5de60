/* parted: text that is data and nothing else: where the text of a special token stands in it, or one by which the chat
 * template says whose turn it is, U+200B (a zero-width space) is put after its first character, so that it is none
 * wherever it goes. */
#ifndef TOKEN_PARTED_H
#define TOKEN_PARTED_H

#include "token/tokenizer.h"

/* Parts them in place; *n (or NULL) counts them. −1: no UTF-8, or one that cannot be parted. */
int special_tokens_part(const struct tokenizer *t, struct buf *text, size_t *n, struct err *e);
/* The second kind alone: what a template (its source, or NULL) has between its variables and as strings, a line at a
 * time, where it looks like a mark: "[INST]", "### Response:", "USER:". */
void role_marks_part(const char *template_, struct buf *text, size_t *n);

#endif
