/* answers: what rows ask and say. See answers.h. */
#include "learn/answers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "data/asked.h"
#include "data/conversation.h"
#include "data/shape.h"

enum { ROWS_A_LABEL = 2 };      /* at least, on average, else answers are no labels */

/* --- what is asked --- */

static int take_texts(struct answers *a, const struct rows *r, struct err *e)
{
	struct buf text = BUF_INIT;
	int status = 0;

	*a = (struct answers){ .rows.n = r->n };
	a->rows.text = arena_array(&a->mem, r->n + 1, sizeof(*a->rows.text));
	for (size_t i = 0; i < r->n && status == 0; i++) {
		buf_clear(&text);
		status = asked_text(&text, &r->items[i], e);
		a->rows.text[i] = (struct text){ arena_strndup(&a->mem, buf_str(&text), text.len), text.len };
	}
	buf_release(&text);
	return status;
}

/* --- what is answered --- */

static char *stripped(struct arena *mem, const json_t *text)
{
	const char *s = json_string_value(text);
	size_t n = json_string_length(text);

	unicode_strip(&s, &n);
	return arena_strndup(mem, s, n);
}

/* The content of the last turn, which is an answer's; NULL: it is none. */
static char *last_turn(struct arena *mem, const json_t *list)
{
	struct err unused = ERR_INIT;
	json_t *turns = messages_from(list, &unused);
	const json_t *last = json_array_get(turns, json_array_size(turns) - 1);
	char *out = last && message_is_assistant(last) && json_is_string(json_object_get(last, "content")) ?
	                    stripped(mem, json_object_get(last, "content")) : NULL;

	json_decref(turns);
	return out;
}

static char *word_of(struct arena *mem, const json_t *label)
{
	if (json_is_string(label))
		return stripped(mem, label);
	if (json_is_integer(label))
		return arena_printf(mem, "%lld", (long long)json_integer_value(label));
	if (json_is_boolean(label))
		return arena_strdup(mem, json_is_true(label) ? "true" : "false");
	return json_is_real(label) ? arena_printf(mem, "%.17g", json_real_value(label)) : NULL;
}

/* In mem; NULL: the row answers nothing that is one text or number. */
static char *answer_of(struct arena *mem, const struct row *r)
{
	static const char *const columns[] = { "label", "completion", "output", "messages", "conversations" };
	const json_t *gold = json_object_get(r->json, "gold"), *choices = json_object_get(r->json, "choices");

	if (gold && choices)
		return word_of(mem, json_array_get(choices, (size_t)json_integer_value(gold)));
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		const json_t *x = json_object_get(r->json, columns[i]);
		if (x)
			return json_is_array(x) ? last_turn(mem, x) : word_of(mem, x);
	}
	return NULL;
}

static int take_answers(struct answers *a, const struct rows *r, char **answer, struct err *e)
{
	for (size_t i = 0; i < r->n; i++) {
		answer[i] = answer_of(&a->mem, &r->items[i]);
		if (!answer[i])
			return err_set(e, "%s:%zu: no answer that is one text or number (rows of %s)", r->items[i].file,
			               r->items[i].line, shape_name(r->shape));
	}
	return 0;
}

/* --- numbers --- */

static bool is_number(const char *s, double *x)
{
	char *end;

	*x = strtod(s, &end);
	return end != s && !*end && isfinite(*x);
}

static bool are_numbers(char *const *answer, size_t n)
{
	bool whole = true;
	double x;

	for (size_t i = 0; i < n; i++) {
		if (!is_number(answer[i], &x))
			return false;
		whole = whole && x == floor(x);
	}
	return n && !whole;
}

static int put_numbers(struct answers *a, const struct rows *r, char *const *answer, struct err *e)
{
	static const char *const name[] = { "LABEL_0" };
	double *x = arena_array(&a->mem, r->n + 1, sizeof(*x));

	labels_make(&a->rows.labels, &a->mem, 1, name, PROBLEM_REGRESSION);
	for (size_t i = 0; i < r->n; i++)
		if (!is_number(answer[i], &x[i]))
			return err_set(e, "%s:%zu: the answer is '%.60s', a number was wanted", r->items[i].file,
			               r->items[i].line, answer[i]);
	a->rows.number = x;
	return 0;
}

/* --- labels --- */

static int by_label(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	double p, q;
	bool first = is_number(x, &p), second = is_number(y, &q);

	if (first != second)
		return first ? -1 : 1;
	if (first && p != q)
		return p < q ? -1 : 1;
	return strcmp(x, y);
}

/* Sorted, each once, in place; returns how many. */
static size_t distinct(char **words, size_t n)
{
	size_t kept = 0;

	qsort(words, n, sizeof(*words), by_label);
	for (size_t i = 0; i < n; i++)
		if (!kept || strcmp(words[kept - 1], words[i]) != 0)
			words[kept++] = words[i];
	return kept;
}

static int put_labels(struct answers *a, const struct rows *r, char *const *answer, struct err *e)
{
	int32_t *y = arena_array(&a->mem, r->n + 1, sizeof(*y));
	struct arena mem = ARENA_INIT;
	int status = 0;

	for (size_t i = 0; i < r->n && status == 0; i++) {
		y[i] = labels_find(&a->rows.labels, answer[i]);
		if (y[i] < 0)
			status = err_set(e, "%s:%zu: the answer '%.60s' is none of %s", r->items[i].file,
			                 r->items[i].line, answer[i], labels_list(&mem, &a->rows.labels));
	}
	arena_release(&mem);
	a->rows.y = y;
	return status;
}

/* The choices that all rows have; NULL: they differ, or there are none. */
static const json_t *common_choices(const struct rows *r)
{
	const json_t *first = r->n ? json_object_get(r->items[0].json, "choices") : NULL;

	for (size_t i = 0; first && i < r->n; i++)
		if (!json_object_get(r->items[i].json, "gold") ||
		    !json_equal((json_t *)(uintptr_t)first, json_object_get(r->items[i].json, "choices")))
			return NULL;
	return first;
}

/* What labels are made of: the answers, and choices that no row of these is answered by. */
static char **label_words(struct arena *mem, const struct rows *r, char *const *answer, size_t *n)
{
	const json_t *choices = common_choices(r);
	char **words = mem_array(r->n + json_array_size(choices) + 1, sizeof(*words));

	memcpy(words, answer, r->n * sizeof(*words));
	*n = r->n;
	for (size_t i = 0; i < json_array_size(choices); i++) {
		char *word = word_of(mem, json_array_get(choices, i));
		if (word)
			words[(*n)++] = word;
	}
	*n = distinct(words, *n);
	return words;
}

static int make_labels(struct answers *a, const struct rows *r, char *const *answer, struct err *e)
{
	bool given = common_choices(r) != NULL;
	size_t n;
	char **words = label_words(&a->mem, r, answer, &n);
	int status = 0;

	if (n > LABELS_MOST || (!given && n > 2 && n * ROWS_A_LABEL > r->n))
		status = err_set(e, "%s: %zu rows with %zu different answers, as '%.40s' and '%.40s': no labels that "
		                 "rows have in common", r->items[0].file, r->n, n, words[0], words[n - 1]);
	if (status == 0)
		labels_make(&a->rows.labels, &a->mem, (int)n, (const char *const *)words, PROBLEM_SINGLE_LABEL);
	mem_free(words);
	return status;
}

int answers_learn(struct answers *a, const struct rows *r, bool numbers, struct err *e)
{
	char **answer = mem_array(r->n + 1, sizeof(*answer));
	int status = take_texts(a, r, e);

	if (status == 0)
		status = take_answers(a, r, answer, e);
	if (status == 0 && (numbers || are_numbers(answer, r->n)))
		status = put_numbers(a, r, answer, e);
	else if (status == 0)
		status = make_labels(a, r, answer, e) < 0 ? -1 : put_labels(a, r, answer, e);
	mem_free(answer);
	return status;
}

int answers_take(struct answers *a, const struct rows *r, const struct labels *known, struct err *e)
{
	char **answer = mem_array(r->n + 1, sizeof(*answer));
	int status = take_texts(a, r, e);

	if (status == 0)
		status = take_answers(a, r, answer, e);
	if (status == 0 && known->problem == PROBLEM_REGRESSION) {
		status = put_numbers(a, r, answer, e);
	} else if (status == 0) {
		labels_make(&a->rows.labels, &a->mem, known->n, known->name, known->problem);
		status = put_labels(a, r, answer, e);
	}
	mem_free(answer);
	return status;
}

int answers_ask(struct answers *a, const struct rows *r, struct err *e) { return take_texts(a, r, e); }

void answers_release(struct answers *a) { arena_release(&a->mem); }
