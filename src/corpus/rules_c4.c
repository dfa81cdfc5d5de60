/* rules_c4: C4's rules of lines, in the order of its program: a line meets one after another and goes by the first that
 * it meets, or takes the whole document with it. What stays are the lines without white space at their ends. C4's list
 * of bad words and its language are not here; a sentence ends at . ! or ? and what closes it, before white space. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "corpus/rules.h"

enum { LONG_WORDS, CITATIONS, TERMINAL, SHORT_LINES, LOREM_IPSUM, JAVASCRIPT, CURLY, POLICY, FEW_SENTENCES };
enum { LONGEST_WORD = 1000, LEAST_WORDS = 3, LEAST_SENTENCES = 5 };

struct c4 {
	const bool *on;
	size_t first;
	rule_line *line;
	void *ctx;
	struct buf kept, edited, lower;
	struct text_spans words;
};

static void tell(struct c4 *x, int rule, struct text_span line)
{
	if (x->line)
		x->line(x->ctx, x->first + (size_t)rule, line);
}

static void find_words(struct c4 *x, struct text_span line)
{
	size_t from = 0, size;
	uint32_t c;

	x->words.n = 0;
	for (size_t i = 0; i < line.n; i += size) {
		size = utf8_decode(line.s + i, line.n - i, &c);
		if (!unicode_is_space(c))
			continue;
		if (i > from)
			text_spans_add(&x->words, line.s + from, i - from);
		from = i + size;
	}
	if (line.n > from)
		text_spans_add(&x->words, line.s + from, line.n - from);
}

static bool has_long_word(const struct c4 *x)
{
	for (size_t i = 0; i < x->words.n; i++)
		if (x->words.items[i].chars > LONGEST_WORD)
			return true;
	return false;
}

/* Bytes of a citation's mark at s, 0: none: \[\d*]|\[edit]|\[citation needed] */
static size_t mark_at(const char *s, size_t n)
{
	static const char *const marks[] = { "[edit]", "[citation needed]" };
	size_t i = 1;

	if (*s != '[')
		return 0;
	while (i < n && s[i] >= '0' && s[i] <= '9')
		i++;
	if (i < n && s[i] == ']')
		return i + 1;
	for (size_t k = 0; k < ARRAY_LEN(marks); k++)
		if (n >= strlen(marks[k]) && !memcmp(s, marks[k], strlen(marks[k])))
			return strlen(marks[k]);
	return 0;
}

static struct text_span without_marks(struct c4 *x, struct text_span line)
{
	size_t mark;

	buf_clear(&x->edited);
	for (size_t i = 0; i < line.n; i += mark ? mark : 1)
		if (!(mark = mark_at(line.s + i, line.n - i)))
			buf_addc(&x->edited, line.s[i]);
	if (x->edited.len == line.n)
		return line;
	tell(x, CITATIONS, line);
	return (struct text_span){ buf_str(&x->edited), (uint32_t)x->edited.len,
		                   (uint32_t)utf8_count(buf_str(&x->edited), x->edited.len) };
}

static bool is_terminal(struct text_span line)
{
	return !text_span_ends(line, "...") &&
	       (text_span_ends(line, ".") || text_span_ends(line, "?") || text_span_ends(line, "!") ||
	        text_span_ends(line, "\"") || text_span_ends(line, "'"));
}

static bool has(const struct c4 *x, const char *what)
{
	return memmem(buf_str(&x->lower), x->lower.len, what, strlen(what)) != NULL;
}

static bool is_policy(const struct c4 *x)
{
	static const char *const parts[] = { "terms of use", "privacy policy", "cookie policy",
		                             "uses cookies", "use of cookies", "use cookies" };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (has(x, parts[i]))
			return true;
	return false;
}

static double sentences(struct text_span line)
{
	static const char closing[] = ".!?\"')]}”’»"; /* bytes of these quotes are of no letter before white space */
	double n = 0;
	bool open = false; /* something behind the last end */

	for (size_t i = 0; i < line.n; i++) {
		bool end = strchr(".!?", line.s[i]) && line.s[i];
		open |= line.s[i] != ' ';
		if (!end)
			continue;
		while (i + 1 < line.n && line.s[i + 1] && strchr(closing, line.s[i + 1]))
			i++;
		if (i + 1 == line.n || line.s[i + 1] == ' ' || line.s[i + 1] == '\t') {
			n++;
			open = false;
		}
	}
	return n + open;
}

/* −1: it stays; else the rule that it meets. */
static int judge_line(struct c4 *x, struct text_span *line)
{
	const bool *on = x->on + x->first;

	find_words(x, *line);
	if (on[LONG_WORDS] && has_long_word(x))
		return LONG_WORDS;
	if (on[CITATIONS])
		*line = without_marks(x, *line);
	if (on[TERMINAL] && !is_terminal(*line))
		return TERMINAL;
	if (on[SHORT_LINES] && x->words.n < LEAST_WORDS)
		return SHORT_LINES;
	buf_clear(&x->lower);
	unicode_recase(&x->lower, line->s, line->n, UNICODE_LOWER);
	if (on[LOREM_IPSUM] && has(x, "lorem ipsum"))
		return LOREM_IPSUM;
	if (on[JAVASCRIPT] && has(x, "javascript"))
		return JAVASCRIPT;
	if (on[CURLY] && memchr(line->s, '{', line->n))
		return CURLY;
	return on[POLICY] && is_policy(x) ? POLICY : -1;
}

int rules_c4(const bool *on, size_t first, struct buf *text, struct facts *f, double *value, rule_line *line, void *ctx)
{
	struct c4 x = { .on = on, .first = first, .line = line, .ctx = ctx };
	double n = 0;
	int by = -1;

	for (size_t i = 0; i < f->lines.n && by < 0; i++) {
		struct text_span at = text_span_strip(f->lines.items[i]);
		int rule = judge_line(&x, &at);
		if (rule == LOREM_IPSUM || rule == CURLY) {
			by = rule;
			*value = (double)(i + 1);
		} else if (rule >= 0) {
			tell(&x, rule, at);
		} else {
			n += sentences(at);
			if (x.kept.len)
				buf_addc(&x.kept, '\n');
			buf_add(&x.kept, at.s, at.n);
		}
	}
	if (by < 0 && ((on[first + FEW_SENTENCES] && n < LEAST_SENTENCES) || !x.kept.len)) {
		by = FEW_SENTENCES; /* a document of which nothing is left goes by it too */
		*value = n;
	}
	if (by < 0) {
		buf_clear(text);
		buf_add(text, buf_str(&x.kept), x.kept.len);
	}
	buf_release(&x.kept);
	buf_release(&x.edited);
	buf_release(&x.lower);
	mem_free(x.words.items);
	return by < 0 ? -1 : (int)first + by;
}
