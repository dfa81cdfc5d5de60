/* chat: conversations as the model's own template writes them, and which part of that text the model said.
 *
 * What is learnt of an assistant's message is what the template writes after the generation prompt, up to and with the
 * token that ends the turn. It is found as the template itself tells: by its {% generation %} spans if it has them,
 * else by writing the conversation up to each assistant's turn, with the generation prompt and then with the answer:
 * what the second has more. */
#ifndef DATA_CHAT_H
#define DATA_CHAT_H

#include "data/conversation.h"
#include "data/document.h"

struct chat_text {
	struct template_output out;      /* text, and the spans that are learnt, ascending */
	size_t n_rewritten;              /* assistants' turns that are not: see chat_render */
};

/* The conversation, as a template takes it (data/chat_fit.h). Answers before its `first` and those with weight 0 are
 * not learnt. A template that writes earlier turns differently once later ones follow (without their thoughts, say) has
 * only those learnt that it writes the same; when the last one is not, a sentence. A template that fails at a content
 * that is no text: a sentence that names the message. */
int chat_render(const struct text_codec *c, const struct conversation *x, struct chat_text *out, struct err *e);
/* The text that asks for an answer. */
int chat_render_prompt(const struct text_codec *c, const struct conversation *x, struct buf *text, struct err *e);
/* The text of the first n messages. */
int chat_write(const struct text_codec *c, const struct conversation *x, size_t n, bool prompt, struct buf *text,
               struct err *e);
/* chat_render_prompt, and its tokens. */
int chat_prompt(const struct text_codec *c, const struct conversation *x, struct tokens *out, struct buf *text,
                struct err *e);
void chat_release(struct chat_text *t);

/* The model's template, with that for tools where it has one; NULL where it has none. */
int chat_template(struct template **out, const struct tokenizer *t, struct err *e);

#endif
