/* index_chunks: see index_chunks.h. */
#include "cmd/index/index_chunks.h"

#include "base/mem.h"

enum { NEAR = 48 };             /* bytes that a cut moves back to white space */

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v'; }

/* Where the words between white space begin. */
static void word_begins(const char *text, size_t n, struct tokens *out)
{
	for (size_t i = 0; i < n; i++)
		if (!is_space(text[i]) && (!i || is_space(text[i - 1])))
			tokens_add(out, (int32_t)i);
}

static size_t cut_at(const char *text, size_t at)
{
	size_t back = at;

	while (back && at - back < NEAR && !is_space(text[back - 1]))
		back--;
	if (back && is_space(text[back - 1]))
		return back;
	while (at && ((unsigned char)text[at] & 0xC0) == 0x80)
		at--;
	return at;
}

static struct index_span trimmed(const char *text, size_t from, size_t to)
{
	while (from < to && is_space(text[from]))
		from++;
	while (to > from && is_space(text[to - 1]))
		to--;
	return (struct index_span){ text + from, to - from };
}

static void cut(const char *text, size_t n, const struct tokens *begin, size_t size, size_t overlap, struct arena *mem,
                struct index_span **out, size_t *n_out)
{
	size_t step = size - overlap, most = begin->n / step + 2;

	*out = arena_array(mem, most, sizeof(**out));
	for (size_t i = 0; i < begin->n || !i; i += step) {
		size_t from = i ? cut_at(text, (size_t)begin->id[i]) : 0,
		       to = i + size < begin->n ? cut_at(text, (size_t)begin->id[i + size]) : n;
		struct index_span s = trimmed(text, from, MAX(to, from));
		if (s.n)
			(*out)[(*n_out)++] = s;
		if (i + size >= begin->n)
			break;
	}
}

int index_chunks(const char *text, size_t n, const struct tokenizer *t, int size, int overlap, struct arena *mem,
                 struct index_span **out, size_t *n_out, struct err *e)
{
	struct tokens ids = { 0 }, begin = { 0 };
	int status = 0;

	*n_out = 0;
	if (!size) {
		*out = arena_array(mem, 1, sizeof(**out));
		**out = (struct index_span){ text, n };
		*n_out = 1;
		return 0;
	}
	if (t)
		status = tokenizer_encode_offsets(t, text, n, 0, &ids, &begin, e);
	else
		word_begins(text, n, &begin);
	if (status == 0)
		cut(text, n, &begin, (size_t)size, (size_t)overlap, mem, out, n_out);
	tokens_release(&ids);
	tokens_release(&begin);
	return status;
}

char *index_chunk_text(struct arena *mem, const char *title, struct index_span s)
{
	return title ? arena_printf(mem, "%s\n%.*s", title, (int)s.n, s.text) : arena_strndup(mem, s.text, s.n);
}
