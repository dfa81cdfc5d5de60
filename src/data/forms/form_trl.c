/* form_trl: TRL's rows. Read are all shapes of preferences and of single answers that were called good or bad
 * (data/shape.h), LLaMA-Factory's and OpenAI's among them. Written are rows of one kind, by the rules of
 * feedback/rows.h: preference {prompt, chosen, rejected}, unpaired {prompt, completion, label}, completion {prompt,
 * completion}, ranked {prompt, answers, scores}. Equal and empty answers give no rows, nor does what a rater said twice
 * of one item. A row {prompt, completion} that is read is an item with one answer, and nobody has judged it. */
#include <string.h>

#include "base/jsonx.h"
#include "data/conversation.h"
#include "data/forms/form.h"
#include "data/preference.h"
#include "data/shape.h"

static const char *const known[] = { "prompt",
	                             "messages",
	                             "conversations",
	                             "chosen",
	                             "rejected",
	                             "completion",
	                             "label",
	                             "kto_tag",
	                             "output",
	                             "instruction",
	                             "input",
	                             "history",
	                             "system",
	                             "chosen_messages",
	                             "rejected_messages",
	                             "preferred_output",
	                             "non_preferred_output",
	                             "rater",
	                             "item",
	                             "model_a",
	                             "model_b",
	                             NULL };

static const json_t *first_of(const json_t *row, const char *const *keys)
{
	for (; *keys; keys++)
		if (json_object_get(row, *keys))
			return json_object_get(row, *keys);
	return NULL;
}

static const json_t *chosen_of(const json_t *row)
{
	return first_of(row, (const char *const[]){ "chosen", "chosen_messages", "preferred_output", NULL });
}

static const json_t *rejected_of(const json_t *row)
{
	return first_of(row, (const char *const[]){ "rejected", "rejected_messages", "non_preferred_output", NULL });
}

static const json_t *good_of(const json_t *row)
{
	return first_of(row, (const char *const[]){ "kto_tag", "label", NULL });
}

static bool fits(const json_t *row)
{
	return (chosen_of(row) && rejected_of(row)) || json_object_get(row, "completion") ||
	       (good_of(row) && first_of(row, (const char *const[]){ "messages", "conversations", "output", NULL }));
}

/* --- reading --- */

/* Where answers repeat the prompt, what comes after it; new. */
static json_t *after(const json_t *answer, const json_t *prompt)
{
	size_t n = json_array_size(prompt);

	if (!json_is_array(prompt) || !json_is_array(answer) || json_array_size(answer) <= n)
		return json_incref((json_t *)answer);
	for (size_t i = 0; i < n; i++)
		if (!json_equal(json_array_get(answer, i), json_array_get(prompt, i)))
			return json_incref((json_t *)answer);
	return preference_rest(answer, prompt);
}

/* What the row asks: as its shape has it; where the prompt is a text that both conversations begin with as a turn, that
 * beginning. New. */
static json_t *asked(const json_t *row, const json_t *chosen, const json_t *rejected, struct err *e)
{
	const struct shape *s = shape_of(row);
	const json_t *prompt = json_object_get(row, "prompt");

	if (json_is_string(prompt) && json_is_array(chosen) && json_is_array(rejected)) {
		json_t *common = preference_prompt(chosen, rejected);
		if (json_array_size(common))
			return common;
		json_decref(common);
	}
	if (!s) {
		err_set(e, "the row has no prompt: a text or a list of messages");
		return NULL;
	}
	return shape_ask(s, row, e);
}

static json_t *rest_of(const json_t *answer, const json_t *prompt, bool whole)
{
	return whole && json_is_string(answer) ? preference_rest(answer, prompt) : after(answer, prompt);
}

static int text_or_number(struct form_reader *r, const json_t *x, const char *what, const char **out, struct err *e)
{
	if (json_is_integer(x))
		*out = arena_printf(&r->mem, "%lld", (long long)json_integer_value(x));
	else if (x && !json_is_null(x))
		*out = form_text(r, x, what, e);
	return !x || json_is_null(x) || *out ? 0 : -1;
}

/* What rows have beside: who said it, what it is called. */
static int read_beside(struct form_reader *r, const json_t *row, struct statement *s, struct err *e)
{
	const json_t *a = json_object_get(row, "model_a"), *b = json_object_get(row, "model_b");

	if (text_or_number(r, json_object_get(row, "rater"), "rater", &s->rater, e) < 0 ||
	    text_or_number(r, json_object_get(row, "item"), "item", &s->item.key, e) < 0 ||
	    (s->item.n == 2 && (text_or_number(r, a, "model_a", &s->item.models[0], e) < 0 ||
	                        text_or_number(r, b, "model_b", &s->item.models[1], e) < 0)))
		return -1;
	form_extra(r, &s->item, row, known);
	return statement_take(r, s, e);
}

static int read_pair(struct form_reader *r, const json_t *row, struct err *e)
{
	const json_t *chosen = chosen_of(row), *rejected = rejected_of(row);
	json_t *prompt = asked(row, chosen, rejected, e);
	struct statement s;

	statement_init(&s);
	s.labelled = true;
	s.label.winner = 0;
	s.item.n = 2;
	if (!prompt)
		return -1;
	bool whole = !json_object_get(row, "prompt") && json_is_string(prompt);
	json_t *good = rest_of(chosen, prompt, whole), *bad = rest_of(rejected, prompt, whole);
	s.item.prompt = form_prompt(r, prompt, e);
	int status =
		!s.item.prompt || form_answer(r, &s.item, 0, good, e) < 0 || form_answer(r, &s.item, 1, bad, e) < 0 ?
			-1 :
			read_beside(r, row, &s, e);
	json_decref(good);
	json_decref(bad);
	json_decref(prompt);
	return status;
}

/* The messages without the answer at their end, which goes to *answer; both new. */
static json_t *cut_answer(const json_t *whole, json_t **answer, struct err *e)
{
	json_t *messages = messages_from(whole, e);
	size_t n = json_array_size(messages);

	*answer = NULL;
	if (!messages)
		return NULL;
	if (n < 2 || !message_is_assistant(json_array_get(messages, n - 1))) {
		err_set(e, "the messages do not end with an answer");
		json_decref(messages);
		return NULL;
	}
	*answer = json_incref(json_array_get(messages, n - 1));
	json_array_remove(messages, n - 1);
	return messages;
}

static int take_goodness(const json_t *good, struct statement *s, struct err *e)
{
	if (!good)
		return 0;
	if (!json_is_boolean(good) && !(json_is_integer(good) && json_integer_value(good) >> 1 == 0))
		return err_set(e, "the label is neither true nor false");
	s->labelled = true;
	s->label.label = json_is_true(good) || json_integer_value(good) == 1 ? "good" : "bad";
	return 0;
}

static int read_single(struct form_reader *r, const json_t *row, struct err *e)
{
	const json_t *whole = first_of(row, (const char *const[]){ "messages", "conversations", NULL });
	const json_t *completion = first_of(row, (const char *const[]){ "completion", "output", NULL });
	struct statement s;
	json_t *answer = json_incref((json_t *)completion), *prompt;

	statement_init(&s);
	s.item.n = 1;
	if (take_goodness(good_of(row), &s, e) < 0) {
		json_decref(answer);
		return -1;
	}
	prompt = completion ? asked(row, NULL, NULL, e) : cut_answer(whole, &answer, e);
	s.item.prompt = prompt ? form_prompt(r, prompt, e) : NULL;
	int status = !s.item.prompt || form_answer(r, &s.item, 0, answer, e) < 0 ? -1 : read_beside(r, row, &s, e);
	json_decref(answer);
	json_decref(prompt);
	return status;
}

static int read(struct form_reader *r, const json_t *row, struct err *e)
{
	return chosen_of(row) ? read_pair(r, row, e) : read_single(r, row, e);
}

/* --- writing --- */

/* What else the row has, and who said it. */
static int emit(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *l, json_t *row,
                struct err *e)
{
	json_t *more = form_extra_json(it);
	const char *rater = form_rater(w, l);

	json_object_update_missing(row, more);
	json_decref(more);
	if (rater)
		json_object_set_new(row, "rater", json_string(rater));
	return form_emit(w, row, e);
}

static int write_label(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *l,
                       struct err *e)
{
	json_t *list = label_rows((enum feedback_rows)w->rows, &w->rule, w->said->study, it, l, &w->untaught, e), *row;
	int status = list ? 0 : -1;
	size_t i;

	json_array_foreach(list, i, row)
		if (status == 0)
			status = emit(w, it, l, json_incref(row), e);
	json_decref(list);
	return status;
}

static int write(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *const *labels,
                 size_t n, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++)
		status = write_label(w, it, labels[i], e);
	return status;
}

const struct form form_trl = {
	.name = "trl",
	.fits = fits,
	.read = read,
	.write = write,
	.holds = HOLDS(FACT_PAIR) | HOLDS(FACT_RANK) | HOLDS(FACT_RATING) | HOLDS(FACT_CLASS) | HOLDS(FACT_CORRECTION) |
	         HOLDS(FACT_RATER),
};
