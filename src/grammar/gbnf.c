/* gbnf: a grammar's text is read from its first to its last byte, once; a name stands for a rule's number from where it
 * is first met. What is read is expressions of an arena, which network.c compiles. See gbnf.h. */
#include "grammar/gbnf.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/chars.h"
#include "grammar/grammar.h"

enum { NESTED = 200, RULES = 1 << 17 };

struct reader {
	struct arena mem;
	const char *text, *at, *end;
	struct rule *rules;
	uint32_t *slot; /* number + 1, by hash of the name */
	size_t n_rules, cap_rules, n_slots;
	int depth;
	struct err *e;
};

static void *refuse(struct reader *r, const char *what)
{
	size_t line = 1;

	for (const char *c = r->text; c < r->at; c++)
		line += *c == '\n';
	err_set(r->e, "the grammar's line %zu: %s", line, what);
	return NULL;
}

/* Over spaces and comments; over the ends of lines where `lines`. */
static void skip(struct reader *r, bool lines)
{
	for (; r->at < r->end; r->at++) {
		if (*r->at == '#')
			while (r->at + 1 < r->end && r->at[1] != '\n')
				r->at++;
		else if (*r->at != ' ' && *r->at != '\t' && (!lines || (*r->at != '\n' && *r->at != '\r')))
			return;
	}
}

static bool is(const struct reader *r, char c) { return r->at < r->end && *r->at == c; }

/* --- names --- */

static bool names(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static uint32_t hash_name(const char *s, size_t n)
{
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * 16777619U;
	return h;
}

static void more_slots(struct reader *r)
{
	r->n_slots = MAX(64, 2 * r->n_slots);
	mem_free(r->slot);
	r->slot = mem_array(r->n_slots, sizeof(*r->slot));
	for (size_t i = 0; i < r->n_rules; i++) {
		size_t k = hash_name(r->rules[i].name, strlen(r->rules[i].name)) & (r->n_slots - 1);
		while (r->slot[k])
			k = (k + 1) & (r->n_slots - 1);
		r->slot[k] = (uint32_t)i + 1;
	}
}

static uint32_t rule_of(struct reader *r, const char *name, size_t n)
{
	if (2 * (r->n_rules + 1) > r->n_slots)
		more_slots(r);
	size_t k = hash_name(name, n) & (r->n_slots - 1);
	for (; r->slot[k]; k = (k + 1) & (r->n_slots - 1)) {
		const char *had = r->rules[r->slot[k] - 1].name;
		if (!strncmp(had, name, n) && !had[n])
			return r->slot[k] - 1;
	}
	if (r->n_rules == r->cap_rules) {
		r->cap_rules = MAX(64, 2 * r->cap_rules);
		r->rules = mem_grow(r->rules, r->cap_rules, sizeof(*r->rules));
	}
	r->slot[k] = (uint32_t)r->n_rules + 1;
	r->rules[r->n_rules] = (struct rule){ .name = arena_strndup(&r->mem, name, n) };
	return (uint32_t)r->n_rules++;
}

/* --- characters --- */

static bool read_hex(struct reader *r, int digits, uint32_t *cp)
{
	*cp = 0;
	for (int i = 0; i < digits; i++, r->at++) {
		char c = r->at < r->end ? *r->at : 0;
		int d = c >= '0' && c <= '9' ? c - '0' :
		        c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		        c >= 'A' && c <= 'F' ? c - 'A' + 10 :
		                               -1;
		if (d < 0)
			return refuse(r, "hexadecimal digits were wanted behind the backslash");
		*cp = *cp << 4 | (uint32_t)d;
	}
	return *cp <= 0x10ffff && (*cp < 0xd800 || *cp > 0xdfff) ? true :
	                                                           refuse(r, "an escape is no character") != NULL;
}

static bool read_escape(struct reader *r, uint32_t *cp)
{
	char c = ++r->at < r->end ? *r->at++ : 0;

	switch (c) {
	case 'n': *cp = '\n'; return true;
	case 'r': *cp = '\r'; return true;
	case 't': *cp = '\t'; return true;
	case 'x': return read_hex(r, 2, cp);
	case 'u': return read_hex(r, 4, cp);
	case 'U': return read_hex(r, 8, cp);
	case '\\':
	case '"':
	case '[':
	case ']':
	case '-':
	case '^': *cp = (uint8_t)c; return true;
	default: return refuse(r, "an escape that is not known; \\n \\r \\t \\x \\u \\U \\\\ \\\" \\[ \\] are") != NULL;
	}
}

static bool read_char(struct reader *r, uint32_t *cp)
{
	if (r->at >= r->end)
		return refuse(r, "the text ends within quotes or brackets") != NULL;
	if (*r->at == '\\')
		return read_escape(r, cp);
	size_t n = utf8_decode(r->at, (size_t)(r->end - r->at), cp);
	r->at += n;
	return n ? true : refuse(r, "not UTF-8") != NULL;
}

/* --- expressions --- */

static struct expr *new_expr(struct reader *r, enum expr_kind kind)
{
	struct expr *x = arena_alloc(&r->mem, sizeof(*x));

	x->kind = kind;
	return x;
}

/* Items of a sequence or choice while it is read. */
struct items {
	struct expr **item;
	size_t n, cap;
};

static void add_item(struct items *l, struct expr *x)
{
	if (l->n == l->cap) {
		l->cap = MAX(4, 2 * l->cap);
		l->item = mem_grow(l->item, l->cap, sizeof(struct expr *));
	}
	l->item[l->n++] = x;
}

static struct expr *of_items(struct reader *r, enum expr_kind kind, struct items *l)
{
	struct expr *x = l->n == 1 ? l->item[0] : new_expr(r, kind);

	if (l->n != 1) {
		x->n = l->n;
		x->u.item = arena_array(&r->mem, l->n, sizeof(struct expr *));
		for (size_t i = 0; i < l->n; i++) {
			x->u.item[i] = l->item[i];
			x->size += l->item[i]->size;
		}
	}
	mem_free(l->item);
	return x;
}

static struct expr *read_quoted(struct reader *r)
{
	struct expr *x = new_expr(r, EXPR_BYTES);
	struct buf bytes = BUF_INIT;
	uint32_t cp;
	char utf8[4];

	for (r->at++; !is(r, '"');) {
		if (is(r, '\n') || !read_char(r, &cp)) {
			buf_release(&bytes);
			return *r->e->msg ? NULL : refuse(r, "a text in quotes ends with its line");
		}
		buf_add(&bytes, utf8, utf8_encode(cp, utf8));
	}
	r->at++;
	x->n = x->size = bytes.len;
	x->u.bytes = arena_strndup(&r->mem, buf_str(&bytes), bytes.len);
	buf_release(&bytes);
	return x;
}

static struct expr *of_ranges(struct reader *r, struct char_range *list, size_t n, bool negated)
{
	struct expr *x = new_expr(r, EXPR_CHARS);
	struct char_range *out = arena_array(&r->mem, n + 1, sizeof(*out));

	x->n = char_ranges_tidy(list, n, negated, out);
	x->u.range = out;
	for (size_t i = 0; i < x->n; i++)
		x->size += out[i].hi < 0x80 ? 1 : 4;
	return x;
}

static struct expr *read_class(struct reader *r)
{
	struct char_range *list = NULL, one;
	struct expr *x = NULL;
	size_t n = 0, cap = 0;
	bool negated = ++r->at < r->end && *r->at == '^', fine = true;

	for (r->at += negated; fine && !is(r, ']');) {
		fine = read_char(r, &one.lo);
		one.hi = one.lo;
		if (fine && is(r, '-') && r->at + 1 < r->end && r->at[1] != ']') {
			r->at++;
			fine = read_char(r, &one.hi) && (one.hi >= one.lo || refuse(r, "a range's end comes before its "
			                                                               "beginning"));
		}
		if (n + 1 >= cap) { /* one more, for what is negated */
			cap = MAX(16, 2 * cap);
			list = mem_grow(list, cap, sizeof(*list));
		}
		list[n++] = one;
	}
	if (fine) {
		r->at++;
		struct char_range none[1];
		x = of_ranges(r, list ? list : none, n, negated);
	}
	mem_free(list);
	return x;
}

static bool read_bound(struct reader *r, uint32_t *out)
{
	uint64_t x = 0;
	const char *from = r->at;

	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
		x = MIN(x * 10 + (uint64_t)(*r->at - '0'), UINT32_MAX);
	if (r->at == from)
		return refuse(r, "a number was wanted in braces") != NULL;
	*out = (uint32_t)x;
	return x <= GRAMMAR_REPEAT ? true : refuse(r, "a part is repeated more than 65536 times") != NULL;
}

/* {m}, {m,}, {m,n}, {,n} */
static bool read_braces(struct reader *r, uint32_t *least, uint32_t *most)
{
	r->at++;
	skip(r, false);
	*least = 0;
	if (!is(r, ',') && !read_bound(r, least))
		return false;
	*most = *least;
	skip(r, false);
	if (is(r, ',')) {
		r->at++;
		skip(r, false);
		*most = REPEAT_FOREVER;
		if (!is(r, '}') && !read_bound(r, most))
			return false;
		skip(r, false);
	}
	if (!is(r, '}') || *most < *least)
		return refuse(r, "in braces {m}, {m,} or {m,n} was wanted, n not below m") != NULL;
	r->at++;
	return true;
}

static struct expr *repeated(struct reader *r, struct expr *what)
{
	while (r->at < r->end && strchr("*+?{", *r->at)) {
		struct expr *x = new_expr(r, EXPR_REPEAT);
		char c = *r->at;
		x->least = c == '+';
		x->most = c == '?' ? 1 : REPEAT_FOREVER;
		if (c != '{')
			r->at++;
		else if (!read_braces(r, &x->least, &x->most))
			return NULL;
		x->n = 1;
		x->u.item = arena_alloc(&r->mem, sizeof(struct expr *));
		x->u.item[0] = what;
		x->size = what->size + 2;
		what = x;
		skip(r, r->depth > 0);
	}
	return what;
}

static struct expr *read_choice(struct reader *r);

static struct expr *read_group(struct reader *r)
{
	if (++r->depth > NESTED)
		return refuse(r, "parentheses nest deeper than 200");
	r->at++;
	skip(r, true);
	struct expr *x = read_choice(r);
	if (!x)
		return NULL;
	if (!is(r, ')'))
		return refuse(r, "a parenthesis is not closed");
	r->at++;
	r->depth--;
	return x;
}

static struct expr *read_name(struct reader *r)
{
	const char *name = r->at;
	struct expr *x = new_expr(r, EXPR_RULE);

	while (r->at < r->end && names(*r->at))
		r->at++;
	if (r->n_rules >= RULES)
		return refuse(r, "there are more than 131072 rules");
	x->u.rule = rule_of(r, name, (size_t)(r->at - name));
	x->size = 1;
	return x;
}

static struct expr *read_item(struct reader *r)
{
	struct char_range none[1];

	switch (*r->at) {
	case '"': return read_quoted(r);
	case '[': return read_class(r);
	case '(': return read_group(r);
	case '.': r->at++; return of_ranges(r, none, 0, true);
	case '!':
		if (r->at + 1 < r->end && r->at[1] == '<')
			return refuse(r, "tokens (<…>) are not understood, only texts");
		r->at++;
		return new_expr(r, EXPR_ONLY);
	case '<': return refuse(r, "tokens (<…>) are not understood, only texts");
	default:
		return names(*r->at) ? read_name(r) :
		                       refuse(r, "a text in quotes, a class, a name or a parenthesis was wanted");
	}
}

static bool at_rule(const struct reader *r)
{
	const char *c = r->at;

	while (c < r->end && names(*c))
		c++;
	if (c == r->at)
		return false;
	while (c < r->end && (*c == ' ' || *c == '\t'))
		c++;
	return r->end - c >= 3 && !memcmp(c, "::=", 3);
}

static bool at_end_of_sequence(const struct reader *r)
{
	return r->at >= r->end || strchr("|)\n\r", *r->at) || (r->depth > 0 && at_rule(r));
}

static struct expr *read_sequence(struct reader *r)
{
	struct items list = { 0 };

	while (!at_end_of_sequence(r)) {
		struct expr *x = read_item(r);
		skip(r, r->depth > 0);
		if (x)
			x = repeated(r, x);
		if (!x) {
			mem_free(list.item);
			return NULL;
		}
		add_item(&list, x);
	}
	return of_items(r, EXPR_SEQUENCE, &list);
}

/* Does the choice go on in a line that begins with "|"? */
static void to_next_choice(struct reader *r)
{
	const char *here = r->at;

	skip(r, true);
	if (!is(r, '|'))
		r->at = here;
}

static struct expr *read_choice(struct reader *r)
{
	struct items list = { 0 };

	for (;;) {
		struct expr *x = read_sequence(r);
		if (!x) {
			mem_free(list.item);
			return NULL;
		}
		add_item(&list, x);
		to_next_choice(r);
		if (!is(r, '|'))
			return of_items(r, EXPR_CHOICE, &list);
		r->at++;
		skip(r, true);
	}
}

static bool read_rule(struct reader *r)
{
	const char *name = r->at;

	while (r->at < r->end && names(*r->at))
		r->at++;
	size_t n = (size_t)(r->at - name);
	skip(r, false);
	if (!n || r->end - r->at < 3 || memcmp(r->at, "::=", 3))
		return refuse(r, "name ::= was wanted") != NULL;
	r->at += 3;
	uint32_t rule = rule_of(r, name, n);
	if (r->rules[rule].is)
		return refuse(r, "a rule of this name was there") != NULL;
	skip(r, true);
	const struct expr *x = read_choice(r);
	if (!x)
		return false;
	if (r->at < r->end && *r->at != '\n' && *r->at != '\r')
		return refuse(r, "the end of a rule was wanted") != NULL;
	r->rules[rule].is = x;
	skip(r, true);
	return true;
}

static int read_all(struct reader *r)
{
	rule_of(r, "root", 4);
	skip(r, true);
	while (r->at < r->end)
		if (!read_rule(r))
			return -1;
	for (size_t i = 0; i < r->n_rules; i++)
		if (!r->rules[i].is)
			return err_set(r->e, i ? "the grammar has no rule %.80s" : "the grammar has no rule root",
			               r->rules[i].name);
	return 0;
}

/* Behind what begins at `at` with a quote or bracket and ends with `end`. */
static const char *behind(const char *at, const char *stop, char end)
{
	for (at++; at < stop && *at != end; at++)
		at += *at == '\\' && at + 1 < stop;
	return at + (at < stop);
}

void gbnf_rename(const struct buf *gbnf, const char *prefix, struct buf *out)
{
	const char *at = buf_str(gbnf), *stop = at + gbnf->len, *next;

	for (; at < stop; at = next) {
		next = at + 1;
		if (*at == '"' || *at == '[' || *at == '{' || *at == '#')
			next = behind(at, stop, *at == '[' ? ']' : *at == '{' ? '}' : *at == '#' ? '\n' : '"');
		else if (names(*at))
			buf_adds(out, prefix);
		while (names(*at) && next < stop && names(*next))
			next++;
		buf_add(out, at, (size_t)(next - at));
	}
}

int gbnf_read(struct network *w, const char *text, size_t n, struct err *e)
{
	struct err own = ERR_INIT;
	struct reader r = { .text = text, .at = text, .end = text + n, .e = &own };
	int status;

	if (n > GRAMMAR_TEXT)
		status = err_set(&own, "the grammar has %zu bytes, more than %d", n, GRAMMAR_TEXT);
	else if (memchr(text, 0, n))
		status = err_set(&own, "the grammar has a byte 0");
	else
		status = read_all(&r);
	if (status == 0)
		status = network_build(w, r.rules, r.n_rules, &own);
	if (status < 0)
		err_set(e, "%s", own.msg);
	arena_release(&r.mem);
	mem_free(r.rules);
	mem_free(r.slot);
	return status;
}
