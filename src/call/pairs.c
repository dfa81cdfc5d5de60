/* pairs: by the state, on what is held: bytes that may yet be a mark. A text goes on until its mark comes; JSON and
 * Python's values until they are whole by their brackets and quotes and what follows them begins. A value that may be
 * something else than a text is held until its end, which decides. */
#include "call/pairs.h"

#include <string.h>

#include "base/mem.h"

enum { NAME = 128 };
enum state { NEXT, NAMED, BEHIND, VALUE, CLOSE };
enum kind { TEXT, TEXT_OR_NULL, ANY, JSON };

struct pairs {
	const struct call_pairs *f;
	const json_t *kinds;
	char *further; /* between and key */
	const char *rest;
	enum state state;
	enum kind kind;
	struct buf held, name, value, json;
	bool some; /* a pair was there */
	int depth; /* of a value's brackets */
	bool quoted, escaped;
	unsigned skip; /* letters of a word that is written otherwise */
};

struct pairs *pairs_new(const struct call_pairs *f, const json_t *kinds, const char *rest)
{
	struct pairs *p = mem_alloc(sizeof(*p));

	*p = (struct pairs){ .f = f, .kinds = kinds, .rest = rest };
	p->further = mem_printf("%s%s", f->between, f->key);
	return p;
}

void pairs_free(struct pairs *p)
{
	if (!p)
		return;
	buf_release(&p->held);
	buf_release(&p->name);
	buf_release(&p->value);
	buf_release(&p->json);
	mem_free(p->further);
	mem_free(p);
}

size_t pairs_held(const struct pairs *p) { return p->held.len; }
struct buf *pairs_json(struct pairs *p) { return &p->json; }

/* --- what is held --- */

enum found { NOTHING, PART, WHOLE };

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/* Is it the beginning of the mark, whose spaces are white space or none, or begins with it: *n bytes of it then. */
static enum found find(const struct pairs *p, const char *mark, size_t *n)
{
	size_t i = 0;

	for (; *mark; mark++) {
		while (*mark == ' ' && i < p->held.len && is_space(p->held.data[i]))
			i++;
		if (*mark == ' ')
			continue;
		if (i == p->held.len)
			return PART;
		if (p->held.data[i++] != *mark)
			return NOTHING;
	}
	*n = i;
	return WHOLE;
}

static void drop(struct pairs *p, size_t n)
{
	p->held.len -= n;
	memmove(p->held.data, p->held.data + n, p->held.len);
}

/* --- JSON --- */

/* As a JSON string has it in its quotes. */
static void add_char(struct buf *out, char c)
{
	static const char named[] = "\"\\\b\f\n\r\t", *const as[] = {
		"\\\"", "\\\\", "\\b", "\\f", "\\n", "\\r", "\\t"
	};
	const char *at = c ? strchr(named, c) : NULL;

	if (at)
		buf_adds(out, as[at - named]);
	else if ((unsigned char)c < 0x20)
		buf_addf(out, "\\u%04x", (unsigned char)c);
	else
		buf_addc(out, c);
}

static void add_string(struct buf *out, const char *text, size_t n)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < n; i++)
		add_char(out, text[i]);
	buf_addc(out, '"');
}

static enum kind kind_of(const struct pairs *p)
{
	const json_t *kind = json_object_get(p->kinds, buf_str(&p->name));
	const char *word = json_string_value(kind ? kind : json_object_get(p->kinds, "*"));

	if (p->f->python)
		return JSON;
	if (!word)
		return p->kinds ? JSON : ANY;
	return !strcmp(word, "text") ? TEXT : !strcmp(word, "any") ? ANY : TEXT_OR_NULL;
}

static void begin_value(struct pairs *p)
{
	buf_adds(&p->json, p->some ? ", " : "{");
	add_string(&p->json, p->name.data, p->name.len);
	buf_adds(&p->json, ": ");
	p->some = true;
	p->state = VALUE;
	p->kind = kind_of(p);
	p->depth = 0;
	p->quoted = p->escaped = false;
	buf_clear(&p->value);
	if (p->kind == TEXT)
		buf_addc(&p->json, '"');
}

/* A value of which its end tells what it is. */
static void decide(struct pairs *p)
{
	const char *text = buf_str(&p->value);
	json_t *j = p->kind == ANY ? json_loadb(text, p->value.len, JSON_DECODE_ANY, NULL) : NULL;

	if ((j && !json_is_string(j)) || !strcmp(text, "null"))
		buf_add(&p->json, text, p->value.len);
	else
		add_string(&p->json, text, p->value.len);
	json_decref(j);
}

/* --- states; false: more is wanted --- */

static bool step_next(struct pairs *p, enum pairs_said *said)
{
	size_t n = 0, m, spaces = 0;

	while (spaces < p->held.len && is_space(p->held.data[spaces]))
		spaces++;
	if (spaces == p->held.len)
		return false;
	enum found key = find(p, p->some ? p->further : p->f->key, &n), rest = find(p, p->rest, &m);
	if (key == PART || (key == NOTHING && rest == PART && !p->some && !p->f->python))
		return false;
	if (key == WHOLE && rest == NOTHING) {
		drop(p, n);
		buf_clear(&p->name);
		p->state = NAMED;
		return true;
	}
	buf_adds(&p->json, p->some ? "}" : "{}");
	*said = PAIRS_OVER;
	return false;
}

static bool step_name(struct pairs *p, enum pairs_said *said)
{
	if (!p->held.len)
		return false;
	char c = p->held.data[0];
	if (c == *p->f->behind) {
		p->state = BEHIND;
		return true;
	}
	bool leads = is_space(c) && !p->name.len;
	if (!leads && (is_space(c) || p->name.len == NAME)) {
		*said = PAIRS_BROKEN;
		return false;
	}
	if (!leads)
		buf_addc(&p->name, c);
	drop(p, 1);
	return true;
}

static bool step_mark(struct pairs *p, const char *mark, enum pairs_said *said)
{
	size_t n = 0;
	enum found how = find(p, mark, &n);

	if (how == NOTHING)
		*said = PAIRS_BROKEN;
	if (how != WHOLE)
		return false;
	drop(p, n);
	return true;
}

/* A text, until its mark comes. */
static bool step_text(struct pairs *p)
{
	size_t n = 0;
	enum found how = p->held.len ? find(p, p->f->close, &n) : PART;

	if (how == PART)
		return false;
	if (how == WHOLE) {
		drop(p, n);
		p->state = NEXT;
		if (p->kind == TEXT)
			buf_addc(&p->json, '"');
		else
			decide(p);
		return true;
	}
	if (p->kind == TEXT)
		add_char(&p->json, p->held.data[0]);
	else
		buf_addc(&p->value, p->held.data[0]);
	drop(p, 1);
	return true;
}

/* One byte of a value outside of quotes. */
static void add_plain(struct pairs *p, char c)
{
	const char *word = !p->f->python ? NULL : c == 'T' ? "true" : c == 'F' ? "false" : c == 'N' ? "null" : NULL;

	p->quoted = c == '"';
	p->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
	if (p->skip) {
		p->skip--;
		return;
	}
	if (word)
		buf_adds(&p->json, word);
	else
		buf_addc(&p->json, c);
	p->skip = word ? (unsigned)strlen(word) - 1 : 0;
}

static bool step_value(struct pairs *p)
{
	if (!p->held.len)
		return false;
	char c = p->held.data[0];
	bool ends = p->f->python ? c == ',' || c == ')' : c == *p->f->close;
	if (!p->quoted && p->depth <= 0 && ends) {
		p->state = p->f->python ? NEXT : CLOSE;
		return true;
	}
	if (p->quoted) {
		p->quoted = p->escaped || c != '"';
		p->escaped = !p->escaped && c == '\\';
		buf_addc(&p->json, c);
	} else {
		add_plain(p, c);
	}
	drop(p, 1);
	return true;
}

static bool step(struct pairs *p, enum pairs_said *said)
{
	switch (p->state) {
	case NEXT: return step_next(p, said);
	case NAMED: return step_name(p, said);
	case BEHIND:
		if (!step_mark(p, p->f->behind, said))
			return false;
		begin_value(p);
		return true;
	case VALUE: return p->kind == JSON ? step_value(p) : step_text(p);
	case CLOSE:
		if (!step_mark(p, p->f->close, said))
			return false;
		p->state = NEXT;
		return true;
	}
	return false;
}

enum pairs_said pairs_add(struct pairs *p, char c)
{
	enum pairs_said said = PAIRS_GO_ON;

	buf_addc(&p->held, c);
	while (step(p, &said))
		;
	return said;
}
