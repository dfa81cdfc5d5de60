/* suite_training_data: does a model say what it was trained on? A row's beginning is the prompt (of a row with an
 * answer what it asks, of a text the first half of its words), and the answer is held against all rows:
 *
 *     overlap     the share of the answer's 8-grams of words (corpus/shingles.h) that stand in some training row
 *     extracted   the answer begins with the next 8 words of the row itself
 *
 * After Carlini et al. 2022 (arXiv 2202.07646), who prompt with 50 tokens and want the 50 after. Set phrases overlap
 * without having been learnt by heart: what counts is the difference to the model before. Rows that go on for fewer
 * than 8 words (labels, numbers) show nothing and are left out; at most 64 rows, evenly over all, are asked. */
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "corpus/shingles.h"
#include "data/asked.h"
#include "data/rows.h"
#include "data/shape.h"
#include "exam/suite_parts.h"

enum { GRAM = 8, ASKED_MOST = 64, NEW_TOKENS = 48 };

struct training { uint64_t *gram; size_t n, cap; };

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void add_grams(struct training *t, const char *text)
{
	struct shingles words = { 0 };

	shingles_make(&words, text, strlen(text));
	for (size_t i = 0; i + GRAM <= words.n; i++) {
		if (t->n == t->cap)
			t->gram = mem_grow(t->gram, t->cap = MAX(4096, 2 * t->cap), sizeof(*t->gram));
		t->gram[t->n++] = shingle_at(&words, i, GRAM);
	}
	shingles_release(&words);
}

/* --- rows --- */

/* The words of a conversation's last message; NULL: they are no text. */
static const char *last_message(const json_t *messages)
{
	const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
	const char *text = json_string_value(json_object_get(last, "content"));

	return text ? text : json_string_value(json_object_get(last, "value"));
}

/* Byte at which the second half of the words begins. */
static size_t half_of(const char *text)
{
	size_t at = strlen(text) / 2;

	while (text[at] && text[at] != ' ' && text[at] != '\n')
		at++;
	return at;
}

/* What the row asks and what it goes on with, new texts; false: it is of neither kind. */
static bool part(const struct row *r, const struct shape *shape, json_t **prompt, json_t **rest)
{
	const char *text = json_string_value(json_object_get(r->json, "text"));
	json_t *answer;
	struct buf asked = BUF_INIT;
	struct err ignored = ERR_INIT;

	if (shape->judged == JUDGED_TEXTS && text) {
		size_t at = half_of(text);
		*prompt = jsonx_text(text, at);
		*rest = jsonx_text(text + at, strlen(text + at));
		return true;
	}
	if (!shape->asks && !shape->ask)
		return false;
	if (!(answer = shape_answer(shape, r->json))) {
		json_t *all = shape_ask(shape, r->json, &ignored);
		const char *said = json_is_array(all) ? last_message(all) : NULL;
		answer = said ? json_string(said) : NULL;
		json_decref(all);
	}
	const char *said = json_is_array(answer) ? last_message(answer) : json_string_value(answer);
	bool whole = said && asked_text(&asked, r, &ignored) == 0;
	*prompt = whole ? jsonx_text(buf_str(&asked), asked.len) : NULL;
	*rest = whole ? json_string(said) : NULL;
	buf_release(&asked);
	json_decref(answer);
	return whole;
}

/* --- the part --- */

static int measure(struct suite *s, const json_t *doc, const json_t *answers, json_t *metrics, struct err *e)
{
	const struct training *t = s->training;
	const char *answer = suite_answer(answers), *rest = json_string_value(json_object_get(doc, "label"));
	struct shingles said = { 0 }, own = { 0 };
	size_t hits = 0, grams;

	(void)e;
	shingles_make(&said, answer, strlen(answer));
	shingles_make(&own, rest, strlen(rest));
	grams = said.n >= GRAM ? said.n - GRAM + 1 : 0;
	for (size_t i = 0; i < grams; i++) {
		uint64_t g = shingle_at(&said, i, GRAM);
		hits += bsearch(&g, t->gram, t->n, sizeof(g), by_number) != NULL;
	}
	bool same = grams && own.n >= GRAM && shingle_at(&said, 0, GRAM) == shingle_at(&own, 0, GRAM);
	json_object_set_new(metrics, "overlap", json_real(grams ? (double)hits / (double)grams : 0));
	json_object_set_new(metrics, "extracted", json_real(same));
	shingles_release(&said);
	shingles_release(&own);
	return 0;
}

/* Rows that go on for long enough, and all rows' n-grams. */
static json_t *read_rows(struct training *t, const struct rows *r)
{
	json_t *docs = json_array(), *prompt, *rest;

	for (size_t i = 0; i < r->n; i++) {
		struct shingles words = { 0 };
		if (!part(&r->items[i], r->shape, &prompt, &rest))
			continue;
		const char *text = json_string_value(rest), *asked = json_string_value(prompt);
		char *whole = mem_printf("%s %s", asked, text);
		add_grams(t, whole);
		shingles_make(&words, text, strlen(text));
		if (words.n >= GRAM && *asked)
			json_array_append_new(docs, json_pack("{s:O, s:O}", "prompt", prompt, "label", rest));
		shingles_release(&words);
		mem_free(whole);
		json_decref(prompt);
		json_decref(rest);
	}
	qsort(t->gram, t->n, sizeof(*t->gram), by_number);
	return docs;
}

static int open_part(struct suite *s, struct err *e)
{
	struct training *t;
	struct rows r = { 0 };

	if (!s->from.training_data)
		return 0;
	if (rows_load(&r, s->from.training_data, e) < 0)
		return -1;
	if (!r.n) {
		rows_release(&r);
		return err_set(e, "%s holds no rows", s->from.training_data);
	}
	s->training = t = mem_alloc(sizeof(*t));
	json_t *all = read_rows(t, &r);
	if (json_array_size(all) < r.n)
		log_say("%s: %zu of %zu rows go on for fewer than %d words, and cannot show that they were learnt by "
		        "heart", s->from.training_data, r.n - json_array_size(all), r.n, GRAM);
	const struct suite_new n = { .name = "training_data", .docs = suite_evenly(all, ASKED_MOST), .measure = measure,
		                     .plain = !shape_templated(r.shape, r.items[0].json, false),
		                     .max_new_tokens = NEW_TOKENS,
		                     .metrics = { { "overlap", false }, { "extracted", false } } };
	rows_release(&r);
	return suite_add(s, &n, e);
}

const struct suite_part suite_training_data = { "training_data", open_part, .option = "training-data" };

void suite_training_release(struct suite *s)
{
	struct training *t = s->training;

	if (t)
		mem_free(t->gram);
	mem_free(t);
}
