/* maker: a row to ids and to what of them is learnt. See maker.h.
 *
 * A text is tokenized whole; what is learnt is a stretch of its characters, so a token is learnt when it lies in one
 * (a template that asks with a space at its end has its text cut there, lest that space and the answer become one
 * token). After the token that ends a turn white space is not learnt: the line break that templates write there is
 * never generated. No BOS is put before a template's text: templates write it themselves where the model wants one.
 *
 * Where a prompt and its completion are plain strings, the prompt's tokens are those of the prompt alone: generation
 * sees the same ones, and rows that share a prompt share its tokens. If tokenizing both together changes the prompt's
 * last tokens, the completion is tokenized by itself (TRL keeps the tokens of both together and learns from where
 * they first differ: a prompt that generation never sees).
 *
 * A text longer than max_length becomes several documents, each beginning with the last token of the one before:
 * every token but the first is learnt once. Any other row that is too long keeps its head; a choice that is scored is
 * never cut, as half of it has no score. This is the only place where something is cut. */
#include "data/maker.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "data/enclosed.h"
#include "data/masking.h"
#include "data/chat_fit.h"
#include "data/shape.h"

/* --- ids --- */

void maker_begin(struct maker *m)
{
	m->ids.n = m->learn.n = m->offsets.n = 0;
}

void maker_put(struct maker *m, int32_t id, bool learn)
{
	tokens_add(&m->ids, id);
	tokens_add(&m->learn, learn);
}

void maker_bos(struct maker *m, const char *text)
{
	const struct tokenizer *t = m->codec->tokenizer;
	struct buf bos = BUF_INIT;

	if (tokenizer_front(t) < 0)
		return;
	tokenizer_piece(t, tokenizer_front(t), &bos);
	struct around around = tokenizer_around(t);
	for (size_t i = bos.len && strncmp(text, buf_str(&bos), bos.len) == 0; i < around.n_front; i++)
		maker_put(m, around.front[i], false);
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

void maker_eos(struct maker *m)
{
	int32_t eos = tokenizer_eos(m->codec->tokenizer);
	size_t n = m->ids.n;

	if (eos >= 0 && (!n || m->ids.id[n - 1] != eos || !m->learn.id[n - 1]))
		maker_put(m, eos, true);
}

/* --- documents --- */

struct document *maker_emit_part(struct maker *m, size_t from, size_t n)
{
	struct documents *d = m->d;

	if (d->n == d->cap) {
		d->cap = MAX(256, 2 * d->cap);
		d->items = mem_grow(d->items, d->cap, sizeof(*d->items));
	}
	struct document *doc = &d->items[d->n++];
	*doc = (struct document){
		.n = (int32_t)n, .file = m->row->file, .line = m->row->line, .choice = -1, .margin = NAN,
		.joined = m->shape && m->shape->roles[0] && m->made > 0,
	};
	m->made++;
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

/* Of a labelled document: the one token whose state is trained on; of a decoder the last that is not padding, as
 * transformers finds it, be it that the end of an answer is the same token. */
static void mark_label(struct maker *m, struct document *d)
{
	int32_t pad = tokenizer_pad(m->codec->tokenizer), at = d->n - 1;

	while (at > 0 && d->ids[at] == pad)
		at--;
	at = m->o->label_first ? 0 : d->ids[at] == pad ? d->n - 1 : at;
	memset(d->learn, 0, (size_t)d->n);
	d->learn[at] = 1;
	m->d->learnt -= (size_t)d->n_learn;
	m->d->learnt += d->n_learn = 1;
}

struct document *maker_emit(struct maker *m, struct err *e)
{
	size_t n = m->ids.n, max = (size_t)m->o->max_length;

	if (!n) {
		err_set(e, "an empty row");
		return NULL;
	}
	if (m->o->whole && n > max) {
		err_set(e, "%zu tokens with what stands before it, there is room for %zu: fewer or shorter examples or "
		           "documents were wanted", n, max);
		return NULL;
	}
	if (m->whole && n > max) {
		err_set(e, "choice %zu has %zu tokens with what it answers, --max-length is %zu: a choice is never cut",
		        m->made, n, max);
		return NULL;
	}
	struct document *doc = maker_emit_part(m, 0, MIN(n, max));
	doc->n_cut = (int32_t)(n - (size_t)doc->n);
	m->d->n_truncated += n > max;
	if (m->o->labelled)
		mark_label(m, doc);
	return doc;
}

static bool begins_with(const struct tokens *whole, size_t from, const struct tokens *part)
{
	return part->n <= whole->n - from &&
	       (!part->n || !memcmp(whole->id + from, part->id, part->n * sizeof(*part->id)));
}

/* The prompt's tokens stand before those of the completion whatever they became together. by_count: the completion's
 * are those of both together after as many as the prompt has alone, if there are any. */
static int mend_parts(struct maker *m, size_t from, const struct tokens *alone, const char *completion, size_t n,
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

int maker_parts(struct maker *m, const char *prompt, size_t n_prompt, const char *completion, size_t n_completion,
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
		status = mend_parts(m, from, &alone, completion, n_completion, by_count, e);
	while (!status && m->learn.n < m->ids.n)
		tokens_add(&m->learn, m->learn.n >= from + alone.n);
	tokens_release(&alone);
	buf_release(&both);
	return status;
}

/* --- whole documents --- */

/* A piece of a text between its ends; as many tokens are learnt as will be hidden. */
static void put_piece(struct maker *m, const int32_t *ids, size_t n)
{
	const struct tokenizer *t = m->codec->tokenizer;
	struct around around = tokenizer_around(t);
	int32_t open = 0, wanted;

	for (size_t i = 0; i < n; i++)
		open += !tokenizer_is_special(t, ids[i]);
	wanted = masking_count(m->o->masked, open);
	maker_begin(m);
	for (size_t i = 0; i < around.n_front; i++)
		maker_put(m, around.front[i], false);
	for (size_t i = 0; i < n; i++)
		maker_put(m, ids[i], !tokenizer_is_special(t, ids[i]) && wanted-- > 0);
	for (size_t i = 0; i < around.n_back; i++)
		maker_put(m, around.back[i], false);
}

static int masked_text(struct maker *m, const char *text, size_t n, struct err *e)
{
	struct around around = tokenizer_around(m->codec->tokenizer);
	size_t ends = around.n_front + around.n_back, max = (size_t)m->o->max_length;
	struct tokens all = { 0 };

	if (max <= ends)
		return err_set(e, "--max-length %zu leaves no room between the %zu tokens that stand around a text",
		               max, ends);
	int status = tokenizer_encode(m->codec->tokenizer, text, n, TOKENIZE_SPECIAL, &all, e);
	for (size_t from = 0; !status && from < all.n; from += max - ends) {
		put_piece(m, all.id + from, MIN(max - ends, all.n - from));
		struct document *doc = maker_emit_part(m, 0, m->ids.n);
		doc->learn[0] = m->learn.id[0] != 0; /* where nothing stands in front */
		doc->n_learn += doc->learn[0];
		m->d->learnt += doc->learn[0];
		m->d->n_split += from > 0;
	}
	tokens_release(&all);
	return status;
}

int maker_text(struct maker *m, const char *text, size_t n, struct err *e)
{
	size_t max = (size_t)m->o->max_length;

	if (m->o->masked > 0)
		return masked_text(m, text, n, e);
	maker_begin(m);
	maker_bos(m, text);
	if (put_text(m, text, n, true, e) < 0)
		return -1;
	maker_eos(m);
	if (m->ids.n <= max)
		return maker_emit(m, e) ? 0 : -1;
	for (size_t from = 0; from + 1 < m->ids.n; from += max - 1) {
		maker_emit_part(m, from, MIN(max, m->ids.n - from));
		m->d->n_split += from > 0;
	}
	return 0;
}

/* The label as a word, in the documents' memory. */
static const char *label_word(struct documents *d, const json_t *label)
{
	if (json_is_string(label))
		return arena_printf(&d->mem, "%s", json_string_value(label));
	if (json_is_integer(label))
		return arena_printf(&d->mem, "%lld", (long long)json_integer_value(label));
	return arena_printf(&d->mem, "%.17g", json_real_value(label));
}

static int bad_item(const json_t *item, struct err *e)
{
	char *text = jsonx_line(item);

	err_set(e, "a list of labels has %.80s; wanted are names, or a 0 or 1 for each label there is", text);
	mem_free(text);
	return -1;
}

/* A list of names, or a vector of 0 and 1. */
static int take_list(struct document *d, struct documents *of, const json_t *list, struct err *e)
{
	size_t n = json_array_size(list), numbers = 0;
	const char **name = arena_array(&of->mem, n, sizeof(*name));

	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(list, i);
		double x = json_is_boolean(item) ? json_is_true(item) : json_number_value(item);
		bool number = json_is_number(item) || json_is_boolean(item);
		bool other = number ? numbers < i : numbers > 0;
		if (other || !(number ? x == 0 || x == 1 : json_is_string(item)))
			return bad_item(item, e);
		numbers += number;
		name[i] = number ? x == 1 ? "1" : "0" : arena_strdup(&of->mem, json_string_value(item));
	}
	d->names = name;
	d->n_names = (int32_t)n;
	d->listed = true;
	d->vector = n && numbers == n;
	return 0;
}

/* A text, or two, as inference code reads them. */
static struct document *emit_enclosed(struct maker *m, struct enclosed *x, struct err *e)
{
	maker_begin(m);
	int status = enclose(x, m->codec->tokenizer, (size_t)m->o->max_length, e);
	for (size_t i = 0; i < x->ids.n && status == 0; i++)
		maker_put(m, x->ids.id[i], false);
	tokens_release(&x->ids);
	struct document *d = status < 0 ? NULL : maker_emit(m, e);
	if (!d)
		return NULL;
	d->n_cut = (int32_t)x->cut;
	m->d->n_truncated += x->cut > 0;
	d->second = m->o->types > 1 ? x->second : 0;
	mark_label(m, d);
	return d;
}

int maker_pair(struct maker *m, const char *first, const char *second, struct err *e)
{
	const json_t *row = m->row->json, *text = json_object_get(row, first),
	             *pair = second ? json_object_get(row, second) : NULL;
	struct enclosed x = { .text = json_string_value(text), .n = json_string_length(text),
		              .pair = json_string_value(pair), .n_pair = json_string_length(pair) };
	struct document *d = emit_enclosed(m, &x, e);

	if (!d)
		return -1;
	const json_t *label = json_object_get(row, "label");
	label = label ? label : json_object_get(row, "labels");
	if (json_is_array(label))
		return take_list(d, m->d, label, e);
	d->label = label_word(m->d, label);
	return 0;
}

struct document *maker_strings(struct maker *m, const char *prompt, size_t n_prompt, const char *completion,
                               size_t n_completion, struct err *e)
{
	struct enclosed pair = { .text = prompt, .n = n_prompt, .pair = completion, .n_pair = n_completion };

	if (m->o->labelled && m->o->label_first)
		return emit_enclosed(m, &pair, e);
	maker_begin(m);
	maker_bos(m, prompt);
	if (maker_parts(m, prompt, n_prompt, completion, n_completion, false, e) < 0)
		return NULL;
	maker_eos(m);
	return maker_emit(m, e);
}

/* --- chat --- */

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
	maker_begin(m);
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

/* The conversation as the template takes it. */
static int open_conversation(struct maker *m, const json_t *messages, size_t first, struct conversation *x,
                             struct err *e)
{
	if (conversation_make(x, m->shape, shape_with(m->shape, m->row->json), messages, first, e) < 0)
		return -1;
	if (chat_fit(m->codec, x, e) == 0)
		return 0;
	conversation_release(x);
	return -1;
}

struct document *maker_chat(struct maker *m, const json_t *messages, size_t first, struct err *e)
{
	struct conversation x;
	struct chat_text t;

	maker_begin(m);
	if (open_conversation(m, messages, first, &x, e) < 0)
		return NULL;
	int status = chat_render(m->codec, &x, &t, e);
	if (!status) {
		chat_watch(m->codec, &x, false, &t.out.text, m->row, &m->d->columns);
		status = put_rendered(m, &t, e);
		m->d->n_rewritten += t.n_rewritten;
		chat_release(&t);
	}
	conversation_release(&x);
	return status == 0 ? maker_emit(m, e) : NULL;
}

int maker_asked(struct maker *m, const json_t *messages, struct buf *text, struct err *e)
{
	struct conversation x;

	if (open_conversation(m, messages, 0, &x, e) < 0)
		return -1;
	int status = chat_render_prompt(m->codec, &x, text, e);
	if (!status)
		chat_watch(m->codec, &x, true, text, m->row, &m->d->columns);
	conversation_release(&x);
	return status;
}

struct document *maker_answer(struct maker *m, const json_t *prompt, const json_t *completion, struct err *e)
{
	if (json_is_string(prompt) && json_is_string(completion))
		return maker_strings(m, json_string_value(prompt), json_string_length(prompt),
		                     json_string_value(completion), json_string_length(completion), e);
	if (!json_is_array(prompt) || !json_is_array(completion)) {
		err_set(e, "prompt and completion are a text and a list of messages, wanted both the same");
		return NULL;
	}
	json_t *messages = json_copy((json_t *)prompt);
	json_array_extend(messages, (json_t *)completion);
	struct document *d = maker_chat(m, messages, json_array_size(prompt), e);
	json_decref(messages);
	return d;
}

json_t *maker_turn(const char *role, const json_t *content)
{
	return json_pack("{s:s, s:O}", "role", role, "content", (json_t *)content);
}

void maker_release(struct maker *m)
{
	tokens_release(&m->ids);
	tokens_release(&m->learn);
	tokens_release(&m->offsets);
}
