/* function_hellaswag: HellaSwag's rows come from WikiHow with marks of its pages: " [title]" begins a sentence, other
 * brackets go, and so does a space of two. The query is the activity, then the beginning, whose second part has a
 * capital. lm-eval's process_docs: columns query, choices, gold. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "exam/function.h"

static void replace(struct buf *b, const char *what, const char *with)
{
	struct buf out = BUF_INIT;
	const char *s = buf_str(b), *at;
	size_t n = strlen(what);

	for (; (at = strstr(s, what)); s = at + n) {
		buf_add(&out, s, (size_t)(at - s));
		buf_adds(&out, with);
	}
	buf_adds(&out, s);
	buf_release(b);
	*b = out;
}

/* Shortest spans from '[' to ']' within a line. */
static void drop_brackets(struct buf *b)
{
	struct buf out = BUF_INIT;

	for (const char *s = buf_str(b); *s; s++) {
		size_t n = *s == '[' ? strcspn(s, "]\n") : 0;
		if (*s == '[' && s[n] == ']')
			s += n;
		else
			buf_addc(&out, *s);
	}
	buf_release(b);
	*b = out;
}

static json_t *clean(const char *s, size_t n)
{
	struct buf b = BUF_INIT;

	unicode_strip(&s, &n);
	buf_add(&b, s, n);
	replace(&b, " [title]", ". ");
	drop_brackets(&b);
	replace(&b, "  ", " ");
	json_t *made = json_stringn(buf_str(&b), b.len);
	buf_release(&b);
	return made;
}

static json_t *gold_of(const json_t *label)
{
	return json_is_string(label) ? json_integer(atoi(json_string_value(label))) :
	                               json_incref((json_t *)(uintptr_t)label);
}

static json_t *process_docs(const json_t *doc, struct err *e)
{
	const char *activity = function_text(doc, "activity_label", e), *a = function_text(doc, "ctx_a", e),
	           *b = function_text(doc, "ctx_b", e);
	const json_t *endings = json_object_get(doc, "endings"), *label = json_object_get(doc, "label");
	json_t *made, *choices, *one;
	struct buf query = BUF_INIT;
	size_t i;

	if (!activity || !a || !b)
		return NULL;
	if (!json_is_array(endings) || !(json_is_string(label) || json_is_integer(label))) {
		err_set(e, "a row has no list `endings` and no `label`");
		return NULL;
	}
	choices = json_array();
	json_array_foreach((json_t *)(uintptr_t)endings, i, one)
		json_array_append_new(choices, clean(json_string_value(one) ? json_string_value(one) : "",
		                                     json_string_length(one)));
	buf_addf(&query, "%s: %s ", activity, a);
	unicode_recase(&query, b, strlen(b), UNICODE_CAPITALIZE);
	made = json_copy((json_t *)(uintptr_t)doc);
	json_object_set_new(made, "query", clean(buf_str(&query), query.len));
	json_object_set_new(made, "choices", choices);
	json_object_set_new(made, "gold", gold_of(label));
	buf_release(&query);
	return made;
}

static const struct exam_function list[] = { { "process_docs", .of_doc = process_docs }, { 0 } };
const struct exam_functions functions_hellaswag = { "hellaswag", list };
