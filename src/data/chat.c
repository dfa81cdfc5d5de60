/* chat: messages into a template's text and its tokens, with what of them is learnt. The template gets the
 * variables that transformers gives it: messages, tools and documents (none where there are none),
 * add_generation_prompt and the texts of the special tokens. */
#include "data/chat.h"

#include <string.h>

#include "base/mem.h"

static void set_token(json_t *variables, const char *key, const struct tokenizer *t, int32_t id)
{
	struct buf text = BUF_INIT;

	if (id >= 0)
		tokenizer_piece(t, id, &text);
	json_object_set_new(variables, key, json_stringn(buf_str(&text), text.len));
	buf_release(&text);
}

static json_t *variables_of(const struct text_codec *c, const json_t *messages, size_t n, const json_t *tools,
                            bool prompt)
{
	json_t *v = json_object(), *some = json_array(), *m;
	size_t i;

	json_array_foreach((json_t *)messages, i, m)
		if (i < n)
			json_array_append(some, m);
	json_object_set_new(v, "messages", some);
	json_object_set_new(v, "tools", json_is_array(tools) ? json_incref((json_t *)tools) : json_null());
	json_object_set_new(v, "documents", json_null());
	json_object_set_new(v, "add_generation_prompt", json_boolean(prompt));
	set_token(v, "bos_token", c->tokenizer, tokenizer_bos(c->tokenizer));
	set_token(v, "eos_token", c->tokenizer, tokenizer_eos(c->tokenizer));
	set_token(v, "pad_token", c->tokenizer, tokenizer_pad(c->tokenizer));
	return v;
}

/* The first n messages. */
static int render(const struct text_codec *c, const json_t *messages, size_t n, const json_t *tools, bool prompt,
                  struct template_output *out, struct err *e)
{
	if (!c->template_)
		return err_set(e, "the model has no chat template");
	json_t *v = variables_of(c, messages, n, tools, prompt);
	int status = template_run(c->template_, v, out, e);
	json_decref(v);
	return status;
}

int chat_render_prompt(const struct text_codec *c, const json_t *messages, const json_t *tools, struct buf *text,
                       struct err *e)
{
	struct template_output out = { 0 };

	if (render(c, messages, json_array_size(messages), tools, true, &out, e) < 0)
		return -1;
	buf_add(text, buf_str(&out.text), out.text.len);
	template_output_release(&out);
	return 0;
}

static bool begins_with(const struct buf *whole, const struct buf *part)
{
	return part->len <= whole->len && !memcmp(buf_str(whole), buf_str(part), part->len);
}

static bool is_assistant(const json_t *message)
{
	const char *role = json_string_value(json_object_get(message, "role"));
	return role && !strcmp(role, "assistant");
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
	static const char space[] = " \t\n\r\f\v";
	const char *content = json_string_value(json_object_get(message, "content"));
	size_t n;

	if (!content || begin > end)
		return false;
	content += strspn(content, space); /* templates trim */
	for (n = strlen(content); n && strchr(space, content[n - 1]); n--)
		;
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
static int find_answer(const struct text_codec *c, const json_t *messages, size_t i, const json_t *tools,
                       const struct buf *whole, struct template_span *span, struct err *e)
{
	struct template_output before = { 0 }, after = { 0 };
	int status = render(c, messages, i, tools, true, &before, e);

	if (status && i == 0) /* of no messages: templates look at the first */
		status = 1;
	if (!status)
		status = render(c, messages, i + 1, tools, false, &after, e);
	if (!status)
		status = !locate_answer(&before.text, &after.text, whole, json_array_get(messages, i), span);
	template_output_release(&before);
	template_output_release(&after);
	return status;
}

static int find_answers(const struct text_codec *c, const json_t *messages, const json_t *tools, size_t first,
                        struct chat_text *t, struct err *e)
{
	struct template_output *out = &t->out;
	size_t n = json_array_size(messages), last = n;

	out->spans = mem_grow(out->spans, MAX(n, (size_t)1), sizeof(*out->spans));
	for (size_t i = first; i < n; i++) {
		if (!is_assistant(json_array_get(messages, i)))
			continue;
		int status = find_answer(c, messages, i, tools, &out->text, &out->spans[out->n_spans], e);
		if (status < 0)
			return -1;
		out->n_spans += status == 0;
		t->n_rewritten += status != 0;
		last = status ? i : n;
	}
	if (last < n)
		return err_set(e,
		               "the chat template writes message %zu, the assistant's last, differently than it asks "
		               "for it: what to learn cannot be told; "
		               "mark it with {%% generation %%} in the template",
		               last + 1);
	return 0;
}

/* The template's own spans, without those of messages before `first`. */
static int keep_spans(const struct text_codec *c, const json_t *messages, const json_t *tools, size_t first,
                      struct template_output *out, struct err *e)
{
	size_t kept = 0, from = 0;

	if (first) {
		struct template_output o = { 0 };
		if (render(c, messages, first, tools, false, &o, e) < 0)
			return -1;
		from = o.text.len;
		template_output_release(&o);
	}
	for (size_t i = 0; i < out->n_spans; i++)
		if (out->spans[i].begin >= from)
			out->spans[kept++] = out->spans[i];
	out->n_spans = kept;
	return 0;
}

static int check_messages(const json_t *messages, struct err *e)
{
	const json_t *m;
	size_t i;

	if (!json_array_size(messages))
		return err_set(e, "a list of messages was wanted");
	json_array_foreach((json_t *)messages, i, m)
		if (!json_is_string(json_object_get(m, "role")))
			return err_set(e, "message %zu has no role", i + 1);
	return 0;
}

int chat_render(const struct text_codec *c, const json_t *messages, const json_t *tools, size_t first,
                struct chat_text *t, struct err *e)
{
	*t = (struct chat_text){ 0 };
	if (check_messages(messages, e) < 0)
		return -1;
	int status = render(c, messages, json_array_size(messages), tools, false, &t->out, e);
	if (!status)
		status = t->out.n_spans ? keep_spans(c, messages, tools, first, &t->out, e) :
		                          find_answers(c, messages, tools, first, t, e);
	if (status)
		chat_release(t);
	return status;
}

void chat_release(struct chat_text *t)
{
	template_output_release(&t->out);
	*t = (struct chat_text){ 0 };
}

int chat_prompt(const struct text_codec *c, const json_t *messages, struct tokens *out, struct buf *text, struct err *e)
{
	if (chat_render_prompt(c, messages, NULL, text, e) < 0)
		return -1;
	return tokenizer_encode(c->tokenizer, buf_str(text), text->len, TOKENIZE_SPECIAL, out, e);
}

/* --- ShareGPT --- */

static const char *role_of(const char *from)
{
	static const char *const roles[][2] = {
		{ "human", "user" },          { "user", "user" },         { "gpt", "assistant" },
		{ "assistant", "assistant" }, { "chatgpt", "assistant" }, { "model", "assistant" },
		{ "system", "system" },       { "tool", "tool" },         { "function", "tool" },
		{ "observation", "tool" },
	};

	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (!strcmp(roles[i][0], from))
			return roles[i][1];
	return NULL;
}

json_t *chat_from_sharegpt(const json_t *conversations, struct err *e)
{
	json_t *out = json_array(), *turn;
	size_t i;

	json_array_foreach((json_t *)conversations, i, turn) {
		const char *from = json_string_value(json_object_get(turn, "from")),
			   *role = from ? role_of(from) : NULL;
		json_t *value = json_object_get(turn, "value");
		if (json_is_string(json_object_get(turn, "role"))) {
			json_array_append(out, turn);
		} else if (role && json_is_string(value)) {
			json_array_append_new(out, json_pack("{s:s, s:O}", "role", role, "content", value));
		} else {
			json_decref(out);
			err_set(e, "turn %zu: %s%.40s%s, wanted from (human, gpt, system or tool) and value, a text",
			        i + 1, from ? "from is \"" : "no from or no value", from ? from : "", from ? "\"" : "");
			return NULL;
		}
	}
	return out;
}
