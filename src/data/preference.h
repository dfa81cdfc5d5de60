/* preference: what the shapes with a chosen and a rejected answer have in common. Two documents, which begin alike.
 * Judged as a choice between the two, the gold one first. */
#ifndef DATA_PREFERENCE_H
#define DATA_PREFERENCE_H

#include "data/maker.h"

enum { CHOSEN, REJECTED };

#define PREFERENCE_ROLES { [CHOSEN] = "chosen", [REJECTED] = "rejected" }

/* prompt: a text or a list of messages; answers: a text, a message or a list of messages each. */
int preference_make(struct maker *m, const json_t *prompt, const json_t *chosen, const json_t *rejected, struct err *e);
/* What chosen and rejected begin with alike, which is their prompt (TRL's extract_prompt); new. */
json_t *preference_prompt(const json_t *chosen, const json_t *rejected);
/* What follows a prompt of n messages, or of n bytes; new. */
json_t *preference_rest(const json_t *answer, const json_t *prompt);
/* preference_prompt where there is one; NULL and a sentence where they do not begin alike. */
json_t *preference_ask(const json_t *chosen, const json_t *rejected, struct err *e);
/* Two whole texts or conversations: what they begin with alike, and the rest of each. */
int preference_make_whole(struct maker *m, const json_t *chosen, const json_t *rejected, struct err *e);
/* document: one of the pair. Where documents are labelled the row's column `margin` is read, a number. */
int preference_mark(const struct maker *m, struct document *d, int32_t role, const json_t *answer, struct err *e);
/* Characters of what an answer says, a text or messages. */
size_t preference_chars(const json_t *answer);
/* After messages a text is the assistant's turn, after a text it is itself; a message alone is a list of one. New;
 * NULL and a sentence. */
json_t *preference_answer(const json_t *prompt, const json_t *answer, struct err *e);

#endif
