/* decoder: tokens, as the vocabulary writes them, to the text that they are: a tokenizer.json's `decoder`, with the
 * meaning that Hugging Face's tokenizers give it.
 *
 * A decoder is a chain of steps, each of which turns a list of texts into another: ByteLevel, WordPiece, Metaspace,
 * BPEDecoder, CTC, ByteFallback, Fuse, Strip, Replace. What remains is joined. Bytes that are no UTF-8 stay as they
 * are, where tokenizers writes U+FFFD for them. */
#ifndef TOKEN_DECODER_H
#define TOKEN_DECODER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Texts one behind the other. */
struct texts {
	struct buf all;
	struct text_end {
		size_t end;
		bool raw;
	} * item; /* raw: an added token, whose characters are no alphabet */
	size_t n, cap;
};
void texts_add(struct texts *t, const char *text, size_t n, bool raw);
void texts_release(struct texts *t);

struct decoder;
/* null: ByteLevel's where words are bytes, else tokens are parted by spaces. Any other step is refused by its type. */
struct decoder *decoder_parse(const json_t *j, bool bytes, struct err *e);
void decoder_free(struct decoder *d);
/* Appends to out what the texts come to; they are used up. first, last: nothing stands before them, or follows. */
void decoder_run(const struct decoder *d, struct texts *in, bool first, bool last, struct buf *out);
const char *decoder_mark(const struct decoder *d); /* what becomes a space, "": nothing */
bool decoder_has_bytes(const struct decoder *d);   /* "<0x0A>" is a byte */

#endif
