/* parted: the text is tokenized, and parted where special tokens are, until there are none. A template's marks are
 * found in its source, which is not run: what looks like a mark and is none costs a space that nobody sees. See
 * parted.h. */
#include "token/parted.h"

#include <ctype.h>
#include <string.h>

#define APART "\xe2\x80\x8b"
enum {
	TIMES = 8,              /* that it is looked through */
	MARK_LEAST = 3, MARK_MOST = 64, MARK_SPACES = 3,
};

/* --- marks of a template --- */

/* A few words with a sign that plain text seldom has so, and none of JSON's. */
static bool is_mark(const char *s, size_t n)
{
	size_t letters = 0, signs = 0, spaces = 0;

	for (size_t i = 0; i < n; i++) {
		letters += isalpha((unsigned char)s[i]) != 0;
		signs += memchr("<>[]#:|", s[i], 7) != NULL;
		spaces += s[i] == ' ';
		if (memchr("\"{}\\", s[i], 4))
			return false;
	}
	return n >= MARK_LEAST && n <= MARK_MOST && letters && signs && spaces <= MARK_SPACES;
}

static void part_mark(const char *mark, size_t n, struct buf *text, size_t *count)
{
	const char *at = buf_str(text), *end = at + text->len, *hit;
	struct buf out = BUF_INIT;
	size_t first = 1;

	while (first < n && ((unsigned char)mark[first] & 0xC0) == 0x80)
		first++;
	while ((hit = memmem(at, (size_t)(end - at), mark, n))) {
		buf_add(&out, at, (size_t)(hit - at) + first);
		buf_adds(&out, APART);
		at = hit + first;
		if (count)
			++*count;
	}
	if (out.len) {
		buf_add(&out, at, (size_t)(end - at));
		struct buf old = *text;
		*text = out;
		out = old;
	}
	buf_release(&out);
}

/* Each line of a literal, without the spaces around it; a line ends at one, or where a string has it as \n. */
static void part_lines(const char *s, size_t n, struct buf *text, size_t *count)
{
	for (size_t begin = 0, end; begin <= n; begin = end + 1) {
		size_t from = begin, to;
		for (end = begin; end < n && s[end] != '\n' && !(s[end] == '\\' && end + 1 < n && s[end + 1] == 'n');)
			end++;
		for (to = end; to > from && s[to - 1] == ' ';)
			to--;
		while (from < to && s[from] == ' ')
			from++;
		if (is_mark(s + from, to - from))
			part_mark(s + from, to - from, text, count);
		end += end < n && s[end] == '\\';
	}
}

/* The strings of an expression or a statement; returns where it ends. */
static const char *part_strings(const char *at, struct buf *text, size_t *count)
{
	while (*at && !((*at == '}' || *at == '%') && at[1] == '}')) {
		const char quote = *at++;
		if (quote != '\'' && quote != '"')
			continue;
		const char *begin = at;
		while (*at && *at != quote)
			at += at[0] == '\\' && at[1] ? 2 : 1;
		part_lines(begin, (size_t)(at - begin), text, count);
		at += *at != 0;
	}
	return *at ? at + 2 : at;
}

void role_marks_part(const char *template_, struct buf *text, size_t *n)
{
	for (const char *at = template_; at && *at;) {
		const char *begin = at, *close;
		while (*at && !(*at == '{' && at[1] && strchr("{%#", at[1])))
			at++;
		part_lines(begin, (size_t)(at - begin), text, n);
		if (!*at)
			break;
		if (at[1] == '#')
			at = (close = strstr(at, "#}")) ? close + 2 : at + strlen(at);
		else
			at = part_strings(at + 2, text, n);
	}
}

/* --- special tokens --- */

/* Appends the text with a space after the first character of each; returns how many there were. */
static size_t part_once(const struct tokenizer *t, const struct tokens *ids, const struct tokens *begins,
                        const struct buf *text, struct buf *out)
{
	size_t at = 0, n = 0;

	for (size_t i = 0; i < ids->n; i++) {
		size_t begin = (size_t)begins->id[i] + 1;
		if (!tokenizer_is_special(t, ids->id[i]) || begin > text->len || begin <= at)
			continue;
		while (begin < text->len && ((unsigned char)text->data[begin] & 0xC0) == 0x80)
			begin++;
		buf_add(out, buf_str(text) + at, begin - at);
		buf_adds(out, APART);
		at = begin;
		n++;
	}
	buf_add(out, buf_str(text) + at, text->len - at);
	return n;
}

int special_tokens_part(const struct tokenizer *t, struct buf *text, size_t *n, struct err *e)
{
	size_t some = 1;
	int status = 0;

	for (int i = 0; i < TIMES && some && status == 0; i++) {
		struct tokens ids = { 0 }, begins = { 0 };
		struct buf out = BUF_INIT;
		status = tokenizer_encode_offsets(t, buf_str(text), text->len, TOKENIZE_SPECIAL, &ids, &begins, e);
		some = status == 0 ? part_once(t, &ids, &begins, text, &out) : 0;
		if (n)
			*n += some;
		if (some) {
			struct buf old = *text;
			*text = out;
			out = old;
		}
		buf_release(&out);
		tokens_release(&ids);
		tokens_release(&begins);
	}
	if (status == 0 && some)
		return err_set(e, "the text has special tokens that cannot be parted");
	if (status == 0)
		role_marks_part(tokenizer_template(t), text, n);
	return status;
}
