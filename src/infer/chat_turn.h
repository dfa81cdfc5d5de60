/* chat_turn: the next answer of a conversation, in a session that keeps what was computed of it. */
#ifndef INFER_CONVERSE_H
#define INFER_CONVERSE_H

#include "data/conversation.h"
#include "data/document.h"
#include "infer/generate.h"

struct turn {
	struct generation g;
	size_t prompt_tokens;          /* of the whole conversation, with what asks for the answer */
	size_t kept, computed;         /* of them: were in the session; went through the model now */
};

/* The answer to a conversation, in the form that the template takes (data/chat_fit.h). The session may hold anything:
 * what it has in common with this conversation stays. A conversation that leaves no room is a sentence with both
 * numbers, and nothing changes. turn is to be released (generation_release) in any case. */
int chat_turn(struct session *s, const struct text_codec *c, const struct conversation *x,
              const struct generate_options *o, struct turn *turn, struct err *e);

#endif
