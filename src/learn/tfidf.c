/* tfidf: words counted and weighed. See tfidf.h. */
#include "learn/tfidf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "retrieve/words.h"

struct token { const char *s; size_t at, n; int32_t text; };   /* s: once all of `lower` is there */
struct token_list {
	struct token *items;
	size_t n, cap;
	struct buf lower;           /* all texts, which tokens lie in */
};

/* The words of lower[from …]. */
static void add_words(struct token_list *l, size_t from, int32_t text)
{
	const char *all = buf_str(&l->lower), *word;
	size_t at = from, length;

	while ((word = word_next(all, l->lower.len, &at, &length))) {
		if (l->n == l->cap) {
			l->cap = MAX(1024, 2 * l->cap);
			l->items = mem_grow(l->items, l->cap, sizeof(*l->items));
		}
		l->items[l->n++] = (struct token){ NULL, (size_t)(word - all), length, text };
	}
}

static void tokens_of(struct token_list *l, const struct text *texts, const int32_t *pick, size_t n)
{
	l->n = 0;
	l->lower.max = SIZE_MAX / 2;
	buf_clear(&l->lower);
	for (size_t i = 0; i < n; i++) {
		const struct text *t = &texts[pick ? (size_t)pick[i] : i];
		size_t from = l->lower.len;
		word_lower(&l->lower, t->s, t->n);
		add_words(l, from, (int32_t)i);
	}
	for (size_t i = 0; i < l->n; i++)
		l->items[i].s = buf_str(&l->lower) + l->items[i].at;
}

static void tokens_drop(struct token_list *l)
{
	mem_free(l->items);
	buf_release(&l->lower);
}

static int compare(const char *a, size_t n, const char *b, size_t m)
{
	int c = memcmp(a, b, MIN(n, m));

	return c ? c : (n > m) - (n < m);
}

static int by_word(const void *a, const void *b)
{
	const struct token *x = a, *y = b;
	int c = compare(x->s, x->n, y->s, y->n);

	return c ? c : (x->text > y->text) - (x->text < y->text);
}

void tfidf_fit(struct tfidf *t, struct arena *mem, const struct text *texts, const int32_t *pick, size_t n)
{
	struct token_list l = { 0 };
	size_t cap = 0;

	*t = (struct tfidf){ 0 };
	tokens_of(&l, texts, pick, n);
	if (l.n)
		qsort(l.items, l.n, sizeof(*l.items), by_word);
	for (size_t i = 0; i < l.n; i++)
		cap += !i || compare(l.items[i].s, l.items[i].n, l.items[i - 1].s, l.items[i - 1].n) != 0;
	t->word = arena_array(mem, cap + 1, sizeof(*t->word));
	t->idf = arena_array(mem, cap + 1, sizeof(*t->idf));
	for (size_t i = 0, end; i < l.n; i = end) {
		size_t df = 0;
		for (end = i; end < l.n && !compare(l.items[i].s, l.items[i].n, l.items[end].s, l.items[end].n); end++)
			df += end == i || l.items[end].text != l.items[end - 1].text;
		t->word[t->n] = arena_strndup(mem, l.items[i].s, l.items[i].n);
		t->idf[t->n++] = log((1 + (double)n) / (1 + (double)df)) + 1;
	}
	tokens_drop(&l);
}

/* −1: unknown. */
static int32_t find(const struct tfidf *t, const struct token *w)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = compare(t->word[mid], strlen(t->word[mid]), w->s, w->n);
		if (c == 0)
			return (int32_t)mid;
		lo = c < 0 ? mid + 1 : lo;
		hi = c < 0 ? hi : mid;
	}
	return -1;
}

static int by_number(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

/* A row of the words' numbers, at col and value; returns how many numbers it has. */
static size_t weigh(const struct tfidf *t, int32_t *col, double *value, size_t n)
{
	size_t kept = 0;
	double length = 0;

	qsort(col, n, sizeof(*col), by_number);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i; end < n && col[end] == col[i]; end++)
			;
		value[kept] = (double)(end - i) * t->idf[col[i]];
		col[kept] = col[i];
		length += value[kept] * value[kept];
		kept++;
	}
	for (size_t i = 0; i < kept; i++)
		value[i] /= sqrt(length);
	return kept;
}

void tfidf_rows(const struct tfidf *t, struct arena *mem, const struct text *texts, const int32_t *pick, size_t n,
                bool turn, struct design *x)
{
	struct token_list l = { 0 };

	tokens_of(&l, texts, pick, n);
	size_t *first = arena_array(mem, n + 1, sizeof(*first)), at = 0, i = 0;
	int32_t *col = arena_array(mem, l.n + 1, sizeof(*col));
	double *value = arena_array(mem, l.n + 1, sizeof(*value));
	for (size_t r = 0; r < n; r++) {
		size_t known = 0;
		for (; i < l.n && l.items[i].text == (int32_t)r; i++) {
			int32_t k = find(t, &l.items[i]);
			if (k >= 0)
				col[at + known++] = k;
		}
		at += weigh(t, col + at, value + at, known);
		first[r + 1] = at;
	}
	tokens_drop(&l);
	*x = (struct design){ .rows = n, .cols = t->n, .first = first, .col = col, .value = value };
	if (turn)
		design_turn(x, mem);
}
