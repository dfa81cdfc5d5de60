/* answer_rules: rules over the beginning of an answer, one after the other: there are few, and answers are short. */
#include "exam/answer_rules.h"

#include <string.h>

#include "base/mem.h"
#include "guard/fold.h"
#include "guard/regex.h"

struct answer_rules {
	struct regex_set *set;
	struct regex_scratch *scratch;
	size_t *within;                /* [n] */
	size_t n;
};

enum { WITHIN_MOST = 1 << 16 };

static int add(struct answer_rules *r, const json_t *rule, struct err *e)
{
	static const char *const known[] = { "id", "within", "folded", "source" };
	const char *id = json_string_value(json_object_get(rule, "id")),
	           *pattern = json_string_value(json_object_get(rule, "folded")), *key;
	json_int_t within = json_integer_value(json_object_get(rule, "within"));
	json_t *v;

	if (!id || !pattern || within < 1 || within > WITHIN_MOST)
		return err_set(e, "rule %.80s: id, folded, and within from 1 to %d were wanted", id ? id : "?",
		               WITHIN_MOST);
	json_object_foreach((json_t *)(uintptr_t)rule, key, v) {
		bool is_known = false;
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			is_known |= !strcmp(key, known[i]);
		if (!is_known)
			return err_set(e, "rule %.80s: the key %.80s has no meaning here", id, key);
	}
	if (regex_set_add(r->set, pattern, e) < 0)
		return err_prefix(e, "rule %.80s", id);
	r->within[r->n++] = (size_t)within;
	return 0;
}

int answer_rules_open(struct answer_rules **out, const json_t *rules, struct err *e)
{
	struct answer_rules *r = *out = mem_alloc(sizeof(*r));
	int status = 0;
	size_t i;
	json_t *one;

	*r = (struct answer_rules){ .set = regex_set_new() };
	r->within = mem_array(json_array_size(rules) + 1, sizeof(*r->within));
	json_array_foreach((json_t *)(uintptr_t)rules, i, one)
		if (status == 0)
			status = add(r, one, e);
	if (status == 0) {
		r->scratch = regex_scratch_new(r->set);
		return 0;
	}
	answer_rules_free(r);
	*out = NULL;
	return -1;
}

/* Curly apostrophes as straight ones, which expressions have. */
static void put(struct mapped *out, const char *text, size_t n)
{
	static const char curly[] = "\xe2\x80\x99";

	for (size_t i = 0; i < n; i++) {
		bool is_curly = n - i >= 3 && !memcmp(text + i, curly, 3);
		mapped_put(out, is_curly ? "'" : text + i, 1, (uint32_t)i, (uint32_t)i + 1);
		i += is_curly ? 2 : 0;
	}
}

size_t answer_rules_count(struct answer_rules *r, const char *text)
{
	struct mapped raw = { 0 }, clean = { 0 }, folded = { 0 };
	size_t hits = 0, begin, end;
	uint64_t work = 0;

	put(&raw, text, MIN(strlen(text), (size_t)WITHIN_MOST));
	fold_clean(&clean, &raw, NULL);
	fold_letters(&folded, &clean, NULL);
	for (size_t i = 0; i < r->n; i++)
		hits += regex_find(r->scratch, (int)i, buf_str(&folded.s), MIN(folded.s.len, r->within[i]), 0, &begin,
		                   &end, &work);
	mapped_release(&raw);
	mapped_release(&clean);
	mapped_release(&folded);
	return hits;
}

void answer_rules_free(struct answer_rules *r)
{
	if (!r)
		return;
	regex_scratch_free(r->scratch);
	regex_set_free(r->set);
	mem_free(r->within);
	mem_free(r);
}
