/* chat_turn: a conversation's next answer. The conversation is written by the template and cut into tokens anew
 * each turn, so that it is always what the template says; what is computed is what differs from the tokens in the
 * cache. */
#include "infer/chat_turn.h"

#include "data/chat.h"

int chat_turn(struct session *s, const struct text_codec *c, const struct conversation *x,
              const struct generate_options *o, struct turn *turn, struct err *e)
{
	struct buf text = BUF_INIT;
	struct tokens ids = { 0 };
	size_t room = (size_t)session_limit(s);

	*turn = (struct turn){ 0 };
	int status = chat_prompt(c, x, &ids, &text, e);
	turn->prompt_tokens = ids.n;
	if (status == 0 && ids.n == 0)
		status = err_set(e, "the chat template makes nothing of the messages");
	if (status == 0 && ids.n >= room)
		status = err_set(e, "the context is full: the conversation has %zu tokens, it holds %zu", ids.n, room);
	if (status == 0) {
		turn->kept = (size_t)session_keep(s, 0, ids.id, ids.n);
		turn->computed = ids.n - turn->kept;
		sampler_forget(o->sampler);
		sampler_see(o->sampler, ids.id, turn->kept);
		status = generate(s, c->tokenizer, ids.id + turn->kept, turn->computed, o, &turn->g, e);
	}
	tokens_release(&ids);
	buf_release(&text);
	return status;
}
