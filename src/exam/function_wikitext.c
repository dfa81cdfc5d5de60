/* function_wikitext: WikiText's tokens were cut apart; what is scored is the text put together again, what is counted
 * are words and bytes of the page as it was (lm-eval's preprocess_wikitext). */
#include <string.h>

#include "base/mem.h"
#include "base/py_re.h"
#include "exam/function.h"

/* A text for a text, or an expression for one; in this order. */
static const struct { const char *from, *to; bool expression; } steps[] = {
	{ "s '", "s'", false },
	{ "/' [0-9]/", "/'[0-9]/", true },
	{ " @-@ ", "-", false },
	{ " @,@ ", ",", false },
	{ " @.@ ", ".", false },
	{ " : ", ": ", false },
	{ " ; ", "; ", false },
	{ " . ", ". ", false },
	{ " ! ", "! ", false },
	{ " ? ", "? ", false },
	{ " , ", ", ", false },
	{ "\\(\\s*([^\\)]*?)\\s*\\)", "(\\1)", true },
	{ "\\[\\s*([^\\]]*?)\\s*\\]", "[\\1]", true },
	{ "{\\s*([^}]*?)\\s*}", "{\\1}", true },
	{ "\\\"\\s*([^\\\"]*?)\\s*\\\"", "\"\\1\"", true },
	{ "'\\s*([^']*?)\\s*'", "'\\1'", true },
	{ "= = = =", "====", false },
	{ "= = =", "===", false },
	{ "= =", "==", false },
	{ " \u00b0 ", "\u00b0", false },
	{ " \n", "\n", false },
	{ "\n ", "\n", false },
	{ " N ", " 1 ", false },
	{ " 's", "'s", false },
};

static void put_replaced(const char *s, const char *from, const char *to, struct buf *out)
{
	size_t n = strlen(from);
	const char *at;

	for (; (at = strstr(s, from)); s = at + n) {
		buf_add(out, s, (size_t)(at - s));
		buf_adds(out, to);
	}
	buf_adds(out, s);
}

static json_t *detokenizer(const json_t *doc, struct err *e)
{
	const char *page = function_text(doc, "page", e);
	struct buf text = BUF_INIT;
	int status = page ? 0 : -1;

	buf_adds(&text, page ? page : "");
	for (size_t i = 0; i < ARRAY_LEN(steps) && status == 0; i++) {
		struct buf out = BUF_INIT;
		struct py_re *re = NULL;
		if (!steps[i].expression)
			put_replaced(buf_str(&text), steps[i].from, steps[i].to, &out);
		else if ((status = py_re_new(&re, steps[i].from, e)) == 0)
			status = py_re_sub(re, steps[i].to, buf_str(&text), text.len, &out, e);
		py_re_free(re);
		buf_release(&text);
		text = out;
	}
	json_t *made = status == 0 ? json_stringn(buf_str(&text), text.len) : NULL;
	buf_release(&text);
	return made;
}

static int process_results(const json_t *doc, const json_t *answers, json_t *metrics, struct err *e)
{
	const char *page = function_text(doc, "page", e);
	double logprob = json_real_value(json_array_get(answers, 0));

	if (!page)
		return -1;
	json_int_t bytes = (json_int_t)strlen(page), words = (json_int_t)exam_count_words(page, strlen(page));
	json_object_set_new(metrics, "word_perplexity", json_pack("[f, I]", logprob, words));
	json_object_set_new(metrics, "byte_perplexity", json_pack("[f, I]", logprob, bytes));
	json_object_set_new(metrics, "bits_per_byte", json_pack("[f, I]", logprob, bytes));
	return 0;
}

static const struct exam_function list[] = { { "detokenizer", .of_doc = detokenizer },
	                                     { "process_results", .of_results = process_results },
	                                     { 0 } };
const struct exam_functions functions_wikitext = { "wikitext", list };
