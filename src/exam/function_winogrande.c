/* function_winogrande: the two options stand in the blank of a sentence, and what is scored is what comes behind it
 * (partial evaluation, Trinh and Le 2018): each option is a context, the rest of the sentence the continuation. */
#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "exam/function.h"

/* The blank, and the sentence; NULL and a sentence of ours. */
static const char *blank(const json_t *doc, const char **sentence, struct err *e)
{
	*sentence = function_text(doc, "sentence", e);
	const char *at = *sentence ? strchr(*sentence, '_') : NULL;

	if (*sentence && !at)
		err_set(e, "a row's sentence has no blank _");
	return at;
}

static json_t *doc_to_text(const json_t *doc, struct err *e)
{
	const json_t *answer = json_object_get(doc, "answer");
	const char *text = json_string_value(answer);
	int which = text ? (text[0] - '0') * !text[1] : (int)json_integer_value(answer);

	if (which == 1 || which == 2)
		return json_integer(which - 1);
	err_set(e, "a row's answer is neither 1 nor 2");
	return NULL;
}

static json_t *doc_to_target(const json_t *doc, struct err *e)
{
	const char *sentence, *at = blank(doc, &sentence, e);

	if (!at)
		return NULL;
	size_t n = strlen(++at);
	unicode_strip(&at, &n);
	return json_stringn(at, n);
}

static json_t *doc_to_choice(const json_t *doc, struct err *e)
{
	const char *sentence, *at = blank(doc, &sentence, e);
	json_t *made = json_array();

	for (int i = 1; at && i <= 2; i++) {
		const char *option = function_text(doc, i == 1 ? "option1" : "option2", e);
		char *whole = option ? mem_printf("%.*s%s", (int)(at - sentence), sentence, option) : NULL;
		at = whole ? at : NULL;
		if (whole)
			json_array_append_new(made, json_string(whole));
		mem_free(whole);
	}
	if (at)
		return made;
	json_decref(made);
	return NULL;
}

static const struct exam_function list[] = { { "doc_to_text", .of_doc = doc_to_text },
	                                     { "doc_to_target", .of_doc = doc_to_target },
	                                     { "doc_to_choice", .of_doc = doc_to_choice },
	                                     { 0 } };
const struct exam_functions functions_winogrande = { "winogrande", list };
