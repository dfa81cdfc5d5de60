/* tokenizer_put: a tokenizer as GGUF's metadata, which tokenizer_from_gguf and llama.cpp read.
 *
 * GGUF has a kind, pieces with a type, merges or scores, a name for how words are cut, ids of special tokens, and chat
 * templates. What a tokenizer.json says beside (normalizers, attributes of added tokens) it has no word for: a file is
 * written only where the ids of texts come out the same. */
#ifndef TOKEN_TOKENIZER_PUT_H
#define TOKEN_TOKENIZER_PUT_H

#include "format/gguf_write.h"
#include "token/tokenizer.h"

/* Metadata for a model of `rows` embeddings: tokens beyond them are left out, rows without a token get one that no text
 * has. ends: further tokens that end an answer. */
int tokenizer_put_gguf(const struct tokenizer *t, struct gguf_meta *meta, size_t rows, const struct tokens *ends,
                       const char *where, struct err *e);
/* Does the tokenizer that g's metadata hold give texts of all kinds the ids that t gives them? Texts with special
 * tokens inside that come out otherwise are a warning. */
int tokenizer_check_gguf(const struct tokenizer *t, const struct gguf *g, const char *where, struct err *e);

/* --- texts to compare by --- */

enum { PROBES = 40 };
/* Text i of PROBES: three pieces of many scripts and kinds beside each other in every order that begins with the i-th.
 * Without marks that normalizing would join with the letter before, where `composed`. */
void probe_text(struct buf *out, size_t i, bool composed);

#endif
