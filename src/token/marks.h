/* marks: what SentencePiece's kinds of tokenizers have in common: a mark ("▁") stands for a space, a byte that no piece
 * has is a piece "<0x0A>", and decoding turns both back.
 *
 * A tokenizer.json says the last as a decoder: Metaspace, or a Sequence of Replace (of the mark by a space),
 * ByteFallback, Fuse, and Strip (of the space that was put in front). */
#ifndef TOKEN_MARKS_H
#define TOKEN_MARKS_H

#include <jansson.h>

#include "token/token_model.h"

#define MARK "\xe2\x96\x81"   /* ▁ */

struct marks {
	char mark[8];              /* what becomes a space; "": nothing */
	int strip;                 /* spaces that are taken from the beginning of a text, −1: all of its first piece */
	bool bytes;                /* "<0x0A>" is a byte */
	int32_t byte_id[256];      /* −1: the vocabulary lacks it */
};

void marks_find_bytes(struct marks *m, const struct vocab *v);
/* From rules' decoder; any other step is refused by its type. */
int marks_read(struct marks *m, const json_t *decoder, struct err *e);
/* token_model's piece and find */
void marks_piece(const struct marks *m, const struct piece *p, bool first, struct buf *out);
int32_t marks_find(const struct marks *m, const struct vocab *v, const char *bytes, size_t n);
/* Rules of a GGUF, without its model: what is put in front, marks for spaces, the decoder; new reference. */
json_t *marks_gguf_rules(const struct gguf *g, struct err *e);

#endif
