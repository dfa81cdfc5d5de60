/* chat_fit: a conversation in the form that a template takes, and what of it the template reads. Both are told by
 * writing: a form is taken if the text is the same as by another form that says the same.
 *
 *     content, a list of text parts   as it is where the template writes a list of one part as it writes that text;
 *                                     else one text, the parts joined by line ends
 *     content null beside tool_calls  as it is where the template writes it as an empty text; else that
 *     arguments of a call as text     as they are where the template writes them as the object; else the object;
 *                                     texts where it fails with objects
 *     thoughts                        under the name that the template reads, of reasoning_content, reasoning,
 *                                     thinking, thinking_content, thoughts
 *
 * A row with none of these costs nothing more. What a template cannot take in any form is a sentence when it is
 * written. */
#ifndef DATA_CHAT_FIT_H
#define DATA_CHAT_FIT_H

#include "data/chat.h"
#include "data/columns.h"

/* What a message's content says, a text or a list of text parts, as one text; new. NULL: something else. */
json_t *chat_text(const json_t *content);
int chat_fit(const struct text_codec *c, struct conversation *x, struct err *e);
/* text: what the template wrote of it, asking for an answer or not. Meets what the conversation has beside messages'
 * roles and contents, and marks what the text would be another without. */
void chat_watch(const struct text_codec *c, const struct conversation *x, bool prompt, const struct buf *text,
                const struct row *r, struct columns *seen);

#endif
