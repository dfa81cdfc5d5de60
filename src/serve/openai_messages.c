/* openai_messages: a conversation as a client sends it, after what stands before it, as the model's own template writes
 * it; where that is a text, or there is no template, one question as a text. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/mem.h"
#include "data/chat_fit.h"
#include "data/prompts.h"

char *conversation_question(const json_t *messages)
{
	const json_t *only = json_array_get(messages, 0);
	json_t *text = json_array_size(messages) == 1 && !strcmp(message_role(only), "user") ?
	                       chat_text(json_object_get(only, "content")) :
	                       NULL;
	char *question = text ? mem_strndup(json_string_value(text), json_string_length(text)) : NULL;

	json_decref(text);
	return question;
}

/* A text is continued: what else a conversation has finds no place there. */
static int check_raw(const struct conversation *x, struct err *e)
{
	char *question = conversation_question(x->messages);
	bool right = question && !x->tools && !x->more;

	mem_free(question);
	return right ? 0 :
	               err_set(e, "no chat template writes what is asked here, so a question is one user's turn, a "
	                          "text, without tools or variables of a template");
}

/* After an instruction and examples that are turns. */
static int put_before(struct openai *s, struct conversation *x, struct err *e)
{
	json_t *turns = fewshot_turns(s->o.before, NULL, e), *all;

	if (!turns)
		return -1;
	all = fewshot_join(s->o.before, turns, x->messages);
	json_decref(turns);
	json_decref(x->messages);
	x->messages = all;
	return 0;
}

int conversation_read(struct openai *s, const json_t *sent, struct conversation *x, struct http_reply *r)
{
	struct err e = ERR_INIT;
	const json_t *messages = json_object_get(sent, "messages");

	if (!json_is_array(messages) || !json_array_size(messages))
		err_set(&e, "'messages' is a list of {role, content}, one at least");
	else if (!s->o.chat && !s->o.raw)
		err_set(&e, "the model has no chat template; /v1/completions takes a text as it is");
	else if (conversation_make(x, NULL, sent, messages, 0, &e) == 0 &&
	         (s->o.raw ? check_raw(x, &e) : s->o.before ? put_before(s, x, &e) : 0) == 0 &&
	         openai_give_tools(s, sent, x, r) == 0)
		return 0;
	if (*e.msg)
		openai_error(r, 400, "invalid_messages", "messages", "%s", e.msg);
	conversation_release(x);
	return -1;
}

int openai_text_ids(struct openai *s, const char *text, size_t n, struct tokens *ids, struct err *e)
{
	const struct text_codec codec = { s->o.model->tokenizer, s->o.chat };
	const struct prompt_options how = { .raw = true };

	return s->o.before ? prompt_encode_after(s->o.before, &codec, text, n, &how, ids, e) :
	                     prompt_encode_text(&codec, text, n, &how, ids, e);
}

static int raw_ids(struct openai *s, const struct conversation *x, struct tokens *ids, struct buf *text, struct err *e)
{
	char *question = conversation_question(x->messages);
	int status = openai_text_ids(s, question, strlen(question), ids, e);

	if (status == 0 && text)
		tokenizer_decode(s->o.model->tokenizer, ids->id, ids->n, true, text);
	mem_free(question);
	return status;
}

int conversation_ids(struct openai *s, struct conversation *x, struct tokens *ids, struct buf *text, struct err *e)
{
	struct text_codec codec = { s->o.model->tokenizer, s->o.chat };
	struct buf own = BUF_INIT;

	if (s->o.raw)
		return raw_ids(s, x, ids, text, e);
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

	int status = conversation_read(s, sent, &x, r);
	bool read = status == 0;

	if (read) {
		struct holder *caller = openai_pause(s);
		status = conversation_ids(s, &x, ids, text, &e);
		openai_go_on(s, caller);
	}
	conversation_release(&x);
	if (read && status < 0)
		openai_error(r, 400, "invalid_messages", "messages", "%s", e.msg);
	return status;
}
