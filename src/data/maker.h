/* maker: what the files shape_*.c make documents with, one row at a time.
 *
 * Two ways up: whole documents (maker_text, maker_answer, maker_chat), which bring BOS, EOS and what is learnt; or
 * piece by piece, maker_begin, maker_bos, maker_put, maker_parts, maker_eos, then maker_emit. A document that is
 * emitted has role 0 until the shape says otherwise, and stands in its row's group where the shape has roles. */
#ifndef DATA_MAKER_H
#define DATA_MAKER_H

#include "data/document.h"

struct maker {
	struct documents *d;
	const struct text_codec *codec;
	const struct document_options *o;
	const struct row *row;
	const struct shape *shape;
	size_t made;                          /* documents of this row so far */
	bool whole;                           /* they are choices to be scored: none is cut */
	struct tokens ids, learn, offsets;    /* of the document that is being made */
};

/* A text, all of it learnt; one longer than max_length becomes several documents. */
int maker_text(struct maker *m, const char *text, size_t n, struct err *e);
/* The text of a column, or the texts of two (data/enclosed.h), and the column `label`, or `labels`: of the document one
 * token alone is learnt, the last or the first (document_options.label_first). */
int maker_pair(struct maker *m, const char *first, const char *second /* or NULL */, struct err *e);
/* Where documents are labelled, what follows gives one token to learn, too, and of strings an encoder's are a pair.
 *
 * A prompt and its completion, which is learnt: both strings, or both lists of messages, written by the chat template.
 * NULL and a sentence, as the next. */
struct document *maker_answer(struct maker *m, const json_t *prompt, const json_t *completion, struct err *e);
struct document *maker_strings(struct maker *m, const char *prompt, size_t n_prompt, const char *completion,
                               size_t n_completion, struct err *e);
/* Messages by the chat template, with what the row has beside them (data/conversation.h): the assistant's from number
 * `first` on are learnt. */
struct document *maker_chat(struct maker *m, const json_t *messages, size_t first, struct err *e);
/* The text that asks for an answer to messages, by the chat template with the row's columns. */
int maker_asked(struct maker *m, const json_t *messages, struct buf *text, struct err *e);
/* {role, content}; new. */
json_t *maker_turn(const char *role, const json_t *content);

void maker_begin(struct maker *m);
void maker_put(struct maker *m, int32_t id, bool learn);
void maker_bos(struct maker *m, const char *text);  /* where the tokenizer adds one and the text does not bring it */
/* The prompt, then the completion, which is learnt. by_count: where both together are tokenized otherwise than the
 * prompt alone, the completion's tokens are those of both after as many as the prompt has (lm-eval); else those of the
 * completion by itself. */
int maker_parts(struct maker *m, const char *prompt, size_t n_prompt, const char *completion, size_t n_completion,
                bool by_count, struct err *e);
void maker_eos(struct maker *m);                    /* after what is learnt, unless it ends with one */
/* The document; what is longer than max_length loses its end, or is refused where it must be whole. NULL: that, or
 * there is nothing in it. */
struct document *maker_emit(struct maker *m, struct err *e);
void maker_release(struct maker *m);

/* Tokens [from, from + n) as a document, for document.c. */
struct document *maker_emit_part(struct maker *m, size_t from, size_t n);

#endif
