/* facts: see facts.h. White space and line ends are Python's (base/unicode.h), by whose programs the
 * rules were made. */
#include "corpus/facts.h"

#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

void text_spans_add(struct text_spans *l, const char *s, size_t n)
{
	if (l->n == l->cap) {
		l->cap = MAX(256, 2 * l->cap);
		l->items = mem_grow(l->items, l->cap, sizeof(*l->items));
	}
	l->items[l->n++] = (struct text_span){ s, (uint32_t)n, (uint32_t)utf8_count(s, n) };
}

bool text_span_ends(struct text_span s, const char *end)
{
	size_t n = strlen(end);
	return s.n >= n && !memcmp(s.s + s.n - n, end, n);
}

bool text_span_begins(struct text_span s, const char *begin)
{
	size_t n = strlen(begin);
	return s.n >= n && !memcmp(s.s, begin, n);
}

struct text_span text_span_strip(struct text_span s)
{
	const char *at = s.s;
	size_t n = s.n;

	unicode_strip(&at, &n);
	return (struct text_span){ at, (uint32_t)n, (uint32_t)utf8_count(at, n) };
}

void facts_make(struct facts *f, const char *text, size_t n)
{
	size_t word = 0, line = 0, size;
	uint32_t c;

	f->text = text;
	f->n = n;
	f->chars = 0;
	f->words.n = f->lines.n = 0;
	for (size_t i = 0; i < n; i += size) {
		size = utf8_decode(text + i, n - i, &c);
		f->chars++;
		if (!unicode_is_space(c))
			continue;
		if (i > word)
			text_spans_add(&f->words, text + word, i - word);
		word = i + size;
		if (!unicode_is_line_break(c))
			continue;
		bool second = c == '\n' && i && text[i - 1] == '\r';
		if (!second)
			text_spans_add(&f->lines, text + line, i - line);
		line = i + size;
	}
	if (n > word)
		text_spans_add(&f->words, text + word, n - word);
	if (n > line)
		text_spans_add(&f->lines, text + line, n - line);
}

void facts_release(struct facts *f)
{
	mem_free(f->words.items);
	mem_free(f->lines.items);
	*f = (struct facts){ 0 };
}
