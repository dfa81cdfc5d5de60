/* prompts: what is to be answered, as a model is asked it: a text is a user's turn by the chat template, a row asks
 * what its shape says. See prompts.h. */
#include "data/prompts.h"

#include <string.h>

#include "base/jsonx.h"
#include "data/chat_fit.h"
#include "data/shape.h"

static int encode_raw(const struct text_codec *c, const char *text, size_t n, struct tokens *ids, struct err *e)
{
	size_t before = ids->n;

	tokenizer_begin(c->tokenizer, ids);
	if (tokenizer_encode(c->tokenizer, text, n, TOKENIZE_SPECIAL, ids, e) < 0)
		return err_prefix(e, "the prompt");
	if (ids->n == before)
		return err_set(e, "the prompt is empty, and this model has no token to begin with");
	return 0;
}

static const char *role_of(const json_t *messages, size_t i)
{
	return json_string_value(json_object_get(json_array_get(messages, i), "role"));
}

static int check_messages(const json_t *messages, const struct prompt_options *o, struct err *e)
{
	size_t n = json_array_size(messages);

	if (o->raw)
		return err_set(e, "messages want a chat template, which --raw turns off");
	if (n == 0)
		return err_set(e, "a list of messages was wanted");
	for (size_t i = 0; i < n; i++)
		if (!role_of(messages, i))
			return err_set(e, "message %zu has no role", i + 1);
	if (!strcmp(role_of(messages, n - 1), "assistant"))
		return err_set(e, "the last message is the assistant's: nothing is left to answer");
	if (o->system && !strcmp(role_of(messages, 0), "system"))
		return err_set(e, "the messages have a system's turn of their own beside --system");
	return 0;
}

/* A row beside whose columns the messages stand. */
struct beside {
	const struct shape *shape;     /* or NULL */
	const struct row *row;         /* or NULL: there are no columns */
	struct columns *seen;
};

/* Messages, the last one not the assistant's. */
static int encode_messages(const struct text_codec *c, const json_t *messages, const struct beside *b,
                           const struct prompt_options *o, struct tokens *ids, struct err *e)
{
	struct buf rendered = BUF_INIT;
	struct conversation x;
	size_t before = ids->n;

	if (conversation_make(&x, b->shape, b->row ? shape_with(b->shape, b->row->json) : NULL, messages, 0, e) < 0)
		return -1;
	int status = check_messages(x.messages, o, e);
	if (status == 0 && o->system)
		json_array_insert_new(x.messages, 0, json_pack("{s:s, s:s}", "role", "system", "content", o->system));
	if (status == 0)
		status = chat_fit(c, &x, e);
	if (status == 0)
		status = chat_prompt(c, &x, ids, &rendered, e);
	if (status == 0 && b->row)
		chat_watch(c, &x, true, &rendered, b->row, b->seen);
	conversation_release(&x);
	buf_release(&rendered);
	if (status == 0 && ids->n == before)
		return err_set(e, "the chat template makes nothing of the messages");
	return status;
}

static int encode_text(const struct text_codec *c, const char *text, size_t n, const struct beside *b,
                       const struct prompt_options *o, struct tokens *ids, struct err *e)
{
	if (o->raw)
		return encode_raw(c, text, n, ids, e);
	json_t *messages = json_pack("[{s:s, s:o}]", "role", "user", "content", json_stringn(text, n));
	int status = encode_messages(c, messages, b, o, ids, e);
	json_decref(messages);
	return status;
}

int prompt_encode_text(const struct text_codec *c, const char *text, size_t n, const struct prompt_options *o,
                       struct tokens *ids, struct err *e)
{
	return encode_text(c, text, n, &(struct beside){ 0 }, o, ids, e);
}

/* New; NULL and a sentence. A prompt beside something unknown is asked all the same. */
static json_t *asked_of(const json_t *row, struct err *e)
{
	json_t *prompt = json_object_get(row, "prompt"), *messages = json_object_get(row, "messages");
	const struct shape *s = shape_of(row);

	if (prompt && messages) {
		err_set(e, "prompt or messages was wanted, the row has both");
		return NULL;
	}
	if (s && (s->ask || s->asks))
		return shape_ask(s, row, e);
	if (!prompt && !messages)
		err_set(e, "prompt or messages was wanted, the row has neither");
	return json_incref(prompt ? prompt : messages);
}

int prompt_encode_after(struct fewshot *f, const struct text_codec *c, const char *text, size_t n,
                        const struct prompt_options *o, struct tokens *ids, struct err *e)
{
	json_t *prompt = json_pack("{s:o}", "prompt", jsonx_text(text, n));
	struct row row = { prompt, "the prompt", 1 }, made = row;
	struct columns seen = { 0 };
	int status = -1;

	made.json = fewshot_row(f, &row, shape_of(prompt), e);
	if (made.json)
		status = prompt_encode_row(c, &made, o, ids, &seen, e);
	columns_release(&seen);
	json_decref(made.json);
	json_decref(prompt);
	return status;
}

int prompt_encode_row(const struct text_codec *c, const struct row *row, const struct prompt_options *o,
                      struct tokens *ids, struct columns *seen, struct err *e)
{
	static const char *const also[] = { "adapter", NULL };
	struct beside b = { shape_of(row->json), row, seen };
	json_t *asked = asked_of(row->json, e);
	int status = -1;

	if (!asked)
		return -1;
	columns_look(seen, b.shape, row, !o->raw, also);
	if (json_is_string(asked))
		status = encode_text(c, json_string_value(asked), json_string_length(asked), &b, o, ids, e);
	else if (json_is_array(asked) || json_object_get(row->json, "messages"))
		status = encode_messages(c, asked, &b, o, ids, e);
	else
		err_set(e, "prompt is neither a text nor a list of messages");
	json_decref(asked);
	return status;
}

int prompt_write_row(const struct text_codec *c, const struct row *row, const struct shape *s, struct buf *out,
                     struct err *e)
{
	json_t *asked = shape_ask(s, row->json, e), *messages;
	struct conversation x;

	if (json_is_string(asked)) {
		buf_add(out, json_string_value(asked), json_string_length(asked));
		json_decref(asked);
		return 0;
	}
	messages = json_copy(asked);
	json_decref(asked);
	size_t n = json_array_size(messages);
	if (n && message_is_assistant(json_array_get(messages, n - 1)))
		json_array_remove(messages, n - 1);
	int status = messages ? conversation_make(&x, s, shape_with(s, row->json), messages, 0, e) : -1;
	json_decref(messages);
	if (status < 0)
		return -1;
	status = chat_fit(c, &x, e);
	if (status == 0)
		status = chat_render_prompt(c, &x, out, e);
	conversation_release(&x);
	return status;
}
