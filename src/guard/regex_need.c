/* regex_need: a tree is gone through from its leaves. Of each part is known: all texts that it matches, where these are
 * few (`exact`); else lists of strings of which a match has one each; and of each kind of bytes how many stand at its
 * beginning, at its end and in its longest run at least. Of several lists those are kept that chance meets least: a
 * string's chance is 2 to the power of minus its bits: four a letter, three a blank, six a mark of prose or a digit,
 * nine another; a list that one character in COMMON is of says nothing. What is needed is a superset: capitals are
 * small letters, edges are not looked at, nor the order of the lists. */
#include "guard/regex_need.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "guard/encoding.h"

enum { STRINGS = 96, LENGTH = 24, CHARACTERS = 4 };
#define COMMON 50
#define FAR 30000 /* runs and counts are not told apart beyond */

struct runs { uint32_t before, behind, best, count; bool all; }; /* all: a match has no other bytes */

struct part {
	bool exact;
	struct strings all;
	struct strings list[NEED_LISTS];
	size_t n;
	struct runs runs[NEED_KINDS];
};

/* --- strings --- */

static int bits_of(char c)
{
	if (language_letter(c) >= 0)
		return 4;
	return c == ' ' ? 3 : encoding_alnum(c) || strchr(".,-'\"", c) ? 6 : 9;
}

static double chance(const struct strings *l)
{
	double sum = 0;

	for (size_t i = 0; i < l->n; i++) {
		int bits = 0;
		for (const char *c = l->s[i]; *c; c++)
			bits += bits_of(*c);
		sum += exp2(-bits);
	}
	return sum;
}

static bool has_string(const struct strings *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->s[i][0] == s[0] && !strcmp(l->s[i], s))
			return true;
	return false;
}

/* Both lists as one; false: they are too many. */
static bool join(struct arena *mem, struct strings *out, const struct strings *a, const struct strings *b)
{
	struct strings all = { arena_array(mem, a->n + b->n + 1, sizeof(*all.s)), 0 };

	for (size_t i = 0; i < a->n + b->n; i++) {
		const char *s = i < a->n ? a->s[i] : b->s[i - a->n];
		if (!has_string(&all, s))
			all.s[all.n++] = s;
	}
	*out = all;
	return all.n <= STRINGS;
}

static const char *in_row(struct arena *mem, const char *x, size_t n_x, const char *y, size_t n_y)
{
	char *s;

	if (!n_x || !n_y)
		return n_x ? x : y;
	s = arena_array(mem, n_x + n_y + 1, 1);
	memcpy(s, x, n_x);
	memcpy(s + n_x, y, n_y);
	return s;
}

/* Each of a with each of b behind it; false: they are too many or too long. */
static bool product(struct arena *mem, struct strings *out, const struct strings *a, const struct strings *b)
{
	if (a->n * b->n > STRINGS)
		return false;
	struct strings all = { arena_array(mem, a->n * b->n + 1, sizeof(*all.s)), 0 };
	for (size_t i = 0; i < a->n * b->n; i++) {
		const char *x = a->s[i / b->n], *y = b->s[i % b->n];
		size_t n_x = strlen(x), n_y = strlen(y);
		if (n_x + n_y > LENGTH)
			return false;
		const char *s = in_row(mem, x, n_x, y, n_y);
		if (!has_string(&all, s))
			all.s[all.n++] = s;
	}
	*out = all;
	return true;
}

/* A list joins those of a part, if it says something and is among the best. */
static void add_list(struct part *p, const struct strings *l)
{
	size_t worst = 0;

	if (!l->n || has_string(l, "") || chance(l) * COMMON > 1)
		return;
	if (p->n < NEED_LISTS) {
		p->list[p->n++] = *l;
		return;
	}
	for (size_t i = 1; i < p->n; i++)
		if (chance(&p->list[i]) > chance(&p->list[worst]))
			worst = i;
	if (chance(l) < chance(&p->list[worst]))
		p->list[worst] = *l;
}

static void add_lists(struct part *p, const struct part *of)
{
	if (of->exact)
		add_list(p, &of->all);
	for (size_t i = 0; i < of->n; i++)
		add_list(p, &of->list[i]);
}

/* The list of a part that chance meets least; NULL: it has none. */
static const struct strings *best_list(const struct part *p)
{
	const struct strings *best = NULL;

	for (size_t i = 0; i < p->n; i++)
		if (!best || chance(&p->list[i]) < chance(best))
			best = &p->list[i];
	return best;
}

/* --- kinds --- */

enum { HEX = 1 << 1, WORD = 1 << 2, KEY = 1 << 3, DOTTED = 1 << 4, PHONE = 1 << 5, MACHINE = 1 << 6, CAPITAL = 1 << 7 };

const uint8_t need_kinds[256] = {
	['0' ... '9'] = 0xFF,
	['a' ... 'f'] = HEX | WORD | KEY | DOTTED | MACHINE,
	['g' ... 'z'] = WORD | KEY | DOTTED,
	['A' ... 'F'] = HEX | WORD | KEY | DOTTED | MACHINE | CAPITAL,
	['G' ... 'Z'] = WORD | KEY | DOTTED | CAPITAL,
	['+'] = KEY | DOTTED | PHONE,
	['-'] = KEY | DOTTED | PHONE | MACHINE,
	['/'] = KEY | DOTTED, ['='] = KEY | DOTTED, ['_'] = KEY | DOTTED,
	['.'] = DOTTED | PHONE | MACHINE,
	[' '] = PHONE, ['('] = PHONE, [')'] = PHONE,
	[':'] = MACHINE,
};

static struct runs runs_row(const struct runs *a, const struct runs *b)
{
	struct runs r = {
		.before = a->all ? a->before + b->before : a->before,
		.behind = b->all ? b->behind + a->behind : b->behind,
		.best = MAX(MAX(a->best, b->best), a->behind + b->before),
		.count = a->count + b->count,
		.all = a->all && b->all,
	};
	r.before = MIN(r.before, FAR);
	r.behind = MIN(r.behind, FAR);
	r.best = MIN(r.best, FAR);
	r.count = MIN(r.count, FAR);
	return r;
}

static struct runs runs_either(const struct runs *a, const struct runs *b)
{
	return (struct runs){ MIN(a->before, b->before), MIN(a->behind, b->behind), MIN(a->best, b->best),
		              MIN(a->count, b->count), a->all && b->all };
}

/* --- parts --- */

static struct part part_of(struct arena *mem, const struct tree *t);

static struct part empty(struct arena *mem)
{
	struct part p = { .exact = true, .all = { arena_array(mem, 1, sizeof(char *)), 1 } };

	p.all.s[0] = "";
	for (int k = 0; k < NEED_KINDS; k++)
		p.runs[k].all = true;
	return p;
}

static struct part of_byte(struct arena *mem, const struct tree *t)
{
	struct part p = { .all = { arena_array(mem, CHARACTERS, sizeof(char *)), 0 } };
	bool few = true;
	uint8_t kinds = 0xFF;

	for (int c = bytes_next(&t->bytes, 0); c < 256; c = bytes_next(&t->bytes, c + 1)) {
		char s[2] = { (char)(c >= 'A' && c <= 'Z' ? c | 32 : c), 0 };
		kinds &= need_kinds[c];
		if (few && c && has_string(&p.all, s))
			continue;
		few = few && c && p.all.n < CHARACTERS;
		if (few)
			p.all.s[p.all.n++] = arena_strdup(mem, s);
	}
	p.exact = few; /* no byte at all: no text */
	for (int k = 0; k < NEED_KINDS; k++)
		if (kinds >> k & 1)
			p.runs[k] = (struct runs){ 1, 1, 1, 1, true };
	return p;
}

static struct part of_row(struct arena *mem, const struct part *a, const struct part *b)
{
	struct part p = { .exact = false };

	p.exact = a->exact && b->exact && product(mem, &p.all, &a->all, &b->all);
	if (!p.exact) {
		add_lists(&p, a);
		add_lists(&p, b);
	}
	for (int k = 0; k < NEED_KINDS; k++)
		p.runs[k] = runs_row(&a->runs[k], &b->runs[k]);
	return p;
}

static struct part of_either(struct arena *mem, const struct part *a, const struct part *b)
{
	struct part p = { .exact = false }, of[2] = { { .exact = false }, { .exact = false } };
	struct strings all;

	p.exact = a->exact && b->exact && join(mem, &p.all, &a->all, &b->all);
	add_lists(&of[0], a);
	add_lists(&of[1], b);
	const struct strings *x = best_list(&of[0]), *y = best_list(&of[1]);
	if (!p.exact && x && y && join(mem, &all, x, y))
		add_list(&p, &all);
	for (int k = 0; k < NEED_KINDS; k++)
		p.runs[k] = runs_either(&a->runs[k], &b->runs[k]);
	return p;
}

static struct part of_repeat(struct arena *mem, const struct tree *t)
{
	struct part one = part_of(mem, t->a), p = empty(mem);

	if (t->least == 0 && t->most == 1)
		return of_either(mem, &one, &p);
	for (int i = 0; i < t->least; i++)
		p = of_row(mem, &p, &one);
	if (t->most == t->least)
		return p;
	struct part some = { .exact = false };
	add_lists(&some, &p);
	for (int k = 0; k < NEED_KINDS; k++) {
		some.runs[k] = p.runs[k];
		some.runs[k].all = one.runs[k].all;
	}
	return some;
}

/* A row or alternatives, which lean to the left as far as the expression is long. */
static struct part of_many(struct arena *mem, const struct tree *t)
{
	enum tree_kind kind = t->kind;
	size_t n = 0;

	for (const struct tree *x = t; x->kind == kind; x = x->a)
		n++;
	const struct tree **behind = arena_array(mem, n, sizeof(*behind));
	for (size_t i = n; i > 0; i--, t = t->a)
		behind[i - 1] = t->b;
	struct part p = part_of(mem, t);
	for (size_t i = 0; i < n; i++) {
		struct part a = p, b = part_of(mem, behind[i]);
		p = kind == TREE_CAT ? of_row(mem, &a, &b) : of_either(mem, &a, &b);
	}
	return p;
}

static struct part part_of(struct arena *mem, const struct tree *t)
{
	switch (t->kind) {
	case TREE_BYTE: return of_byte(mem, t);
	case TREE_REPEAT: return of_repeat(mem, t);
	case TREE_CAT:
	case TREE_OR: return of_many(mem, t);
	default: return empty(mem);
	}
}

void regex_need(struct need *n, struct arena *mem, const struct tree *t)
{
	struct part p = part_of(mem, t), lists = { .exact = false };

	*n = (struct need){ .n = 0 };
	add_lists(&lists, &p);
	for (; n->n < lists.n; n->n++)
		n->list[n->n] = lists.list[n->n];
	for (int k = 0; k < NEED_KINDS; k++) {
		n->least.count[k] = p.runs[k].count;
		n->least.run[k] = p.runs[k].best;
	}
}
