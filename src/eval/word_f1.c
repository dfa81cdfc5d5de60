/* word_f1: see word_f1.h. */
#include "eval/word_f1.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

struct words {
	char **items;
	size_t n;
	char *text;
};

static int by_word(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool is_article(const char *w) { return !strcmp(w, "a") || !strcmp(w, "an") || !strcmp(w, "the"); }

/* The text at s without its punctuation, white space as NUL; its length. Not longer than it was. */
static size_t part(const char *s, size_t n, char *out)
{
	size_t made = 0;
	uint32_t c;

	for (size_t at = 0, size; at < n; at += size) {
		size = utf8_decode(s + at, n - at, &c);
		if (!size)
			c = 0xFFFD, size = 1;
		if (unicode_is_space(c)) {
			out[made++] = 0;
		} else if (c >= 0x80 || !ispunct((int)c)) {
			memcpy(out + made, s + at, size);
			made += size;
		}
	}
	out[made] = 0;
	return made;
}

static void words_of(struct words *w, const char *text)
{
	struct buf lower = BUF_INIT;

	unicode_recase(&lower, text, strlen(text), UNICODE_LOWER);
	w->text = mem_alloc(lower.len + 1);
	w->items = mem_array(lower.len / 2 + 1, sizeof(char *));
	w->n = 0;
	size_t n = part(buf_str(&lower), lower.len, w->text);
	for (char *at = w->text; at < w->text + n; at += strlen(at) + 1)
		if (*at && !is_article(at))
			w->items[w->n++] = at;
	qsort(w->items, w->n, sizeof(char *), by_word);
	buf_release(&lower);
}

static void words_release(struct words *w)
{
	mem_free(w->items);
	mem_free(w->text);
}

double word_f1(const char *said, const char *right)
{
	struct words a, b;
	size_t both = 0;

	words_of(&a, said);
	words_of(&b, right);
	for (size_t i = 0, j = 0; i < a.n && j < b.n;) {
		int order = strcmp(a.items[i], b.items[j]);
		both += order == 0;
		i += order <= 0;
		j += order >= 0;
	}
	double f1 = a.n + b.n ? 2.0 * (double)both / (double)(a.n + b.n) : 1;
	words_release(&a);
	words_release(&b);
	return f1;
}
