/* document: rows to ids and to what of them is learnt.
 *
 * A text is tokenized whole; what is learnt is a stretch of its characters, so a token is learnt when it begins in one. Where a prompt and its
 * completion are plain strings, the prompt's tokens are those of the prompt alone: generation sees the same ones, and rows that share a prompt share
 * its tokens. If tokenizing both together changes the prompt's last tokens, the completion is tokenized by itself.
 * After the last token that ends a turn nothing is learnt: the line break that templates write there is never generated. */
#include "data/document.h"

#include <string.h>

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

static void put_bos(struct maker *m, const char *text)
{
	const struct tokenizer *t = m->codec->tokenizer;
	struct buf bos = BUF_INIT;

	if (!tokenizer_add_bos(t) || tokenizer_bos(t) < 0)
		return;
	tokenizer_piece(t, tokenizer_bos(t), &bos);
	if (!bos.len || strncmp(text, buf_str(&bos), bos.len) != 0) /* else the text brings it */
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

static void put_eos(struct maker *m)
{
	int32_t eos = tokenizer_eos(m->codec->tokenizer);

	if (eos >= 0 && (!m->ids.n || m->ids.id[m->ids.n - 1] != eos))
		put(m, eos, true);
}

/* --- documents --- */

static void emit(struct maker *m, size_t from, size_t n, int32_t choice, int32_t chars)
{
	struct documents *d = m->d;

	if (d->n == d->cap) {
		d->cap = MAX(256, 2 * d->cap);
		d->items = mem_grow(d->items, d->cap, sizeof(*d->items));
	}
	struct document *doc = &d->items[d->n++];
	*doc = (struct document){ .n = (int32_t)n, .file = m->row->file, .line = m->row->line, .choice = choice, .choice_chars = chars };
	doc->ids = arena_array(&d->mem, n, sizeof(*doc->ids));
	doc->learn = arena_alloc(&d->mem, n);
	memcpy(doc->ids, m->ids.id + from, n * sizeof(*doc->ids));
	for (size_t i = 1; i < n; i++) {
		doc->learn[i] = m->learn.id[from + i] != 0;
		doc->n_learn += doc->learn[i];
	}
	d->tokens += n;
	d->learnt += (size_t)doc->n_learn;
}

/* A row that is one document; what is longer loses its end. */
static int emit_whole(struct maker *m, int32_t choice, int32_t chars, struct err *e)
{
	size_t n = m->ids.n;

	if (!n)
		return err_set(e, "an empty row");
	if (n > (size_t)m->o->max_length && !m->o->packing) {
		n = (size_t)m->o->max_length;
		m->d->n_truncated++;
	}
	emit(m, 0, n, choice, chars);
	return 0;
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
	if (m->o->packing || m->ids.n <= max)
		return emit_whole(m, -1, 0, e);
	for (size_t from = 0; from < m->ids.n; from += max) {
		if (m->ids.n - from == 1) /* one token alone predicts nothing */
			break;
		emit(m, from, MIN(max, m->ids.n - from), -1, 0);
		m->d->n_split += from > 0;
	}
	return 0;
}

static bool begins_with(const struct tokens *whole, size_t from, const struct tokens *part)
{
	return part->n <= whole->n - from && (!part->n || !memcmp(whole->id + from, part->id, part->n * sizeof(*part->id)));
}

/* The prompt, then the completion, which is learnt. */
static int put_pair(struct maker *m, const char *prompt, size_t n_prompt, const char *completion, size_t n_completion, struct err *e)
{
	struct tokens alone = { 0 };
	struct buf both = BUF_INIT;
	size_t from = m->ids.n;

	buf_add(&both, prompt, n_prompt);
	buf_add(&both, completion, n_completion);
	int status = tokenizer_encode(m->codec->tokenizer, prompt, n_prompt, TOKENIZE_SPECIAL, &alone, e);
	if (!status)
		status = tokenizer_encode(m->codec->tokenizer, buf_str(&both), both.len, TOKENIZE_SPECIAL, &m->ids, e);
	if (!status && !begins_with(&m->ids, from, &alone)) {
		m->ids.n = from;
		for (size_t i = 0; i < alone.n; i++)
			tokens_add(&m->ids, alone.id[i]);
		status = tokenizer_encode(m->codec->tokenizer, completion, n_completion, TOKENIZE_SPECIAL, &m->ids, e);
	}
	while (!status && m->learn.n < m->ids.n)
		tokens_add(&m->learn, m->learn.n >= from + alone.n);
	tokens_release(&alone);
	buf_release(&both);
	return status;
}

static int make_pair(struct maker *m, const char *prompt, size_t n_prompt, const char *completion, size_t n_completion, struct err *e)
{
	put_bos(m, prompt);
	if (put_pair(m, prompt, n_prompt, completion, n_completion, e) < 0)
		return -1;
	put_eos(m);
	return emit_whole(m, -1, 0, e);
}

/* Tokens that begin inside a span are learnt, up to the last special one in it, if it has any. */
static void learn_span(struct maker *m, const struct template_span *s)
{
	size_t begin = 0, end, last;

	while (begin < m->ids.n && (size_t)m->offsets.id[begin] < s->begin)
		begin++;
	for (end = begin; end < m->ids.n && (size_t)m->offsets.id[end] < s->end; end++)
		m->learn.id[end] = 1;
	for (last = end; last > begin && !tokenizer_is_special(m->codec->tokenizer, m->ids.id[last - 1]); last--)
		;
	if (last == begin)
		return;
	memset(m->learn.id + last, 0, (end - last) * sizeof(*m->learn.id));
}

static int put_rendered(struct maker *m, const struct chat_text *t, struct err *e)
{
	const struct template_output *out = &t->out;

	if (tokenizer_encode_offsets(m->codec->tokenizer, buf_str(&out->text), out->text.len, TOKENIZE_SPECIAL, &m->ids, &m->offsets, e) < 0)
		return -1;
	while (m->learn.n < m->ids.n)
		tokens_add(&m->learn, 0);
	for (size_t i = 0; i < out->n_spans; i++)
		learn_span(m, &out->spans[i]);
	return 0;
}

/* Assistants' messages from number `first` on are learnt. */
static int make_chat(struct maker *m, const json_t *messages, size_t first, struct err *e)
{
	struct chat_text t;

	if (chat_render(m->codec, messages, json_object_get(m->row->json, "tools"), first, &t, e) < 0)
		return -1;
	int status = put_rendered(m, &t, e);
	chat_release(&t);
	return status ? status : emit_whole(m, -1, 0, e);
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

/* The wording of Stanford Alpaca's data set (Taori et al. 2023), for models without a chat template. */
static int make_alpaca(struct maker *m, const char *instruction, const char *input, const json_t *output, struct err *e)
{
	static const char context[] = ", paired with an input that provides further context";
	struct buf prompt = BUF_INIT;

	buf_addf(&prompt, "Below is an instruction that describes a task%s. Write a response that appropriately completes the request.\n\n"
	         "### Instruction:\n%s\n\n", *input ? context : "", instruction);
	if (*input)
		buf_addf(&prompt, "### Input:\n%s\n\n", input);
	buf_adds(&prompt, "### Response:\n");
	int status = make_pair(m, buf_str(&prompt), prompt.len, json_string_value(output), json_string_length(output), e);
	buf_release(&prompt);
	return status;
}

static int make_instruction(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json, *output = json_object_get(row, "output");
	const char *instruction = json_string_value(json_object_get(row, "instruction")), *input = json_string_value(json_object_get(row, "input"));
	const char *system = json_string_value(json_object_get(row, "system"));

	input = input ? input : "";
	if (!m->codec->template_)
		return make_alpaca(m, instruction, input, output, e);
	json_t *messages = json_array();
	if (system && *system)
		json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system", "content", system));
	json_array_append_new(messages, json_pack("{s:s, s:o}", "role", "user", "content", json_sprintf("%s%s%s", instruction, *input ? "\n\n" : "", input)));
	json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "assistant", "content", output));
	int status = make_chat(m, messages, 0, e);
	json_decref(messages);
	return status;
}

static int make_completion(struct maker *m, struct err *e)
{
	json_t *prompt = json_object_get(m->row->json, "prompt"), *completion = json_object_get(m->row->json, "completion");

	if (json_is_string(prompt) && json_is_string(completion))
		return make_pair(m, json_string_value(prompt), json_string_length(prompt), json_string_value(completion), json_string_length(completion), e);
	if (!json_is_array(prompt) || !json_is_array(completion))
		return err_set(e, "prompt and completion are a text and a list of messages, wanted both the same");
	json_t *messages = json_copy(prompt);
	json_array_extend(messages, completion);
	int status = make_chat(m, messages, json_array_size(prompt), e);
	json_decref(messages);
	return status;
}

/* --- choices --- */

/* lm-eval's split: spaces at the context's end go to the answer, and the context's tokens are counted alone. No EOS. */
static int score_choice(struct maker *m, const char *context, size_t n, const char *space, const json_t *choice, int32_t index, struct err *e)
{
	struct buf answer = BUF_INIT;
	size_t kept = n;

	while (kept && strchr(" \t\n\r\f\v", context[kept - 1]))
		kept--;
	buf_add(&answer, context + kept, n - kept);
	buf_addf(&answer, "%s%s", space, json_string_value(choice));
	begin(m);
	put_bos(m, context);
	int status = put_pair(m, context, kept, buf_str(&answer), answer.len, e);
	buf_release(&answer);
	return status ? status : emit_whole(m, index, (int32_t)utf8_count(json_string_value(choice), json_string_length(choice)), e);
}

static int score_choices(struct maker *m, const char *context, size_t n, const char *space, struct err *e)
{
	const json_t *choice;
	size_t i;

	json_array_foreach(json_object_get(m->row->json, "choices"), i, choice)
		if (score_choice(m, context, n, space, choice, (int32_t)i, e) < 0)
			return -1;
	return 0;
}

static int learn_gold(struct maker *m, const json_t *query, const json_t *gold, struct err *e)
{
	if (!m->o->apply_chat_template) {
		struct buf answer = BUF_INIT;
		buf_addf(&answer, " %s", json_string_value(gold));
		int status = make_pair(m, json_string_value(query), json_string_length(query), buf_str(&answer), answer.len, e);
		buf_release(&answer);
		return status;
	}
	json_t *messages = json_pack("[{s:s, s:O}, {s:s, s:O}]", "role", "user", "content", query, "role", "assistant", "content", gold);
	int status = make_chat(m, messages, 1, e);
	json_decref(messages);
	return status;
}

static int make_choices(struct maker *m, struct err *e)
{
	json_t *row = m->row->json, *query = json_object_get(row, "query"), *choices = json_object_get(row, "choices");
	struct buf asked = BUF_INIT;

	if (!m->o->eval_choices)
		return learn_gold(m, query, json_array_get(choices, (size_t)json_integer_value(json_object_get(row, "gold"))), e);
	if (!m->o->apply_chat_template)
		return score_choices(m, json_string_value(query), json_string_length(query), " ", e);
	json_t *messages = json_pack("[{s:s, s:O}]", "role", "user", "content", query);
	int status = chat_render_prompt(m->codec, messages, NULL, &asked, e);
	json_decref(messages);
	if (!status)
		status = score_choices(m, buf_str(&asked), asked.len, "", e);
	buf_release(&asked);
	return status;
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

/* --- packing --- */

/* All documents end to end, cut into rows of exactly max_length; what is left over at the end is dropped, as TRL's ConstantLengthDataset does. */
static void pack(struct maker *m)
{
	struct documents *d = m->d, packed = { .n_truncated = d->n_truncated, .n_split = d->n_split };
	struct row row = { .file = d->n ? d->items[0].file : NULL, .line = d->n ? d->items[0].line : 0 };
	size_t max = (size_t)m->o->max_length;

	m->d = &packed;
	m->row = &row;
	begin(m);
	for (size_t i = 0; i < d->n; i++) {
		for (int32_t j = 0; j < d->items[i].n; j++) {
			if (m->ids.n == 0)
				row = (struct row){ .file = d->items[i].file, .line = d->items[i].line };
			put(m, d->items[i].ids[j], d->items[i].learn[j]);
			if (m->ids.n == max) {
				emit(m, 0, max, -1, 0);
				begin(m);
			}
		}
	}
	documents_release(d);
	*d = packed;
}

int documents_make(struct documents *d, const struct rows *r, const struct text_codec *c, const struct document_options *o, struct err *e)
{
	struct maker m = { .d = d, .codec = c, .o = o };
	int status = 0;

	*d = (struct documents){ 0 };
	for (size_t i = 0; i < r->n && !status; i++) {
		m.row = &r->items[i];
		status = make_row(&m, r->shape, e);
	}
	if (status) {
		err_prefix(e, "%s:%zu", m.row->file, m.row->line);
		documents_release(d);
	} else if (o->packing) {
		pack(&m);
	}
	tokens_release(&m.ids);
	tokens_release(&m.learn);
	tokens_release(&m.offsets);
	return status;
}

void documents_release(struct documents *d)
{
	arena_release(&d->mem);
	mem_free(d->items);
	*d = (struct documents){ 0 };
}
