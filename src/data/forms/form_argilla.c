/* form_argilla: Argilla's records.
 *
 *     {"id": "a1", "fields": {"prompt": "2 + 2?", "response-1": "4", "response-2": "5"}, "metadata": {},
 *      "suggestions": {}, "vectors": {},
 *      "responses": {"preference": [{"value": "response-1", "user_id": "…", "status": "submitted"}]}}
 *
 * as its from_json takes them (2.x; its to_json leaves the status out, and a response without one is a draft on its
 * server). Read too: the flat form of the same (preference.responses, preference.responses.users), whose metadata are
 * columns, records of 1.x (responses: [{user_id, values: {preference: {value}}, status}]), and the columns of a data
 * set of those (preference: [{user_id, value, status}]). What a question means is fields.h's; a response
 * that was discarded, or has no value, is a skipped item. Suggestions are no person's: they stay with the item, and are
 * written again. Written are the questions preference, ranking, rating-1 …, label, correction, corrected, both_bad,
 * unsafe, comment. A user's id is a UUID: the rater's name where it is one, else one made of it, and the names are in
 * metadata.raters. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "data/forms/fields.h"

static bool is_flat(const json_t *row)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)row, key, value) {
		size_t n = strlen(key);
		if (n > 10 && !strcmp(key + n - 10, ".responses"))
			return true;
	}
	return false;
}

/* A column of a 1.x data set: a list of {user_id, value, status}. */
static bool is_answers(const json_t *x)
{
	const json_t *first = json_array_get(x, 0);

	return json_object_get(first, "user_id") && json_object_get(first, "value");
}

static bool fits(const json_t *row)
{
	const char *key;
	json_t *value;

	if (json_is_object(json_object_get(row, "fields")) || is_flat(row))
		return true;
	json_object_foreach((json_t *)row, key, value)
		if (is_answers(value))
			return true;
	return false;
}

/* --- reading: all the variants as {user: {question: value}} --- */

static void put(json_t *users, const json_t *user, const char *question, const json_t *value, const json_t *status)
{
	const char *name = json_is_string(user) ? json_string_value(user) : "";
	json_t *said = json_object_get(users, name);

	if (!said) {
		said = json_object();
		json_object_set_new(users, name, said);
	}
	json_object_set(said, question, (json_t *)value);
	if (json_is_string(status) && !strcmp(json_string_value(status), "discarded"))
		json_object_set_new(said, ".discarded", json_true());
}

static void put_answers(json_t *users, const char *question, const json_t *list)
{
	const json_t *x;
	size_t i;

	json_array_foreach((json_t *)list, i, x)
		put(users, json_object_get(x, "user_id"), question, json_object_get(x, "value"),
		    json_object_get(x, "status"));
}

static void put_values(json_t *users, const json_t *list)
{
	const json_t *x;
	json_t *value;
	const char *question;
	size_t i;

	json_array_foreach((json_t *)list, i, x)
		json_object_foreach(json_object_get(x, "values"), question, value)
			put(users, json_object_get(x, "user_id"), question, json_object_get(value, "value"),
			    json_object_get(x, "status"));
}

static void put_flat(json_t *users, const json_t *row, const char *key, const json_t *values)
{
	char *question = mem_strndup(key, strlen(key) - strlen(".responses"));
	char *of_users = mem_printf("%s.users", key), *of_status = mem_printf("%s.status", key);
	const json_t *x;
	size_t i;

	json_array_foreach((json_t *)values, i, x)
		put(users, json_array_get(json_object_get(row, of_users), i), question, x,
		    json_array_get(json_object_get(row, of_status), i));
	mem_free(question);
	mem_free(of_users);
	mem_free(of_status);
}

static json_t *users_of(const json_t *row)
{
	json_t *users = json_object(), *responses = json_object_get(row, "responses"), *value;
	const char *key;

	json_object_foreach(responses, key, value)
		put_answers(users, key, value);
	put_values(users, responses);
	json_object_foreach((json_t *)row, key, value) {
		size_t n = strlen(key);
		if (n > 10 && !strcmp(key + n - 10, ".responses"))
			put_flat(users, row, key, value);
		else if (is_answers(value))
			put_answers(users, key, value);
	}
	return users;
}

/* Which answer's model a key of the metadata is, from 0; −1: it is none. */
static int model_of(const char *key)
{
	bool is = !strncmp(key, "model-", 6) && key[6] >= '1' && key[6] <= '8' && !key[7];

	return is ? key[6] - '1' : -1;
}

/* In the flat form metadata are columns as fields are: ours are known by the answers that they are of. */
static bool is_metadata(const json_t *row, const char *key)
{
	char of[] = "response-0";

	of[9] = (char)('1' + model_of(key));
	return !strcmp(key, "gold") || !strcmp(key, "raters") || (model_of(key) >= 0 && json_object_get(row, of));
}

static json_t *metadata_of(const json_t *row)
{
	json_t *metadata = json_object_get(row, "metadata"), *value;
	const char *key;

	if (json_is_object(metadata) || json_is_object(json_object_get(row, "fields")))
		return json_incref(metadata);
	metadata = json_object();
	json_object_foreach((json_t *)row, key, value)
		if (is_metadata(row, key))
			json_object_set(metadata, key, value);
	return metadata;
}

/* The fields: an object, or the columns that are neither answers nor about them. */
static json_t *fields_of(const json_t *row)
{
	json_t *fields = json_object_get(row, "fields"), *value;
	const char *key;

	if (json_is_object(fields))
		return json_incref(fields);
	fields = json_object();
	json_object_foreach((json_t *)row, key, value)
		if ((json_is_string(value) || fields_is_prompt(key)) && !strchr(key, '.') && strcmp(key, "id") != 0 &&
		    strcmp(key, "external_id") != 0 && strcmp(key, "status") != 0 && strcmp(key, "_server_id") != 0 &&
		    strcmp(key, "metadata") != 0 && !is_metadata(row, key))
			json_object_set(fields, key, value);
	return fields;
}

/* "UUID NAME" in metadata.raters. */
static const char *name_of(struct form_reader *r, const json_t *metadata, const char *user)
{
	const json_t *x;
	size_t i, n = strlen(user);

	json_array_foreach(json_object_get(metadata, "raters"), i, x)
		if (json_is_string(x) && !strncmp(json_string_value(x), user, n) && json_string_value(x)[n] == ' ')
			return arena_strdup(&r->mem, json_string_value(x) + n + 1);
	return *user ? arena_strdup(&r->mem, user) : NULL;
}

static int read_user(struct form_reader *r, struct statement *s, const struct field_names *names, json_t *said,
                     struct err *e)
{
	const char *question;
	json_t *value;
	bool any = false;

	json_object_foreach(said, question, value)
		any |= !json_is_null(value) && strcmp(question, ".discarded") != 0;
	s->labelled = true;
	s->label.skipped = !any || json_object_get(said, ".discarded");
	json_object_foreach(said, question, value)
		if (strcmp(question, ".discarded") != 0 && !s->label.skipped &&
		    fields_judge(r, names, question, NULL, value, &s->label, e) < 0)
			return -1;
	return statement_take(r, s, e);
}

static void read_metadata(struct form_reader *r, const json_t *metadata, struct feedback_item *it)
{
	static const char *const known[] = { "raters",  "gold",    "model-1", "model-2", "model-3", "model-4",
		                             "model-5", "model-6", "model-7", "model-8", NULL };
	const json_t *gold = json_object_get(metadata, "gold");
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)metadata, key, value)
		if (model_of(key) >= 0 && model_of(key) < it->n && json_is_string(value))
			it->models[model_of(key)] = arena_strdup(&r->mem, json_string_value(value));
	if (json_is_integer(gold) && json_integer_value(gold) >= 0 && json_integer_value(gold) < it->n)
		it->gold = (int)json_integer_value(gold);
	form_extra(r, it, metadata, known);
}

static void read_suggestions(struct form_reader *r, const json_t *row, struct feedback_item *it)
{
	json_t *suggestions = json_object_get(row, "suggestions"), *more = json_object();
	static const char *const none[] = { NULL };

	if (json_object_size(suggestions) || json_array_size(suggestions))
		json_object_set(more, "suggestions", suggestions);
	form_extra(r, it, more, none);
	json_decref(more);
}

static int read_all(struct form_reader *r, const json_t *metadata, struct statement *s, const struct field_names *names,
                    json_t *users, struct err *e)
{
	const struct feedback_item it = s->item;
	const char *user;
	json_t *said;
	int status = json_object_size(users) ? 0 : statement_take(r, s, e);

	json_object_foreach(users, user, said) {
		if (status < 0)
			break;
		statement_init(s);
		s->item = it;
		s->rater = name_of(r, metadata, user);
		status = read_user(r, s, names, said, e);
	}
	return status;
}

static int read(struct form_reader *r, const json_t *row, struct err *e)
{
	const json_t *id = json_object_get(row, "id");
	json_t *fields = fields_of(row), *users = users_of(row), *metadata = metadata_of(row);
	struct field_names names;
	struct statement s;

	statement_init(&s);
	int status = fields_read(r, fields, &s.item, &names, e);
	if (status == 0) {
		s.item.key = json_is_string(id) ? form_text(r, id, "id", e) : NULL;
		if (json_is_object(metadata))
			read_metadata(r, metadata, &s.item);
		read_suggestions(r, row, &s.item);
		status = json_is_string(id) && !s.item.key ? -1 : read_all(r, metadata, &s, &names, users, e);
	}
	json_decref(fields);
	json_decref(users);
	json_decref(metadata);
	return status;
}

/* --- writing --- */

/* The name where it is a UUID, else one of its hash. */
static void user_id(const char *name, char out[37])
{
	unsigned char x;
	char hex[33];
	int n = 0, got = 0;

	for (const char *at = name; *at && n < 36; at++, n++)
		got += (n == 8 || n == 13 || n == 18 || n == 23) ? *at == '-' : strchr("0123456789abcdef", *at) != NULL;
	if (strlen(name) == 36 && got == 36) {
		memcpy(out, name, 37);
		return;
	}
	hash_hex(name, strlen(name), hex);
	sscanf(hex + 16, "%1hhx", &x);
	snprintf(out, 37, "%.8s-%.4s-8%.3s-%x%.3s-%.12s", hex, hex + 8, hex + 13, (x & 3) | 8, hex + 17, hex + 20);
}

static void respond(json_t *responses, const char *question, const char *user, json_t *value)
{
	json_t *list = json_object_get(responses, question);

	if (!list) {
		list = json_array();
		json_object_set_new(responses, question, list);
	}
	json_array_append_new(list, json_pack("{s:o, s:s, s:s}", "value", value, "user_id", user, "status",
	                                      json_is_null(value) ? "discarded" : "submitted"));
}

static json_t *answer_name(int i)
{
	char name[24];

	snprintf(name, sizeof(name), "response-%d", i + 1);
	return json_string(name);
}

/* Answers by their places; ties keep their order, and the place says so. */
static json_t *ranking(const struct feedback_item *it, const struct feedback_label *l)
{
	json_t *list = json_array();

	for (int place = 1; place <= it->n; place++)
		for (int i = 0; i < it->n; i++)
			if (l->rank[i] == place)
				json_array_append_new(list,
				                      json_pack("{s:o, s:i}", "value", answer_name(i), "rank", place));
	return list;
}

static void respond_numbers(json_t *responses, const char *user, const struct feedback_item *it,
                            const struct feedback_label *l)
{
	json_t *order = ranking(it, l);

	if (json_array_size(order))
		respond(responses, "ranking", user, json_incref(order));
	json_decref(order);
	for (int i = 0; i < it->n; i++) {
		char question[24];
		snprintf(question, sizeof(question), "rating-%d", i + 1);
		if (!isnan(l->rating[i]))
			respond(responses, question, user, json_real(l->rating[i]));
	}
}

static void respond_all(json_t *responses, const char *user, const struct feedback_item *it,
                        const struct feedback_label *l)
{
	if (l->skipped) {
		respond(responses, "preference", user, json_null());
		return;
	}
	if (l->winner != FEEDBACK_NONE || l->tie)
		respond(responses, "preference", user, l->tie ? json_string("tie") : answer_name(l->winner));
	respond_numbers(responses, user, it, l);
	if (l->label)
		respond(responses, "label", user, json_string(l->label));
	if (l->edited_answer != FEEDBACK_NONE)
		respond(responses, "corrected", user, answer_name(l->edited_answer));
	if (l->edited)
		respond(responses, "correction", user, json_string(l->edited));
	if (l->both_bad)
		respond(responses, "both_bad", user, json_string("yes"));
	if (l->unsafe)
		respond(responses, "unsafe", user, json_string("yes"));
	if (l->comment)
		respond(responses, "comment", user, json_string(l->comment));
}

static json_t *fields_json(const struct feedback_item *it)
{
	json_t *fields = json_pack("{s:o}", "prompt", form_prompt_json(it));

	for (int i = 0; i < it->n; i++) {
		char name[24];
		snprintf(name, sizeof(name), "response-%d", i + 1);
		json_object_set_new(fields, name, json_string(it->answers[i]));
	}
	return fields;
}

/* Metadata is texts and numbers, or lists of texts. */
static json_t *metadata_json(const struct feedback_item *it)
{
	json_t *all = json_object(), *more = form_extra_json(it), *value;
	const char *key;

	json_object_foreach(more, key, value)
		if (json_is_string(value) || json_is_number(value))
			json_object_set(all, key, value);
	for (int i = 0; i < it->n; i++) {
		char name[24];
		snprintf(name, sizeof(name), "model-%d", i + 1);
		if (it->models[i])
			json_object_set_new(all, name, json_string(it->models[i]));
	}
	if (it->gold != FEEDBACK_NONE)
		json_object_set_new(all, "gold", json_integer(it->gold));
	json_decref(more);
	return all;
}

static void note_rater(json_t *metadata, const char *user, const char *name)
{
	json_t *list = json_object_get(metadata, "raters"), *entry = json_sprintf("%s %s", user, name), *x;
	size_t i;

	if (!list) {
		list = json_array();
		json_object_set_new(metadata, "raters", list);
	}
	json_array_foreach(list, i, x)
		if (json_equal(x, entry)) {
			json_decref(entry);
			return;
		}
	json_array_append_new(list, entry);
}

static int write(struct form_writer *w, const struct feedback_item *it, const struct feedback_label *const *labels,
                 size_t n, struct err *e)
{
	json_t *responses = json_object(), *metadata = metadata_json(it), *extra = form_extra_json(it);
	json_t *suggestions = json_object_get(extra, "suggestions");
	char user[37];

	for (size_t i = 0; i < n; i++) {
		const char *name = form_rater(w, labels[i]);
		if (labels[i]->repeat_of)
			continue;
		user_id(name ? name : "", user);
		if (name && strcmp(name, user) != 0)
			note_rater(metadata, user, name);
		respond_all(responses, user, it, labels[i]);
	}
	suggestions = json_is_object(suggestions) ? json_incref(suggestions) : json_object();
	json_decref(extra);
	return form_emit(w,
	                 json_pack("{s:s, s:o, s:o, s:o, s:o, s:{}, s:n}", "id", it->key, "fields", fields_json(it),
	                           "metadata", metadata, "suggestions", suggestions, "responses", responses,
	                           "vectors", "_server_id"),
	                 e);
}

const struct form form_argilla = {
	.name = "argilla",
	.fits = fits,
	.read = read,
	.write = write,
	.holds = HOLDS(FACT_PAIR) | HOLDS(FACT_TIE) | HOLDS(FACT_BOTH_BAD) | HOLDS(FACT_SKIPPED) | HOLDS(FACT_RANK) |
	         HOLDS(FACT_RATING) |
	         HOLDS(FACT_CLASS) | HOLDS(FACT_CORRECTION) | HOLDS(FACT_UNSAFE) | HOLDS(FACT_COMMENT) |
	         HOLDS(FACT_RATER) | HOLDS(FACT_MODELS) | HOLDS(FACT_GOLD) | HOLDS(FACT_UNJUDGED),
	.array = true,
};
