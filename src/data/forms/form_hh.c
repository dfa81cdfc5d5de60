/* form_hh: Anthropic's HH-RLHF: two whole transcripts a row,
 *
 *     {"chosen": "\n\nHuman: 2 + 2?\n\nAssistant: 4", "rejected": "\n\nHuman: 2 + 2?\n\nAssistant: 5"}
 *
 * What both begin with alike is the prompt, as messages, so a prompt that was a text comes back as the user's turn. A
 * system's turn is written as the human's. */
#include <string.h>

#include "base/buf.h"
#include "data/conversation.h"
#include "data/forms/form.h"
#include "data/preference.h"

static const char *const known[] = { "chosen", "rejected", "rater", NULL };
static const char human[] = "\n\nHuman:", assistant[] = "\n\nAssistant:";

/* Does a turn begin here: its length, and who speaks. */
static size_t turn_at(const char *text, bool *answers)
{
	*answers = !strncmp(text, assistant, strlen(assistant));
	if (*answers)
		return strlen(assistant);
	return strncmp(text, human, strlen(human)) ? 0 : strlen(human);
}

static bool is_transcript(const json_t *x)
{
	bool answers;

	return json_is_string(x) && turn_at(json_string_value(x), &answers) > 0;
}

static bool fits(const json_t *row)
{
	return !json_object_get(row, "prompt") && is_transcript(json_object_get(row, "chosen")) &&
	       is_transcript(json_object_get(row, "rejected"));
}

/* A transcript as messages, new. */
static json_t *messages_of(const char *text)
{
	json_t *all = json_array();
	bool answers, next;

	for (size_t n; (n = turn_at(text, &answers)) > 0;) {
		const char *from = text + n + (text[n] == ' '), *to = from;
		while (*to && turn_at(to, &next) == 0)
			to++;
		json_array_append_new(all, json_pack("{s:s, s:o}", "role", answers ? "assistant" : "user", "content",
		                                     json_stringn(from, (size_t)(to - from))));
		text = to;
	}
	return all;
}

static int read_pair(struct form_reader *r, struct statement *s, const json_t *chosen, const json_t *rejected,
                     struct err *e)
{
	json_t *prompt = preference_ask(chosen, rejected, e);

	if (!prompt)
		return -1;
	json_t *good = preference_rest(chosen, prompt), *bad = preference_rest(rejected, prompt);
	s->item.prompt = form_prompt(r, prompt, e);
	int status =
		!s->item.prompt || form_answer(r, &s->item, 0, good, e) < 0 ? -1 : form_answer(r, &s->item, 1, bad, e);
	json_decref(good);
	json_decref(bad);
	json_decref(prompt);
	return status;
}

static int read(struct form_reader *r, const json_t *row, struct err *e)
{
	const char *chosen = form_text(r, json_object_get(row, "chosen"), "chosen", e);
	const char *rejected = chosen ? form_text(r, json_object_get(row, "rejected"), "rejected", e) : NULL;
	const json_t *rater = json_object_get(row, "rater");
	struct statement s;

	statement_init(&s);
	s.labelled = true;
	s.label.winner = 0;
	s.item.n = 2;
	if (!rejected || (json_is_string(rater) && !(s.rater = form_text(r, rater, "rater", e))))
		return -1;
	json_t *good = messages_of(chosen), *bad = messages_of(rejected);
	int status = read_pair(r, &s, good, bad, e);
	json_decref(good);
	json_decref(bad);
	if (status == 0)
		form_extra(r, &s.item, row, known);
	return status < 0 ? -1 : statement_take(r, &s, e);
}

static json_t *transcript(const struct feedback_item *it, int i)
{
	json_t *messages = form_conversation(it, i);
	struct buf text = BUF_INIT;

	form_transcript(messages, &text);
	json_t *whole = json_stringn(buf_str(&text), text.len);
	buf_release(&text);
	json_decref(messages);
	return whole;
}

static int write_label(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *l,
                       struct err *e)
{
	struct form_pair pairs[FORM_PAIRS];
	int n = form_pairs(w, it, l, pairs), status = 0;
	const char *rater = form_rater(w, l);

	for (int i = 0; i < n && status == 0; i++) {
		json_t *row = json_pack("{s:o, s:o}", "chosen", transcript(it, pairs[i].better), "rejected",
		                        transcript(it, pairs[i].worse));
		json_t *more = form_extra_json(it);
		json_object_update_missing(row, more);
		json_decref(more);
		if (rater)
			json_object_set_new(row, "rater", json_string(rater));
		status = form_emit(w, row, e);
	}
	return status;
}

static int write(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *const *labels,
                 size_t n, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++)
		if (!labels[i]->repeat_of)
			status = write_label(w, it, labels[i], e);
	return status;
}

const struct form form_hh = {
	.name = "hh",
	.fits = fits,
	.read = read,
	.write = write,
	.holds = HOLDS(FACT_PAIR) | HOLDS(FACT_RANK) | HOLDS(FACT_RATING) | HOLDS(FACT_RATER),
};
