/* exam_filter: what counts of an answer: a pipeline of steps over all answers of a row.
 *
 *     regex               the group_select-th of all matches (−1: the last), its first group that is not empty,
  * without
 *                         white space at its ends; nothing found: fallback ("[invalid]")
 *     multi_choice_regex  the same, else the text of one of the row's `choices`, else a letter after a colon
 *     remove_whitespace, lowercase, uppercase
 *     map                 mapping_dict's value, else default_value
 *     take_first, take_first_k, majority_vote      which of several answers; of equally many votes the first
 *
 * As in lm-eval the result is one answer: a pipeline that leaves several is refused. */
#include <string.h>

#include "base/py_literal.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "exam/exam_parts.h"

enum { STEPS_MOST = 16 };

enum kind {
	KIND_REGEX, KIND_CHOICE, KIND_SPACE, KIND_LOWER, KIND_UPPER, KIND_MAP, KIND_FIRST, KIND_FIRST_K, KIND_VOTE
};

static const char *const keys_none[] = { "function", NULL };
static const char *const keys_regex[] = { "function", "regex_pattern", "group_select", "fallback", NULL };
static const char *const keys_choice[] = { "function", "regex_pattern", "group_select", "fallback", "ignore_case",
	                                   "ignore_punctuation", "regexes_to_ignore", NULL };
static const char *const keys_map[] = { "function", "mapping_dict", "default_value", NULL };
static const char *const keys_k[] = { "function", "k", NULL };

static const struct { const char *name; enum kind kind; const char *const *keys; } kinds[] = {
	{ "regex", KIND_REGEX, keys_regex },
	{ "multi_choice_regex", KIND_CHOICE, keys_choice },
	{ "remove_whitespace", KIND_SPACE, keys_none },
	{ "lowercase", KIND_LOWER, keys_none },
	{ "uppercase", KIND_UPPER, keys_none },
	{ "map", KIND_MAP, keys_map },
	{ "take_first", KIND_FIRST, keys_none },
	{ "take_first_k", KIND_FIRST_K, keys_k },
	{ "majority_vote", KIND_VOTE, keys_none },
};

struct step {
	enum kind kind;
	struct py_re *re, **ignore;
	size_t n_ignore;
	long long select, k;
	const char *fallback;
	const json_t *map, *init;
	bool ignore_case, ignore_punctuation;
};

struct exam_filter {
	const char *name;
	struct step step[STEPS_MOST];
	size_t n;
	json_t *config;                /* borrowed texts live in it */
};

const char *exam_filter_name(const struct exam_filter *f) { return f->name; }

/* --- opening --- */

static int open_regex(struct step *s, const json_t *c, struct err *e)
{
	const json_t *pattern = json_object_get(c, "regex_pattern"), *select = json_object_get(c, "group_select"),
	             *fallback = json_object_get(c, "fallback"), *ignore = json_object_get(c, "regexes_to_ignore");
	size_t i;
	json_t *one;

	if ((pattern && !json_is_string(pattern)) || (select && !json_is_integer(select)) ||
	    (fallback && !json_is_string(fallback)))
		return err_set(e, "regex_pattern and fallback are texts, group_select is a whole number");
	s->select = json_integer_value(select);
	s->fallback = fallback ? json_string_value(fallback) : "[invalid]";
	s->ignore_case = json_is_true(json_object_get(c, "ignore_case"));
	s->ignore_punctuation = json_is_true(json_object_get(c, "ignore_punctuation"));
	s->ignore = mem_array(json_array_size(ignore), sizeof(*s->ignore));
	json_array_foreach((json_t *)(uintptr_t)ignore, i, one) {
		if (py_re_new(&s->ignore[i], json_is_string(one) ? json_string_value(one) : "", e) < 0)
			return -1;
		s->n_ignore++;
	}
	return py_re_new(&s->re, pattern ? json_string_value(pattern) : "#### (\\-?[0-9\\.\\,]+)", e);
}

static int open_step(struct step *s, const json_t *c, struct err *e)
{
	const char *name = json_string_value(json_object_get(c, "function"));
	size_t i = 0;

	while (name && i < ARRAY_LEN(kinds) && strcmp(kinds[i].name, name) != 0)
		i++;
	if (!name || i == ARRAY_LEN(kinds))
		return err_set(e, "the filter %.80s is not known here", name ? name : "without a function");
	if (exam_keys(c, kinds[i].keys, "", e) < 0)
		return -1;
	s->kind = kinds[i].kind;
	s->map = json_object_get(c, "mapping_dict");
	s->init = json_object_get(c, "default_value");
	s->k = json_integer_value(json_object_get(c, "k"));
	if (s->kind == KIND_FIRST_K && s->k < 1)
		return err_set(e, "take_first_k: k, a whole number above 0, was wanted");
	if (s->map && !json_is_object(s->map))
		return err_set(e, "map: mapping_dict is a mapping");
	return s->kind == KIND_REGEX || s->kind == KIND_CHOICE ? open_regex(s, c, e) : 0;
}

int exam_filter_open(struct exam_filter **out, const json_t *config, struct err *e)
{
	const json_t *steps = json_object_get(config, "filter");
	const char *name = json_string_value(json_object_get(config, "name"));
	size_t i;
	json_t *one;

	*out = NULL;
	if (!name || !json_array_size(steps) || json_array_size(steps) > STEPS_MOST)
		return err_set(e, "filter_list: an entry has a name and 1 to %d steps in `filter`", STEPS_MOST);
	struct exam_filter *f = mem_alloc(sizeof(*f));
	f->config = json_incref((json_t *)(uintptr_t)config);
	f->name = name;
	json_array_foreach((json_t *)(uintptr_t)steps, i, one)
		if (open_step(&f->step[f->n++], one, e) < 0) {
			exam_filter_free(f);
			return err_prefix(e, "filter_list: %.80s", name);
		}
	*out = f;
	return 0;
}

struct exam_filter *exam_filter_first(void)
{
	struct exam_filter *f = mem_alloc(sizeof(*f));

	f->name = "none";
	f->step[0].kind = KIND_FIRST;
	f->n = 1;
	return f;
}

void exam_filter_free(struct exam_filter *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++) {
		py_re_free(f->step[i].re);
		for (size_t k = 0; k < f->step[i].n_ignore; k++)
			py_re_free(f->step[i].ignore[k]);
		mem_free(f->step[i].ignore);
	}
	json_decref(f->config);
	mem_free(f);
}

/* --- steps over one answer --- */

static json_t *stripped(const char *s, size_t n)
{
	unicode_strip(&s, &n);
	return json_stringn(s, n);
}

static json_t *recased(const json_t *text, enum unicode_case how)
{
	struct buf out = BUF_INIT;

	unicode_recase(&out, json_string_value(text), json_string_length(text), how);
	json_t *made = json_stringn(buf_str(&out), out.len);
	buf_release(&out);
	return made;
}

/* The match that is selected, as findall gives it: the whole, the only group, or the first of several groups that is
 * not empty; *found: there was one. */
static int select_match(const struct py_re *re, long long select, const char *s, size_t n, json_t **out, struct err *e)
{
	struct py_re_walk w = { .text = s, .n = n };
	const struct py_span *span;
	json_t *all = json_array();
	int found;

	*out = NULL;
	while ((found = py_re_next(re, &w, &span, e)) > 0) {
		size_t groups = py_re_groups(re), k = groups > 0;
		while (groups > 1 && k < groups && !span[k].n)
			k++;
		json_array_append_new(all, groups > 1 && !span[k].n ? json_null() : stripped(span[k].s ? span[k].s : "",
		                                                                           span[k].n));
	}
	long long size = (long long)json_array_size(all), at = select < 0 ? size + select : select;
	if (found == 0 && size && (at < 0 || at >= size))
		found = err_set(e, "group_select %lld: there are %lld matches", select, size);
	else if (found == 0 && size)
		*out = json_incref(json_array_get(all, (size_t)at));
	json_decref(all);
	if (*out && json_is_null(*out)) { /* a match whose groups are all empty: nothing */
		json_decref(*out);
		*out = NULL;
	}
	return found;
}

/* A text as step 1 of multi_choice_regex compares it. */
static int plain(const struct step *s, const char *text, size_t n, struct buf *out, struct err *e)
{
	struct buf in = BUF_INIT;
	uint32_t c;

	buf_add(&in, text, n);
	for (size_t i = 0; i < s->n_ignore; i++) {
		struct buf less = BUF_INIT;
		if (py_re_replace(s->ignore[i], "", buf_str(&in), in.len, &less, e) < 0) {
			buf_release(&less);
			buf_release(&in);
			return -1;
		}
		buf_release(&in);
		in = less;
	}
	if (s->ignore_case) {
		struct buf lower = BUF_INIT;
		unicode_recase(&lower, buf_str(&in), in.len, UNICODE_LOWER);
		buf_release(&in);
		in = lower;
	}
	for (size_t i = 0, k; i < in.len; i += k) {
		k = MAX(utf8_decode(buf_str(&in) + i, in.len - i, &c), (size_t)1);
		if (!s->ignore_punctuation || !unicode_is_punctuation(c))
			buf_add(out, buf_str(&in) + i, k);
	}
	buf_release(&in);
	return 0;
}

/* The choice whose text comes first in the answer, the longest of those; as "(A)". */
static int find_choice(const struct step *s, const json_t *choices, const char *text, size_t n, json_t **out,
                       struct err *e)
{
	struct buf in = BUF_INIT;
	const char *best = NULL;
	size_t best_n = 0, i;
	char letter = 0;
	json_t *one;
	int status = plain(s, text, n, &in, e);

	json_array_foreach((json_t *)(uintptr_t)choices, i, one) {
		struct buf choice = BUF_INIT;
		const char *c = json_string_value(one) ? json_string_value(one) : "";
		size_t len = strlen(c);
		unicode_strip(&c, &len);
		if (status == 0)
			status = plain(s, c, len, &choice, e);
		const char *at = choice.len ? strstr(buf_str(&in), buf_str(&choice)) : NULL;
		if (at && (!best || at < best || (at == best && choice.len > best_n))) {
			best = at;
			best_n = choice.len;
			letter = (char)('A' + i);
		}
		buf_release(&choice);
	}
	if (letter)
		*out = json_sprintf("(%c)", letter);
	buf_release(&in);
	return status;
}

/* ": B". */
static json_t *find_letter(const json_t *choices, const char *text)
{
	for (const char *s = strchr(text, ':'); s; s = strchr(s + 1, ':')) {
		const char *at = s + 1 + strspn(s + 1, " \t\n\r\f\v");
		if (*at >= 'A' && (size_t)(*at - 'A') < json_array_size(choices))
			return json_sprintf("(%c)", *at);
	}
	return NULL;
}

static int extract(const struct step *s, const json_t *doc, const json_t *answer, json_t **out, bool *fell_back,
                   struct err *e)
{
	const char *text = json_is_string(answer) ? json_string_value(answer) : "";
	const json_t *choices = json_object_get(doc, "choices");

	if (select_match(s->re, s->select, text, strlen(text), out, e) < 0)
		return -1;
	if (!*out && s->kind == KIND_CHOICE && !json_is_array(choices))
		return err_set(e, "multi_choice_regex: a row has no list `choices`");
	if (!*out && s->kind == KIND_CHOICE && find_choice(s, choices, text, strlen(text), out, e) < 0)
		return -1;
	if (!*out && s->kind == KIND_CHOICE)
		*out = find_letter(choices, text);
	if (!*out) {
		*fell_back = true;
		*out = json_string(s->fallback);
	}
	return 0;
}

static int one_answer(const struct step *s, const json_t *doc, json_t *answer, json_t **out, bool *fell_back,
                      struct err *e)
{
	bool text = json_is_string(answer);

	*out = NULL;
	switch (s->kind) {
	case KIND_REGEX: case KIND_CHOICE: return extract(s, doc, answer, out, fell_back, e);
	case KIND_SPACE:
		*out = text ? stripped(json_string_value(answer), json_string_length(answer)) : NULL;
		break;
	case KIND_LOWER: *out = text ? recased(answer, UNICODE_LOWER) : NULL; break;
	case KIND_UPPER: *out = text ? recased(answer, UNICODE_UPPER) : NULL; break;
	case KIND_MAP: {
		const json_t *to = text ? json_object_get(s->map, json_string_value(answer)) : NULL;
		*fell_back |= !to;
		*out = to ? json_deep_copy(to) : s->init ? json_deep_copy(s->init) : json_null();
		break;
	}
	default: break;
	}
	return *out ? 0 : err_set(e, "a filter of texts stands behind one that gives none");
}

/* --- steps over all answers of a row --- */

static json_t *voted(const json_t *answers)
{
	size_t n = json_array_size(answers), best = 0, most = 0;

	for (size_t i = 0; i < n; i++) {
		size_t votes = 0;
		for (size_t k = 0; k < n; k++)
			votes += json_equal(json_array_get(answers, i), json_array_get(answers, k));
		if (votes > most) {
			most = votes;
			best = i;
		}
	}
	return json_pack("[O]", json_array_get(answers, best));
}

/* What a step makes of *state, a list, or one answer behind take_first. */
static int apply_step(const struct step *s, const json_t *doc, json_t **state, bool *fell_back, struct err *e)
{
	json_t *was = *state, *now = NULL, *one;
	size_t i;
	int status = 0;

	if (!json_is_array(was))
		return err_set(e, "a filter stands behind take_first");
	if (s->kind == KIND_FIRST) {
		now = json_incref(json_array_get(was, 0));
	} else if (s->kind == KIND_VOTE) {
		now = voted(was);
	} else if (s->kind == KIND_FIRST_K) {
		if ((size_t)s->k > json_array_size(was))
			return err_set(e, "take_first_k: %lld of %zu answers: `repeats` is less", s->k,
			               json_array_size(was));
		now = json_array();
		for (i = 0; i < (size_t)s->k; i++)
			json_array_append(now, json_array_get(was, i));
	} else {
		now = json_array();
		json_array_foreach(was, i, one) {
			json_t *made = NULL;
			if (status == 0)
				status = one_answer(s, doc, one, &made, fell_back, e);
			if (made)
				json_array_append_new(now, made);
		}
	}
	json_decref(was);
	*state = now;
	return status;
}

json_t *exam_filter_apply(const struct exam_filter *f, const json_t *doc, const json_t *answers, bool *fell_back,
                          struct err *e)
{
	json_t *state = json_incref((json_t *)(uintptr_t)answers);
	int status = 0;

	*fell_back = false;
	for (size_t i = 0; i < f->n && status == 0; i++)
		status = apply_step(&f->step[i], doc, &state, fell_back, e);
	if (status == 0 && json_is_array(state))
		status = err_set(e, "several answers are left: the filter ends without take_first");
	if (status == 0)
		return state;
	json_decref(state);
	err_prefix(e, "the filter %.80s", f->name);
	return NULL;
}
