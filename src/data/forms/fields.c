/* fields: see fields.h. Names are compared by their letters and digits alone, whatever their case. */
#include "data/forms/fields.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

enum { NAME = 64 };

/* Letters in lower case and digits, the first NAME − 1. */
static void plain_name(const char *text, char out[NAME])
{
	size_t n = 0;

	for (; *text && n + 1 < NAME; text++)
		if (isalnum((unsigned char)*text))
			out[n++] = (char)tolower((unsigned char)*text);
	out[n] = 0;
}

static bool has_any(const char *name, const char *const *words)
{
	for (; *words; words++)
		if (strstr(name, *words))
			return true;
	return false;
}

static bool is_any(const char *name, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(name, *words))
			return true;
	return false;
}

static const char *const prompts[] = { "prompt",   "instruction",  "question", "query", "chat",
	                               "messages", "conversation", "input",    "text",  NULL };

bool fields_is_prompt(const char *key)
{
	char name[NAME];

	plain_name(key, name);
	return is_any(name, prompts);
}

static bool is_answer(const char *key)
{
	static const char *const words[] = { "response", "answer",   "completion", "generation", "output",
		                             "chosen",   "rejected", "reply",      "summary",    "candidate",
		                             "option",   "model",    "text",       "result",     NULL };
	char name[NAME];

	plain_name(key, name);
	for (size_t i = 0; words[i]; i++)
		if (!strncmp(name, words[i], strlen(words[i])))
			return true;
	return false;
}

static const json_t *find_prompt(const json_t *fields, const char **key)
{
	json_t *value;
	char name[NAME];

	for (size_t i = 0; prompts[i]; i++)
		json_object_foreach((json_t *)fields, *key, value) {
			plain_name(*key, name);
			if (!strcmp(name, prompts[i]) && (json_is_string(value) || json_is_array(value)))
				return value;
		}
	*key = NULL;
	return NULL;
}

static int add_answers(struct form_reader *r, const json_t *fields, bool any, struct feedback_item *it,
                       struct field_names *names, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)fields, key, value) {
		if ((names->prompt && !strcmp(key, names->prompt)) || !json_is_string(value) ||
		    (!any && !is_answer(key)))
			continue;
		if (it->n == FEEDBACK_ANSWERS)
			return err_set(e, "more than %d answers", FEEDBACK_ANSWERS);
		if (form_answer(r, it, it->n, value, e) < 0)
			return -1;
		names->answers[it->n++] = arena_strdup(&r->mem, key);
	}
	return 0;
}

int fields_read(struct form_reader *r, const json_t *fields, struct feedback_item *it, struct field_names *names,
                struct err *e)
{
	const json_t *prompt = find_prompt(fields, &names->prompt);

	it->n = 0;
	if (prompt && !(it->prompt = form_prompt(r, prompt, e)))
		return -1;
	if (!prompt)
		it->prompt = "\"\"";
	if (add_answers(r, fields, false, it, names, e) < 0 ||
	    (it->n == 0 && add_answers(r, fields, true, it, names, e) < 0))
		return -1;
	if (it->n == 0 && json_is_string(prompt)) { /* a text that was judged by itself */
		names->answers[0] = names->prompt;
		it->prompt = "\"\"";
		it->n = 1;
		if (form_answer(r, it, 0, prompt, e) < 0)
			return -1;
	}
	names->n = it->n;
	return it->n ? 0 : err_set(e, "no field is an answer");
}

/* --- what a value means --- */

/* Which of the answers a name is: its field's, or its number or letter; −1: none. */
static int place_of(const struct field_names *names, const char *text)
{
	char name[NAME], of[NAME];

	plain_name(text, name);
	for (int i = 0; i < names->n; i++) {
		plain_name(names->answers[i], of);
		if (!strcmp(name, of))
			return i;
	}
	size_t n = strlen(name);
	if (n == 0 || (n > 1 && !is_answer(name)))
		return -1;
	char last = name[n - 1];
	int place = isdigit((unsigned char)last) ? last - '1' : last - 'a';
	bool alone = n == 1 || !isalnum((unsigned char)name[n - 2]) || isdigit((unsigned char)last) ||
	             n == strlen("responsea") || n == strlen("answera");
	return alone && place >= 0 && place < names->n ? place : -1;
}

/* The answer that a question is about: by its field, its number, or as the only one; −1: not known. */
static int about_which(const struct field_names *names, const char *question, const char *about)
{
	char name[NAME];
	int at = about ? place_of(names, about) : -1;

	if (at >= 0 || names->n == 1)
		return at >= 0 ? at : 0;
	plain_name(question, name);
	size_t n = strlen(name);
	if (n && isdigit((unsigned char)name[n - 1]))
		at = name[n - 1] - '1';
	return at >= 0 && at < names->n ? at : -1;
}

static int rank(const struct field_names *names, const json_t *list, struct feedback_label *l, struct err *e)
{
	const json_t *x;
	size_t i;

	json_array_foreach((json_t *)list, i, x) {
		const json_t *name = json_is_object(x) ? json_object_get(x, "value") : x;
		const json_t *place = json_is_object(x) ? json_object_get(x, "rank") : NULL;
		int at = json_is_string(name) ? place_of(names, json_string_value(name)) : -1;
		json_int_t to = json_is_integer(place) ? json_integer_value(place) : (json_int_t)i + 1;
		if (at < 0 || to < 1 || to > names->n)
			return err_set(e, "a ranking names what is none of the %d answers", names->n);
		l->rank[at] = (int8_t)to;
	}
	return 0;
}

/* Does the list name answers? */
static bool is_ranking(const struct field_names *names, const json_t *list)
{
	const json_t *x = json_array_get(list, 0), *name = json_is_object(x) ? json_object_get(x, "value") : x;

	return json_is_string(name) && names->n > 1 && place_of(names, json_string_value(name)) >= 0;
}

static void add_comment(struct form_reader *r, struct feedback_label *l, const char *question, const char *text)
{
	if (!l->comment)
		l->comment = question ? arena_printf(&r->mem, "%s: %s", question, text) : text;
	else
		l->comment = arena_printf(&r->mem, "%s\n%s%s%s", l->comment, question ? question : "",
		                          question ? ": " : "", text);
}

static bool is_yes(const char *text)
{
	static const char *const words[] = { "yes", "true", "1", "unsafe", "harmful", "toxic", "bothbad", NULL };
	char name[NAME];

	plain_name(text, name);
	return is_any(name, words);
}

/* No winner: true. */
static bool is_tie(const char *text, struct feedback_label *l)
{
	static const char *const ties[] = { "tie", "equal", "same", "draw", "both", "bothgood", "nopreference", NULL };
	static const char *const bad[] = { "bothbad", "tiebothbad", "neither", "bothunacceptable", NULL };
	char name[NAME];

	plain_name(text, name);
	if (!is_any(name, ties) && !is_any(name, bad))
		return false;
	l->tie = true;
	l->both_bad |= is_any(name, bad);
	return true;
}

static void judge_text(struct form_reader *r, const struct field_names *names, const char *question, const char *about,
                       const char *text, struct feedback_label *l)
{
	static const char *const comments[] = { "comment",   "feedback", "note",   "reason",
		                                "rationale", "explan",   "justif", NULL };
	static const char *const corrections[] = { "correct", "edit", "improve", "rewrit", "revis", NULL };
	static const char *const safety[] = { "unsafe", "harm", "toxic", "safety", NULL };
	char name[NAME];
	int at = names->n > 1 ? place_of(names, text) : -1;

	plain_name(question, name);
	if (has_any(name, comments)) {
		add_comment(r, l, NULL, text);
	} else if (has_any(name, corrections) && at >= 0) {
		l->edited_answer = at;
	} else if (has_any(name, corrections)) {
		l->edited = text;
		if (l->edited_answer == FEEDBACK_NONE)
			l->edited_answer = MAX(about_which(names, question, about), FEEDBACK_NONE);
	} else if (has_any(name, safety)) {
		l->unsafe |= is_yes(text);
	} else if (strstr(name, "bothbad")) {
		l->both_bad |= is_yes(text);
	} else if (at >= 0) {
		l->winner = at;
	} else if (!(names->n > 1 && is_tie(text, l))) {
		if (l->label)
			add_comment(r, l, question, text);
		else
			l->label = text;
	}
}

static int judge_number(const struct field_names *names, const char *question, const char *about, const json_t *value,
                        struct feedback_label *l, struct err *e)
{
	static const char *const choices[] = { "prefer", "best", "choose", "choice", "winner", NULL };
	int at = about_which(names, question, about);
	json_int_t place = json_is_integer(value) ? json_integer_value(value) : 0;
	char name[NAME];

	plain_name(question, name);
	if (names->n > 1 && has_any(name, choices) && place >= 1 && place <= names->n) {
		l->winner = (int)place - 1;
		return 0;
	}
	if (at < 0)
		return err_set(e, "question %.60s is answered by a number, and there are %d answers", question,
		               names->n);
	l->rating[at] = json_number_value(value);
	return 0;
}

static int judge_list(struct form_reader *r, const struct field_names *names, const char *question, const char *about,
                      const json_t *list, struct feedback_label *l, struct err *e)
{
	const json_t *x;
	size_t i;

	if (is_ranking(names, list))
		return rank(names, list, l, e);
	json_array_foreach((json_t *)list, i, x)
		if (fields_judge(r, names, question, about, x, l, e) < 0)
			return -1;
	return 0;
}

int fields_judge(struct form_reader *r, const struct field_names *names, const char *question, const char *about,
                 const json_t *value, struct feedback_label *l, struct err *e)
{
	const char *text;

	if (!value || json_is_null(value))
		return 0;
	if (json_is_number(value))
		return judge_number(names, question, about, value, l, e);
	if (json_is_array(value) && json_is_string(json_array_get(value, 0)) && json_array_size(value) == 1)
		value = json_array_get(value, 0);
	if (json_is_array(value))
		return judge_list(r, names, question, about, value, l, e);
	if (json_is_boolean(value))
		text = json_is_true(value) ? "yes" : "no";
	else if (!(text = form_text(r, value, question, e)))
		return -1;
	judge_text(r, names, question, about, text, l);
	return 0;
}
