/* form: the table, reading and writing all rows, and what the forms share. See form.h. */
#include "data/forms/form.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "base/stop.h"
#include "data/conversation.h"

extern const struct form form_plain, form_trl, form_hh, form_arena, form_argilla, form_label_studio;

const struct form *const form_table[] = { &form_label_studio, &form_argilla, &form_arena, &form_plain,
	                                  &form_hh,           &form_trl,     NULL };

const struct form *form_find(const char *name)
{
	for (size_t i = 0; form_table[i]; i++)
		if (!strcmp(form_table[i]->name, name))
			return form_table[i];
	return NULL;
}

/* --- reading --- */

const struct form *form_of(const struct rows *rows, struct err *e)
{
	for (size_t i = 0; i < rows->n; i++)
		for (size_t k = 0; form_table[k]; k++)
			if (form_table[k]->fits(rows->items[i].json))
				return form_table[k];
	if (rows->n)
		err_set(e,
		        "%s:%zu: a row of no form that is known: it has neither answers nor chosen and rejected, a "
		        "completion, conversations, fields or annotations",
		        rows->items[0].file, rows->items[0].line);
	else
		err_set(e, "there are no rows");
	return NULL;
}

int form_read(const struct form *f, const struct rows *rows,
              int (*take)(void *ctx, const struct statement *s, struct err *e), void *ctx, struct err *e)
{
	struct form_reader r = { .take = take, .ctx = ctx };
	int status = 0;

	for (size_t i = 0; i < rows->n && status == 0; i++) {
		r.row = &rows->items[i];
		status = stop_look(e, "rows were read");
		if (status == 0 && !f->fits(r.row->json))
			status = err_set(e, "no row of %s, as others are", f->name);
		if (status == 0)
			status = f->read(&r, r.row->json, e);
		if (status < 0)
			err_prefix(e, "%s:%zu", r.row->file, r.row->line);
		arena_release(&r.mem);
	}
	return status;
}

void statement_init(struct statement *s)
{
	*s = (struct statement){ .item.gold = FEEDBACK_NONE,
		                 .label = { .winner = FEEDBACK_NONE, .edited_answer = FEEDBACK_NONE, .seconds = NAN } };
	for (int i = 0; i < FEEDBACK_ANSWERS; i++) {
		s->label.shown[i] = -1;
		s->label.rating[i] = NAN;
	}
}

int statement_take(struct form_reader *r, const struct statement *s, struct err *e) { return r->take(r->ctx, s, e); }

const char *form_text(struct form_reader *r, const json_t *text, const char *what, struct err *e)
{
	const char *bytes = json_string_value(text);

	if (bytes && strlen(bytes) == json_string_length(text))
		return arena_strdup(&r->mem, bytes);
	err_set(e, bytes ? "%s holds a zero byte" : "%s is no text", what);
	return NULL;
}

/* JSON of one line, in the reader's memory. */
static const char *line_of(struct form_reader *r, const json_t *j)
{
	char *line = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
	const char *kept = arena_strdup(&r->mem, line);

	mem_free(line);
	return kept;
}

const char *form_prompt(struct form_reader *r, const json_t *prompt, struct err *e)
{
	if (json_is_string(prompt))
		return form_text(r, prompt, "prompt", e) ? line_of(r, prompt) : NULL;
	if (!json_is_array(prompt) || !json_array_size(prompt)) {
		err_set(e, "the row has no prompt: a text or a list of messages");
		return NULL;
	}
	json_t *messages = messages_from(prompt, e);
	const char *line = messages ? line_of(r, messages) : NULL;
	json_decref(messages);
	return line;
}

json_t *form_content(const json_t *message)
{
	const json_t *content = json_object_get(message, "content"), *part;
	struct buf text = BUF_INIT;
	size_t i;

	if (json_is_string(content))
		buf_add(&text, json_string_value(content), json_string_length(content));
	json_array_foreach((json_t *)content, i, part) {
		const json_t *said = json_is_string(part) ? part : json_object_get(part, "text");
		if (json_is_string(said))
			buf_add(&text, json_string_value(said), json_string_length(said));
	}
	json_t *all = json_stringn(buf_str(&text), text.len);
	buf_release(&text);
	return all;
}

void form_transcript(const json_t *messages, struct buf *out)
{
	const json_t *m;
	size_t i;

	json_array_foreach((json_t *)messages, i, m) {
		json_t *text = form_content(m);
		bool answers = message_is_assistant(m);
		if (i || !answers)
			buf_adds(out, answers ? "\n\nAssistant: " : "\n\nHuman: ");
		buf_add(out, json_string_value(text), json_string_length(text));
		json_decref(text);
	}
}

/* Keeps messages beside the answer's text: extra.turns[i]. */
static void keep_turns(struct form_reader *r, struct feedback_item *it, int i, const json_t *messages)
{
	json_t *extra = it->extra ? json_loads(it->extra, 0, NULL) : json_object();
	json_t *turns = json_object_get(extra, "turns");

	if (!json_is_array(turns)) {
		turns = json_array();
		json_object_set_new(extra, "turns", turns);
	}
	while (json_array_size(turns) < (size_t)i)
		json_array_append_new(turns, json_null());
	json_array_append(turns, (json_t *)messages);
	it->extra = line_of(r, extra);
	json_decref(extra);
}

static int answer_of_messages(struct form_reader *r, struct feedback_item *it, int i, const json_t *messages,
                              struct err *e)
{
	struct buf text = BUF_INIT;

	form_transcript(messages, &text);
	json_t *whole = json_stringn(buf_str(&text), text.len);
	it->answers[i] = form_text(r, whole, "an answer", e);
	if (it->answers[i] && (json_array_size(messages) != 1 || !message_is_assistant(json_array_get(messages, 0))))
		keep_turns(r, it, i, messages);
	json_decref(whole);
	buf_release(&text);
	return it->answers[i] ? 0 : -1;
}

int form_answer(struct form_reader *r, struct feedback_item *it, int i, const json_t *answer, struct err *e)
{
	if (json_is_string(answer)) {
		it->answers[i] = form_text(r, answer, "an answer", e);
		return it->answers[i] ? 0 : -1;
	}
	if (!json_is_array(answer) && !json_is_object(answer))
		return err_set(e, "an answer is neither a text nor messages");
	json_t *messages = messages_from(answer, e);
	int status = messages ? answer_of_messages(r, it, i, messages, e) : -1;
	json_decref(messages);
	return status;
}

void form_extra(struct form_reader *r, struct feedback_item *it, const json_t *row, const char *const *known)
{
	json_t *extra = it->extra ? json_loads(it->extra, 0, NULL) : json_object(), *value;
	const char *key;

	json_object_foreach((json_t *)row, key, value) {
		size_t k = 0;
		while (known[k] && strcmp(known[k], key))
			k++;
		if (!known[k] && strcmp(key, "turns") != 0 && !json_is_null(value))
			json_object_set(extra, key, value);
	}
	it->extra = json_object_size(extra) ? line_of(r, extra) : NULL;
	json_decref(extra);
}

/* --- what an item is --- */

json_t *form_prompt_json(const struct feedback_item *it)
{
	json_t *prompt = json_loads(it->prompt, JSON_DECODE_ANY, NULL);

	return prompt ? prompt : json_string("");
}

static json_t *turn(const char *role, const char *content)
{
	return json_pack("{s:s, s:s}", "role", role, "content", content);
}

/* The messages that an answer of several turns is; new, or NULL. */
static json_t *turns_of(const struct feedback_item *it, int i)
{
	json_t *extra = it->extra ? json_loads(it->extra, 0, NULL) : NULL;
	json_t *turns = json_incref(json_array_get(json_object_get(extra, "turns"), (size_t)i));

	json_decref(extra);
	if (json_is_array(turns))
		return turns;
	json_decref(turns);
	return NULL;
}

json_t *form_answer_json(const struct feedback_item *it, int i)
{
	json_t *turns = turns_of(it, i);

	if (turns)
		return turns;
	return it->prompt[0] == '[' ? json_pack("[o]", turn("assistant", it->answers[i])) : json_string(it->answers[i]);
}

json_t *form_conversation(const struct feedback_item *it, int i)
{
	json_t *prompt = form_prompt_json(it), *turns = turns_of(it, i);

	if (json_is_string(prompt)) {
		json_t *asked = json_pack("[o]", turn("user", json_string_value(prompt)));
		json_decref(prompt);
		prompt = asked;
	}
	if (turns)
		json_array_extend(prompt, turns);
	else
		json_array_append_new(prompt, turn("assistant", it->answers[i]));
	json_decref(turns);
	return prompt;
}

json_t *form_extra_json(const struct feedback_item *it)
{
	json_t *extra = it->extra ? json_loads(it->extra, 0, NULL) : json_object();

	if (!json_is_object(extra)) {
		json_decref(extra);
		extra = json_object();
	}
	json_object_del(extra, "turns");
	return extra;
}

int form_pairs(const struct form_writer *w, const struct feedback_item *it, const struct feedback_label *l,
               struct form_pair out[FORM_PAIRS])
{
	double score[FEEDBACK_ANSWERS];
	int n = 0;

	if (l->skipped || !feedback_scores(it, l, score))
		return 0;
	for (int a = 0; a < it->n; a++)
		for (int b = 0; b < it->n; b++)
			if (score[a] - score[b] > 0 && score[a] - score[b] >= w->rule.least)
				out[n++] = (struct form_pair){ a, b };
	return n;
}

/* --- writing --- */

const char *form_rater(const struct form_writer *w, const struct feedback_label *l)
{
	return w->names ? w->names[l->rater] : NULL;
}

int form_emit(struct form_writer *w, json_t *row, struct err *e)
{
	w->written++;
	return w->emit(w->ctx, row, e);
}

static unsigned facts_of_item(const struct feedback_item *it)
{
	unsigned facts = it->gold != FEEDBACK_NONE ? HOLDS(FACT_GOLD) : 0;

	for (int i = 0; i < it->n; i++)
		facts |= it->models[i] ? HOLDS(FACT_MODELS) : 0;
	return facts;
}

static unsigned facts_of_label(const struct feedback_label *l)
{
	unsigned facts = HOLDS(FACT_RATER);

	facts |= l->winner != FEEDBACK_NONE ? HOLDS(FACT_PAIR) : 0;
	facts |= l->tie ? HOLDS(FACT_TIE) : 0;
	facts |= l->both_bad ? HOLDS(FACT_BOTH_BAD) : 0;
	facts |= l->skipped ? HOLDS(FACT_SKIPPED) : 0;
	facts |= l->strength ? HOLDS(FACT_STRENGTH) : 0;
	facts |= l->label ? HOLDS(FACT_CLASS) : 0;
	facts |= l->edited ? HOLDS(FACT_CORRECTION) : 0;
	facts |= l->unsafe ? HOLDS(FACT_UNSAFE) : 0;
	facts |= l->comment ? HOLDS(FACT_COMMENT) : 0;
	facts |= !isnan(l->seconds) ? HOLDS(FACT_SECONDS) : 0;
	facts |= l->shown[0] >= 0 ? HOLDS(FACT_SIDES) : 0;
	facts |= l->repeat_of ? HOLDS(FACT_REPEAT) : 0;
	for (int i = 0; i < FEEDBACK_ANSWERS; i++) {
		facts |= l->rank[i] > 0 ? HOLDS(FACT_RANK) : 0;
		facts |= !isnan(l->rating[i]) ? HOLDS(FACT_RATING) : 0;
	}
	return facts;
}

static void count_lost(struct form_writer *w, const struct form *f, unsigned facts)
{
	if (!w->names)
		facts &= ~HOLDS(FACT_RATER); /* left out because it was asked for */
	for (int i = 0; i < FORM_FACTS; i++)
		w->lost[i] += (facts & ~f->holds) >> i & 1;
}

void form_lost(const struct form_writer *w, struct buf *out)
{
	static const char *const names[FORM_FACTS] = {
		[FACT_PAIR] = "preferences",
		[FACT_TIE] = "ties",
		[FACT_BOTH_BAD] = "marks that all are bad",
		[FACT_SKIPPED] = "skipped items",
		[FACT_STRENGTH] = "strengths",
		[FACT_RANK] = "rankings",
		[FACT_RATING] = "ratings",
		[FACT_CLASS] = "classes",
		[FACT_CORRECTION] = "corrections",
		[FACT_UNSAFE] = "marks of unsafe answers",
		[FACT_COMMENT] = "comments",
		[FACT_SECONDS] = "times taken",
		[FACT_RATER] = "raters' names",
		[FACT_SIDES] = "sides",
		[FACT_REPEAT] = "repeats",
		[FACT_MODELS] = "names of models",
		[FACT_GOLD] = "gold answers",
		[FACT_UNJUDGED] = "items without a label",
	};

	for (int i = 0; i < FORM_FACTS; i++)
		if (w->lost[i])
			buf_addf(out, "%s%zu %s", out->len ? ", " : "", w->lost[i], names[i]);
	if (w->untaught)
		sentence_add(out, "%s%zu rows of equal or empty answers", out->len ? ", " : "", w->untaught);
}

/* The labels of each item one after the other: place[i] is where those of item i begin. */
static const struct feedback_label **by_item(const struct said *s, size_t *place)
{
	const struct feedback_label **all = mem_array(s->n_labels + 1, sizeof(const struct feedback_label *));

	for (size_t i = 0; i < s->n_labels; i++) {
		ptrdiff_t k = said_item(s, s->labels[i].item);
		if (k >= 0)
			place[k + 1]++;
	}
	for (size_t i = 0; i < s->n_items; i++)
		place[i + 1] += place[i];
	size_t *next = mem_array(s->n_items + 1, sizeof(*next));
	memcpy(next, place, s->n_items * sizeof(*next));
	for (size_t i = 0; i < s->n_labels; i++) {
		ptrdiff_t k = said_item(s, s->labels[i].item);
		if (k >= 0)
			all[next[k]++] = &s->labels[i];
	}
	mem_free(next);
	return all;
}

int form_write(const struct form *f, struct form_writer *w, struct err *e)
{
	const struct said *s = w->said;
	size_t *place = mem_array(s->n_items + 1, sizeof(*place));
	int status = 0;

	if (w->rows == ROWS_KINDS)
		w->rows = feedback_rows_kind(s);
	const struct feedback_label **labels = by_item(s, place);
	for (size_t i = 0; i < s->n_items && status == 0; i++) {
		size_t n = place[i + 1] - place[i];
		if (!n)
			count_lost(w, f, HOLDS(FACT_UNJUDGED));
		if (n || f->holds & HOLDS(FACT_UNJUDGED))
			count_lost(w, f, facts_of_item(&s->items[i]));
		for (size_t k = 0; k < n; k++)
			count_lost(w, f, facts_of_label(labels[place[i] + k]));
		status = f->write(w, &s->items[i], labels + place[i], n, e);
	}
	mem_free(labels);
	mem_free(place);
	return status;
}
