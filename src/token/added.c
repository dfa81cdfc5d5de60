/* added: tokens sorted by text; the longest at a place is found by narrowing the sorted range byte by byte. */
#include "token/added.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { TEXT_MAX = 4096 }; /* bounds a search: bytes of text × this */

int added_put(struct added *a, const struct added_token *token, struct err *e)
{
	if (token->n > TEXT_MAX)
		return err_set(e, "added token %d is %zu bytes long, at most %d are supported", token->id, token->n,
		               TEXT_MAX);
	if (a->n == a->cap) {
		a->cap = a->cap ? a->cap * 2 : 32;
		a->token = mem_grow(a->token, a->cap, sizeof(*a->token));
	}
	a->token[a->n++] = *token;
	return 0;
}

static int compare(const char *a, size_t n_a, const char *b, size_t n_b)
{
	int c = memcmp(a, b, MIN(n_a, n_b));
	return c ? c : (n_a > n_b) - (n_a < n_b);
}

static int by_text(const void *a, const void *b)
{
	const struct added_token *x = a, *y = b;
	return compare(x->text, x->n, y->text, y->n);
}

int added_ready(struct added *a, struct err *e)
{
	if (a->n)
		qsort(a->token, a->n, sizeof(*a->token), by_text);
	for (size_t i = 0; i < a->n; i++) {
		if (i && by_text(&a->token[i - 1], &a->token[i]) == 0)
			return err_set(e, "added token \"%.*s\" is there twice, with ids %d and %d",
			               (int)MIN(a->token[i].n, (size_t)64), a->token[i].text, a->token[i - 1].id,
			               a->token[i].id);
		if (a->token[i].n)
			a->begins[(uint8_t)a->token[i].text[0]] = true;
	}
	return 0;
}

void added_release(struct added *a)
{
	mem_free(a->token);
	*a = (struct added){ 0 };
}

/* Narrows tokens lo..hi-1, equal in their first k bytes, to those with `byte` next. */
static void narrow(const struct added *a, size_t k, uint8_t byte, size_t *lo, size_t *hi)
{
	size_t from = *lo, to = *hi;
	while (from < to) { /* the first that is not shorter or smaller */
		size_t mid = from + (to - from) / 2;
		const struct added_token *t = &a->token[mid];
		if (t->n <= k || (uint8_t)t->text[k] < byte)
			from = mid + 1;
		else
			to = mid;
	}
	*lo = from;
	to = *hi;
	while (from < to) { /* the first that is greater */
		size_t mid = from + (to - from) / 2;
		if ((uint8_t)a->token[mid].text[k] <= byte)
			from = mid + 1;
		else
			to = mid;
	}
	*hi = from;
}

static const struct added_token *longest_at(const struct added *a, const char *text, size_t n)
{
	const struct added_token *best = NULL;
	size_t lo = 0, hi = a->n;
	for (size_t k = 0; k < n && lo < hi; k++) {
		narrow(a, k, (uint8_t)text[k], &lo, &hi);
		if (lo < hi && a->token[lo].n == k + 1) /* the shortest of equal beginnings sorts first */
			best = &a->token[lo];
	}
	return best;
}

/* \w and \s of Rust's regular expressions. */
static bool is_word(uint32_t c)
{
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO: case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME:
	case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: case UTF8PROC_CATEGORY_PC:
		return true;
	default:
		return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
			(c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
	}
}

static bool is_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* The character that ends before `at`, and where it begins. */
static uint32_t character_before(const char *text, size_t at, size_t *begin)
{
	uint32_t c = 0;
	size_t i = at - 1;
	while (i > 0 && ((unsigned char)text[i] & 0xC0) == 0x80)
		i--;
	utf8_decode(text + i, at - i, &c);
	*begin = i;
	return c;
}

static bool stands_alone(const char *text, size_t n, size_t begin, size_t end)
{
	uint32_t c = 0;
	size_t before;
	if (begin > 0 && is_word(character_before(text, begin, &before)))
		return false;
	return end == n || !utf8_decode(text + end, n - end, &c) || !is_word(c);
}

static void take_spaces(const struct added_token *t, const char *text, size_t n, size_t floor, struct added_match *m)
{
	uint32_t c;
	size_t before, k;
	while (t->lstrip && m->begin > floor && is_space(character_before(text, m->begin, &before)) && before >= floor)
		m->begin = before;
	while (t->rstrip && m->end < n && (k = utf8_decode(text + m->end, n - m->end, &c)) && is_space(c))
		m->end += k;
}

bool added_next(const struct added *a, const char *text, size_t n, bool special, struct added_search *s,
                struct added_match *m)
{
	for (; s->at < n; s->at++) {
		const struct added_token *t =
			a->begins[(uint8_t)text[s->at]] ? longest_at(a, text + s->at, n - s->at) : NULL;
		if (!t)
			continue;
		*m = (struct added_match){ s->at, s->at + t->n, t->id };
		s->at += t->n - 1; /* behind it, once the loop has counted on */
		if ((t->special && !special) || (t->single_word && !stands_alone(text, n, m->begin, m->end)))
			continue;
		take_spaces(t, text, n, s->floor, m);
		s->at++;
		return true;
	}
	return false;
}
