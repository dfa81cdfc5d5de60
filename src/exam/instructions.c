/* instructions: a table of checks, each a small function of the arguments and the answer. Expressions are Python's. */
#include "exam/instructions.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/py_re.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "corpus/language.h"
#include "exam/english.h"

struct text { const char *s; size_t n; };

struct check {
	const json_t *args;
	struct text answer, stripped;
	struct err *e;
};

/* What a check finds: 1 it follows, 0 it does not, −1 and a sentence. */
typedef int check_fn(const struct check *c);

static struct text strip(struct text t)
{
	unicode_strip(&t.s, &t.n);
	return t;
}

static struct text text_of(const char *s) { return (struct text){ s, strlen(s) }; }

static void lower(struct buf *out, struct text t) { unicode_recase(out, t.s, t.n, UNICODE_LOWER); }

static bool begins(struct text t, struct text with) { return t.n >= with.n && !memcmp(t.s, with.s, with.n); }

static bool ends(struct text t, struct text with)
{
	return t.n >= with.n && !memcmp(t.s + t.n - with.n, with.s, with.n);
}

/* The first place of it; NULL. */
static const char *find(struct text t, const char *what)
{
	size_t n = strlen(what);

	for (size_t i = 0; i + n <= t.n; i++)
		if (!memcmp(t.s + i, what, n))
			return t.s + i;
	return NULL;
}

/* --- arguments --- */

static int text_arg(const struct check *c, const char *key, const char **out)
{
	const json_t *v = json_object_get(c->args, key);

	*out = json_string_value(v);
	return *out && **out ? 0 : err_set(c->e, "kwargs: %s: a text was wanted", key);
}

static int number_arg(const struct check *c, const char *key, size_t *out)
{
	const json_t *v = json_object_get(c->args, key);
	double x = json_number_value(v);

	*out = 0;
	if (!json_is_number(v) || x < 1 || x > 1e9 || x != (double)(size_t)x)
		return err_set(c->e, "kwargs: %s: a whole number above 0 was wanted", key);
	*out = (size_t)x;
	return 0;
}

/* `found` against a threshold, "less than" or "at least". */
static int related(const struct check *c, const char *relation, const char *number, size_t found)
{
	const char *how;
	size_t n;

	if (text_arg(c, relation, &how) < 0 || number_arg(c, number, &n) < 0)
		return -1;
	if (!strcmp(how, "less than"))
		return found < n;
	return !strcmp(how, "at least") ? found >= n :
		err_set(c->e, "kwargs: %s: %.40s is neither \"less than\" nor \"at least\"", relation, how);
}

/* --- expressions --- */

/* Matches of an expression, one after the other; each (may be NULL) says whether it counts. */
static int count(const struct check *c, const char *pattern, struct text t, bool (*each)(struct text match),
                 size_t *out)
{
	struct py_re_walk w = { .text = t.s, .n = t.n };
	const struct py_span *span;
	struct py_re *re;
	int found;

	*out = 0;
	if (py_re_new(&re, pattern, c->e) < 0)
		return -1;
	while ((found = py_re_next(re, &w, &span, c->e)) > 0)
		*out += !each || each((struct text){ span[0].s, span[0].n });
	py_re_free(re);
	return found;
}

static int has(const struct check *c, const char *before, const char *pattern, const char *behind)
{
	char *whole = mem_printf("(?i)%s%s%s", before, pattern, behind);
	size_t n;
	int status = count(c, whole, c->answer, NULL, &n);

	mem_free(whole);
	return status < 0 ? -1 : n > 0;
}

/* What stands between the matches of an expression: texts, the first and the last too. */
struct parts { struct text *items; size_t n; };

static int split(const struct check *c, const char *pattern, struct text t, struct parts *out)
{
	struct py_re_walk w = { .text = t.s, .n = t.n };
	const struct py_span *span;
	const char *from = t.s;
	struct py_re *re;
	int found;

	*out = (struct parts){ 0 };
	if (py_re_new(&re, pattern, c->e) < 0)
		return -1;
	do {
		found = py_re_next(re, &w, &span, c->e);
		const char *to = found > 0 ? span[0].s : t.s + t.n;
		out->items = mem_grow(out->items, out->n + 1, sizeof(*out->items));
		out->items[out->n++] = (struct text){ from, (size_t)(to - from) };
		from = found > 0 ? to + span[0].n : from;
	} while (found > 0);
	py_re_free(re);
	return found;
}

/* --- keywords --- */

/* Every word of a list by an expression around it: those that are in the answer; −1. */
static int words_in(const struct check *c, const char *key, const char *around, size_t *in, size_t *all)
{
	const json_t *list = json_object_get(c->args, key);
	size_t i;
	json_t *one;

	*in = 0;
	*all = json_array_size(list);
	if (!*all)
		return err_set(c->e, "kwargs: %s: a list of words was wanted", key);
	json_array_foreach((json_t *)(uintptr_t)list, i, one) {
		int found = json_is_string(one) ? has(c, around, json_string_value(one), around) :
			err_set(c->e, "kwargs: %s: a text was wanted", key);
		if (found < 0)
			return -1;
		*in += found > 0;
	}
	return 0;
}

static int existence(const struct check *c)
{
	size_t in, all;
	return words_in(c, "keywords", "", &in, &all) < 0 ? -1 : in == all;
}

static int forbidden_words(const struct check *c)
{
	size_t in, all;
	return words_in(c, "forbidden_words", "\\b", &in, &all) < 0 ? -1 : in == 0;
}

static int frequency(const struct check *c)
{
	const char *word;
	size_t n;

	if (text_arg(c, "keyword", &word) < 0)
		return -1;
	struct text t = strip(text_of(word));
	char *pattern = mem_printf("(?i)%.*s", (int)t.n, t.s);
	int status = count(c, pattern, c->answer, NULL, &n);
	mem_free(pattern);
	return status < 0 ? -1 : related(c, "relation", "frequency", n);
}

static int letter_frequency(const struct check *c)
{
	const char *letter;
	struct buf low = BUF_INIT, one = BUF_INIT;
	size_t n = 0;

	if (text_arg(c, "letter", &letter) < 0)
		return -1;
	lower(&low, c->answer);
	lower(&one, text_of(letter));
	for (size_t i = 0; i + one.len <= low.len; i++)
		n += !memcmp(buf_str(&low) + i, buf_str(&one), one.len);
	bool single = utf8_count(buf_str(&one), one.len) == 1;
	buf_release(&low);
	buf_release(&one);
	return single ? related(c, "let_relation", "let_frequency", n) :
	                err_set(c->e, "kwargs: letter: one letter was wanted");
}

/* --- length --- */

static int number_sentences(const struct check *c)
{
	return related(c, "relation", "num_sentences", english_sentences(c->answer.s, c->answer.n));
}

static int number_words(const struct check *c)
{
	size_t n;
	return count(c, "\\w+", c->answer, NULL, &n) < 0 ? -1 : related(c, "relation", "num_words", n);
}

static int number_paragraphs(const struct check *c)
{
	struct parts p;
	size_t wanted, n;
	int status = number_arg(c, "num_paragraphs", &wanted);

	if (status < 0 || split(c, "\\s?\\*\\*\\*\\s?", c->answer, &p) < 0)
		return -1;
	n = p.n;
	for (size_t i = 0; i < p.n; i++)
		if (!strip(p.items[i]).n) {
			status = i != 0 && i != p.n - 1 ? -1 : status;
			n--;
		}
	mem_free(p.items);
	return status == 0 && n == wanted;
}

/* A paragraph's first word up to a mark, without quotes before it, in small letters. */
static void first_word(struct text t, struct buf *out)
{
	size_t n = 0, k;
	uint32_t c;

	for (; n < t.n; n += k) {
		k = MAX(utf8_decode(t.s + n, t.n - n, &c), (size_t)1);
		if (unicode_is_space(c))
			break;
	}
	t.n = n;
	for (int quote = 0; quote < 2; quote++)
		for (; t.n && *t.s == "'\""[quote]; t.s++)
			t.n--;
	for (n = 0; n < t.n && !strchr(".,?!'\"", t.s[n]); n++)
		;
	lower(out, (struct text){ t.s, n });
}

static int nth_paragraph_first_word(const struct check *c)
{
	struct parts p;
	struct buf word = BUF_INIT, wanted = BUF_INIT;
	const char *first;
	size_t all, nth, n = 0;

	if (number_arg(c, "num_paragraphs", &all) < 0 || number_arg(c, "nth_paragraph", &nth) < 0 ||
	    text_arg(c, "first_word", &first) < 0 || split(c, "\n\n", c->answer, &p) < 0)
		return -1;
	for (size_t i = 0; i < p.n; i++)
		n += strip(p.items[i]).n > 0;
	struct text t = nth <= n ? strip(p.items[nth - 1]) : (struct text){ "", 0 };
	first_word(t, &word);
	lower(&wanted, text_of(first));
	bool same = word.len == wanted.len && !memcmp(buf_str(&word), buf_str(&wanted), word.len);
	buf_release(&word);
	buf_release(&wanted);
	mem_free(p.items);
	return t.n && n == all && same;
}

/* --- what can be detected --- */

static int number_placeholders(const struct check *c)
{
	size_t n, wanted;
	return number_arg(c, "num_placeholders", &wanted) < 0 || count(c, "\\[.*?\\]", c->answer, NULL, &n) < 0 ?
		-1 : n >= wanted;
}

static int postscript(const struct check *c)
{
	const char *marker;
	struct buf low = BUF_INIT, own = BUF_INIT;
	size_t n;

	if (text_arg(c, "postscript_marker", &marker) < 0)
		return -1;
	struct text m = strip(text_of(marker));
	lower(&low, c->answer);
	lower(&own, m);
	char *pattern = m.n == 5 && begins(m, text_of("P.P.S")) ? mem_strdup("(?m)\\s*p\\.\\s?p\\.\\s?s.*$") :
	                m.n == 4 && begins(m, text_of("P.S."))  ? mem_strdup("(?m)\\s*p\\.\\s?s\\..*$") :
	                                                          mem_printf("(?m)\\s*%s.*$", buf_str(&own));
	int status = count(c, pattern, (struct text){ buf_str(&low), low.len }, NULL, &n);
	mem_free(pattern);
	buf_release(&low);
	buf_release(&own);
	return status < 0 ? -1 : n > 0;
}

static int number_bullet_lists(const struct check *c)
{
	size_t stars, lines, wanted;

	if (number_arg(c, "num_bullets", &wanted) < 0 ||
	    count(c, "(?m)^\\s*\\*[^\\*].*$", c->answer, NULL, &stars) < 0 ||
	    count(c, "(?m)^\\s*-.*$", c->answer, NULL, &lines) < 0)
		return -1;
	return stars + lines == wanted;
}

static int constrained_response(const struct check *c)
{
	return find(c->stripped, "My answer is yes.") || find(c->stripped, "My answer is no.") ||
	       find(c->stripped, "My answer is maybe.");
}

static struct text without(struct text t, char what)
{
	for (; t.n && *t.s == what; t.s++)
		t.n--;
	while (t.n && t.s[t.n - 1] == what)
		t.n--;
	return t;
}

static bool has_highlight(struct text t) { return strip(without(t, '*')).n > 0; }

/* Between two stars at each end. */
static bool has_strong(struct text t) { return strip((struct text){ t.s + 2, t.n - 4 }).n > 0; }

static int number_highlighted_sections(const struct check *c)
{
	size_t single, strong, wanted;

	if (number_arg(c, "num_highlights", &wanted) < 0 ||
	    count(c, "\\*[^\n\\*]*\\*", c->answer, has_highlight, &single) < 0 ||
	    count(c, "\\*\\*[^\n\\*]*\\*\\*", c->answer, has_strong, &strong) < 0)
		return -1;
	return single + strong >= wanted;
}

static int multiple_sections(const struct check *c)
{
	const char *marker;
	size_t n, wanted;

	if (text_arg(c, "section_spliter", &marker) < 0 || number_arg(c, "num_sections", &wanted) < 0)
		return -1;
	struct text m = strip(text_of(marker));
	char *pattern = mem_printf("\\s?%.*s\\s?\\d+\\s?", (int)m.n, m.s);
	int status = count(c, pattern, c->answer, NULL, &n);
	mem_free(pattern);
	return status < 0 ? -1 : n >= wanted;
}

static int json_format(const struct check *c)
{
	static const char *const fences[] = { "```json", "```Json", "```JSON", "```" };
	struct text t = c->stripped, fence = text_of("```");

	for (size_t i = 0; i < ARRAY_LEN(fences); i++)
		if (begins(t, text_of(fences[i]))) {
			t.s += strlen(fences[i]);
			t.n -= strlen(fences[i]);
		}
	t.n -= ends(t, fence) ? fence.n : 0;
	t = strip(t);
	json_t *made = json_loadb(t.s, t.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	bool is = made != NULL;
	json_decref(made);
	return is;
}

static bool has_title(struct text t)
{
	for (; t.n && *t.s == '<'; t.s++)
		t.n--;
	while (t.n && t.s[t.n - 1] == '>')
		t.n--;
	return strip(t).n > 0;
}

static int title(const struct check *c)
{
	size_t n;
	return count(c, "<<[^\n]+>>", c->answer, has_title, &n) < 0 ? -1 : n > 0;
}

/* --- combinations, beginnings, ends --- */

static int two_responses(const struct check *c)
{
	struct text said[2] = { { 0 } };
	struct parts p;
	size_t n = 0;
	bool hole = false;

	if (split(c, "\\*{6}", c->answer, &p) < 0)
		return -1;
	for (size_t i = 0; i < p.n; i++) {
		struct text t = strip(p.items[i]);
		hole |= !t.n && i != 0 && i != p.n - 1;
		if (t.n && n++ < 2)
			said[n - 1] = t;
	}
	mem_free(p.items);
	return !hole && n == 2 && !(said[0].n == said[1].n && begins(said[0], said[1]));
}

static int repeat_prompt(const struct check *c)
{
	const char *prompt;
	struct buf said = BUF_INIT, wanted = BUF_INIT;

	if (text_arg(c, "prompt_to_repeat", &prompt) < 0)
		return -1;
	lower(&said, c->stripped);
	lower(&wanted, strip(text_of(prompt)));
	bool is = begins((struct text){ buf_str(&said), said.len }, (struct text){ buf_str(&wanted), wanted.len });
	buf_release(&said);
	buf_release(&wanted);
	return is;
}

static int end_checker(const struct check *c)
{
	const char *phrase;
	struct buf said = BUF_INIT, wanted = BUF_INIT;

	if (text_arg(c, "end_phrase", &phrase) < 0)
		return -1;
	lower(&said, without(c->stripped, '"'));
	lower(&wanted, strip(text_of(phrase)));
	bool is = ends((struct text){ buf_str(&said), said.len }, (struct text){ buf_str(&wanted), wanted.len });
	buf_release(&said);
	buf_release(&wanted);
	return is;
}

static int quotation(const struct check *c)
{
	struct text t = c->stripped;
	return t.n > 1 && t.s[0] == '"' && t.s[t.n - 1] == '"';
}

static int no_comma(const struct check *c) { return !memchr(c->answer.s, ',', c->answer.n); }

/* --- case and language --- */

static int capital_word_frequency(const struct check *c)
{
	return related(c, "capital_relation", "capital_frequency",
	               english_capital_words(c->answer.s, c->answer.n));
}

/* A text without letters is in any language, as langdetect's mistake counts. */
static bool is_in(struct text t, const char *code)
{
	struct facts f = { 0 };

	facts_make(&f, t.s, t.n);
	const char *found = language_likeliest(&f);
	facts_release(&f);
	return !strcmp(found, code) || !strcmp(found, "und");
}

static int english_capital(const struct check *c)
{
	return unicode_text_is_upper(c->answer.s, c->answer.n) && is_in(c->answer, "en");
}

static int english_lowercase(const struct check *c)
{
	return unicode_text_is_lower(c->answer.s, c->answer.n) && is_in(c->answer, "en");
}

static int response_language(const struct check *c)
{
	const char *code;
	return text_arg(c, "language", &code) < 0 ? -1 : is_in(c->answer, code);
}

/* --- the table --- */

static const struct { const char *id; check_fn *follows; const char *args; } checks[] = {
	{ "keywords:existence", existence, " keywords " },
	{ "keywords:frequency", frequency, " keyword frequency relation " },
	{ "keywords:forbidden_words", forbidden_words, " forbidden_words " },
	{ "keywords:letter_frequency", letter_frequency, " letter let_frequency let_relation " },
	{ "language:response_language", response_language, " language " },
	{ "length_constraints:number_sentences", number_sentences, " num_sentences relation " },
	{ "length_constraints:number_paragraphs", number_paragraphs, " num_paragraphs " },
	{ "length_constraints:number_words", number_words, " num_words relation " },
	{ "length_constraints:nth_paragraph_first_word", nth_paragraph_first_word,
	  " num_paragraphs nth_paragraph first_word " },
	{ "detectable_content:number_placeholders", number_placeholders, " num_placeholders " },
	{ "detectable_content:postscript", postscript, " postscript_marker " },
	{ "detectable_format:number_bullet_lists", number_bullet_lists, " num_bullets " },
	{ "detectable_format:constrained_response", constrained_response, "" },
	{ "detectable_format:number_highlighted_sections", number_highlighted_sections, " num_highlights " },
	{ "detectable_format:multiple_sections", multiple_sections, " section_spliter num_sections " },
	{ "detectable_format:json_format", json_format, "" },
	{ "detectable_format:title", title, "" },
	{ "combination:two_responses", two_responses, "" },
	{ "combination:repeat_prompt", repeat_prompt, " prompt_to_repeat " },
	{ "startend:end_checker", end_checker, " end_phrase " },
	{ "startend:quotation", quotation, "" },
	{ "change_case:capital_word_frequency", capital_word_frequency, " capital_frequency capital_relation " },
	{ "change_case:english_capital", english_capital, "" },
	{ "change_case:english_lowercase", english_lowercase, "" },
	{ "punctuation:no_comma", no_comma, "" },
};

/* An argument that the instruction has not. */
static int check_args(const json_t *args, const char *known, struct err *e)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)args, key, v) {
		char *between = mem_printf(" %s ", key);
		bool none = json_is_null(v) || (json_is_string(v) && !json_string_length(v)) ||
		            (json_is_number(v) && json_number_value(v) == 0) ||
		            (json_is_array(v) && !json_array_size(v)), has_it = strstr(known, between);
		mem_free(between);
		if (!none && !has_it)
			return err_set(e, "kwargs: this instruction has no %.80s", key);
	}
	return 0;
}

int instruction_follows(const char *id, const json_t *kwargs, const char *answer, bool *follows, struct err *e)
{
	struct check c = { .args = kwargs, .answer = text_of(answer), .e = e };

	c.stripped = strip(c.answer);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		if (strcmp(checks[i].id, id) != 0)
			continue;
		int found = check_args(kwargs, checks[i].args, e);
		if (found == 0)
			found = checks[i].follows(&c);
		*follows = c.stripped.n && found > 0;
		return found < 0 ? err_prefix(e, "%s", id) : 0;
	}
	return err_set(e, "%.80s is none of IFEval's instructions", id);
}
