/* form_arena: battles of two models, as Chatbot Arena and MT-bench's human judgements keep them:
 *
 *     {"question_id": "17", "model_a": "m1", "model_b": "m2", "winner": "model_a", "judge": "anna", "turn": 1,
 *      "conversation_a": [{"role": "user", …}, {"role": "assistant", …}], "conversation_b": […], "tstamp": 1.5e9}
 *
 * winner: model_a, model_b, tie, tie (bothbad) (both_bad too). Where turn is said, the conversations are cut behind
 * that turn's answers. What both begin with alike is the prompt. Read too: {prompt, response_a, response_b,
 * winner_model_a, winner_model_b, winner_tie}, whose texts may be lists of turns as JSON, and the arena's log lines
 * {type: leftvote, rightvote, tievote, bothbad_vote, models, states}. An item with more answers gives a row for each
 * two that a label orders. */
#include <math.h>
#include <string.h>

#include "data/conversation.h"
#include "data/forms/form.h"
#include "data/preference.h"

static const char *const known[] = { "question_id",
	                             "id",
	                             "model_a",
	                             "model_b",
	                             "winner",
	                             "judge",
	                             "turn",
	                             "conversation_a",
	                             "conversation_b",
	                             "tstamp",
	                             "timestamp",
	                             "prompt",
	                             "response_a",
	                             "response_b",
	                             "winner_model_a",
	                             "winner_model_b",
	                             "winner_tie",
	                             "type",
	                             "models",
	                             "states",
	                             "full_conversation",
	                             NULL };

static bool is_vote(const json_t *row)
{
	return json_array_size(json_object_get(row, "states")) == 2 && json_is_string(json_object_get(row, "type"));
}

static bool fits(const json_t *row)
{
	return (json_object_get(row, "conversation_a") && json_object_get(row, "conversation_b")) ||
	       (json_object_get(row, "response_a") && json_object_get(row, "response_b")) || is_vote(row);
}

/* --- reading --- */

/* A log line's conversation: its messages are pairs of speaker and text, the first `offset` of them not the raters'. */
static json_t *of_state(const json_t *state)
{
	const json_t *list = json_object_get(state, "messages"), *pair;
	size_t from = (size_t)json_integer_value(json_object_get(state, "offset")), i;
	json_t *all = json_array();

	json_array_foreach((json_t *)list, i, pair) {
		json_t *text = json_array_get(pair, 1);
		if (i >= from && json_is_string(text))
			json_array_append_new(all, json_pack("{s:s, s:O}", "role",
			                                     (i - from) % 2 ? "assistant" : "user", "content", text));
	}
	return all;
}

/* A text, or the turns of one as a list or as JSON of one; turn i, NULL: there is none. New. */
static json_t *turn_of(const json_t *x, size_t i)
{
	json_t *list = json_is_string(x) && json_string_value(x)[0] == '[' ? json_loads(json_string_value(x), 0, NULL) :
	                                                                     json_incref((json_t *)x);
	json_t *turn = NULL;

	if (json_is_array(list))
		turn = json_incref(json_array_get(list, i));
	else if (i == 0)
		turn = json_incref((json_t *)x);
	json_decref(list);
	if (json_is_null(turn))
		turn = json_string("");
	return turn;
}

/* Questions and answers, each a text or turns, as messages. */
static json_t *of_texts(const json_t *prompt, const json_t *response)
{
	json_t *all = json_array(), *asked, *said;

	for (size_t i = 0; (asked = turn_of(prompt, i)); i++) {
		said = turn_of(response, i);
		json_array_append_new(all, json_pack("{s:s, s:o}", "role", "user", "content", asked));
		if (said)
			json_array_append_new(all, json_pack("{s:s, s:o}", "role", "assistant", "content", said));
	}
	return all;
}

/* The conversation of one side as messages, new; NULL and a sentence. */
static json_t *conversation(const json_t *row, int side, struct err *e)
{
	const json_t *whole = json_object_get(row, side ? "conversation_b" : "conversation_a");
	json_int_t turn = json_integer_value(json_object_get(row, "turn"));
	json_t *all;

	if (is_vote(row))
		return of_state(json_array_get(json_object_get(row, "states"), (size_t)side));
	if (!whole)
		return of_texts(json_object_get(row, "prompt"),
		                json_object_get(row, side ? "response_b" : "response_a"));
	all = messages_from(whole, e);
	while (all && turn > 0 && json_array_size(all) > (size_t)(2 * turn) &&
	       !strcmp(message_role(json_array_get(all, 0)), "user"))
		json_array_remove(all, json_array_size(all) - 1);
	return all;
}

static bool is_one(const json_t *row, const char *key)
{
	const json_t *x = json_object_get(row, key);

	return json_is_true(x) || json_number_value(x) == 1;
}

static const char *winner_of(const json_t *row)
{
	const char *winner = json_string_value(json_object_get(row, "winner"));

	if (!winner && is_vote(row))
		return json_string_value(json_object_get(row, "type"));
	if (winner)
		return winner;
	return is_one(row, "winner_model_a") ? "model_a" :
	       is_one(row, "winner_model_b") ? "model_b" :
	       is_one(row, "winner_tie")     ? "tie" :
	                                       "";
}

static int read_winner(const json_t *row, struct statement *s, struct err *e)
{
	const char *winner = winner_of(row);
	const char *a = json_string_value(json_object_get(row, "model_a"));
	const char *b = json_string_value(json_object_get(row, "model_b"));

	s->labelled = true;
	if (!strcmp(winner, "model_a") || !strcmp(winner, "leftvote") || (a && !strcmp(winner, a)))
		s->label.winner = 0;
	else if (!strcmp(winner, "model_b") || !strcmp(winner, "rightvote") || (b && !strcmp(winner, b)))
		s->label.winner = 1;
	else if (!strcmp(winner, "tie") || !strcmp(winner, "tievote"))
		s->label.tie = true;
	else if (!strcmp(winner, "tie (bothbad)") || !strcmp(winner, "both_bad") || !strcmp(winner, "bothbad") ||
	         !strcmp(winner, "bothbad_vote"))
		s->label.tie = s->label.both_bad = true;
	else if (!*winner)
		s->labelled = false;
	else
		return err_set(e, "winner is \"%.40s\", none of model_a, model_b, tie, tie (bothbad)", winner);
	return 0;
}

/* A name: a text, a number, or the first of a list of them. NULL: there is none. */
static const char *name_of(struct form_reader *r, const json_t *x)
{
	if (json_is_array(x))
		x = json_array_get(x, 0);
	if (json_is_integer(x))
		return arena_printf(&r->mem, "%lld", (long long)json_integer_value(x));
	return json_is_string(x) && json_string_length(x) ? arena_strdup(&r->mem, json_string_value(x)) : NULL;
}

static void read_names(struct form_reader *r, const json_t *row, struct statement *s)
{
	const json_t *models = json_object_get(row, "models"), *id = json_object_get(row, "question_id");
	const json_t *time = json_object_get(row, "tstamp");

	s->rater = name_of(r, json_object_get(row, "judge"));
	s->item.key = name_of(r, id ? id : json_object_get(row, "id"));
	s->item.models[0] = name_of(r, models ? json_array_get(models, 0) : json_object_get(row, "model_a"));
	s->item.models[1] = name_of(r, models ? json_array_get(models, 1) : json_object_get(row, "model_b"));
	s->label.time = json_is_number(time) && json_number_value(time) > 0 ? json_number_value(time) : 0;
}

static int read_answers(struct form_reader *r, struct statement *s, const json_t *a, const json_t *b, struct err *e)
{
	json_t *prompt = preference_prompt(a, b);

	if (!json_array_size(prompt)) {
		json_decref(prompt);
		return err_set(e, "the conversations do not begin alike, so there is no prompt");
	}
	json_t *left = preference_rest(a, prompt), *right = preference_rest(b, prompt);
	s->item.prompt = form_prompt(r, prompt, e);
	int status = !s->item.prompt || form_answer(r, &s->item, 0, left, e) < 0 ?
	                     -1 :
	                     form_answer(r, &s->item, 1, right, e);
	json_decref(left);
	json_decref(right);
	json_decref(prompt);
	return status;
}

static int read(struct form_reader *r, const json_t *row, struct err *e)
{
	json_t *a = conversation(row, 0, e), *b = a ? conversation(row, 1, e) : NULL;
	struct statement s;

	statement_init(&s);
	s.item.n = 2;
	int status = !b || read_answers(r, &s, a, b, e) < 0 ? -1 : read_winner(row, &s, e);
	json_decref(a);
	json_decref(b);
	if (status < 0)
		return -1;
	read_names(r, row, &s);
	form_extra(r, &s.item, row, known);
	return statement_take(r, &s, e);
}

/* --- writing --- */

struct battle {
	int a, b;
	const char *winner;
};

static const char *tie_of(const struct feedback_label *l) { return l->both_bad ? "tie (bothbad)" : "tie"; }

/* What a label says of each two answers. */
static int battles(const struct form_writer *w, const struct feedback_item *it, const struct feedback_label *l,
                   struct battle out[FORM_PAIRS])
{
	struct form_pair pairs[FORM_PAIRS];
	int n = form_pairs(w, it, l, pairs);

	for (int i = 0; i < n; i++) {
		bool first = pairs[i].better < pairs[i].worse;
		out[i] = (struct battle){ first ? pairs[i].better : pairs[i].worse,
			                  first ? pairs[i].worse : pairs[i].better, first ? "model_a" : "model_b" };
	}
	if (n || l->skipped || (!l->tie && !l->both_bad))
		return n;
	for (int a = 0; a < it->n; a++)
		for (int b = a + 1; b < it->n; b++)
			out[n++] = (struct battle){ a, b, tie_of(l) };
	return n;
}

static json_t *turns(const json_t *messages)
{
	const json_t *m;
	size_t i, n = 0;

	json_array_foreach((json_t *)messages, i, m)
		n += message_is_assistant(m);
	return json_integer((json_int_t)n);
}

static json_t *battle_row(const struct form_writer *w, const struct feedback_item *it, const struct feedback_label *l,
                          const struct battle *x)
{
	json_t *a = form_conversation(it, x->a), *b = form_conversation(it, x->b), *more = form_extra_json(it);
	json_t *row = json_pack("{s:s, s:s?, s:s?, s:s, s:s?, s:o, s:o, s:o}", "question_id", it->key, "model_a",
	                        it->models[x->a], "model_b", it->models[x->b], "winner", x->winner, "judge",
	                        form_rater(w, l), "turn", turns(a), "conversation_a", a, "conversation_b", b);

	json_object_set_new(row, "tstamp", json_real(l->time));
	json_object_update_missing(row, more);
	json_decref(more);
	return row;
}

static int write(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *const *labels,
                 size_t n, struct err *e)
{
	struct battle all[FORM_PAIRS];
	int status = 0;

	for (size_t i = 0; i < n; i++) {
		int count = labels[i]->repeat_of ? 0 : battles(w, it, labels[i], all);
		for (int k = 0; k < count && status == 0; k++)
			status = form_emit(w, battle_row(w, it, labels[i], &all[k]), e);
	}
	return status;
}

const struct form form_arena = {
	.name = "arena",
	.fits = fits,
	.read = read,
	.write = write,
	.holds = HOLDS(FACT_PAIR) | HOLDS(FACT_TIE) | HOLDS(FACT_BOTH_BAD) | HOLDS(FACT_RANK) | HOLDS(FACT_RATER) |
	         HOLDS(FACT_RATING) | HOLDS(FACT_MODELS),
};
