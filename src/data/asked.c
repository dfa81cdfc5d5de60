/* asked: a row's question by the columns that it has. See asked.h. */
#include "data/asked.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "data/conversation.h"
#include "data/enclosed.h"
#include "data/prompts.h"
#include "data/shape.h"

/* --- columns --- */

/* By its shape it asks elsewhere and teaches the answer: a `text` beside that is often both (Alpaca's). */
static bool asks_elsewhere(const json_t *row)
{
	const struct shape *s = shape_of(row);

	return s && !s->asks_only && (s->ask || (s->asks && strcmp(s->asks, "query") != 0));
}

static const json_t *query_of(const json_t *row)
{
	const json_t *query = json_object_get(row, "query");

	return json_is_string(query) && !asks_elsewhere(row) ? query : NULL;
}

static const struct pair_columns *pair_of(const json_t *row)
{
	const struct pair_columns *p = pair_columns_of(row);

	return p && !asks_elsewhere(row) ? p : NULL;
}

/* The one text of a row; one that asks in another column has none. */
static const json_t *own_text(const json_t *row)
{
	const json_t *text = json_object_get(row, "text");

	text = text ? text : json_object_get(row, "sentence");
	return json_is_string(text) && !asks_elsewhere(row) ? text : NULL;
}

static bool is_text(const json_t *row) { return own_text(row) || pair_of(row); }

/* The row with its conversation up to the last answer; new. */
static json_t *without_answer(const json_t *row)
{
	static const char *const columns[] = { "messages", "conversations" };
	json_t *out = json_copy((json_t *)(uintptr_t)row);

	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		struct err unused = ERR_INIT;
		json_t *list = json_object_get(row, columns[i]),
		       *turns = json_is_array(list) ? messages_from(list, &unused) : NULL;
		size_t n = json_array_size(turns);
		if (n && message_is_assistant(json_array_get(turns, n - 1))) {
			list = json_copy(list);
			json_array_remove(list, json_array_size(list) - 1);
			json_object_set_new(out, columns[i], list);
		}
		json_decref(turns);
	}
	return out;
}

/* A text or a list of messages, new; NULL and a sentence. */
static json_t *question(const json_t *row, struct err *e)
{
	static const char *const columns[] = { "prompt", "messages", "conversations" };
	const struct shape *s = shape_of(row);

	if (s && (s->ask || s->asks))
		return shape_ask(s, row, e);
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		if (json_object_get(row, columns[i]))
			return json_incref(json_object_get(row, columns[i]));
	err_set(e, "nothing is asked: no text, sentence, query, prompt, messages or two texts of a pair");
	return NULL;
}

/* --- as a text --- */

static void add_line(struct buf *out, const json_t *text)
{
	if (out->len)
		buf_addc(out, '\n');
	buf_add(out, json_string_value(text), json_string_length(text));
}

static int add_turns(struct buf *out, const json_t *list, struct err *e)
{
	json_t *turns = messages_from(list, e);
	size_t n = json_array_size(turns);

	if (!turns)
		return -1;
	n -= n && message_is_assistant(json_array_get(turns, n - 1));
	for (size_t i = 0; i < n; i++) {
		const json_t *content = json_object_get(json_array_get(turns, i), "content");
		char *parts = json_is_string(content) || !content ? NULL : jsonx_line(content);
		if (parts)
			buf_adds(out, parts);
		else if (content)
			add_line(out, content);
		mem_free(parts);
	}
	json_decref(turns);
	return 0;
}

int asked_add(struct buf *out, const json_t *asked, struct err *e)
{
	if (json_is_array(asked))
		return add_turns(out, asked, e);
	if (json_is_string(asked))
		add_line(out, asked);
	return 0;
}

static int add_question(struct buf *out, const json_t *row, struct err *e)
{
	json_t *asked = question(row, e);
	int status = asked ? asked_add(out, asked, e) : -1;

	json_decref(asked);
	return status;
}

int asked_text(struct buf *out, const struct row *r, struct err *e)
{
	const json_t *query = query_of(r->json);
	const struct pair_columns *p = query ? NULL : pair_of(r->json);
	const json_t *one = query ? query : p ? json_object_get(r->json, p->second) : own_text(r->json);

	if (p)
		add_line(out, json_object_get(r->json, p->first));
	if (one) {
		add_line(out, one);
		return 0;
	}
	return add_question(out, r->json, e) < 0 ? err_prefix(e, "%s:%zu", r->file, r->line) : 0;
}

/* --- as tokens --- */

static int enclosed_tokens(struct asked *a, const struct enclosed *of, const struct text_codec *c, int32_t max_length,
                           struct err *e)
{
	struct enclosed x = *of;
	int status = enclose(&x, c->tokenizer, (size_t)max_length, e);

	a->ids = x.ids;
	a->second = x.second;
	a->cut = x.cut;
	return status;
}

static int text_tokens(struct asked *a, const struct row *r, const struct text_codec *c, int32_t max_length,
                       struct err *e)
{
	const struct pair_columns *p = pair_of(r->json);
	const json_t *one = p ? json_object_get(r->json, p->first) : own_text(r->json),
	             *two = p ? json_object_get(r->json, p->second) : NULL;

	const struct enclosed x = { .text = json_string_value(one), .n = json_string_length(one),
		                    .pair = json_string_value(two), .n_pair = json_string_length(two) };

	return enclosed_tokens(a, &x, c, max_length, e);
}

/* All that is asked as one text, between what an encoder has around it. */
static int whole_tokens(struct asked *a, const struct row *r, const struct text_codec *c, int32_t max_length,
                        struct err *e)
{
	struct buf text = BUF_INIT;
	int status = asked_text(&text, r, e);
	const struct enclosed x = { .text = buf_str(&text), .n = text.len };

	if (status == 0)
		status = enclosed_tokens(a, &x, c, max_length, e);
	buf_release(&text);
	return status;
}

static int query_tokens(struct asked *a, const json_t *query, const struct text_codec *c, bool apply, struct err *e)
{
	const struct prompt_options o = { .raw = !apply };
	size_t n = json_string_length(query);

	if (!apply)
		unicode_rstrip(json_string_value(query), &n);
	return prompt_encode_text(c, json_string_value(query), n, &o, &a->ids, e);
}

/* Messages, or a prompt; without a template turns are lines of one text. */
static int prompt_tokens(struct asked *a, const struct row *r, const struct text_codec *c, struct columns *seen,
                         struct err *e)
{
	struct buf text = BUF_INIT;
	json_t *before = without_answer(r->json), *asked = question(before, e);
	struct row own = { before, r->file, r->line };
	struct prompt_options o = { .raw = !c->template_ || json_is_string(asked) };
	int status = asked ? 0 : -1;

	if (asked && o.raw) {
		status = asked_add(&text, asked, e);
		if (status == 0)
			status = prompt_encode_text(c, buf_str(&text), text.len, &o, &a->ids, e);
	} else if (asked) {
		status = prompt_encode_row(c, &own, &o, &a->ids, seen, e);
	}
	buf_release(&text);
	json_decref(before);
	json_decref(asked);
	return status;
}

bool asked_by_template(const json_t *row, bool apply_chat_template)
{
	struct err unused = ERR_INIT;

	if (query_of(row))
		return apply_chat_template;
	if (is_text(row))
		return false;
	json_t *asked = question(row, &unused);
	bool list = json_is_array(asked);
	json_decref(asked);
	return list;
}

int asked_tokens(struct asked *a, const struct row *r, const struct text_codec *c, bool encoder,
                 bool apply_chat_template, int32_t max_length, struct columns *seen, struct err *e)
{
	const json_t *query = query_of(r->json);
	int status;

	*a = (struct asked){ 0 };
	if (!query && is_text(r->json))
		status = text_tokens(a, r, c, max_length, e);
	else if (encoder)
		status = whole_tokens(a, r, c, max_length, e);
	else
		status = query ? query_tokens(a, query, c, apply_chat_template, e) : prompt_tokens(a, r, c, seen, e);
	if (status < 0)
		return err_prefix(e, "%s:%zu", r->file, r->line);
	if (a->ids.n > (size_t)max_length) {
		a->cut += a->ids.n - (size_t)max_length;
		a->ids.n = (size_t)max_length;
	}
	return 0;
}
