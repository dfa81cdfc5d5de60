/* feedback_label: a label as the page sends it. Places are those that the rater saw; here they become answers. All that
 * can be wrong with it is said before the file is asked, so what the file refuses then is trouble of its own. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "serve/feedback_call.h"

static const struct { const char *name; json_type type; const char *wanted; } keys[] = {
	{ "key", JSON_STRING, "a text" },
	{ "item", JSON_INTEGER, "an item's number" },
	{ "version", JSON_STRING, "a text" },
	{ "winner", JSON_INTEGER, "a place, from 0, or null" },
	{ "tie", JSON_TRUE, "true or false" },
	{ "strength", JSON_INTEGER, "1 or 2" },
	{ "ranking", JSON_ARRAY, "a list of places, from 1" },
	{ "rating", JSON_REAL, "a number, or a list of them" },
	{ "label", JSON_STRING, "a class" },
	{ "edited", JSON_STRING, "a text" },
	{ "edited_answer", JSON_INTEGER, "a place, from 0" },
	{ "both_bad", JSON_TRUE, "true or false" },
	{ "unsafe", JSON_TRUE, "true or false" },
	{ "comment", JSON_STRING, "a text" },
	{ "skipped", JSON_TRUE, "true or false" },
	{ "seconds", JSON_REAL, "a number" },
};

static bool is_of(const json_t *x, json_type type)
{
	if (type == JSON_TRUE)
		return json_is_boolean(x);
	if (type == JSON_REAL)
		return json_is_number(x) || json_is_array(x);
	return json_typeof(x) == type;
}

/* false: the reply says which key is unknown or what it should be. */
static bool check_keys(struct call *c)
{
	const char *name;
	json_t *x;

	json_object_foreach((json_t *)c->sent, name, x) {
		size_t i = 0;

		while (i < ARRAY_LEN(keys) && strcmp(keys[i].name, name))
			i++;
		if (i == ARRAY_LEN(keys))
			return call_refuse(c, 400, "key", "a label has no %.60s", name);
		if (!json_is_null(x) && !is_of(x, keys[i].type))
			return call_refuse(c, 400, "value", "%s is %s", name, keys[i].wanted);
	}
	if (!json_is_integer(json_object_get(c->sent, "item")))
		return call_refuse(c, 400, "item", "a label names its item");
	return true;
}

static bool is_true(const struct call *c, const char *name) { return json_is_true(json_object_get(c->sent, name)); }

static const char *text(const struct call *c, const char *name)
{
	const char *s = json_string_value(json_object_get(c->sent, name));

	return s && *s ? s : NULL;
}

/* A place as it was shown as the answer that stood there; FEEDBACK_NONE where nothing is said. */
static bool take_place(struct call *c, const struct turn *t, const char *name, int *answer)
{
	const json_t *x = json_object_get(c->sent, name);
	json_int_t place = json_integer_value(x);

	*answer = FEEDBACK_NONE;
	if (!json_is_integer(x))
		return true;
	if (place < 0 || place >= t->n)
		return call_refuse(c, 400, name, "%s is place %lld, %d answers were shown", name, (long long)place,
		                   t->n);
	*answer = t->order[place];
	return true;
}

static bool take_ranking(struct call *c, const struct turn *t, struct feedback_label *l)
{
	const json_t *list = json_object_get(c->sent, "ranking");

	if (!json_is_array(list))
		return true;
	if (json_array_size(list) != (size_t)t->n)
		return call_refuse(c, 400, "ranking", "a ranking of %zu answers, %d were shown",
		                   json_array_size(list), t->n);
	for (int i = 0; i < t->n; i++) {
		json_int_t place = json_integer_value(json_array_get(list, (size_t)i));

		if (place < 1 || place > t->n)
			return call_refuse(c, 400, "ranking", "places are 1 to %d", t->n);
		l->rank[t->order[i]] = (int8_t)place;
	}
	return true;
}

static bool take_rating(struct call *c, const struct turn *t, struct feedback_label *l)
{
	const json_t *x = json_object_get(c->sent, "rating");
	size_t n = json_is_array(x) ? json_array_size(x) : json_is_number(x) ? 1 : 0;
	int scale = feedback_study(c->f)->scale;

	if (n == 0 && !json_is_array(x))
		return true;
	if (n != (size_t)t->n)
		return call_refuse(c, 400, "rating", "%zu ratings, %d answers were shown", n, t->n);
	for (int i = 0; i < t->n; i++) {
		const json_t *one = json_is_array(x) ? json_array_get(x, (size_t)i) : x;
		double value = json_number_value(one);

		if (!json_is_number(one) || value < 1 || value > scale)
			return call_refuse(c, 400, "rating", "ratings are numbers from 1 to %d", scale);
		l->rating[t->order[i]] = value;
	}
	return true;
}

static bool take_class(struct call *c, struct feedback_label *l)
{
	const char *const *known = feedback_study(c->f)->labels;

	l->label = text(c, "label");
	if (!l->label)
		return true;
	for (size_t i = 0; known && known[i]; i++)
		if (!strcmp(known[i], l->label))
			return true;
	return call_refuse(c, 400, "label", "there is no class %.60s", l->label);
}

static bool take_numbers(struct call *c, struct feedback_label *l)
{
	const json_t *seconds = json_object_get(c->sent, "seconds"), *strength = json_object_get(c->sent, "strength");

	l->seconds = json_is_number(seconds) ? json_number_value(seconds) : NAN;
	if (l->seconds < 0 || l->seconds > 1e6 || json_is_array(seconds))
		return call_refuse(c, 400, "seconds", "seconds are a number from 0 to 1000000");
	l->strength = (int)json_integer_value(strength);
	if (l->strength < 0 || l->strength > 2)
		return call_refuse(c, 400, "strength", "strength is 1 or 2");
	return true;
}

static bool says_something(const struct feedback_label *l)
{
	bool any = l->winner != FEEDBACK_NONE || l->tie || l->both_bad || l->skipped || l->label || l->edited ||
	           l->unsafe;

	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		any |= l->rank[i] > 0 || !isnan(l->rating[i]);
	return any;
}

/* false: the reply says what is wrong. */
static bool take(struct call *c, const struct turn *t, struct feedback_label *l)
{
	*l = (struct feedback_label){
		.key = text(c, "key"), .item = t->item.id, .rater = c->who.id, .version = t->item.version,
		.tie = is_true(c, "tie"), .both_bad = is_true(c, "both_bad"), .skipped = is_true(c, "skipped"),
		.edited = text(c, "edited"), .unsafe = is_true(c, "unsafe"), .comment = text(c, "comment"),
		.repeat_of = t->repeat_of,
	};
	memcpy(l->shown, t->order, sizeof(l->shown));
	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		l->rating[i] = NAN;
	if (!take_place(c, t, "winner", &l->winner) || !take_place(c, t, "edited_answer", &l->edited_answer) ||
	    !take_ranking(c, t, l) || !take_rating(c, t, l) || !take_class(c, l) || !take_numbers(c, l))
		return false;
	if (l->edited && l->edited_answer == FEEDBACK_NONE && t->n == 1)
		l->edited_answer = t->order[0];
	if (l->winner != FEEDBACK_NONE && l->tie)
		return call_refuse(c, 400, "tie", "a label has a winner or is a tie");
	if (l->edited && l->edited_answer == FEEDBACK_NONE)
		return call_refuse(c, 400, "edited_answer", "an edited text names the answer that it was");
	if (!says_something(l))
		return call_refuse(c, 400, "judgement", "a label says something of its item");
	return true;
}

static bool is_there(const struct said *s, const char *key)
{
	for (size_t i = 0; key && i < s->n_labels; i++)
		if (!strcmp(s->labels[i].key, key))
			return true;
	return false;
}

static int saved(struct call *c, const char *key, bool duplicate, struct err *e)
{
	struct said s;

	json_object_set_new(c->answer, "saved", json_true());
	json_object_set_new(c->answer, "duplicate", json_boolean(duplicate));
	json_object_set_new(c->answer, "key", json_string(key));
	return call_said(c, &s, e) < 0 ? -1 : call_progress(c, &s, e);
}

/* 128 random bits in hexadecimal, for who sends no key. */
static const char *new_key(struct call *c, struct err *e)
{
	uint64_t random[2];

	if (getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random))
		return arena_printf(&c->mem, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
	err_set(e, "no random numbers for a key: %s", strerror(errno));
	return NULL;
}

int call_label(struct call *c, struct err *e)
{
	struct feedback_label l;
	struct turn t;
	struct said s;

	if (!check_keys(c))
		return 0;
	if (call_said(c, &s, e) < 0)
		return -1;
	if (is_there(&s, text(c, "key")))
		return saved(c, text(c, "key"), true, e);
	int status = turn_open(c, &t, e);
	json_int_t item = json_integer_value(json_object_get(c->sent, "item"));
	const char *version = text(c, "version");
	if (status < 0)
		return -1;
	if (status || t.item.id != item)
		return call_refuse(c, 409, "item", "item %lld is not the one that is shown now", (long long)item);
	if (version && strcmp(version, t.item.version))
		return call_refuse(c, 409, "version", "item %lld is another now than the one that was judged",
		                   (long long)item);
	if (!take(c, &t, &l))
		return 0;
	if (!l.key && !(l.key = new_key(c, e)))
		return -1;
	status = feedback_add_label(c->f, &l, e);
	return status < 0 ? -1 : saved(c, l.key, status, e);
}
