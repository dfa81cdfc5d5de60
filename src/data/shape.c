/* shape: recognizes rows by the generated table. See shape.h. */
#include "data/shape.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "data/ranked.h"

/* Names, or a 0 or 1 each. */
static bool is_list_of_labels(const json_t *v)
{
	bool all = json_is_array(v);

	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *item = json_array_get(v, i);
		double x = json_number_value(item);
		all &= json_is_string(item) || json_is_boolean(item) || (json_is_number(item) && (x == 0 || x == 1));
	}
	return all;
}

static bool is_list_of_scored(const json_t *v)
{
	bool all = json_array_size(v) > 0;

	for (size_t i = 0; i < json_array_size(v); i++)
		all &= ranked_is_scored(json_array_get(v, i));
	return all;
}

static bool satisfies(const json_t *v, enum need need)
{
	switch (need) {
	case NEED_STRING: return json_is_string(v);
	case NEED_LIST: return json_is_array(v);
	case NEED_TEXT: return json_is_string(v) || json_is_array(v);
	case NEED_LABEL: return json_is_boolean(v) || json_is_integer(v);
	case NEED_INDEX: return json_is_integer(v);
	case NEED_CLASS: return json_is_string(v) || json_is_number(v) || is_list_of_labels(v);
	case NEED_TURN: return json_is_string(v) || json_is_array(v) || json_is_object(v);
	case NEED_OBJECT: return json_is_object(v);
	case NEED_SCORED: return is_list_of_scored(v);
	}
	return false;
}

static size_t count_columns(const struct shape *s)
{
	size_t n = 0;

	while (n < SHAPE_COLUMNS && s->columns[n].key)
		n++;
	return n;
}

static bool fits(const struct shape *s, const json_t *row)
{
	for (size_t i = 0; i < count_columns(s); i++)
		if (!satisfies(json_object_get(row, s->columns[i].key), s->columns[i].need))
			return false;
	return true;
}

/* Is a more specific than b, which comes first in the table? */
static bool is_before(const struct shape *a, const struct shape *b)
{
	size_t n = count_columns(a), m = count_columns(b);

	return n != m ? n > m : !a->asks_only && b->asks_only;
}

static bool has_keys(const struct shape *s, const json_t *row)
{
	for (size_t i = 0; i < count_columns(s); i++)
		if (!json_object_get(row, s->columns[i].key))
			return false;
	return true;
}

/* --- cells of tables --- */

static bool is_messages(const json_t *v)
{
	const json_t *m;
	size_t i;

	if (json_is_object(v))
		return json_object_get(v, "role") || json_object_get(v, "from");
	json_array_foreach((json_t *)v, i, m)
		if (!json_is_object(m) || !is_messages(m))
			return false;
	return json_array_size(v) > 0;
}

/* What a cell means where this is needed: new, or NULL: the text. */
static json_t *cell_means(const json_t *cell, enum need need)
{
	static const char *const truths[][2] = { { "True", "true" }, { "TRUE", "true" }, { "False", "false" },
		                                 { "FALSE", "false" } };
	const char *text = json_string_value(cell);
	struct err ignored = ERR_INIT;

	if (need == NEED_STRING || need == NEED_CLASS || !json_string_length(cell))
		return NULL;
	for (size_t i = 0; need == NEED_LABEL && i < ARRAY_LEN(truths); i++)
		text = strcmp(text, truths[i][0]) ? text : truths[i][1];
	json_t *v = jsonx_load(text, strlen(text), "cell", &ignored);
	bool either = need == NEED_TEXT || need == NEED_TURN; /* then a text may be meant */
	if (v && !json_is_string(v) && satisfies(v, need) && (!either || is_messages(v)))
		return v;
	json_decref(v);
	return NULL;
}

/* A copy of the row as this shape wants it. */
static json_t *taken_as(const struct shape *s, const json_t *row)
{
	json_t *out = json_copy((json_t *)row);

	for (size_t i = 0; i < count_columns(s); i++) {
		json_t *v = cell_means(json_object_get(row, s->columns[i].key), s->columns[i].need);
		if (v)
			json_object_set_new(out, s->columns[i].key, v);
	}
	return out;
}

void shape_take_cells(json_t *row)
{
	const struct shape *best = NULL;
	json_t *as_best = NULL;

	for (size_t i = 0; shape_table[i]; i++) {
		const struct shape *s = shape_table[i];
		if (!has_keys(s, row) || (best && !is_before(s, best)))
			continue;
		json_t *taken = taken_as(s, row);
		if (fits(s, taken)) {
			json_decref(as_best);
			as_best = json_incref(taken);
			best = s;
		}
		json_decref(taken);
	}
	json_object_update(row, as_best);
	json_decref(as_best);
}

static bool wants_scored(const struct shape *s)
{
	for (size_t i = 0; i < count_columns(s); i++)
		if (s->columns[i].need == NEED_SCORED)
			return true;
	return false;
}

/* A prompt with an answer beside it that is of the wrong type is not a prompt alone; with answers that nobody judged
 * it is. */
static bool means_another(const struct shape *s, const json_t *row)
{
	for (size_t i = 0; shape_table[i]; i++)
		if (count_columns(shape_table[i]) > count_columns(s) && has_keys(shape_table[i], row) &&
		    !wants_scored(shape_table[i]))
			return true;
	return false;
}

const struct shape *shape_of(const json_t *row)
{
	const struct shape *best = NULL;

	for (size_t i = 0; shape_table[i]; i++)
		if (fits(shape_table[i], row) && (!best || is_before(shape_table[i], best)))
			best = shape_table[i];
	return best && best->asks_only && means_another(best, row) ? NULL : best;
}

const char *shape_name(const struct shape *s)
{
	return s ? s->name : "no known shape";
}

bool shape_reads(const struct shape *s, const char *key)
{
	for (size_t i = 0; i < count_columns(s); i++)
		if (!strcmp(s->columns[i].key, key))
			return true;
	for (size_t i = 0; s->more && s->more[i]; i++)
		if (!strcmp(s->more[i], key))
			return true;
	return false;
}

const json_t *shape_with(const struct shape *s, const json_t *row)
{
	return s && s->with ? json_object_get(row, s->with) : row;
}

json_t *shape_ask(const struct shape *s, const json_t *row, struct err *e)
{
	if (s->ask)
		return s->ask(row, e);
	if (s->asks)
		return json_incref(json_object_get(row, s->asks));
	err_set(e, "a row of %s asks nothing", s->name);
	return NULL;
}

json_t *shape_answer(const struct shape *s, const json_t *row)
{
	if (s->answer)
		return s->answer(row);
	return s->answers ? json_incref(json_object_get(row, s->answers)) : NULL;
}

bool shape_templated(const struct shape *s, const json_t *row, bool apply)
{
	struct err ignored = ERR_INIT;
	json_t *asked = s->chat == CHAT_IF_LIST && s->ask ? s->ask(row, &ignored) :
	                s->asks ? json_incref(json_object_get(row, s->asks)) : NULL;
	bool list = json_is_array(asked);

	json_decref(asked);
	return list || s->chat == CHAT_ALWAYS || (s->chat == CHAT_IF_APPLIED && apply);
}

void shape_list(bool (*has)(const struct shape *s, const void *ctx), const void *ctx, struct buf *out)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; shape_table[i]; i++)
		n += has(shape_table[i], ctx);
	for (size_t i = 0; shape_table[i]; i++)
		if (has(shape_table[i], ctx)) {
			k++;
			buf_addf(out, "%s%s", k == 1 ? "" : k == n ? " or " : ", ", shape_table[i]->name);
		}
}

const char *shape_role(const struct shape *s, int32_t role)
{
	return s->roles[role];
}

bool shape_has_roles(const struct shape *s, const char *const *roles)
{
	size_t i = 0;

	for (; s->roles[i] && roles[i]; i++)
		if (strcmp(s->roles[i], roles[i]) != 0)
			return false;
	return !s->roles[i] && !roles[i];
}

int shape_misfit(const struct row *r, struct err *e)
{
	static const char *const words[] = { [NEED_STRING] = "a string",
		                             [NEED_LIST] = "a list",
		                             [NEED_TEXT] = "a string or a list of messages",
		                             [NEED_LABEL] = "true or false",
		                             [NEED_INDEX] = "the index of a choice, from 0",
		                             [NEED_CLASS] = "a class by its name, a number, or a list of classes",
		                             [NEED_TURN] = "a string, a message or a list of messages",
		                             [NEED_OBJECT] = "an object",
		                             [NEED_SCORED] = "a list of objects, each with its text and a score, "
		                                             "rating or rank" };
	const struct shape *best = NULL, *own = shape_of(r->json);
	size_t at = 0;

	for (size_t i = 0; shape_table[i]; i++) {
		const struct shape *s = shape_table[i];
		if (has_keys(s, r->json) && !fits(s, r->json) && (!best || is_before(s, best)) &&
		    !(own && (wants_scored(s) || !is_before(s, own))))
			best = s;
	}
	if (!best)
		return 0;
	while (satisfies(json_object_get(r->json, best->columns[at].key), best->columns[at].need))
		at++;
	char *found = jsonx_line(json_object_get(r->json, best->columns[at].key));
	err_set(e, "%s:%zu: a row of %s, whose %s is %.60s; wanted is %s", r->file, r->line, best->name,
	        best->columns[at].key, found, words[best->columns[at].need]);
	mem_free(found);
	return -1;
}

/* Has the row one of its columns at least? */
static bool is_near(const struct shape *s, const struct row *r)
{
	for (size_t i = 0; i < ARRAY_LEN(s->columns) && s->columns[i].key; i++)
		if (json_object_get(r->json, s->columns[i].key))
			return true;
	return false;
}

/* Those that have a column of the row's, else the commonest: all of them would be a page. */
static void list_near(const struct row *r, struct buf *out)
{
	for (size_t i = 0; shape_table[i]; i++)
		if (is_near(shape_table[i], r))
			buf_addf(out, "%s%s", out->len ? " or " : "", shape_name(shape_table[i]));
	if (!out->len)
		buf_adds(out, "messages or prompt,completion or instruction,output or text");
}

/* The first of these columns that is a text, or NULL. */
static const char *first_text(const struct row *r, const char *const *keys)
{
	for (; *keys; keys++)
		if (json_is_string(json_object_get(r->json, *keys)))
			return *keys;
	return NULL;
}

static void add_name(struct buf *out, const char *from, const char *to)
{
	if (from && strcmp(from, to) != 0)
		buf_addf(out, "%s%s: %s", out->len ? ", " : "", from, to);
}

/* The same of a question with its choices and the number of the right one. */
static bool list_renamed_choices(const struct row *r, const char *ask, struct buf *out)
{
	static const char *const choices[] = { "choices", "options", "endings", NULL },
		*const golds[] = { "gold", "answer", "label", "answer_index", "answer_idx", "correct", NULL };
	const char *list = NULL, *gold = NULL;
	struct buf names = BUF_INIT;

	for (size_t i = 0; choices[i] && !list; i++)
		list = json_is_array(json_object_get(r->json, choices[i])) ? choices[i] : NULL;
	for (size_t i = 0; golds[i] && !gold; i++)
		gold = json_is_integer(json_object_get(r->json, golds[i])) ? golds[i] : NULL;
	if (!ask || !list || !gold)
		return false;
	add_name(&names, ask, "query");
	add_name(&names, list, "choices");
	add_name(&names, gold, "gold");
	buf_addf(out, "; renamed (%s) it would be a row of query,choices,gold", buf_str(&names));
	buf_release(&names);
	return true;
}

bool shape_is_message(const json_t *v)
{
	return (json_object_get(v, "role") && json_object_get(v, "content")) ||
	       (json_object_get(v, "from") && json_object_get(v, "value"));
}

/* A list of messages under another name. */
static bool list_renamed_messages(const struct row *r, struct buf *out)
{
	const char *key;
	json_t *v;

	json_object_foreach(r->json, key, v) {
		const json_t *first = json_array_get(v, 0);
		const char *name = json_object_get(first, "role") ? "messages" : "conversations";
		if (!shape_is_message(first) || !strcmp(key, name))
			continue;
		buf_addf(out, "; renamed (%.40s: %s) it would be a row of %s", key, name, name);
		return true;
	}
	return false;
}

void shape_renamed(const struct row *r, struct buf *out)
{
	static const char *const
		asks[] = { "instruction", "prompt",  "question", "query",    "problem",
		           "input",       "article", "document", "dialogue", NULL },
		*const answers[] = { "output",  "completion", "response", "answer", "solution", "generated_solution",
		                     "summary", "highlights", "target",   NULL },
		*const more[] = { "input", "context", NULL }, *const systems[] = { "system", "system_prompt", NULL };
	const char *ask = first_text(r, asks), *answer = first_text(r, answers), *beside = first_text(r, more),
		   *system = first_text(r, systems);
	struct buf names = BUF_INIT;

	if (list_renamed_choices(r, ask, out) || (!(ask && answer) && list_renamed_messages(r, out)) || !ask || !answer)
		return;
	beside = beside == ask ? NULL : beside;
	bool alpaca = beside || system || !strcmp(ask, "instruction");
	add_name(&names, system, "system");
	add_name(&names, ask, alpaca ? "instruction" : "prompt");
	add_name(&names, beside, "input");
	add_name(&names, answer, alpaca ? "output" : "completion");
	if (names.len)
		buf_addf(out, "; renamed (%s) it would be a row of %s", buf_str(&names),
		         alpaca ? "instruction,output" : "prompt,completion");
	buf_release(&names);
}

int shape_refuse(const struct row *r, struct err *e)
{
	struct buf keys = BUF_INIT, names = BUF_INIT, renamed = BUF_INIT;
	const char *key;
	json_t *value;

	if (shape_misfit(r, e) < 0)
		return -1;
	json_object_foreach(r->json, key, value)
		if (keys.len < 200)
			buf_addf(&keys, "%s%.40s", keys.len ? ", " : "", key);
	list_near(r, &names);
	shape_renamed(r, &renamed);
	err_set(e, "%s:%zu: a row with the keys %s; wanted are %s, or what else doc/data.md has%s", r->file, r->line,
	        keys.len ? buf_str(&keys) : "(none)", buf_str(&names), buf_str(&renamed));
	buf_release(&keys);
	buf_release(&renamed);
	buf_release(&names);
	return -1;
}
