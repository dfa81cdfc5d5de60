/* chat: messages into a template's text and its tokens, with what of them is learnt. The template gets the
 * variables that transformers gives it: messages, tools and documents (none where there are none),
 * add_generation_prompt and the texts of the special tokens. */
#include "data/chat.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/unicode.h"

static void set_token(json_t *variables, const char *key, const struct tokenizer *t, int32_t id)
{
	struct buf text = BUF_INIT;

	if (id >= 0)
		tokenizer_piece(t, id, &text);
	json_object_set_new(variables, key, json_stringn(buf_str(&text), text.len));
	buf_release(&text);
}

static json_t *variables_of(const struct text_codec *c, const struct conversation *x, size_t n, bool prompt)
{
	json_t *v = json_object(), *some = json_array(), *m;
	size_t i;

	json_array_foreach(x->messages, i, m)
		if (i < n)
			json_array_append(some, m);
	json_object_set_new(v, "messages", some);
	json_object_set_new(v, "tools", x->tools ? json_incref(x->tools) : json_null());
	json_object_set_new(v, "documents", json_null());
	json_object_set_new(v, "add_generation_prompt", json_boolean(prompt));
	set_token(v, "bos_token", c->tokenizer, tokenizer_bos(c->tokenizer));
	set_token(v, "eos_token", c->tokenizer, tokenizer_eos(c->tokenizer));
	set_token(v, "pad_token", c->tokenizer, tokenizer_pad(c->tokenizer));
	json_object_update(v, x->more);
	return v;
}

/* The first n messages. */
static int render(const struct text_codec *c, const struct conversation *x, size_t n, bool prompt,
                  struct template_output *out, struct err *e)
{
	if (!c->template_)
		return err_set(e, "the model has no chat template");
	json_t *v = variables_of(c, x, n, prompt);
	int status = template_run(c->template_, v, out, e);
	json_decref(v);
	return status;
}

int chat_write(const struct text_codec *c, const struct conversation *x, size_t n, bool prompt, struct buf *text,
               struct err *e)
{
	struct template_output out = { 0 };

	if (render(c, x, n, prompt, &out, e) < 0)
		return -1;
	buf_add(text, buf_str(&out.text), out.text.len);
	template_output_release(&out);
	return 0;
}

/* Does the template write it where every content is a text? */
static bool wants_texts(const struct text_codec *c, const struct conversation *x, bool prompt)
{
	struct conversation texts = { json_array(), x->tools, x->more, 0, false };
	struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;
	json_t *m;
	size_t i;

	json_array_foreach(x->messages, i, m) {
		m = json_copy(m);
		if (!json_is_string(json_object_get(m, "content")))
			json_object_set_new(m, "content", json_string("-"));
		json_array_append_new(texts.messages, m);
	}
	bool wants = chat_write(c, &texts, i, prompt, &text, &ignored) == 0;
	buf_release(&text);
	json_decref(texts.messages);
	return wants;
}

/* −1: the template failed; the sentence names the message that it cannot take, if that can be told. */
static int blame(const struct text_codec *c, const struct conversation *x, bool prompt, struct err *e)
{
	json_t *m;
	size_t i;

	json_array_foreach(x->messages, i, m) {
		const json_t *content = json_object_get(m, "content");
		if (json_is_string(content) || !wants_texts(c, x, prompt))
			continue;
		char *found = content ? jsonx_line(content) : mem_strdup("not there");
		err_prefix(e, "message %zu (%.40s): its content is %.60s, which the chat template cannot take", i + 1,
		           message_role(m), found);
		mem_free(found);
		break;
	}
	return -1;
}

int chat_render_prompt(const struct text_codec *c, const struct conversation *x, struct buf *text, struct err *e)
{
	if (chat_write(c, x, json_array_size(x->messages), true, text, e) < 0)
		return c->template_ ? blame(c, x, true, e) : -1;
	return 0;
}

static bool begins_with(const struct buf *whole, const struct buf *part)
{
	return part->len <= whole->len && !memcmp(buf_str(whole), buf_str(part), part->len);
}

static size_t common_length(const struct buf *a, const struct buf *b)
{
	size_t n = 0, most = MIN(a->len, b->len);
	while (n < most && a->data[n] == b->data[n])
		n++;
	return n;
}

/* Has the text from begin to end all that the message says? */
static bool says(const struct buf *text, size_t begin, size_t end, const json_t *message)
{
	const char *content = json_string_value(json_object_get(message, "content"));
	size_t n;

	if (!content || begin > end)
		return false;
	n = strlen(content);
	unicode_strip(&content, &n); /* templates trim */
	return n && memmem(buf_str(text) + begin, end - begin, content, n);
}

/* Where the answer lies that was asked for by `before` and stands at the end of `after`. What follows a turn may differ
 * once others follow (an EOS that ends every rendering), the answer may not. */
static bool locate_answer(const struct buf *before, const struct buf *after, const struct buf *whole,
                          const json_t *message, struct template_span *span)
{
	size_t end = common_length(after, whole);

	*span = (struct template_span){ before->len, end };
	return begins_with(after, before) && (end == after->len || says(whole, before->len, end, message));
}

/* Message i's answer in the whole text. 0 found; 1 the template writes it differently there, or cannot begin with an
 * answer. */
static int find_answer(const struct text_codec *c, const struct conversation *x, size_t i, const struct buf *whole,
                       struct template_span *span, struct err *e)
{
	struct buf before = BUF_INIT, after = BUF_INIT;
	int status = chat_write(c, x, i, true, &before, e);

	if (status && i == 0) /* of no messages: templates look at the first */
		status = 1;
	if (!status)
		status = chat_write(c, x, i + 1, false, &after, e);
	if (!status)
		status = !locate_answer(&before, &after, whole, json_array_get(x->messages, i), span);
	buf_release(&before);
	buf_release(&after);
	return status;
}

static bool is_learnt(const struct conversation *x, size_t i)
{
	const json_t *m = json_array_get(x->messages, i);
	return i >= x->first && message_is_assistant(m) && message_is_trained_on(m);
}

static int find_answers(const struct text_codec *c, const struct conversation *x, struct chat_text *t, struct err *e)
{
	struct template_output *out = &t->out;
	size_t n = json_array_size(x->messages), last = n;

	out->spans = mem_grow(out->spans, MAX(n, (size_t)1), sizeof(*out->spans));
	for (size_t i = 0; i < n; i++) {
		if (!is_learnt(x, i))
			continue;
		int status = find_answer(c, x, i, &out->text, &out->spans[out->n_spans], e);
		if (status < 0)
			return -1;
		out->n_spans += status == 0;
		t->n_rewritten += status != 0;
		last = status ? i : n;
	}
	if (last < n)
		return err_set(e,
		               "the chat template writes message %zu, the assistant's last, differently than it asks "
		               "for it: what to train on cannot be told; "
		               "mark it with {%% generation %%} in the template",
		               last + 1);
	return 0;
}

/* Where the text of the first n messages ends. */
static int length_of(const struct text_codec *c, const struct conversation *x, size_t n, size_t *length, struct err *e)
{
	struct buf text = BUF_INIT;
	int status = n ? chat_write(c, x, n, false, &text, e) : 0;

	*length = text.len;
	buf_release(&text);
	return status;
}

static void drop_spans(struct template_output *out, size_t from, size_t to)
{
	size_t kept = 0;

	for (size_t i = 0; i < out->n_spans; i++)
		if (out->spans[i].begin < from || out->spans[i].begin >= to)
			out->spans[kept++] = out->spans[i];
	out->n_spans = kept;
}

/* The template's own spans, without those of messages before `first` and of those that are not learnt. */
static int keep_spans(const struct text_codec *c, const struct conversation *x, struct template_output *out,
                      struct err *e)
{
	size_t from, to;

	if (length_of(c, x, x->first, &to, e) < 0)
		return -1;
	drop_spans(out, 0, to);
	for (size_t i = x->first; i < json_array_size(x->messages); i++) {
		const json_t *m = json_array_get(x->messages, i);
		if (!message_is_assistant(m) || message_is_trained_on(m))
			continue;
		if (length_of(c, x, i, &from, e) < 0 || length_of(c, x, i + 1, &to, e) < 0)
			return -1;
		drop_spans(out, from, to);
	}
	return 0;
}

int chat_render(const struct text_codec *c, const struct conversation *x, struct chat_text *t, struct err *e)
{
	*t = (struct chat_text){ 0 };
	int status = render(c, x, json_array_size(x->messages), false, &t->out, e);
	if (status)
		return c->template_ ? blame(c, x, false, e) : -1;
	status = t->out.n_spans ? keep_spans(c, x, &t->out, e) : find_answers(c, x, t, e);
	if (status)
		chat_release(t);
	return status;
}

void chat_release(struct chat_text *t)
{
	template_output_release(&t->out);
	*t = (struct chat_text){ 0 };
}

int chat_prompt(const struct text_codec *c, const struct conversation *x, struct tokens *out, struct buf *text,
                struct err *e)
{
	if (chat_render_prompt(c, x, text, e) < 0)
		return -1;
	return tokenizer_encode(c->tokenizer, buf_str(text), text->len, TOKENIZE_SPECIAL, out, e);
}

int chat_template(struct template **out, const struct tokenizer *t, struct err *e)
{
	const char *usual = tokenizer_template(t), *with_tools = tokenizer_tool_template(t);

	*out = usual || with_tools ? template_parse_both(usual, with_tools, e) : NULL;
	return *out || (!usual && !with_tools) ? 0 : -1;
}
