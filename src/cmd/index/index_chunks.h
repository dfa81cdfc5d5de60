/* index_chunks: a text in pieces of so many tokens, each beginning `overlap` tokens before the end of the one before.
 * Tokens are a tokenizer's, or without one words between white space; a piece begins and ends at white space where
 * there is some near, and never inside a character. */
#ifndef CMD_INDEX_CHUNKS_H
#define CMD_INDEX_CHUNKS_H

#include "base/arena.h"
#include "infer/index_embed.h"
#include "token/tokenizer.h"

/* The pieces, which point into the text: *out in mem; size 0: all is one. −1: the tokenizer's sentence. */
int index_chunks(const char *text, size_t n, const struct tokenizer *t /* or NULL */, int size, int overlap,
                 struct arena *mem, struct index_span **out, size_t *n_out, struct err *e);

/* What is searched of a piece: the document's title (or NULL), a line's end and the piece. In mem. */
char *index_chunk_text(struct arena *mem, const char *title, struct index_span s);

#endif
