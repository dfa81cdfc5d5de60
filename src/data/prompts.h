/* prompts: what is to be answered, as text or as a conversation, to the ids that ask for the answer. */
#ifndef DATA_PROMPTS_H
#define DATA_PROMPTS_H

#include "data/columns.h"
#include "data/document.h"
#include "data/fewshot.h"

struct prompt_options {
	const char *system;            /* the system's turn before it, or NULL */
	/* no template: the text is continued as it is, after a BOS where the tokenizer adds one */
	bool raw;
};

/* A text: a user's turn. Appends to ids; an empty prompt is a sentence. */
int prompt_encode_text(const struct text_codec *c, const char *text, size_t n, const struct prompt_options *o,
                       struct tokens *ids, struct err *e);
/* The same with what f puts before it. */
int prompt_encode_after(struct fewshot *f, const struct text_codec *c, const char *text, size_t n,
                        const struct prompt_options *o, struct tokens *ids, struct err *e);
/* A row: what its shape asks (data/shape.h): `prompt`, a string or a list of messages, `messages`, … with the columns
 * that a conversation takes beside them. A text is a user's turn too, so it takes them as well. What nobody reads is
 * met in `seen`. */
int prompt_encode_row(const struct text_codec *c, const struct row *row, const struct prompt_options *o,
                      struct tokens *ids, struct columns *seen, struct err *e);
/* What a row asks as the model reads it: a text as it is, a conversation without the answer at its end as the template
 * writes it. */
int prompt_write_row(const struct text_codec *c, const struct row *row, const struct shape *s, struct buf *out,
                     struct err *e);

#endif
