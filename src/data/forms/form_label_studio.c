/* form_label_studio: Label Studio's tasks, as its JSON export has them:
 *
 *     {"data": {"prompt": "2 + 2?", "answer1": "4", "answer2": "5"}, "annotations": [{"completed_by": 1,
 *      "lead_time": 3.5, "was_cancelled": false, "result": [{"from_name": "comparison", "to_name": "answer1,answer2",
 *      "type": "pairwise", "value": {"selected": "left"}}]}], "predictions": []}
 *
 * pairwise: left or right wins. rating and number, choices, textarea, ranker: as data/forms/fields.h has it, by the
 * control's name and by what it is about. A cancelled annotation is a skipped item, lead_time is seconds, ground_truth
 * makes the item gold. Items of a list (data.items, data.answers: texts, or {id, title, body or text}) are answers too.
 * What else an item has is written into the task's meta. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "data/forms/fields.h"

static bool fits(const json_t *row)
{
	return json_is_object(json_object_get(row, "data")) && (json_is_array(json_object_get(row, "annotations")) ||
	                                                        json_is_array(json_object_get(row, "completions")));
}

/* --- reading --- */

static json_t *text_of(const json_t *x)
{
	static const char *const keys[] = { "body", "text", "answer", "html", "title" };

	for (size_t i = 0; json_is_object(x) && i < sizeof(keys) / sizeof(*keys); i++)
		if (json_is_string(json_object_get(x, keys[i])))
			return json_object_get(x, keys[i]);
	return json_is_string(x) ? (json_t *)x : NULL;
}

/* Lists of answers as fields of their own, by their ids; new. */
static json_t *fields_of(const json_t *data)
{
	json_t *fields = json_copy((json_t *)data), *list = json_object_get(data, "items"), *x;
	char name[40];
	size_t i;

	if (!json_is_array(list))
		list = json_object_get(data, "answers");
	if (!json_is_array(list))
		return fields;
	json_t *of_list = json_object();
	const char *key;
	json_object_foreach(fields, key, x)
		if (fields_is_prompt(key))
			json_object_set(of_list, key, x);
	json_array_foreach(list, i, x) {
		const char *id = json_string_value(json_object_get(x, "id"));
		snprintf(name, sizeof(name), "answer%zu", i + 1);
		json_t *text = text_of(x);
		if (text)
			json_object_set(of_list, id ? id : name, text);
	}
	json_decref(fields);
	return of_list;
}

/* A ranker's order: a list, or lists by bucket, one after the other; new. */
static json_t *order_of(const json_t *ranker)
{
	json_t *all = json_array(), *list, *rest = NULL;
	const char *key;

	if (json_is_array(ranker)) {
		json_array_extend(all, (json_t *)ranker);
		return all;
	}
	json_object_foreach((json_t *)ranker, key, list) {
		if (!strcmp(key, "_"))
			rest = list;
		else if (json_is_array(list))
			json_array_extend(all, list);
	}
	if (json_is_array(rest))
		json_array_extend(all, rest);
	return all;
}

static int read_pairwise(const json_t *value, struct feedback_label *l, struct err *e)
{
	const char *side = json_string_value(json_object_get(value, "selected"));

	if (!side || (strcmp(side, "left") && strcmp(side, "right")))
		return err_set(e, "a pairwise result selects neither left nor right");
	l->winner = !strcmp(side, "right");
	return 0;
}

static int read_result(struct form_reader *r, const json_t *result, const struct field_names *names,
                       struct feedback_label *l, struct err *e)
{
	const char *type = json_string_value(json_object_get(result, "type"));
	const char *from = json_string_value(json_object_get(result, "from_name"));
	const char *to = json_string_value(json_object_get(result, "to_name"));
	const json_t *value = json_object_get(result, "value");
	static const char *const keys[][2] = {
		{ "rating", "rating" }, { "number", "number" }, { "choices", "choices" }, { "textarea", "text" }
	};

	if (!type || !json_is_object(value))
		return err_set(e, "a result has no type or no value");
	if (!strcmp(type, "pairwise"))
		return read_pairwise(value, l, e);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (!strcmp(type, keys[i][0]))
			return fields_judge(r, names, from ? from : type, to, json_object_get(value, keys[i][1]), l, e);
	if (strcmp(type, "ranker"))
		return err_set(e,
		               "a result is of type \"%.40s\"; pairwise, rating, number, choices, textarea and ranker "
		               "are read",
		               type);
	json_t *order = order_of(json_object_get(value, "ranker"));
	int status = fields_judge(r, names, "ranking", NULL, order, l, e);
	json_decref(order);
	return status;
}

static double time_of(const json_t *x)
{
	struct tm t = { 0 };

	if (!json_is_string(x) || sscanf(json_string_value(x), "%d-%d-%dT%d:%d:%d", &t.tm_year, &t.tm_mon, &t.tm_mday,
	                                 &t.tm_hour, &t.tm_min, &t.tm_sec) != 6)
		return 0;
	t.tm_year -= 1900;
	t.tm_mon--;
	return (double)timegm(&t);
}

static const char *rater_of(struct form_reader *r, const json_t *by)
{
	const json_t *email = json_object_get(by, "email"), *id = json_is_object(by) ? json_object_get(by, "id") : by;

	if (json_is_string(email))
		return arena_strdup(&r->mem, json_string_value(email));
	if (json_is_integer(id))
		return arena_printf(&r->mem, "%lld", (long long)json_integer_value(id));
	return json_is_string(id) && json_string_length(id) ? arena_strdup(&r->mem, json_string_value(id)) : NULL;
}

static int read_annotation(struct form_reader *r, const json_t *annotation, struct statement *s,
                           const struct field_names *names, struct err *e)
{
	const json_t *seconds = json_object_get(annotation, "lead_time"), *result;
	size_t i;

	s->labelled = true;
	s->label.skipped = json_is_true(json_object_get(annotation, "was_cancelled"));
	s->label.time = time_of(json_object_get(annotation, "created_at"));
	s->rater = rater_of(r, json_object_get(annotation, "completed_by"));
	if (json_is_number(seconds) && json_number_value(seconds) >= 0)
		s->label.seconds = json_number_value(seconds);
	json_array_foreach(json_object_get(annotation, "result"), i, result)
		if (!s->label.skipped && read_result(r, result, names, &s->label, e) < 0)
			return -1;
	if (json_is_true(json_object_get(annotation, "ground_truth")))
		s->item.gold = s->label.winner;
	return statement_take(r, s, e);
}

static void read_beside(struct form_reader *r, const json_t *row, struct feedback_item *it)
{
	const json_t *data = json_object_get(row, "data"), *key = json_object_get(data, "item");

	for (int i = 0; i < it->n; i++) {
		char name[24];
		snprintf(name, sizeof(name), "model%d", i + 1);
		const char *model = json_string_value(json_object_get(data, name));
		it->models[i] = model ? arena_strdup(&r->mem, model) : NULL;
	}
	if (!key)
		key = json_object_get(row, "id");
	if (json_is_integer(key))
		it->key = arena_printf(&r->mem, "%lld", (long long)json_integer_value(key));
	else if (json_is_string(key) && json_string_length(key))
		it->key = arena_strdup(&r->mem, json_string_value(key));
}

/* The gold answer is known once an annotation says so: that one first. */
static int read_all(struct form_reader *r, const json_t *list, struct statement *s, const struct field_names *names,
                    struct err *e)
{
	struct feedback_item it = s->item;
	const json_t *annotation;
	size_t i;
	int status = json_array_size(list) ? 0 : statement_take(r, s, e);

	for (int truth = 1; truth >= 0; truth--)
		json_array_foreach((json_t *)list, i, annotation) {
			if (json_is_true(json_object_get(annotation, "ground_truth")) != truth || status < 0)
				continue;
			statement_init(s);
			s->item = it;
			status = read_annotation(r, annotation, s, names, e);
			it.gold = s->item.gold;
		}
	return status;
}

/* The models of answers are fields that are none. */
static void drop_models(json_t *fields)
{
	for (int i = 1; i <= FEEDBACK_ANSWERS; i++) {
		char name[24];
		snprintf(name, sizeof(name), "model%d", i);
		json_object_del(fields, name);
	}
	json_object_del(fields, "item");
}

/* What else a task has: its meta, and data that are neither prompt nor answer. */
static void read_extra(struct form_reader *r, const json_t *row, json_t *fields, const struct field_names *names,
                       struct feedback_item *it)
{
	static const char *const none[] = { NULL };
	const json_t *meta = json_object_get(row, "meta");

	if (names->prompt)
		json_object_del(fields, names->prompt);
	for (int i = 0; i < names->n; i++)
		json_object_del(fields, names->answers[i]);
	if (json_is_object(meta))
		json_object_update(fields, (json_t *)meta);
	form_extra(r, it, fields, none);
}

static int read(struct form_reader *r, const json_t *row, struct err *e)
{
	const json_t *list = json_object_get(row, "annotations");
	json_t *fields = fields_of(json_object_get(row, "data"));
	struct field_names names;
	struct statement s;

	drop_models(fields);
	statement_init(&s);
	int status = fields_read(r, fields, &s.item, &names, e);
	if (status == 0) {
		read_beside(r, row, &s.item);
		read_extra(r, row, fields, &names, &s.item);
		status = read_all(r, list ? list : json_object_get(row, "completions"), &s, &names, e);
	}
	json_decref(fields);
	return status;
}

/* --- writing --- */

static json_t *result(const char *from, const char *to, const char *type, json_t *value)
{
	return json_pack("{s:s, s:s, s:s, s:o}", "from_name", from, "to_name", to, "type", type, "value", value);
}

static void add(json_t *results, const char *from, const char *to, const char *type, json_t *value)
{
	json_array_append_new(results, result(from, to, type, value));
}

static void add_choice(json_t *results, const char *from, const char *choice)
{
	add(results, from, "prompt", "choices", json_pack("{s:[s]}", "choices", choice));
}

static void add_text(json_t *results, const char *from, const char *to, const char *text)
{
	add(results, from, to, "textarea", json_pack("{s:[s]}", "text", text));
}

static void add_winner(json_t *results, const struct feedback_item *it, const struct feedback_label *l)
{
	char name[24];

	snprintf(name, sizeof(name), "answer%d", l->winner + 1);
	if (l->tie)
		add_choice(results, "preference", "tie");
	else if (l->winner != FEEDBACK_NONE && it->n == 2)
		add(results, "comparison", "answer1,answer2", "pairwise",
		    json_pack("{s:s}", "selected", l->winner ? "right" : "left"));
	else if (l->winner != FEEDBACK_NONE)
		add_choice(results, "preference", name);
}

static void add_numbers(json_t *results, const struct feedback_item *it, const struct feedback_label *l)
{
	json_t *order = json_array();
	char name[24], from[24];

	for (int place = 1; place <= it->n; place++)
		for (int i = 0; i < it->n; i++)
			if (l->rank[i] == place) {
				snprintf(name, sizeof(name), "answer%d", i + 1);
				json_array_append_new(order, json_pack("{s:s, s:i}", "value", name, "rank", place));
			}
	if (json_array_size(order))
		add(results, "ranking", "prompt", "ranker", json_pack("{s:O}", "ranker", order));
	json_decref(order);
	for (int i = 0; i < it->n; i++) {
		if (isnan(l->rating[i]))
			continue;
		snprintf(name, sizeof(name), "answer%d", i + 1);
		snprintf(from, sizeof(from), "rating%d", i + 1);
		add(results, from, name, "rating", json_pack("{s:f}", "rating", l->rating[i]));
	}
}

static json_t *results_of(const struct feedback_item *it, const struct feedback_label *l)
{
	json_t *results = json_array();
	char name[24];

	add_winner(results, it, l);
	add_numbers(results, it, l);
	if (l->label)
		add_choice(results, "label", l->label);
	if (l->both_bad)
		add_choice(results, "both_bad", "yes");
	if (l->unsafe)
		add_choice(results, "unsafe", "yes");
	snprintf(name, sizeof(name), "answer%d", l->edited_answer + 1);
	if (l->edited)
		add_text(results, "correction", l->edited_answer == FEEDBACK_NONE ? "prompt" : name, l->edited);
	if (l->comment)
		add_text(results, "comment", "prompt", l->comment);
	return results;
}

static json_t *annotation_of(const struct form_writer *w, const struct feedback_item *it,
                             const struct feedback_label *l)
{
	const char *name = form_rater(w, l);
	time_t seconds = (time_t)l->time;
	char when[40];
	struct tm t;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &t));
	json_t *a = json_pack("{s:o, s:b, s:b, s:s}", "result", results_of(it, l), "was_cancelled", l->skipped,
	                      "ground_truth", 0, "created_at", when);
	if (name)
		json_object_set_new(a, "completed_by", json_pack("{s:s}", "email", name));
	if (!isnan(l->seconds))
		json_object_set_new(a, "lead_time", json_real(l->seconds));
	return a;
}

static json_t *data_of(const struct feedback_item *it)
{
	json_t *data = json_pack("{s:s, s:o}", "item", it->key, "prompt", form_prompt_json(it));
	char name[24];

	for (int i = 0; i < it->n; i++) {
		snprintf(name, sizeof(name), "answer%d", i + 1);
		json_object_set_new(data, name, json_string(it->answers[i]));
		snprintf(name, sizeof(name), "model%d", i + 1);
		if (it->models[i])
			json_object_set_new(data, name, json_string(it->models[i]));
	}
	return data;
}

static int write(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *const *labels,
                 size_t n, struct err *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (!labels[i]->repeat_of)
			json_array_append_new(list, annotation_of(w, it, labels[i]));
	return form_emit(w,
	                 json_pack("{s:I, s:o, s:o, s:o, s:[]}", "id", (json_int_t)it->id, "data", data_of(it), "meta",
	                           form_extra_json(it), "annotations", list, "predictions"),
	                 e);
}

const struct form form_label_studio = {
	.name = "label-studio",
	.fits = fits,
	.read = read,
	.write = write,
	.holds = HOLDS(FACT_PAIR) | HOLDS(FACT_TIE) | HOLDS(FACT_BOTH_BAD) | HOLDS(FACT_SKIPPED) | HOLDS(FACT_RANK) |
	         HOLDS(FACT_RATING) | HOLDS(FACT_CLASS) | HOLDS(FACT_CORRECTION) | HOLDS(FACT_UNSAFE) |
	         HOLDS(FACT_COMMENT) | HOLDS(FACT_SECONDS) | HOLDS(FACT_RATER) | HOLDS(FACT_MODELS) |
	         HOLDS(FACT_UNJUDGED),
	.array = true,
};
