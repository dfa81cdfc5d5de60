/* ranked: several answers with scores to one prompt. See ranked.h. */
#include "data/ranked.h"

#include <math.h>
#include <stdlib.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "data/preference.h"

static bool has_pair(const struct ranked *r)
{
	double first = NAN;

	for (size_t i = 0; i < r->n; i++) {
		double x = r->items[i].score;
		if (isfinite(first) && isfinite(x) && x != first)
			return true;
		first = isfinite(first) ? first : x;
	}
	return false;
}

static int make_one(struct maker *m, const json_t *prompt, const struct ranked *r, size_t i, struct err *e)
{
	json_t *whole = preference_answer(prompt, r->items[i].answer, e);
	struct document *d = whole ? maker_answer(m, prompt, whole, e) : NULL;
	size_t chars = whole ? preference_chars(whole) : 0;

	json_decref(whole);
	if (!d)
		return err_prefix(e, "answer %zu", i);
	d->score = r->items[i].score;
	d->empty = !chars;
	d->choice_chars = (int32_t)chars;
	return 0;
}

int ranked_make(struct maker *m, const json_t *prompt, const struct ranked *r, struct err *e)
{
	int status = 0;

	if (!has_pair(r)) {
		m->d->n_tied++;
		return 0;
	}
	for (size_t i = 0; i < r->n && status == 0; i++)
		if (isfinite(r->items[i].score))
			status = make_one(m, prompt, r, i, e);
	return status;
}

int ranked_make_asked(struct maker *m, const char *asked, const struct ranked *r, struct err *e)
{
	bool pair = m->o->labelled && m->o->label_first; /* an encoder's second text needs no line */
	json_t *prompt = m->codec->template_ ? json_pack("[{s:s, s:s}]", "role", "user", "content", asked) :
	                                       json_sprintf("%s%s", asked, pair ? "" : "\n");
	int status = ranked_make(m, prompt, r, e);

	json_decref(prompt);
	return status;
}

/* A number, or a text that is one; NAN: nothing, or none. */
static double number_of(const json_t *v)
{
	const char *text = json_string_value(v);
	char *end;

	if (!text)
		return json_is_number(v) ? json_number_value(v) : NAN;
	double x = strtod(text, &end);
	return end == text || *end ? NAN : x;
}

static int refuse_number(const json_t *v, const char *key, size_t i, struct err *e)
{
	char *found = jsonx_line(v);

	err_set(e, "%s: number %zu is %.60s, wanted a number", key, i, found);
	mem_free(found);
	return -1;
}

static int check_count(size_t n, struct err *e)
{
	return n <= RANKED_ANSWERS ? 0 : err_set(e, "%zu answers, at most %d are possible", n, RANKED_ANSWERS);
}

int ranked_lists(struct ranked *r, const json_t *answers, const json_t *numbers, const char *key, bool places,
                 struct err *e)
{
	size_t n = json_array_size(answers);

	r->n = 0;
	if (json_array_size(numbers) != n)
		return err_set(e, "%zu answers, %zu in %s: wanted is one for each", n, json_array_size(numbers), key);
	if (check_count(n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(numbers, i);
		double x = number_of(v);
		if (!isfinite(x) && !column_is_empty(v))
			return refuse_number(v, key, i, e);
		r->items[i].answer = json_array_get(answers, i);
		r->items[i].score = !places ? x : x > 0 ? -x : NAN;
	}
	r->n = n;
	return 0;
}

/* --- objects --- */

static const char *const texts[] = { "answer", "response", "text", "content", "completion", "output" };
static const char *const marks[] = { "score", "overall_score", "rating", "rank" };

static const json_t *first_of(const json_t *v, const char *const *keys, size_t n, size_t *at)
{
	for (*at = 0; *at < n; ++*at)
		if (json_object_get(v, keys[*at]))
			return json_object_get(v, keys[*at]);
	return NULL;
}

bool ranked_is_scored(const json_t *v)
{
	size_t at;

	return json_is_string(first_of(v, texts, ARRAY_LEN(texts), &at)) && first_of(v, marks, ARRAY_LEN(marks), &at);
}

int ranked_objects(struct ranked *r, const json_t *answers, struct err *e)
{
	size_t i, at;
	json_t *v;

	r->n = 0;
	if (check_count(json_array_size(answers), e) < 0)
		return -1;
	json_array_foreach((json_t *)answers, i, v) {
		r->items[i].answer = first_of(v, texts, ARRAY_LEN(texts), &at);
		const json_t *mark = first_of(v, marks, ARRAY_LEN(marks), &at);
		double x = number_of(mark);
		if (!isfinite(x) && !column_is_empty(mark) && !json_is_string(mark)) /* "N/A" is nobody's judgement */
			return refuse_number(mark, marks[at], i, e);
		r->items[i].score = at + 1 == ARRAY_LEN(marks) ? -x : x;
	}
	r->n = json_array_size(answers);
	return 0;
}

void ranked_two(struct ranked *r, const json_t *a, const json_t *b, int better)
{
	r->n = 2;
	r->items[0].answer = a;
	r->items[0].score = better == 0;
	r->items[1].answer = b;
	r->items[1].score = better == 1;
}
