/* regex_parse: an expression's text becomes a tree over bytes: a character beyond ASCII is its bytes of UTF-8 one
 * after another; where any other character may stand, any of their bytes may. */
#include "guard/regex_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { DEPTH = 100, COUNT_MAX = 256, LISTED = 64 };

struct parsing {
	struct arena *mem;
	const char *pattern;
	size_t at;
	int depth;
	bool any_case;
	struct err *e;
};

struct class
{ /* characters */
	struct bytes ascii;
	bool others;             /* any byte that is not ASCII */
	uint32_t listed[LISTED]; /* or these of them */
	size_t n;
};

static const struct tree *fail(struct parsing *p, const char *what)
{
	err_set(p->e, "at character %zu of '%.80s': %s", p->at + 1, p->pattern, what);
	return NULL;
}

static struct tree *node(struct parsing *p, enum tree_kind kind, const struct tree *a, const struct tree *b)
{
	struct tree *t = arena_alloc(p->mem, sizeof(*t));

	*t = (struct tree){ .kind = kind, .a = a, .b = b };
	return t;
}

static const struct tree *byte_range(struct parsing *p, int first, int last)
{
	struct tree *t = node(p, TREE_BYTE, NULL, NULL);

	for (int c = first; c <= last; c++)
		bytes_put(&t->bytes, (uint8_t)c);
	return t;
}

static const struct tree *character(struct parsing *p, uint32_t c)
{
	char s[4];
	size_t n = utf8_encode(c, s);
	const struct tree *t = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct tree *b = byte_range(p, (uint8_t)s[i], (uint8_t)s[i]);
		t = t ? node(p, TREE_CAT, t, b) : b;
	}
	return t;
}

static const struct tree *class_tree(struct parsing *p, const struct class *c)
{
	struct tree *t = node(p, TREE_BYTE, NULL, NULL);
	const struct tree *all = t;

	t->bytes = c->ascii;
	for (int x = 0x80; x < 0x100 && c->others; x++)
		bytes_put(&t->bytes, (uint8_t)x);
	for (size_t i = 0; i < c->n && !c->others; i++)
		all = node(p, TREE_OR, all, character(p, c->listed[i]));
	return all;
}

static void class_add(struct parsing *p, struct class *c, uint32_t first, uint32_t last)
{
	for (uint32_t x = first; x <= last && x < 128; x++) {
		bytes_put(&c->ascii, (uint8_t)x);
		if (p->any_case && (x | 32) >= 'a' && (x | 32) <= 'z')
			bytes_put(&c->ascii, (uint8_t)(x ^ 32));
	}
	if (last >= 128 && c->n < LISTED)
		c->listed[c->n++] = last;
}

static void class_invert(struct class *c)
{
	for (int i = 0; i < 2; i++)
		c->ascii.bit[i] = ~c->ascii.bit[i];
	c->others = !c->others;
}

/* \d and its kin, into the class; false: the letter is none. */
static bool class_named(struct parsing *p, struct class *c, char letter)
{
	struct class k = { .n = 0 };

	switch (letter | 32) {
	case 'd': class_add(p, &k, '0', '9'); break;
	case 'w':
		class_add(p, &k, '0', '9');
		class_add(p, &k, 'a', 'z');
		class_add(p, &k, 'A', 'Z');
		class_add(p, &k, '_', '_');
		break;
	case 's':
		class_add(p, &k, '\t', '\r');
		class_add(p, &k, ' ', ' ');
		break;
	default: return false;
	}
	if (letter < 'a')
		class_invert(&k);
	for (int i = 0; i < 4; i++)
		c->ascii.bit[i] |= k.ascii.bit[i];
	c->others |= k.others;
	return true;
}

/* The next character, of an escape what it stands for; −1 and a sentence. `named`: where \d and its kin go. */
static int one(struct parsing *p, uint32_t *c, struct class *named)
{
	size_t k = utf8_decode(p->pattern + p->at, strlen(p->pattern + p->at), c);

	if (!k)
		return fail(p, "it is not UTF-8"), -1;
	p->at += k;
	if (*c != '\\')
		return 0;
	char x = p->pattern[p->at];
	if (!x)
		return fail(p, "nothing follows the backslash"), -1;
	if (named && class_named(p, named, x)) {
		p->at++;
		return 1;
	}
	if (x == 'n' || x == 't' || x == 'r') {
		*c = x == 'n' ? '\n' : x == 't' ? '\t' : '\r';
	} else if (strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", x)) {
		return fail(p, x >= '1' && x <= '9' ? "references back are not computed here" :
		                                      "this escape is not known here"),
		       -1;
	} else {
		*c = (uint8_t)x;
	}
	p->at++;
	return 0;
}

static const struct tree *bracket(struct parsing *p)
{
	struct class c = { .n = 0 };
	bool inverted = p->pattern[p->at] == '^';

	p->at += inverted;
	for (bool first = true; p->pattern[p->at] != ']' || first; first = false) {
		uint32_t from, to;
		if (!p->pattern[p->at])
			return fail(p, "the class does not end");
		int status = one(p, &from, &c);
		if (status < 0)
			return NULL;
		if (status)
			continue;
		to = from;
		if (p->pattern[p->at] == '-' && p->pattern[p->at + 1] && p->pattern[p->at + 1] != ']') {
			p->at++;
			if (one(p, &to, NULL) < 0)
				return NULL;
			if (to < from || to >= 128)
				return fail(p, "a range goes from a character of ASCII to a later one");
		}
		if (c.n == LISTED)
			return fail(p, "a class lists 64 characters beyond ASCII at most");
		class_add(p, &c, from, to);
	}
	p->at++;
	if (inverted && c.n)
		return fail(p, "a class of all but characters beyond ASCII is not computed here");
	if (inverted)
		class_invert(&c);
	return class_tree(p, &c);
}

static const struct tree *either(struct parsing *p);

static const struct tree *group(struct parsing *p)
{
	if (p->pattern[p->at] == '?') {
		if (p->pattern[p->at + 1] != ':')
			return fail(p, "looking around and names are not computed here; (?: ) is");
		p->at += 2;
	}
	if (++p->depth > DEPTH)
		return fail(p, "it is nested too deep");
	const struct tree *t = either(p);
	p->depth--;
	if (t && p->pattern[p->at] != ')')
		return fail(p, "a bracket is not closed");
	p->at++;
	return t;
}

static const struct tree *assertion(struct parsing *p, enum assert_kind kind, size_t n)
{
	struct tree *t = node(p, TREE_ASSERT, NULL, NULL);

	t->assert = kind;
	p->at += n;
	return t;
}

static const struct tree *atom(struct parsing *p)
{
	const char *s = p->pattern + p->at;
	struct class c = { .n = 0 };
	uint32_t x;

	if (*s == '^' || *s == '$')
		return assertion(p, *s == '^' ? ASSERT_LINE_BEGIN : ASSERT_LINE_END, 1);
	if (*s == '\\' && (s[1] == 'b' || s[1] == 'B'))
		return assertion(p, s[1] == 'b' ? ASSERT_WORD_EDGE : ASSERT_NO_WORD_EDGE, 2);
	if (*s == '(' || *s == '[') {
		p->at++;
		return *s == '(' ? group(p) : bracket(p);
	}
	if (strchr("*+?{", *s))
		return fail(p, "nothing stands before the count");
	if (*s == '.') {
		p->at++;
		class_add(p, &c, '\n', '\n');
		class_invert(&c);
		return class_tree(p, &c);
	}
	int status = one(p, &x, &c);
	if (status < 0)
		return NULL;
	if (status == 0)
		class_add(p, &c, x, x);
	return class_tree(p, &c);
}

/* {m,n} and its kin; 0: none stands there, −1 and a sentence. */
static int count(struct parsing *p, int *least, int *most)
{
	const char *s = p->pattern + p->at;
	char *end;

	if (*s == '*' || *s == '+' || *s == '?') {
		*least = *s == '+';
		*most = *s == '?' ? 1 : -1;
		p->at++;
	} else if (*s == '{') {
		unsigned long m = strtoul(s + 1, &end, 10), n = m;
		bool open = false;
		if (end == s + 1 || s[1] == '-' || s[1] == '+')
			return fail(p, "a number was wanted behind {"), -1;
		if (*end == ',') {
			const char *from = end + 1;
			n = strtoul(from, &end, 10);
			open = end == from;
		}
		if (*end != '}' || m > COUNT_MAX || (!open && (n > COUNT_MAX || n < m)))
			return fail(p, "a count is {m}, {m,} or {m,n}, of 256 at most"), -1;
		*least = (int)m;
		*most = open ? -1 : (int)n;
		p->at = (size_t)(end + 1 - p->pattern);
	} else {
		return 0;
	}
	if (p->pattern[p->at] == '?' || p->pattern[p->at] == '+')
		return fail(p, "matches are the longest, so a count has no second sign"), -1;
	return 1;
}

static const struct tree *row(struct parsing *p)
{
	const struct tree *all = node(p, TREE_EMPTY, NULL, NULL);

	while (p->pattern[p->at] && p->pattern[p->at] != '|' && p->pattern[p->at] != ')') {
		const struct tree *t = atom(p);
		int least, most, status = t ? count(p, &least, &most) : -1;
		if (status < 0)
			return NULL;
		if (status > 0) {
			struct tree *r = node(p, TREE_REPEAT, t, NULL);
			r->least = least;
			r->most = most;
			t = r;
		}
		all = all->kind == TREE_EMPTY ? t : node(p, TREE_CAT, all, t);
	}
	return all;
}

static const struct tree *either(struct parsing *p)
{
	const struct tree *t = row(p);

	while (t && p->pattern[p->at] == '|') {
		p->at++;
		const struct tree *b = row(p);
		t = b ? node(p, TREE_OR, t, b) : NULL;
	}
	return t;
}

const struct tree *regex_parse(struct arena *mem, const char *pattern, struct err *e)
{
	struct parsing p = { .mem = mem, .pattern = pattern, .e = e };

	if (!strncmp(pattern, "(?i)", 4)) {
		p.any_case = true;
		p.at = 4;
	}
	const struct tree *t = either(&p);
	if (t && p.pattern[p.at])
		return fail(&p, "a bracket is closed that was not opened");
	return t;
}

bool regex_nullable(const struct tree *t)
{
	switch (t->kind) {
	case TREE_BYTE: return false;
	case TREE_CAT: return regex_nullable(t->a) && regex_nullable(t->b);
	case TREE_OR: return regex_nullable(t->a) || regex_nullable(t->b);
	case TREE_REPEAT: return !t->least || regex_nullable(t->a);
	default: return true;
	}
}
