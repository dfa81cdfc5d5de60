/* openai_messages: a conversation as a client sends it, as the model's own template writes it. */
#include "data/chat_fit.h"
#include "serve/openai_parts.h"

#include "base/mem.h"

int conversation_read(struct openai *s, const json_t *sent, struct conversation *x, struct http_reply *r)
{
	struct err e = ERR_INIT;
	const json_t *messages = json_object_get(sent, "messages");

	if (!json_is_array(messages) || !json_array_size(messages))
		err_set(&e, "'messages' is a list of {role, content}, one at least");
	else if (!s->o.chat)
		err_set(&e, "the model has no chat template; /v1/completions takes a text as it is");
	else if (conversation_make(x, NULL, sent, messages, 0, &e) == 0)
		return 0;
	openai_error(r, 400, "invalid_messages", "messages", "%s", e.msg);
	return -1;
}

int conversation_ids(struct openai *s, struct conversation *x, struct tokens *ids, struct buf *text, struct err *e)
{
	struct text_codec codec = { s->o.model->tokenizer, s->o.chat };
	struct buf own = BUF_INIT;
	int status = chat_fit(&codec, x, e) < 0 ? -1 : chat_prompt(&codec, x, ids, text ? text : &own, e);

	if (status == 0 && ids->n == 0)
		status = err_set(e, "the chat template makes nothing of the messages");
	buf_release(&own);
	return status;
}

int openai_conversation(struct openai *s, const json_t *sent, struct tokens *ids, struct buf *text,
                        struct http_reply *r)
{
	struct conversation x = { 0 };
	struct err e = ERR_INIT;

	if (conversation_read(s, sent, &x, r) < 0)
		return -1;
	int status = conversation_ids(s, &x, ids, text, &e);
	conversation_release(&x);
	if (status < 0)
		openai_error(r, 400, "invalid_messages", "messages", "%s", e.msg);
	return status;
}
