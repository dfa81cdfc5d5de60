/* form_plain: a label a row, with all that it says:
 *
 *     {"item": "a1", "prompt": "2 + 2?", "answers": ["4", "5"], "rater": "anna", "winner": 0, "tie": false,
 *      "rating": null, "edited": null, "seconds": 3.5}
 *
 * item: what others call it; without it the hash of prompt and answers. prompt: a text or a list of messages
 * (`messages` too). winner: an index into answers, or null. rating: a number of the one answer, or a list, null where
 * there is none. Where it is said: edited_answer, both_bad, skipped, strength (1 slightly, 2 clearly), ranking (the
 * place of each answer, from 1), label (a class), unsafe, comment, models (or model_a and model_b), gold, key, time,
 * shown (which answer stood at each place), repeat. A row without any judgement is an item. */
#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "data/forms/form.h"

static const char *const known[] = { "item",    "prompt",   "messages", "answers", "rater",         "winner",
	                             "tie",     "rating",   "edited",   "seconds", "edited_answer", "both_bad",
	                             "skipped", "strength", "ranking",  "label",   "unsafe",        "comment",
	                             "models",  "model_a",  "model_b",  "gold",    "key",           "time",
	                             "shown",   "repeat",   NULL };

static bool fits(const json_t *row) { return json_is_array(json_object_get(row, "answers")); }

/* --- reading --- */

/* A text that may be missing: 0 where it is. */
static int text_at(struct form_reader *r, const json_t *row, const char *key, const char **out, struct err *e)
{
	const json_t *x = json_object_get(row, key);

	*out = NULL;
	if (!x || json_is_null(x))
		return 0;
	if (json_is_integer(x)) {
		*out = arena_printf(&r->mem, "%lld", (long long)json_integer_value(x));
		return 0;
	}
	*out = form_text(r, x, key, e);
	return *out ? 0 : -1;
}

static int flag_at(const json_t *row, const char *key, bool *out, struct err *e)
{
	const json_t *x = json_object_get(row, key);

	*out = json_is_true(x) || (json_is_integer(x) && json_integer_value(x) == 1);
	return !x || json_is_null(x) || json_is_boolean(x) ||
	                       (json_is_integer(x) && (*out || json_integer_value(x) == 0)) ?
	               0 :
	               err_set(e, "%s is neither true nor false", key);
}

/* A whole number from least to most, or what it is where there is none. */
static int index_at(const json_t *row, const char *key, int least, int most, int otherwise, int *out, struct err *e)
{
	const json_t *x = json_object_get(row, key);

	*out = otherwise;
	if (!x || json_is_null(x))
		return 0;
	if (!json_is_integer(x) || json_integer_value(x) < least || json_integer_value(x) > most)
		return err_set(e, "%s is no whole number from %d to %d", key, least, most);
	*out = (int)json_integer_value(x);
	return 0;
}

static int number_at(const json_t *row, const char *key, double *out, struct err *e)
{
	return jsonx_real(row, key, *out, out, e);
}

/* A list of a small whole number of each answer. */
static int places_at(const json_t *row, const char *key, int n, int least, int most, int8_t *out, struct err *e)
{
	const json_t *list = json_object_get(row, key), *x;
	size_t i;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list) || json_array_size(list) != (size_t)n)
		return err_set(e, "%s is no list of %d numbers", key, n);
	json_array_foreach((json_t *)list, i, x) {
		if (!json_is_integer(x) || json_integer_value(x) < least || json_integer_value(x) > most)
			return err_set(e, "%s holds something else than whole numbers from %d to %d", key, least, most);
		out[i] = (int8_t)json_integer_value(x);
	}
	return 0;
}

static int ratings_at(const json_t *row, int n, double *out, struct err *e)
{
	const json_t *list = json_object_get(row, "rating"), *x;
	size_t i;

	if (json_is_number(list) && n == 1) {
		out[0] = json_number_value(list);
		return 0;
	}
	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list) || json_array_size(list) != (size_t)n)
		return err_set(e,
		               n == 1 ? "rating is no number" : "rating is no list of %d numbers, one of each answer",
		               n);
	json_array_foreach((json_t *)list, i, x) {
		if (!json_is_null(x) && !json_is_number(x))
			return err_set(e, "rating holds something else than numbers");
		out[i] = json_is_null(x) ? NAN : json_number_value(x);
	}
	return 0;
}

static int models_at(struct form_reader *r, const json_t *row, struct feedback_item *it, struct err *e)
{
	static const char *const of_two[] = { "model_a", "model_b" };
	const json_t *list = json_object_get(row, "models"), *x;
	size_t i;

	if (list && !json_is_null(list) && (!json_is_array(list) || json_array_size(list) != (size_t)it->n))
		return err_set(e, "models is no list of %d names", it->n);
	json_array_foreach((json_t *)list, i, x)
		if (!json_is_null(x) && !(it->models[i] = form_text(r, x, "models", e)))
			return -1;
	for (int k = 0; k < 2 && k < it->n && !list; k++)
		if (text_at(r, row, of_two[k], &it->models[k], e) < 0)
			return -1;
	return 0;
}

static int read_item(struct form_reader *r, const json_t *row, struct feedback_item *it, struct err *e)
{
	const json_t *answers = json_object_get(row, "answers"), *prompt = json_object_get(row, "prompt"), *x;
	size_t i;

	if (!json_array_size(answers) || json_array_size(answers) > FEEDBACK_ANSWERS)
		return err_set(e, "there are %zu answers, 1 to %d were wanted", json_array_size(answers),
		               FEEDBACK_ANSWERS);
	it->prompt = form_prompt(r, prompt ? prompt : json_object_get(row, "messages"), e);
	if (!it->prompt || text_at(r, row, "item", &it->key, e) < 0)
		return -1;
	it->n = (int)json_array_size(answers);
	json_array_foreach((json_t *)answers, i, x)
		if (form_answer(r, it, (int)i, x, e) < 0)
			return -1;
	if (models_at(r, row, it, e) < 0)
		return -1;
	form_extra(r, it, row, known);
	return index_at(row, "gold", 0, it->n - 1, FEEDBACK_NONE, &it->gold, e);
}

static int read_judgement(struct form_reader *r, const json_t *row, int n, struct feedback_label *l, struct err *e)
{
	double time = 0;

	if (index_at(row, "winner", 0, n - 1, FEEDBACK_NONE, &l->winner, e) < 0 ||
	    flag_at(row, "tie", &l->tie, e) < 0 || flag_at(row, "both_bad", &l->both_bad, e) < 0 ||
	    flag_at(row, "skipped", &l->skipped, e) < 0 || flag_at(row, "unsafe", &l->unsafe, e) < 0 ||
	    index_at(row, "strength", 0, 2, 0, &l->strength, e) < 0 ||
	    places_at(row, "ranking", n, 1, n, l->rank, e) < 0 || ratings_at(row, n, l->rating, e) < 0 ||
	    places_at(row, "shown", n, 0, n - 1, l->shown, e) < 0 || text_at(r, row, "label", &l->label, e) < 0 ||
	    text_at(r, row, "edited", &l->edited, e) < 0 || text_at(r, row, "comment", &l->comment, e) < 0 ||
	    text_at(r, row, "key", &l->key, e) < 0 || number_at(row, "seconds", &l->seconds, e) < 0 ||
	    number_at(row, "time", &time, e) < 0)
		return -1;
	l->time = time;
	int otherwise = !l->edited                 ? FEEDBACK_NONE :
	                l->winner != FEEDBACK_NONE ? l->winner :
	                n == 1                     ? 0 :
	                                             FEEDBACK_NONE;
	return index_at(row, "edited_answer", 0, n - 1, otherwise, &l->edited_answer, e);
}

static bool says_something(const struct feedback_label *l)
{
	bool any =
		l->winner != FEEDBACK_NONE || l->tie || l->both_bad || l->skipped || l->label || l->edited || l->unsafe;

	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		any |= l->rank[i] > 0 || !isnan(l->rating[i]);
	return any;
}

static int read(struct form_reader *r, const json_t *row, struct err *e)
{
	struct statement s;

	statement_init(&s);
	if (read_item(r, row, &s.item, e) < 0 || read_judgement(r, row, s.item.n, &s.label, e) < 0 ||
	    text_at(r, row, "rater", &s.rater, e) < 0)
		return -1;
	s.labelled = says_something(&s.label);
	return statement_take(r, &s, e);
}

/* --- writing --- */

static json_t *index_json(int i) { return i == FEEDBACK_NONE ? json_null() : json_integer(i); }

static json_t *text_json(const char *text) { return text ? json_string(text) : json_null(); }

static json_t *places_json(const int8_t *x, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_integer(x[i]));
	return list;
}

static json_t *rating_json(const struct feedback_label *l, int n)
{
	json_t *list = json_array();
	bool any = false;

	for (int i = 0; i < n; i++) {
		any |= !isnan(l->rating[i]);
		json_array_append_new(list, jsonx_number(l->rating[i]));
	}
	json_t *x = !any ? json_null() : n == 1 ? json_incref(json_array_get(list, 0)) : json_incref(list);
	json_decref(list);
	return x;
}

static void put_models(json_t *row, const struct feedback_item *it)
{
	json_t *list = json_array();
	bool any = false;

	for (int i = 0; i < it->n; i++) {
		any |= it->models[i] != NULL;
		json_array_append_new(list, text_json(it->models[i]));
	}
	if (any)
		json_object_set(row, "models", list);
	json_decref(list);
}

static json_t *item_row(const struct feedback_item *it)
{
	json_t *row = json_pack("{s:s, s:o}", "item", it->key, "prompt", form_prompt_json(it)), *answers = json_array();
	const json_t *extra = it->extra ? json_loads(it->extra, 0, NULL) : NULL;

	for (int i = 0; i < it->n; i++) {
		bool several = !json_is_null(json_array_get(json_object_get(extra, "turns"), (size_t)i)) &&
		               json_array_get(json_object_get(extra, "turns"), (size_t)i);
		json_array_append_new(answers, several ? form_answer_json(it, i) : json_string(it->answers[i]));
	}
	json_decref((json_t *)extra);
	json_object_set_new(row, "answers", answers);
	put_models(row, it);
	if (it->gold != FEEDBACK_NONE)
		json_object_set_new(row, "gold", json_integer(it->gold));
	json_t *more = form_extra_json(it);
	json_object_update_missing(row, more);
	json_decref(more);
	return row;
}

static void put_flag(json_t *row, const char *key, bool flag)
{
	if (flag)
		json_object_set_new(row, key, json_true());
}

static bool is_ranked(const struct feedback_label *l)
{
	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		if (l->rank[i] > 0)
			return true;
	return false;
}

static void put_rest(json_t *row, const struct feedback_label *l, int n)
{
	if (l->edited && l->edited_answer != FEEDBACK_NONE)
		json_object_set_new(row, "edited_answer", json_integer(l->edited_answer));
	put_flag(row, "both_bad", l->both_bad);
	put_flag(row, "skipped", l->skipped);
	put_flag(row, "unsafe", l->unsafe);
	put_flag(row, "repeat", l->repeat_of != 0);
	if (l->strength)
		json_object_set_new(row, "strength", json_integer(l->strength));
	if (is_ranked(l))
		json_object_set_new(row, "ranking", places_json(l->rank, n));
	if (l->shown[0] >= 0)
		json_object_set_new(row, "shown", places_json(l->shown, n));
	if (l->label)
		json_object_set_new(row, "label", json_string(l->label));
	if (l->comment)
		json_object_set_new(row, "comment", json_string(l->comment));
	json_object_set_new(row, "key", json_string(l->key));
	json_object_set_new(row, "time", json_real(l->time));
}

static json_t *label_row(const struct form_writer *w, const struct feedback_item *it, const struct feedback_label *l)
{
	json_t *row = item_row(it);

	json_object_set_new(row, "rater", text_json(form_rater(w, l)));
	json_object_set_new(row, "winner", index_json(l->winner));
	json_object_set_new(row, "tie", json_boolean(l->tie));
	json_object_set_new(row, "rating", rating_json(l, it->n));
	json_object_set_new(row, "edited", text_json(l->edited));
	json_object_set_new(row, "seconds", jsonx_number(l->seconds));
	put_rest(row, l, it->n);
	return row;
}

static int write(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *const *labels,
                 size_t n, struct err *e)
{
	int status = n ? 0 : form_emit(w, item_row(it), e);

	for (size_t i = 0; i < n && status == 0; i++)
		status = form_emit(w, label_row(w, it, labels[i]), e);
	return status;
}

const struct form form_plain = {
	.name = "plain",
	.fits = fits,
	.read = read,
	.write = write,
	.holds = ~0u,
};
