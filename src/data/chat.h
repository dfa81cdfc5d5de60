/* chat: conversations as the model's own template writes them, and which part of that text the model said.
 *
 * What is learnt of an assistant's message is what the template writes after the generation prompt, up to and with the
 * token that ends the turn. It is found as the template itself tells: by its {% generation %} spans if it has them,
 * else by writing the conversation up to each assistant's turn, with the generation prompt and then with the answer:
 * what the second has more. */
#ifndef DATA_CHAT_H
#define DATA_CHAT_H

#include "data/document.h"

struct chat_text {
	struct template_output out;      /* text, and the spans that are learnt, ascending */
	size_t n_rewritten;              /* assistants' turns that are not: see chat_render */
};

/* messages: a list of {role, content, …}; tools may be NULL. Messages before `first` are not learnt. A template that
 * writes earlier turns differently once later ones follow (without their thoughts, say) has only those learnt that it
 * writes the same; when the last one is not, a sentence. */
int chat_render(const struct text_codec *c, const json_t *messages, const json_t *tools, size_t first,
                struct chat_text *out, struct err *e);
/* The text that asks for an answer to messages. */
int chat_render_prompt(const struct text_codec *c, const json_t *messages, const json_t *tools, struct buf *text,
                       struct err *e);
void chat_release(struct chat_text *t);

/* ShareGPT's [{from, value}] as [{role, content}]; lists that are already so come back as they are. New reference; NULL
 * and a sentence. */
json_t *chat_from_sharegpt(const json_t *conversations, struct err *e);

#endif
