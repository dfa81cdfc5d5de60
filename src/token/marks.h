/* marks: what SentencePiece's kinds of tokenizers have in common: a mark ("▁") stands for a space, a byte that no
 * piece has is a piece "<0x0A>", and decoding turns both back.
 *
 * Decoding is the rules' (token/decoder.h). */
#ifndef TOKEN_MARKS_H
#define TOKEN_MARKS_H

#include <jansson.h>

#include "token/token_model.h"

#define MARK "\xe2\x96\x81"   /* ▁ */

struct marks {
	int32_t byte_id[256];      /* −1: the vocabulary lacks it */
};

void marks_find_bytes(struct marks *m, const struct vocab *v);
/* token_model's find */
int32_t marks_find(const struct tokenizer *t, const struct marks *m, const char *bytes, size_t n);
/* Rules of a GGUF, without its model: what is put in front, marks for spaces, the decoder; squeezes: a charsmap and
 * superfluous spaces are done too; new reference. */
json_t *marks_gguf_rules(const struct gguf *g, bool squeezes, struct err *e);

/* 1: a mark is put in front of a text, 0: not; −1 and a sentence. */
int marks_front(const struct tokenizer *t, struct err *e);

#endif
