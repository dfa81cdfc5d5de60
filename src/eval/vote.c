/* vote: the last match of a rule in an answer, and a count of equal ones. See vote.h. */
#include "eval/vote.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"

struct extract {
	bool line, number;
	pcre2_code *code;          /* NULL: the text, or its last line */
	pcre2_match_data *match;
};

static const char numbers[] = "-?[$0-9.,]*[0-9][0-9.,]*";

int extract_new(struct extract **out, const char *rule, struct err *e)
{
	struct extract *x = mem_alloc(sizeof(*x));
	int number = 0;
	size_t at = 0;
	unsigned char text[160];

	x->line = !strcmp(rule, "line");
	x->number = !strcmp(rule, "number");
	*out = x;
	if (x->line || !strcmp(rule, "whole"))
		return 0;
	const char *pattern = x->number ? numbers : rule;
	x->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &number, &at, NULL);
	if (x->code) {
		x->match = pcre2_match_data_create_from_pattern(x->code, NULL);
		return 0;
	}
	pcre2_get_error_message(number, text, sizeof(text));
	extract_free(x);
	*out = NULL;
	return err_set(e, "--extract %.80s: %s at byte %zu; wanted is whole, line, number or a regular expression",
	               rule, (char *)text, at);
}

/* Without what stands around a number's digits. */
static void put_number(const char *s, size_t n, struct buf *out)
{
	while (n && (s[n - 1] == '.' || s[n - 1] == ','))
		n--;
	for (size_t i = 0; i < n; i++)
		if (s[i] != '$' && s[i] != ',')
			buf_addc(out, s[i]);
}

static void put(const struct extract *x, const char *s, size_t n, struct buf *out)
{
	if (x->number) {
		put_number(s, n, out);
		return;
	}
	unicode_strip(&s, &n);
	buf_add(out, s, n);
}

static bool last_match(const struct extract *x, const char *text, size_t n, struct buf *out)
{
	size_t from = 0;
	bool found = false;

	while (from <= n &&
	       pcre2_match(x->code, (PCRE2_SPTR)text, n, from, 0, x->match, NULL) > 0) {
		const PCRE2_SIZE *at = pcre2_get_ovector_pointer(x->match);
		bool group = pcre2_get_ovector_count(x->match) > 1 && at[2] != PCRE2_UNSET;
		buf_clear(out);
		put(x, text + at[group ? 2 : 0], at[group ? 3 : 1] - at[group ? 2 : 0], out);
		found = true;
		from = at[1] > from ? at[1] : n + 1; /* an empty match is the last */
	}
	return found && out->len;
}

bool extract_answer(const struct extract *x, const char *text, size_t n, struct buf *out)
{
	struct buf some = BUF_INIT;

	if (x->code) {
		bool found = last_match(x, text, n, &some);
		buf_add(out, buf_str(&some), found ? some.len : 0);
		buf_release(&some);
		return found;
	}
	unicode_strip(&text, &n);
	const char *newline = x->line ? memrchr(text, '\n', n) : NULL;
	size_t skip = newline ? (size_t)(newline + 1 - text) : 0;
	put(x, text + skip, n - skip, out);
	return n > 0;
}

void extract_free(struct extract *x)
{
	if (!x)
		return;
	pcre2_match_data_free(x->match);
	pcre2_code_free(x->code);
	mem_free(x);
}

struct vote vote(char *const *answers, size_t n)
{
	struct vote best = { 0 };

	for (size_t i = 0; i < n; i++) {
		size_t votes = 0;
		for (size_t j = 0; j < n && answers[i]; j++) {
			bool same = answers[j] && !strcmp(answers[i], answers[j]);
			if (same && j < i)
				break; /* it was counted there */
			votes += same;
		}
		if (votes > best.votes)
			best = (struct vote){ i, votes };
	}
	return best;
}
