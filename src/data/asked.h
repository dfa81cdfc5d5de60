/* asked: what a row asks, without its answer: as a text, which words are counted of, and as a model's tokens, after
 * which the answer would come.
 *
 *     query                             as it is without white space at its end (lm-eval), or as a user's turn
 *     text, sentence, two of a pair     between what the tokenizer puts around them (data/enclosed.h)
 *     prompt, messages, instruction …   as data/prompts.h has it; a prompt that is a text is continued as it is
 *
 * Of a conversation that ends with an answer it is what stands before that. A row whose shape asks in a column of its
 * own and teaches an answer is asked by that, whatever `text` stands beside it (Alpaca's has the answer). */
#ifndef DATA_ASKED_H
#define DATA_ASKED_H

#include "base/buf.h"
#include "data/columns.h"
#include "data/document.h"

/* Appends it, turns and a pair's texts a line each. The sentence begins with file and line. */
int asked_text(struct buf *out, const struct row *r, struct err *e);
/* The same of a question that is at hand: a text, or a list of messages. */
int asked_add(struct buf *out, const json_t *asked, struct err *e);
bool asked_by_template(const json_t *row, bool apply_chat_template);   /* whether its tokens take the template */

struct asked {
	struct tokens ids;             /* the caller releases it */
	int32_t second;                /* where a pair's second text begins; 0: nowhere */
	size_t cut;                    /* tokens beyond max_length that its end lost */
};
/* As an encoder reads it (enclosed, whatever the row) or a decoder. What nobody reads is met in `seen`. */
int asked_tokens(struct asked *a, const struct row *r, const struct text_codec *c, bool encoder,
                 bool apply_chat_template, int32_t max_length, struct columns *seen, struct err *e);

#endif
