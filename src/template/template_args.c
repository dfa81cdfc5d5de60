/* template_args: whether a builtin takes the arguments that it is called with. A row of a table says what Python's or
 * Jinja's function takes, as words:
 *
 *     name:TYPES     wanted; ? at the end: may be left out     /name:TYPES     by position alone
 *     *              any more by position                      **              any by name
 *
 * TYPES: s text, i whole number or bool, f float, n none, l list or tuple, t tuple, d dict, a anything. What does not
 * fit is a mistake here as it is an exception there: no builtin can leave out an argument that it does not look at. */
#include <string.h>

#include "base/mem.h"
#include "template/template_run.h"

struct parameter { const char *name, *types; size_t n, n_types; bool by_name, optional; };

/* The next word of a signature. */
static bool next_parameter(const char **at, struct parameter *p)
{
	const char *s = *at + strspn(*at, " "), *colon = strchr(s, ':');
	size_t n = strcspn(s, " ");

	if (!*s || *s == '*')
		return false;
	if (!colon || colon > s + n)
		BUG("a signature without types: %s", s);
	p->by_name = *s != '/';
	p->name = s + !p->by_name;
	p->n = (size_t)(colon - p->name);
	p->types = colon + 1;
	p->optional = s[n - 1] == '?';
	p->n_types = (size_t)(s + n - p->types) - p->optional;
	*at = s + n;
	return true;
}

static bool fits(struct value v, char type)
{
	switch (type) {
	case 's': return v.type == V_STRING;
	case 'i': return v.type == V_INT || v.type == V_BOOL;
	case 'f': return v.type == V_FLOAT;
	case 'n': return v.type == V_NONE;
	case 'l': return v_is_list(v);
	case 't': return v.type == V_TUPLE;
	case 'd': return v.type == V_DICT;
	case 'a': return true;
	}
	BUG("a type '%c' of an argument", type);
}

static const char *word_of(char type)
{
	static const char letters[] = "sifnltd";
	static const char *const words[] = { "a text", "a whole number", "a number", "none",
		                             "a list", "a tuple",        "a dict" };
	return words[strchr(letters, type) - letters];
}

static size_t place_of(const struct call *c, const struct parameter *p)
{
	for (size_t k = 0; k < c->n_named; k++)
		if (p->by_name && strlen(c->names[k]) == p->n && !memcmp(c->names[k], p->name, p->n))
			return k;
	return c->n_named;
}

static bool check_one(const struct call *c, const char *function, const struct parameter *p, size_t i, bool *taken)
{
	size_t k = place_of(c, p);

	if (i < c->n && k < c->n_named)
		return run_fail(c->r, "%s: '%.*s' is given twice", function, (int)p->n, p->name), false;
	if (i >= c->n && k == c->n_named)
		return p->optional ||
		       (run_fail(c->r, "%s: the argument '%.*s' is missing", function, (int)p->n, p->name), false);
	struct value v = i < c->n ? c->args[i] : c->named[k];
	if (k < c->n_named)
		taken[k] = true;
	for (size_t t = 0; t < p->n_types; t++)
		if (fits(v, p->types[t]))
			return true;
	return run_fail(c->r, "%s: argument %zu is %s, %s was wanted", function, i + 1, v_type_name(v),
	                word_of(p->types[0])), false;
}

bool call_fits(const struct call *c, const struct function *f)
{
	const char *at = f->takes ? f->takes : "";
	bool *taken = arena_array(&c->r->mem, c->n_named + 1, sizeof(*taken));
	struct parameter p;
	size_t i = 0;

	for (; next_parameter(&at, &p); i++)
		if (!check_one(c, f->name, &p, i, taken))
			return false;
	bool any = strstr(at, "**") != NULL, more = *(at += strspn(at, " ")) == '*' && strcmp(at, "**") != 0;
	if (c->n > i && !more)
		return run_fail(c->r, "%s takes %zu arguments, not %zu", f->name, i, c->n), false;
	for (size_t k = 0; k < c->n_named && !any; k++)
		if (!taken[k])
			return run_fail(c->r, "%s takes no argument '%.60s'", f->name, c->names[k]), false;
	return true;
}

struct value call_arg(const struct call *c, size_t i, const char *name, struct value init)
{
	for (size_t k = 0; name && k < c->n_named; k++)
		if (!strcmp(c->names[k], name))
			return c->named[k];
	return i < c->n ? c->args[i] : init;
}

void call_add_named(struct call *c, const char *name, struct value v, size_t *cap)
{
	for (size_t k = 0; k < c->n_named; k++)
		if (!strcmp(c->names[k], name))
			run_fail(c->r, "the argument '%.60s' is given twice", name);
	if (c->n_named + 2 > *cap) {
		const char **names = arena_array(&c->r->mem, *cap = 2 * *cap + 2, sizeof(*names));
		struct value *named = arena_array(&c->r->mem, *cap, sizeof(*named));
		memcpy(names, c->names, c->n_named * sizeof(*names));
		memcpy(named, c->named, c->n_named * sizeof(*named));
		c->names = names;
		c->named = named;
	}
	c->names[c->n_named] = name;
	c->named[c->n_named++] = v;
}

void call_add_dict(struct call *c, struct value v, size_t *cap)
{
	if (v.type != V_DICT)
		run_fail(c->r, "**: %s is no dict", v_type_name(v));
	for (size_t i = 0; v.type == V_DICT && i < v.dict->n && run_steps(c->r, 1 + c->n_named / 16); i++) {
		struct value key = v.dict->keys[i];
		if (key.type != V_STRING || memchr(key.str.s, 0, key.str.n)) {
			run_fail(c->r, "**: a name was wanted, not %s", v_type_name(key));
			return;
		}
		const char *name = arena_printf(&c->r->mem, "%.*s", (int)key.str.n, key.str.s);
		call_add_named(c, name, v.dict->values[i], cap);
	}
}
