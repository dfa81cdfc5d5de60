/* document: rows to ids and to what of them is learnt.
 *
 * A text is tokenized whole; what is learnt is a stretch of its characters, so a token is learnt when it lies in one (a
 * template that asks with a space at its end has its text cut there, lest that space and the answer become one token).
 * After the token that ends a turn white space is not learnt: the line break that templates write there is never
 * generated. No BOS is put before a template's text: templates write it themselves where the model wants one.
 *
 * Where a prompt and its completion are plain strings, the prompt's tokens are those of the prompt alone: generation
 * sees the same ones, and rows that share a prompt share its tokens. If tokenizing both together changes the prompt's
 * last tokens, the completion is tokenized by itself (TRL keeps the tokens of both together and learns from where they
 * first differ: a prompt that generation never sees). Query and choice are split as lm-eval does: white space at the
 * query's end goes to the answer, and the answer's tokens are those of both together after as many as the query alone
 * has.
 *
 * A text longer than max_length becomes several documents, each beginning with the last token of the one before: every
 * token but the first is learnt once. Any other row that is too long keeps its head. */
#include "data/document.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "data/chat.h"

struct maker {
	struct documents *d;
	const struct text_codec *codec;
	const struct document_options *o;
	const struct row *row;
	struct tokens ids, learn, offsets;    /* of the document that is being made */
};

/* --- ids --- */

static void begin(struct maker *m)
{
	m->ids.n = m->learn.n = m->offsets.n = 0;
}

static void put(struct maker *m, int32_t id, bool learn)
{
	tokens_add(&m->ids, id);
	tokens_add(&m->learn, learn);
}

/* Where the tokenizer adds one and the text does not bring it. */
static void put_bos(struct maker *m, const char *text)
{
	const struct tokenizer *t = m->codec->tokenizer;
	struct buf bos = BUF_INIT;

	if (!tokenizer_add_bos(t) || tokenizer_bos(t) < 0)
		return;
	tokenizer_piece(t, tokenizer_bos(t), &bos);
	if (!bos.len || strncmp(text, buf_str(&bos), bos.len) != 0)
		put(m, tokenizer_bos(t), false);
	buf_release(&bos);
}

static int put_text(struct maker *m, const char *text, size_t n, bool learn, struct err *e)
{
	if (tokenizer_encode(m->codec->tokenizer, text, n, TOKENIZE_SPECIAL, &m->ids, e) < 0)
		return -1;
	while (m->learn.n < m->ids.n)
		tokens_add(&m->learn, learn);
	return 0;
}

/* After what is learnt, unless it ends with one. */
static void put_eos(struct maker *m)
{
	int32_t eos = tokenizer_eos(m->codec->tokenizer);
	size_t n = m->ids.n;

	if (eos >= 0 && (!n || m->ids.id[n - 1] != eos || !m->learn.id[n - 1]))
		put(m, eos, true);
}

/* --- documents --- */

static struct document *emit(struct maker *m, size_t from, size_t n)
{
	struct documents *d = m->d;

	if (d->n == d->cap) {
		d->cap = MAX(256, 2 * d->cap);
		d->items = mem_grow(d->items, d->cap, sizeof(*d->items));
	}
	struct document *doc = &d->items[d->n++];
	*doc = (struct document){ .n = (int32_t)n, .file = m->row->file, .line = m->row->line, .choice = -1 };
	doc->ids = arena_array(&d->mem, n, sizeof(*doc->ids));
	doc->learn = arena_alloc(&d->mem, n);
	memcpy(doc->ids, m->ids.id + from, n * sizeof(*doc->ids));
	for (size_t i = 1; i < n; i++) {
		doc->learn[i] = m->learn.id[from + i] != 0;
		doc->n_learn += doc->learn[i];
	}
	d->tokens += n;
	d->learnt += (size_t)doc->n_learn;
	return doc;
}

/* A row that is one document; what is longer loses its end. NULL: there is nothing in it. */
static struct document *emit_whole(struct maker *m, struct err *e)
{
	size_t n = m->ids.n, max = (size_t)m->o->max_length;

	if (!n) {
		err_set(e, "an empty row");
		return NULL;
	}
	struct document *doc = emit(m, 0, MIN(n, max));
	doc->n_cut = (int32_t)(n - (size_t)doc->n);
	m->d->n_truncated += n > max;
	return doc;
}

/* --- shapes --- */

static int make_text(struct maker *m, struct err *e)
{
	const json_t *text = json_object_get(m->row->json, "text");
	size_t max = (size_t)m->o->max_length;

	put_bos(m, json_string_value(text));
	if (put_text(m, json_string_value(text), json_string_length(text), true, e) < 0)
		return -1;
	put_eos(m);
	if (m->ids.n <= max)
		return emit_whole(m, e) ? 0 : -1;
	for (size_t from = 0; from + 1 < m->ids.n; from += max - 1) {
		emit(m, from, MIN(max, m->ids.n - from));
		m->d->n_split += from > 0;
	}
	return 0;
}

static bool begins_with(const struct tokens *whole, size_t from, const struct tokens *part)
{
	return part->n <= whole->n - from &&
	       (!part->n || !memcmp(whole->id + from, part->id, part->n * sizeof(*part->id)));
}

/* The prompt's tokens stand before those of the completion whatever they became together. by_count: the completion's
 * are those of both together after as many as the prompt has alone, if there are any. */
static int mend_pair(struct maker *m, size_t from, const struct tokens *alone, const char *completion, size_t n,
                     bool by_count, struct err *e)
{
	bool some = m->ids.n - from > alone->n;

	if (by_count && some) {
		memcpy(m->ids.id + from, alone->id, alone->n * sizeof(*alone->id));
		return 0;
	}
	m->ids.n = from;
	for (size_t i = 0; i < alone->n; i++)
		tokens_add(&m->ids, alone->id[i]);
	return tokenizer_encode(m->codec->tokenizer, completion, n, TOKENIZE_SPECIAL, &m->ids, e);
}

/* The prompt, then the completion, which is learnt. */
static int put_pair(struct maker *m, const char *prompt, size_t n_prompt, const char *completion, size_t n_completion,
                    bool by_count, struct err *e)
{
	struct tokens alone = { 0 };
	struct buf both = BUF_INIT;
	size_t from = m->ids.n;

	buf_add(&both, prompt, n_prompt);
	buf_add(&both, completion, n_completion);
	int status = tokenizer_encode(m->codec->tokenizer, prompt, n_prompt, TOKENIZE_SPECIAL, &alone, e);
	if (!status)
		status = tokenizer_encode(m->codec->tokenizer, buf_str(&both), both.len, TOKENIZE_SPECIAL, &m->ids, e);
	if (!status && !begins_with(&m->ids, from, &alone))
		status = mend_pair(m, from, &alone, completion, n_completion, by_count, e);
	while (!status && m->learn.n < m->ids.n)
		tokens_add(&m->learn, m->learn.n >= from + alone.n);
	tokens_release(&alone);
	buf_release(&both);
	return status;
}

static int make_pair(struct maker *m, const char *prompt, size_t n_prompt, const char *completion, size_t n_completion,
                     struct err *e)
{
	put_bos(m, prompt);
	if (put_pair(m, prompt, n_prompt, completion, n_completion, false, e) < 0)
		return -1;
	put_eos(m);
	return emit_whole(m, e) ? 0 : -1;
}

static bool is_space(char c) { return c && strchr(" \t\n\r\f\v", c); }

/* Where token i ends in a text of n bytes. */
static size_t token_end(const struct maker *m, size_t i, size_t n)
{
	return i + 1 < m->ids.n ? (size_t)m->offsets.id[i + 1] : n;
}

/* Tokens that lie inside a span of a text of n bytes are learnt, but for white space after the special token that ends
 * it. */
static void learn_span(struct maker *m, const char *text, size_t n, const struct template_span *s)
{
	size_t begin = 0, end, last, stop;

	while (begin < m->ids.n && (size_t)m->offsets.id[begin] < s->begin)
		begin++;
	for (end = begin; end < m->ids.n && token_end(m, end, n) <= s->end; end++)
		m->learn.id[end] = 1;
	stop = end > begin ? token_end(m, end - 1, n) : s->begin;
	while (stop > s->begin && is_space(text[stop - 1]))
		stop--;
	for (last = end; last > begin && (size_t)m->offsets.id[last - 1] >= stop; last--)
		;
	if (last > begin && tokenizer_is_special(m->codec->tokenizer, m->ids.id[last - 1]))
		memset(m->learn.id + last, 0, (end - last) * sizeof(*m->learn.id));
}

/* Does some answer begin inside a token, together with the end of what asks for it? */
static bool cuts_token(const struct maker *m, const struct template_output *out)
{
	for (size_t i = 0, k = 0; i < out->n_spans; i++) {
		while (k < m->ids.n && (size_t)m->offsets.id[k] < out->spans[i].begin)
			k++;
		if (out->spans[i].begin < out->text.len &&
		    (k == m->ids.n || (size_t)m->offsets.id[k] != out->spans[i].begin))
			return true;
	}
	return false;
}

static int encode_piece(struct maker *m, const struct buf *text, size_t from, size_t to, struct err *e)
{
	size_t first = m->offsets.n;

	if (tokenizer_encode_offsets(m->codec->tokenizer, buf_str(text) + from, to - from, TOKENIZE_SPECIAL, &m->ids,
	                             &m->offsets, e) < 0)
		return -1;
	for (size_t i = first; i < m->offsets.n; i++)
		m->offsets.id[i] += (int32_t)from;
	return 0;
}

/* The text at once; if that joins the end of a question with its answer, in pieces that begin with the answers, as
 * generation sees them. */
static int encode_rendered(struct maker *m, const struct template_output *out, struct err *e)
{
	size_t from = 0;

	if (encode_piece(m, &out->text, 0, out->text.len, e) < 0)
		return -1;
	if (!cuts_token(m, out))
		return 0;
	begin(m);
	for (size_t i = 0; i < out->n_spans; i++) {
		size_t to = MAX(from, out->spans[i].begin); /* spans may lie in one another */
		if (encode_piece(m, &out->text, from, to, e) < 0)
			return -1;
		from = to;
	}
	return encode_piece(m, &out->text, from, out->text.len, e);
}

static int put_rendered(struct maker *m, const struct chat_text *t, struct err *e)
{
	const struct template_output *out = &t->out;

	if (encode_rendered(m, out, e) < 0)
		return -1;
	while (m->learn.n < m->ids.n)
		tokens_add(&m->learn, 0);
	for (size_t i = 0; i < out->n_spans; i++)
		learn_span(m, buf_str(&out->text), out->text.len, &out->spans[i]);
	return 0;
}

/* Assistants' messages from number `first` on are learnt. */
static int make_chat(struct maker *m, const json_t *messages, size_t first, struct err *e)
{
	struct chat_text t;

	if (chat_render(m->codec, messages, json_object_get(m->row->json, "tools"), first, &t, e) < 0)
		return -1;
	int status = put_rendered(m, &t, e);
	m->d->n_rewritten += t.n_rewritten;
	chat_release(&t);
	return status == 0 && emit_whole(m, e) ? 0 : -1;
}

static int make_conversations(struct maker *m, struct err *e)
{
	json_t *messages = chat_from_sharegpt(json_object_get(m->row->json, "conversations"), e);

	if (!messages)
		return -1;
	int status = make_chat(m, messages, 0, e);
	json_decref(messages);
	return status;
}

/* For models without a chat template: the wording with which Stanford Alpaca was trained (tatsu-lab/stanford_alpaca,
 * train.py, 2023). */
static int make_alpaca(struct maker *m, const char *instruction, const char *input, const json_t *output, struct err *e)
{
	static const char context[] = ", paired with an input that provides further context";
	struct buf prompt = BUF_INIT;

	buf_addf(&prompt,
	         "Below is an instruction that describes a task%s. Write a response that appropriately completes the "
	         "request.\n\n"
	         "### Instruction:\n%s\n\n",
	         *input ? context : "", instruction);
	if (*input)
		buf_addf(&prompt, "### Input:\n%s\n\n", input);
	buf_adds(&prompt, "### Response:");
	int status =
		make_pair(m, buf_str(&prompt), prompt.len, json_string_value(output), json_string_length(output), e);
	buf_release(&prompt);
	return status;
}

/* With a template, instruction and input are the user's turn, a line each, as LLaMA-Factory joins them. */
static int make_instruction(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json, *output = json_object_get(row, "output");
	const char *instruction = json_string_value(json_object_get(row, "instruction")), *input, *system;

	if (jsonx_string(row, "input", "", &input, e) < 0 || jsonx_string(row, "system", "", &system, e) < 0)
		return -1;
	if (!m->codec->template_)
		return make_alpaca(m, instruction, input, output, e);
	json_t *messages = json_array();
	if (*system)
		json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system", "content", system));
	json_array_append_new(messages, json_pack("{s:s, s:o}", "role", "user", "content",
	                                          json_sprintf("%s%s%s", instruction, *input ? "\n" : "", input)));
	json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "assistant", "content", output));
	int status = make_chat(m, messages, 0, e);
	json_decref(messages);
	return status;
}

static int make_completion(struct maker *m, struct err *e)
{
	json_t *prompt = json_object_get(m->row->json, "prompt"),
	       *completion = json_object_get(m->row->json, "completion");

	if (json_is_string(prompt) && json_is_string(completion))
		return make_pair(m, json_string_value(prompt), json_string_length(prompt),
		                 json_string_value(completion), json_string_length(completion), e);
	if (!json_is_array(prompt) || !json_is_array(completion))
		return err_set(e, "prompt and completion are a text and a list of messages, wanted both the same");
	json_t *messages = json_copy(prompt);
	json_array_extend(messages, completion);
	int status = make_chat(m, messages, json_array_size(prompt), e);
	json_decref(messages);
	return status;
}

/* --- choices --- */

/* What stands before a choice. A template's text has its BOS, and asks for an answer, which begins without a space. */
struct context {
	const char *text;
	size_t n;
	bool rendered;
};

/* The context as far as it is not white space at its end, which goes before the choice. */
static int put_choice(struct maker *m, const struct context *c, const json_t *choice, struct err *e)
{
	struct buf answer = BUF_INIT;
	size_t n = c->n;
	int32_t bos = tokenizer_bos(m->codec->tokenizer), first = bos >= 0 ? bos : tokenizer_eos(m->codec->tokenizer);

	while (n && is_space(c->text[n - 1]))
		n--;
	buf_add(&answer, c->text + n, c->n - n);
	buf_addf(&answer, "%s%s", c->rendered ? "" : " ", json_string_value(choice));
	begin(m);
	if (!c->rendered)
		put_bos(m, c->text);
	if (!n && !m->ids.n && first >= 0) /* there must be something to predict from: lm-eval's prefix token */
		put(m, first, false);
	int status = put_pair(m, c->text, n, buf_str(&answer), answer.len, true, e);
	buf_release(&answer);
	return status;
}

/* One document a choice, without an EOS. */
static int score_choices(struct maker *m, const struct context *c, struct err *e)
{
	const json_t *choice;
	size_t i;

	json_array_foreach(json_object_get(m->row->json, "choices"), i, choice) {
		struct document *doc = put_choice(m, c, choice, e) < 0 ? NULL : emit_whole(m, e);
		if (!doc)
			return -1;
		doc->choice = (int32_t)i;
		doc->choice_chars = (int32_t)utf8_count(json_string_value(choice), json_string_length(choice));
	}
	return 0;
}

static int score_asked(struct maker *m, const json_t *query, struct err *e)
{
	struct buf asked = BUF_INIT;
	json_t *messages = json_pack("[{s:s, s:O}]", "role", "user", "content", query);
	int status = chat_render_prompt(m->codec, messages, NULL, &asked, e);

	if (!status)
		status = score_choices(m, &(struct context){ buf_str(&asked), asked.len, true }, e);
	json_decref(messages);
	buf_release(&asked);
	return status;
}

/* The gold choice as the template's answer, or after the query with an EOS. */
static int learn_gold(struct maker *m, const json_t *query, const json_t *gold, struct err *e)
{
	struct context c = { json_string_value(query), json_string_length(query), false };

	if (m->o->apply_chat_template) {
		json_t *messages = json_pack("[{s:s, s:O}, {s:s, s:O}]", "role", "user", "content", query, "role",
		                             "assistant", "content", gold);
		int status = make_chat(m, messages, 1, e);
		json_decref(messages);
		return status;
	}
	if (put_choice(m, &c, gold, e) < 0)
		return -1;
	put_eos(m);
	return emit_whole(m, e) ? 0 : -1;
}

static int make_choices(struct maker *m, struct err *e)
{
	json_t *row = m->row->json, *query = json_object_get(row, "query"), *choices = json_object_get(row, "choices");

	if (!m->o->eval_choices)
		return learn_gold(m, query,
		                  json_array_get(choices, (size_t)json_integer_value(json_object_get(row, "gold"))), e);
	if (m->o->apply_chat_template)
		return score_asked(m, query, e);
	return score_choices(m, &(struct context){ json_string_value(query), json_string_length(query), false }, e);
}

static int make_row(struct maker *m, enum row_shape shape, struct err *e)
{
	begin(m);
	switch (shape) {
	case ROW_TEXT: return make_text(m, e);
	case ROW_MESSAGES: return make_chat(m, json_object_get(m->row->json, "messages"), 0, e);
	case ROW_CONVERSATIONS: return make_conversations(m, e);
	case ROW_INSTRUCTION: return make_instruction(m, e);
	case ROW_COMPLETION: return make_completion(m, e);
	case ROW_CHOICE: return make_choices(m, e);
	case ROW_PREFERENCE: case ROW_LABELLED: case ROW_NONE: break;
	}
	return err_set(e, "rows of %s are not made into documents", row_shape_name(shape));
}

/* --- all rows --- */

static void maker_release(struct maker *m)
{
	tokens_release(&m->ids);
	tokens_release(&m->learn);
	tokens_release(&m->offsets);
}

/* The row is full: a document, if it has anything to learn (its first token is none). */
static void pack_row(struct maker *m)
{
	bool some = false;

	for (size_t i = 1; i < m->ids.n && !some; i++)
		some = m->learn.id[i];
	if (some)
		emit(m, 0, m->ids.n);
	begin(m);
}

void documents_pack(struct documents *d, int32_t max_length)
{
	struct documents packed = { .n_truncated = d->n_truncated,
		                    .n_split = d->n_split,
		                    .n_rewritten = d->n_rewritten };
	struct row row = { 0 };
	struct maker m = { .d = &packed, .row = &row };

	for (size_t i = 0; i < d->n; i++) {
		for (int32_t j = 0; j < d->items[i].n; j++) {
			if (m.ids.n == 0)
				row = (struct row){ .file = d->items[i].file, .line = d->items[i].line };
			put(&m, d->items[i].ids[j], d->items[i].learn[j]);
			if (m.ids.n == (size_t)max_length)
				pack_row(&m);
		}
	}
	maker_release(&m);
	documents_release(d);
	*d = packed;
}

int documents_make(struct documents *d, const struct rows *r, const struct text_codec *c,
                   const struct document_options *o, struct err *e)
{
	struct document_options whole = *o;
	struct maker m = { .d = d, .codec = c, .o = &whole };
	int status = 0;

	if (o->max_length < 2)
		BUG("documents of at most %d tokens", o->max_length);
	if (o->packing)
		whole.max_length = INT32_MAX;
	*d = (struct documents){ 0 };
	for (size_t i = 0; i < r->n && !status; i++) {
		m.row = &r->items[i];
		status = make_row(&m, r->shape, e);
	}
	if (status) {
		err_prefix(e, "%s:%zu", m.row->file, m.row->line);
		documents_release(d);
	} else if (o->packing) {
		documents_pack(d, o->max_length);
	}
	maker_release(&m);
	return status;
}

void documents_release(struct documents *d)
{
	arena_release(&d->mem);
	mem_free(d->items);
	*d = (struct documents){ 0 };
}
