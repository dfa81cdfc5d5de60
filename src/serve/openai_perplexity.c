/* openai_perplexity: what a prompt's tokens cost under the model that answers, of the pass that reads the prompt
 * (infer/batcher.h): the texts that were sent are found in it, and their windows looked at (guard/perplexity.h) before
 * the first token of an answer is drawn. A stream has no head until then, so a refusal is 400 there too.
 *
 * A text is looked for in what the template wrote as it was sent, but for white space around it; one that is not there
 * (a normalizer or the template has made another of it) is looked at with all of the prompt, and found whole. Nothing
 * is looked at where nothing is read: echo without an answer, labels, vectors. */
#include "serve/openai_parts.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/chat_fit.h"

/* A text that was sent, and where it is in the prompt. */
struct sent_text {
	json_t *text;
	size_t begin, end;            /* tokens; none of it is one: 0, 0 */
	int64_t shift;                /* of its bytes to the prompt's */
	size_t whole;                 /* 0, or its length: it is no part of the prompt as it is */
};

struct watched {
	uint8_t *scored;              /* [n] */
	int32_t *at;                  /* [n + 1] where each token begins in the prompt's text */
	struct sent_text *texts;
	size_t n_texts;
	bool read;
};

static bool watches(const struct openai *s) { return s->o.guard_perplexity.above > 0; }

static struct watched *watched_of(struct ask *a, size_t prompt)
{
	if (!a->watched) {
		a->watched = mem_array(a->n_prompts, sizeof(*a->watched));
		a->unread = a->n_prompts;
	}
	return &a->watched[prompt];
}

/* text is taken. */
static void add_text(struct ask *a, size_t prompt, json_t *text)
{
	struct watched *w = watched_of(a, prompt);

	w->texts = mem_grow(w->texts, w->n_texts + 1, sizeof(*w->texts));
	w->texts[w->n_texts++] = (struct sent_text){ .text = text };
}

void ask_watch_prompt(struct ask *a, size_t i, const json_t *sent)
{
	struct buf text = BUF_INIT;

	if (!watches(a->s))
		return;
	if (json_is_string(sent))
		buf_add(&text, json_string_value(sent), json_string_length(sent));
	else
		tokenizer_decode(a->s->o.model->tokenizer, a->prompts[i].id, a->prompts[i].n, true, &text);
	add_text(a, i, json_stringn_nocheck(buf_str(&text), text.len));
	buf_release(&text);
}

void ask_watch_messages(struct ask *a, const json_t *messages, size_t last)
{
	size_t n = json_array_size(messages);

	if (!watches(a->s))
		return;
	watched_of(a, 0);
	for (size_t i = n - MIN(last, n); i < n; i++) {
		json_t *text = chat_text(json_object_get(json_array_get(messages, i), "content"));
		if (text)
			add_text(a, 0, text);
	}
}

void ask_watched_free(struct ask *a)
{
	for (size_t i = 0; a->watched && i < a->n_prompts; i++) {
		struct watched *w = &a->watched[i];
		for (size_t k = 0; k < w->n_texts; k++)
			json_decref(w->texts[k].text);
		mem_free(w->texts);
		mem_free(w->scored);
		mem_free(w->at);
	}
	mem_free(a->watched);
}

/* --- where the texts are --- */

static bool is_space(char c) { return strchr(" \t\r\n\v\f", c) != NULL && c; }

/* Tokens that have something of bytes [begin, end). */
static void place(struct sent_text *t, const struct watched *w, size_t n, size_t begin, size_t end)
{
	while (t->begin < n && (size_t)w->at[t->begin + 1] <= begin)
		t->begin++;
	for (t->end = t->begin; t->end < n && (size_t)w->at[t->end] < end;)
		t->end++;
}

/* Looked for from byte *from of the prompt on, which becomes its end. */
static void find(struct sent_text *t, const struct watched *w, const struct tokens *ids, const struct buf *prompt,
                 size_t *from)
{
	const char *text = json_string_value(t->text), *at;
	size_t n = json_string_length(t->text), lead = 0;

	while (n && is_space(text[n - 1]))
		n--;
	while (lead < n && is_space(text[lead]))
		lead++;
	if (lead == n)
		return;
	at = memmem(buf_str(prompt) + *from, prompt->len - *from, text + lead, n - lead);
	if (at) {
		size_t begin = (size_t)(at - buf_str(prompt)), more = begin + n - lead;
		while (lead && begin > *from && buf_str(prompt)[begin - 1] == text[lead - 1])
			begin--, lead--;
		while (n < json_string_length(t->text) && more < prompt->len && buf_str(prompt)[more] == text[n])
			more++, n++;
		*from = more;
		t->shift = (int64_t)begin - (int64_t)lead;
		place(t, w, ids->n, begin, *from);
	} else {
		t->whole = json_string_length(t->text);
		t->end = ids->n;
	}
}

static void find_all(struct ask *a, size_t prompt)
{
	const struct tokenizer *tokenizer = a->s->o.model->tokenizer;
	const struct tokens *ids = &a->prompts[prompt];
	struct watched *w = watched_of(a, prompt);
	struct buf text = BUF_INIT;
	size_t from = 0;

	w->scored = mem_array(ids->n, 1);
	w->at = mem_array(ids->n + 1, sizeof(*w->at));
	for (size_t k = 0; k < ids->n; k++) {
		w->at[k] = (int32_t)text.len;
		tokenizer_decode_next(tokenizer, ids->id[k], false, k == 0, &text);
	}
	w->at[ids->n] = (int32_t)text.len;
	for (size_t i = 0; i < w->n_texts; i++) {
		find(&w->texts[i], w, ids, &text, &from);
		for (size_t k = w->texts[i].begin; k < w->texts[i].end; k++)
			w->scored[k] = !tokenizer_is_special(tokenizer, ids->id[k]);
	}
	buf_release(&text);
}

const uint8_t *choice_scored(const struct choice *c)
{
	struct ask *a = c->ask;
	size_t prompt = (size_t)(c->prompt - a->prompts);

	if (!a->watched)
		return NULL;
	if (!a->watched[prompt].scored)
		find_all(a, prompt);
	return a->watched[prompt].scored;
}

/* --- what they cost --- */

static void look(struct ask *a, const struct watched *w, const struct sent_text *t, const float *cost)
{
	size_t n = t->end - t->begin, bytes = json_string_length(t->text);
	float *own = mem_array(n, sizeof(*own)); /* what nobody wanted may be known too, or not */
	int32_t *at = mem_array(n, sizeof(*at));
	struct guard_result found = { 0 };

	for (size_t k = 0; k < n; k++) {
		int64_t byte = w->at[t->begin + k] - t->shift;
		own[k] = w->scored[t->begin + k] && t->begin + k ? cost[t->begin + k] : NAN;
		at[k] = (int32_t)MIN(MAX(byte, 0), (int64_t)bytes);
	}
	guard_perplexity_look(&a->s->o.guard_perplexity, at, own, n, bytes, t->whole, &found);
	openai_guard_told(a->s, a->key, json_string_value(t->text), &found);
	if (found.verdict == GUARD_REFUSE && !a->refused)
		a->refused = openai_guard_sentence(&found);
	guard_result_release(&found);
	mem_free(own);
	mem_free(at);
}

int choice_read(void *ctx, int64_t ticket, const float *cost)
{
	struct choice *c = ctx;
	struct ask *a = c->ask;
	struct watched *w = &a->watched[c->prompt - a->prompts];
	(void)ticket;

	for (size_t i = 0; i < w->n_texts && !w->read; i++)
		look(a, w, &w->texts[i], cost);
	a->unread -= !w->read;
	w->read = true;
	if (a->refused)
		ask_cancel(a);
	else if (!a->unread)
		ask_open(a);
	return a->refused != NULL;
}
