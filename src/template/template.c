/* template: the interpreter. See template.h; the language is Jinja's (3.1), names resolve as there: a loop's body and a
 * macro have scopes of their own, an if has none; what a loop sets is gone after each turn, what a namespace holds is
 * not. */
#include "template/template.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "template/template_run.h"

/* A step is about a tenth of a microsecond of work; a long conversation takes less than a hundred thousand. */
enum { DEPTH_MAX = 200, VALUE_DEPTH_MAX = 1000, VALUE_WEIGHT_MAX = RUN_TEXT_MAX / 16 };
long template_steps_max = 2000000;
size_t template_memory_max = 256 << 20;

struct variable { const char *name; struct value value; };

struct scope {
	struct scope *parent;
	struct variable *items;
	size_t n, cap;
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

struct interpreter {
	struct run_state r;              /* first: a run_state * is an interpreter * */
	struct scope *scope;
	struct scope *top;
	enum flow flow;
	struct template_output *output;
	size_t cap_spans;
};

/* A macro as a value: where it was defined. */
struct closure { struct macro macro; struct scope *scope; };

/* --- mistakes and bounds --- */

struct value run_fail(struct run_state *r, const char *fmt, ...)
{
	char why[700];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	if (!r->failed)
		err_set(r->e, "line %d: %s", r->line, why);
	r->failed = true;
	return UNDEFINED(NULL);
}

bool run_steps(struct run_state *r, size_t n)
{
	r->steps += (long)MIN(n, (size_t)template_steps_max);
	if (r->steps > template_steps_max)
		run_fail(r, "the template takes more than %ld steps", template_steps_max);
	else if (r->out->len > RUN_TEXT_MAX)
		run_fail(r, "the template writes more than %d bytes", RUN_TEXT_MAX);
	return !r->failed;
}

bool run_charge(struct run_state *r, struct value a, struct value b)
{
	return run_steps(r, (v_weight(a) + v_weight(b)) / 64);
}

static bool step(struct run_state *r) { return run_steps(r, 1); }

/* What looking at a value once costs, without what is within its items. */
static size_t cost(struct value v)
{
	return v.type == V_STRING ? v.str.n / 64 :
	       v_is_list(v)       ? v.list->n / 16 :
	       v.type == V_DICT   ? v.dict->n / 16 :
	                            0;
}

static bool charge(const struct call *c)
{
	size_t n = 1 + cost(c->self);

	for (size_t i = 0; i < c->n; i++)
		n += cost(c->args[i]);
	return run_steps(c->r, n);
}

static bool enter(struct run_state *r)
{
	if (++r->depth > DEPTH_MAX)
		run_fail(r, "calls are nested more than %d deep", DEPTH_MAX);
	return !r->failed;
}

/* --- arguments --- */

static bool call_has(const struct call *c, size_t i, const char *name)
{
	for (size_t k = 0; name && k < c->n_named; k++)
		if (!strcmp(c->names[k], name))
			return true;
	return i < c->n;
}

/* --- names --- */

static struct variable *find_in(const struct scope *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (!strcmp(s->items[i].name, name))
			return &s->items[i];
	return NULL;
}

static void set_in(struct interpreter *x, struct scope *s, const char *name, struct value v)
{
	struct variable *old = find_in(s, name);

	if (old) {
		old->value = v;
		return;
	}
	if (s->n == s->cap) {
		struct variable *more = arena_array(&x->r.mem, s->cap = s->cap ? 2 * s->cap : 8, sizeof(*more));
		if (s->n)
			memcpy(more, s->items, s->n * sizeof(*more));
		s->items = more;
	}
	s->items[s->n++] = (struct variable){ name, v };
}

static struct value look_up(struct interpreter *x, const char *name)
{
	for (const struct scope *s = x->scope; s; s = s->parent) {
		const struct variable *v = find_in(s, name);
		if (v)
			return v->value;
	}
	const struct function *f = template_global(name);
	return f ? (struct value){ .type = V_FUNCTION, .function = f } : UNDEFINED(name);
}

static struct scope *push_scope(struct interpreter *x)
{
	struct scope *s = arena_alloc(&x->r.mem, sizeof(*s));

	*s = (struct scope){ .parent = x->scope };
	return x->scope = s;
}

/* --- attributes and items --- */

struct value run_undefined(struct run_state *r, struct value v)
{
	return run_fail(r, "%s%.80s%s is undefined", v.name ? "'" : "a value", v.name ? v.name : "", v.name ? "'" : "");
}

struct value run_method(struct run_state *r, struct value object, const char *name)
{
	const struct function *m = template_method(object, name);

	if (!m)
		return UNDEFINED(name);
	if (m->takes && !strcmp(m->takes, ATTRIBUTE))
		return m->call ? m->call(&(struct call){ .r = r, .self = object }) :
		                 run_fail(r, "'%s' of %s is not known here", name, v_type_name(object));
	if (m->takes && !strcmp(m->takes, CHANGES))
		return UNDEFINED(arena_printf(&r->mem, "%s, which would change a %s,", name, v_type_name(object)));
	struct bound *b = arena_alloc(&r->mem, sizeof(*b));
	*b = (struct bound){ object, m };
	return (struct value){ .type = V_METHOD, .bound = b };
}

struct value run_attribute(struct run_state *r, struct value object, const char *name)
{
	if (object.type == V_UNDEFINED)
		return run_undefined(r, object);
	if (object.type == V_NAMESPACE) {
		const struct value *v = v_get_text(object, name);
		return v ? *v : run_method(r, object, name);
	}
	struct value m = run_method(r, object, name);
	if (object.type != V_DICT || template_method(object, name))
		return m;
	const struct value *v = v_get_text(object, name);
	return v ? *v : UNDEFINED(name);
}

static struct value item_at(struct run_state *r, struct value object, int64_t i)
{
	struct err ignored = ERR_INIT;
	size_t n;

	if (!run_steps(r, cost(object)) || v_length(object, &n, &ignored) < 0)
		return UNDEFINED("an item");
	i += i < 0 ? (int64_t)n : 0;
	if (i < 0 || (size_t)i >= n)
		return UNDEFINED("an item beyond the end");
	if (object.type != V_STRING)
		return object.list->items[i];
	size_t at = v_char_at(object, (size_t)i);
	return v_string(&r->mem, object.str.s + at, v_char_at(object, (size_t)i + 1) - at);
}

struct value run_item(struct run_state *r, struct value object, struct value key)
{
	if (object.type == V_UNDEFINED)
		return run_undefined(r, object);
	if (object.type == V_DICT || object.type == V_NAMESPACE) {
		if (!v_hashable(key))
			return UNDEFINED("an item");
		const struct value *v = v_get(object, key);
		if (v)
			return *v;
		return key.type == V_STRING ? run_method(r, object, key.str.s) : UNDEFINED("an item");
	}
	if ((key.type == V_INT || key.type == V_BOOL) && v_is_sequence(object))
		return item_at(r, object, key.type == V_INT ? key.i : key.b);
	return key.type == V_STRING ? run_method(r, object, key.str.s) : UNDEFINED("an item");
}

void run_print(struct run_state *r, struct buf *out, struct value v)
{
	if (v.type == V_UNDEFINED && r->strict)
		run_undefined(r, v);
	else if (v_opaque(v))
		run_fail(r, "%s is not printed here", v_type_name(v));
	else
		v_print(out, v);
}

struct value run_text(struct run_state *r, struct value v)
{
	struct buf out = RUN_TEXT(r);

	if (v.type == V_STRING)
		return v;
	run_print(r, &out, v);
	return run_take(r, &out);
}

struct value run_take(struct run_state *r, struct buf *text)
{
	if (!text->overflow && run_steps(r, text->len / 64))
		return v_take(&r->mem, text);
	run_fail(r, "a text of more than %d bytes", RUN_TEXT_MAX);
	buf_release(text);
	return v_text("");
}

struct value run_escaped(struct run_state *r, struct value text)
{
	struct buf out = RUN_TEXT(r);

	if (text.safe)
		return text;
	for (size_t i = 0; i < text.str.n; i++)
		switch (text.str.s[i]) {
		case '&': buf_adds(&out, "&amp;"); break;
		case '<': buf_adds(&out, "&lt;"); break;
		case '>': buf_adds(&out, "&gt;"); break;
		case '"': buf_adds(&out, "&#34;"); break;
		case '\'': buf_adds(&out, "&#39;"); break;
		default: buf_addc(&out, text.str.s[i]);
		}
	text = run_take(r, &out);
	text.safe = true;
	return text;
}

/* --- expressions --- */

static struct value eval(struct interpreter *x, const struct expr *e);
static void run_body(struct interpreter *x, const struct stmt *s);

static struct value collect(struct interpreter *x, const struct expr *items, enum vtype type)
{
	struct value list = v_list(&x->r.mem, type, 4);

	for (; items && !x->r.failed; items = items->next)
		v_push(&x->r.mem, list, eval(x, items));
	return list;
}

static struct value make_dict(struct interpreter *x, const struct expr *items)
{
	struct value d = v_dict(&x->r.mem);

	for (; items && !x->r.failed; items = items->next->next) {
		struct value key = eval(x, items), item = eval(x, items->next);
		if (!v_hashable(key))
			run_fail(&x->r, "a %s cannot be a key", v_type_name(key));
		v_set(&x->r.mem, d, key, item);
	}
	return d;
}

/* Python's slice: [begin:end:step] over n items. */
static bool slice_bounds(struct interpreter *x, const struct expr *e, size_t n, int64_t *from, int64_t *to, int64_t *by)
{
	struct value b = e->b ? eval(x, e->b) : NONE, c = e->c ? eval(x, e->c) : NONE, d = e->d ? eval(x, e->d) : NONE;
	int64_t size = (int64_t)n;

	if ((b.type != V_INT && b.type != V_NONE) || (c.type != V_INT && c.type != V_NONE) ||
	    (d.type != V_INT && d.type != V_NONE) || (d.type == V_INT && d.i == 0)) {
		run_fail(&x->r, "a slice wants whole numbers, and a step that is not 0");
		return false;
	}
	*by = d.type == V_INT ? d.i : 1;
	int64_t low = *by > 0 ? 0 : -1, high = *by > 0 ? size : size - 1;
	*from = b.type == V_INT ? b.i + (b.i < 0 ? size : 0) : *by > 0 ? low : high;
	*to = c.type == V_INT ? c.i + (c.i < 0 ? size : 0) : *by > 0 ? high : low;
	*by = MAX(-size - 1, MIN(size + 1, *by)); /* a longer step goes nowhere else */
	*from = MAX(low, MIN(high, *from));
	*to = MAX(low, MIN(high, *to));
	return true;
}

/* Mostly a piece; with a step, character by character. */
static struct value slice_text(struct interpreter *x, struct value s, int64_t from, int64_t to, int64_t by)
{
	size_t n = by > 0 ? (size_t)MAX(to - from, 0) : (size_t)MAX(from - to, 0),
	       first = (size_t)(by > 0 ? from : to + 1), at = n ? v_char_at(s, first) : 0;
	struct value whole =
		v_string(&x->r.mem, s.str.s + at,
	                 n ? v_char_at((struct value){ .type = V_STRING, .str = { s.str.s + at, s.str.n - at } }, n) :
	                     0);
	struct value chars;
	struct err why = ERR_INIT;
	struct buf text = RUN_TEXT(&x->r);

	if (by == 1 || !n)
		return whole;
	if (v_iterate(&x->r.mem, whole, &chars, &why) < 0)
		return run_fail(&x->r, "%s", why.msg);
	for (int64_t i = by > 0 ? 0 : (int64_t)n - 1; i >= 0 && i < (int64_t)n && step(&x->r); i += by)
		v_print(&text, chars.list->items[i]);
	return run_take(&x->r, &text);
}

static struct value slice(struct interpreter *x, const struct expr *e)
{
	struct value object = eval(x, e->a);
	int64_t from, to, by;

	if (object.type == V_UNDEFINED)
		return run_undefined(&x->r, object);
	if (!v_is_sequence(object))
		return run_fail(&x->r, "%s cannot be sliced", v_type_name(object));
	if (!run_steps(&x->r, cost(object)) ||
	    !slice_bounds(x, e, object.type == V_STRING ? v_chars(object) : object.list->n, &from, &to, &by))
		return UNDEFINED(NULL);
	if (object.type == V_STRING)
		return slice_text(x, object, from, to, by);
	struct value list = v_list(&x->r.mem, object.type, 8);
	list.list->kind = object.list->kind;
	for (int64_t i = from; (by > 0 ? i < to : i > to) && step(&x->r); i += by)
		v_push(&x->r.mem, list, object.list->items[i]);
	return list;
}

/* --- operators, but those of two operands (see template_operators) --- */

static struct value compare(struct interpreter *x, const struct expr *e)
{
	struct value left = eval(x, e->a);

	for (const struct expr *link = e->args; link && !x->r.failed; link = link->next) {
		struct value right = eval(x, link->a);
		if (x->r.failed || !run_holds(&x->r, link->value.str.s, left, right))
			return v_bool(false);
		left = right;
	}
	return v_bool(true);
}

static struct value sign(struct interpreter *x, const struct expr *e)
{
	struct value v = eval(x, e->a);

	if (!v_is_number(v))
		return v.type == V_UNDEFINED ? run_undefined(&x->r, v) :
		                               run_fail(&x->r, "a number was wanted, not %s", v_type_name(v));
	if (e->type == E_POSITIVE)
		return v;
	return v.type == V_FLOAT ? v_float(-v.f) : run_binary(&x->r, "-", v_int(0), v);
}

/* --- calls --- */

static void add_arg(struct interpreter *x, struct call *c, const struct expr *arg, size_t *cap, size_t *named_cap)
{
	struct value v = eval(x, arg), spread = NONE;

	if (x->r.failed)
		return;
	if (arg->keyword) {
		call_add_named(c, arg->keyword, v, named_cap);
		return;
	}
	if (arg->named) {
		call_add_dict(c, v, named_cap);
		return;
	}
	if (arg->spread && v_iterate(&x->r.mem, v, &spread, x->r.e) < 0)
		run_fail(&x->r, "*: %s is no list", v_type_name(v));
	size_t n = arg->spread ? (spread.type == V_NONE ? 0 : spread.list->n) : 1;
	if (c->n + n > *cap) {
		struct value *more = arena_array(&x->r.mem, *cap = 2 * *cap + n, sizeof(*more));
		memcpy(more, c->args, c->n * sizeof(*more));
		c->args = more;
	}
	for (size_t i = 0; i < n; i++)
		c->args[c->n++] = arg->spread ? spread.list->items[i] : v;
}

static struct call evaluate_args(struct interpreter *x, const struct expr *args)
{
	struct call c = { .r = &x->r };
	size_t n = 1;

	for (const struct expr *a = args; a; a = a->next)
		n++;
	size_t named = n;
	c.args = arena_array(&x->r.mem, n, sizeof(*c.args));
	c.named = arena_array(&x->r.mem, n, sizeof(*c.named));
	c.names = arena_array(&x->r.mem, n, sizeof(*c.names));
	for (; args && !x->r.failed; args = args->next)
		add_arg(x, &c, args, &n, &named);
	return c;
}

static bool check_args(struct interpreter *x, const struct macro *m, const struct call *c)
{
	if (c->n > m->n && !(m->uses & USES_VARARGS))
		run_fail(&x->r, "the macro '%.60s' takes %zu arguments, not %zu", m->name, m->n, c->n);
	for (size_t k = 0; k < c->n_named; k++) {
		bool taken = m->uses & (strcmp(c->names[k], "caller") ? USES_KWARGS : USES_CALLER | USES_KWARGS);
		for (size_t i = 0; i < m->n; i++)
			if (!strcmp(m->args[i].name, c->names[k]))
				taken = i >= c->n;
		if (!taken)
			run_fail(&x->r, "the macro '%.60s' takes no '%.60s', or has it already", m->name, c->names[k]);
	}
	return !x->r.failed;
}

static void bind_args(struct interpreter *x, const struct macro *m, const struct call *c, struct scope *s)
{
	struct value rest = v_list(&x->r.mem, V_TUPLE, 0), others = v_dict(&x->r.mem);

	for (size_t i = 0; i < m->n; i++) {
		struct value v = call_arg(c, i, m->args[i].name, UNDEFINED(m->args[i].name));
		if (!call_has(c, i, m->args[i].name) && m->args[i].init)
			v = eval(x, m->args[i].init);
		set_in(x, s, m->args[i].name, v);
	}
	for (size_t i = m->n; i < c->n; i++)
		v_push(&x->r.mem, rest, c->args[i]);
	for (size_t k = 0; k < c->n_named; k++) {
		bool known = false;
		for (size_t i = 0; i < m->n; i++)
			known |= !strcmp(m->args[i].name, c->names[k]);
		if (!known && strcmp(c->names[k], "caller") != 0)
			v_set(&x->r.mem, others, v_text(c->names[k]), c->named[k]);
		else if (!known)
			set_in(x, s, "caller", c->named[k]);
	}
	set_in(x, s, "varargs", rest);
	set_in(x, s, "kwargs", others);
}

/* What a body prints, as a value. */
static struct value captured(struct interpreter *x, const struct stmt *body)
{
	struct buf text = RUN_TEXT(&x->r), *outer = x->r.out;

	x->r.out = &text;
	run_body(x, body);
	x->r.out = outer;
	return run_take(&x->r, &text);
}

static struct value call_macro(struct interpreter *x, const struct closure *f, const struct call *c)
{
	struct scope *outer = x->scope;
	struct value text = UNDEFINED(NULL);

	if (enter(&x->r) && check_args(x, &f->macro, c)) {
		x->scope = f->scope;
		bind_args(x, &f->macro, c, push_scope(x));
		text = captured(x, f->macro.body);
		x->scope = outer;
	}
	x->r.depth--;
	return text;
}

static struct value call_builtin(const struct function *f, const struct call *c)
{
	if (!f->call)
		return run_fail(c->r, "'%s' is not known here", f->name);
	return charge(c) && call_fits(c, f) ? f->call(c) : UNDEFINED(NULL);
}

static struct value call_value(struct interpreter *x, struct value f, struct call *c)
{
	if (!charge(c))
		return UNDEFINED(NULL);
	switch (f.type) {
	case V_MACRO: return call_macro(x, (const struct closure *)(const void *)f.macro, c);
	case V_FUNCTION: return call_builtin(f.function, c);
	case V_METHOD:
		c->self = f.bound->self;
		return call_builtin(f.bound->method, c);
	case V_UNDEFINED: return run_undefined(&x->r, f);
	default: return run_fail(&x->r, "%s cannot be called", v_type_name(f));
	}
}

static struct value call(struct interpreter *x, const struct expr *e)
{
	struct value f = eval(x, e->a);

	if (x->r.failed)
		return f;
	struct call c = evaluate_args(x, e->args);
	return x->r.failed ? UNDEFINED(NULL) : call_value(x, f, &c);
}

static struct call with_rest(const struct call *c, struct value self, size_t skip)
{
	struct call rest = *c;

	rest.self = self;
	rest.args += skip;
	rest.n -= skip;
	return rest;
}

struct value run_filter(const struct call *c, const char *name, struct value self, size_t skip)
{
	const struct function *f = template_filter(name);
	struct call rest = with_rest(c, self, skip);

	return f && f->call ? call_builtin(f, &rest) :
	                      run_fail(c->r, "the filter '%.60s' is not known here", name);
}

bool run_test(const struct call *c, const char *name, struct value self, size_t skip)
{
	const struct function *f = template_test(name);
	struct call rest = with_rest(c, self, skip);

	return v_true(f ? call_builtin(f, &rest) : run_fail(c->r, "the test '%.60s' is not known here", name));
}

/* A filter or a test with its subject. */
static struct value apply(struct interpreter *x, const struct expr *e, const struct function *f, struct value self)
{
	struct call c = evaluate_args(x, e->args);

	if (!f || !f->call)
		return run_fail(&x->r, "the %s '%.60s' is not known here", e->type == E_FILTER ? "filter" : "test",
		                e->value.str.s);
	c.self = self;
	return x->r.failed ? UNDEFINED(NULL) : call_builtin(f, &c);
}

static struct value filter(struct interpreter *x, const struct expr *e)
{
	struct value self = eval(x, e->a);
	return x->r.failed ? self : apply(x, e, template_filter(e->value.str.s), self);
}

static struct value test(struct interpreter *x, const struct expr *e)
{
	struct value self = eval(x, e->a);

	if (x->r.failed)
		return self;
	if (e->args && (!strcmp(e->value.str.s, "filter") || !strcmp(e->value.str.s, "test")))
		return run_fail(&x->r, "%s takes no arguments", e->value.str.s);
	if (!strcmp(e->value.str.s, "filter") || !strcmp(e->value.str.s, "test")) /* is there one of this name? */
		return !v_hashable(self) ? run_fail(&x->r, "%s cannot be a name", v_type_name(self)) :
		       v_bool(self.type == V_STRING &&
		              (e->value.str.s[0] == 'f' ? template_filter(self.str.s) : template_test(self.str.s)));
	return apply(x, e, template_test(e->value.str.s), self);
}

static struct value logic(struct interpreter *x, const struct expr *e)
{
	struct value a = eval(x, e->a);

	if (x->r.failed || v_true(a) == (e->type == E_OR))
		return a;
	return eval(x, e->b);
}

static struct value eval_compound(struct interpreter *x, const struct expr *e)
{
	switch (e->type) {
	case E_LIST: return collect(x, e->args, V_LIST);
	case E_TUPLE: return collect(x, e->args, V_TUPLE);
	case E_DICT: return make_dict(x, e->args);
	case E_ATTRIBUTE: return run_attribute(&x->r, eval(x, e->a), e->value.str.s);
	case E_SUBSCRIPT: {
		struct value object = eval(x, e->a);
		return run_item(&x->r, object, eval(x, e->b));
	}
	case E_SLICE: return slice(x, e);
	case E_CALL: return call(x, e);
	case E_FILTER: return filter(x, e);
	case E_TEST: return test(x, e);
	case E_NOT: return v_bool(!v_true(eval(x, e->a)));
	case E_NEGATIVE: case E_POSITIVE: return sign(x, e);
	case E_AND: case E_OR: return logic(x, e);
	case E_BINARY: {
		struct value a = eval(x, e->a), b = eval(x, e->b);
		return x->r.failed ? UNDEFINED(NULL) : run_binary(&x->r, e->value.str.s, a, b);
	}
	case E_COMPARE: return compare(x, e);
	case E_IF:
		return v_true(eval(x, e->b)) ? eval(x, e->a) : e->c ? eval(x, e->c) : UNDEFINED("an if without else");
	case E_CONST: case E_NAME: break;
	}
	BUG("expression %d", e->type);
}

static struct value eval(struct interpreter *x, const struct expr *e)
{
	struct value v = UNDEFINED(NULL);

	if (x->r.failed || !step(&x->r))
		return v;
	if (e->type == E_CONST)
		return e->value;
	if (e->type == E_NAME)
		return look_up(x, e->value.str.s);
	if (enter(&x->r))
		v = eval_compound(x, e);
	x->r.depth--;
	if (v_depth(v) > VALUE_DEPTH_MAX || v_weight(v) > VALUE_WEIGHT_MAX)
		run_fail(&x->r, "a value is nested too deep or grows too large");
	return x->r.failed ? UNDEFINED(NULL) : v;
}

/* --- statements --- */

static void assign(struct interpreter *x, const struct expr *target, struct value v)
{
	struct value items;
	struct err why = ERR_INIT;

	if (target->type == E_NAME) {
		set_in(x, x->scope, target->value.str.s, v);
	} else if (target->type == E_ATTRIBUTE) {
		struct value object = eval(x, target->a);
		if (object.type == V_NAMESPACE)
			v_set(&x->r.mem, object, v_text(target->value.str.s), v);
		else
			run_fail(&x->r, "only a namespace's attributes can be set");
	} else if (v_iterate(&x->r.mem, v, &items, &why) < 0) {
		run_fail(&x->r, "%s", why.msg);
	} else {
		size_t i = 0;
		for (const struct expr *t = target->args; t && !x->r.failed; t = t->next, i++)
			if (i < items.list->n)
				assign(x, t, items.list->items[i]);
			else
				run_fail(&x->r, "%zu values for more names", items.list->n);
		if (!x->r.failed && i < items.list->n)
			run_fail(&x->r, "%zu values for %zu names", items.list->n, i);
	}
}

static void set_loop(struct interpreter *x, struct value loop, const struct vlist *items, size_t i)
{
	struct arena *mem = &x->r.mem;
	size_t n = items->n;

	v_set(mem, loop, v_text("index"), v_int((int64_t)i + 1));
	v_set(mem, loop, v_text("index0"), v_int((int64_t)i));
	v_set(mem, loop, v_text("revindex"), v_int((int64_t)(n - i)));
	v_set(mem, loop, v_text("revindex0"), v_int((int64_t)(n - i - 1)));
	v_set(mem, loop, v_text("first"), v_bool(i == 0));
	v_set(mem, loop, v_text("last"), v_bool(i + 1 == n));
	v_set(mem, loop, v_text("length"), v_int((int64_t)n));
	v_set(mem, loop, v_text("depth"), v_int(1));
	v_set(mem, loop, v_text("depth0"), v_int(0));
	v_set(mem, loop, v_text("previtem"), i ? items->items[i - 1] : UNDEFINED("loop.previtem"));
	v_set(mem, loop, v_text("nextitem"), i + 1 < n ? items->items[i + 1] : UNDEFINED("loop.nextitem"));
}

/* The items for which the loop's own condition holds. */
static struct value chosen(struct interpreter *x, const struct stmt *s, struct value items)
{
	struct value list = v_list(&x->r.mem, V_LIST, 8);
	struct scope *outer = x->scope;

	for (size_t i = 0; i < items.list->n && !x->r.failed; i++) {
		push_scope(x);
		assign(x, s->target, items.list->items[i]);
		if (v_true(eval(x, s->condition)))
			v_push(&x->r.mem, list, items.list->items[i]);
		x->scope = outer;
	}
	return list;
}

static void run_for(struct interpreter *x, const struct stmt *s)
{
	struct value over = eval(x, s->expr), items;
	struct scope *outer = x->scope;
	struct err why = ERR_INIT;

	if (x->r.failed)
		return;
	if (v_iterate(&x->r.mem, over, &items, &why) < 0) {
		run_fail(&x->r, "%s", why.msg);
		return;
	}
	if (s->condition)
		items = chosen(x, s, items);
	bool whole_turn = false; /* Jinja runs the else where no turn came to its end */
	struct value loop = v_dict(&x->r.mem);
	loop.type = V_NAMESPACE;
	for (size_t turns = 0; turns < items.list->n && !x->r.failed && x->flow != FLOW_BREAK; turns++) {
		push_scope(x);
		set_loop(x, loop, items.list, turns);
		set_in(x, x->scope, "loop", loop);
		assign(x, s->target, items.list->items[turns]);
		run_body(x, s->body);
		whole_turn |= x->flow == FLOW_ON;
		x->flow = x->flow == FLOW_CONTINUE ? FLOW_ON : x->flow;
		x->scope = outer;
	}
	x->flow = FLOW_ON;
	if (!whole_turn && s->otherwise)
		run_body(x, s->otherwise);
}

/* The filters of a block around the text that it captured: the innermost subject is the nameless name. */
static struct value filtered_text(struct interpreter *x, const struct expr *e, struct value text)
{
	if (e->type == E_NAME || !enter(&x->r))
		return text;
	struct value self = filtered_text(x, e->a, text);
	x->r.depth--;
	return x->r.failed ? self : apply(x, e, template_filter(e->value.str.s), self);
}

/* A body in a scope of its own, captured. */
static struct value captured_inside(struct interpreter *x, const struct stmt *body)
{
	struct scope *outer = x->scope;

	push_scope(x);
	struct value text = captured(x, body);
	x->scope = outer;
	return text;
}

static struct value make_closure(struct interpreter *x, const struct macro *m)
{
	struct closure *f = arena_alloc(&x->r.mem, sizeof(*f));

	*f = (struct closure){ *m, x->scope };
	return (struct value){ .type = V_MACRO, .macro = &f->macro };
}

static void run_call(struct interpreter *x, const struct stmt *s)
{
	struct value f = eval(x, s->expr->a);
	struct call c = evaluate_args(x, s->expr->args);

	if (x->r.failed)
		return;
	c.names[c.n_named] = "caller";
	c.named[c.n_named++] = make_closure(x, &s->macro);
	struct value text = call_value(x, f, &c);
	run_print(&x->r, x->r.out, text);
}

static void run_with(struct interpreter *x, const struct stmt *s)
{
	struct scope *outer = x->scope, *inner = arena_alloc(&x->r.mem, sizeof(*inner));

	*inner = (struct scope){ .parent = outer };
	const struct expr *value = s->expr;
	for (const struct expr *target = s->target; target && !x->r.failed; target = target->next, value = value->next)
		set_in(x, inner, target->value.str.s, eval(x, value));
	x->scope = inner;
	run_body(x, s->body);
	x->scope = outer;
}

/* Spans are bytes of the whole output, so they count only where the text goes there directly. */
static void run_generation(struct interpreter *x, const struct stmt *s)
{
	struct template_output *o = x->output;
	struct scope *outer = x->scope;
	size_t begin = o->text.len;

	push_scope(x);
	run_body(x, s->body);
	x->scope = outer;
	if (x->r.out != &o->text || x->r.failed)
		return;
	if (o->n_spans == x->cap_spans)
		o->spans = mem_grow(o->spans, x->cap_spans = x->cap_spans ? 2 * x->cap_spans : 16, sizeof(*o->spans));
	o->spans[o->n_spans++] = (struct template_span){ begin, o->text.len };
}

/* What an if asks; undefined is false, or, strictly, a mistake. */
static bool holds(struct interpreter *x, const struct expr *e)
{
	struct value v = eval(x, e);

	if (v.type == V_UNDEFINED && x->r.strict && !x->r.failed)
		run_undefined(&x->r, v);
	return v_true(v);
}

static void run_if(struct interpreter *x, const struct stmt *s)
{
	bool taken = holds(x, s->condition);

	/* an if that alone is what is otherwise done, as every elif is */
	while (!taken && !x->r.failed && s->otherwise && s->otherwise->type == S_IF && !s->otherwise->next &&
	       step(&x->r)) {
		s = s->otherwise;
		x->r.line = s->line;
		taken = holds(x, s->condition);
	}
	if (!x->r.failed)
		run_body(x, taken ? s->body : s->otherwise);
}

static void run_statement(struct interpreter *x, const struct stmt *s)
{
	switch (s->type) {
	case S_TEXT: buf_add(x->r.out, s->text.str.s, s->text.str.n); break;
	case S_PRINT: run_print(&x->r, x->r.out, eval(x, s->expr)); break;
	case S_IF: run_if(x, s); break;
	case S_FOR: run_for(x, s); break;
	case S_SET: assign(x, s->target, eval(x, s->expr)); break;
	case S_SET_BLOCK: assign(x, s->target, filtered_text(x, s->expr, captured_inside(x, s->body))); break;
	case S_MACRO: set_in(x, x->scope, s->macro.name, make_closure(x, &s->macro)); break;
	case S_CALL: run_call(x, s); break;
	case S_FILTER: run_print(&x->r, x->r.out, filtered_text(x, s->expr, captured_inside(x, s->body))); break;
	case S_GENERATION: run_generation(x, s); break;
	case S_WITH: run_with(x, s); break;
	case S_BREAK: x->flow = FLOW_BREAK; break;
	case S_CONTINUE: x->flow = FLOW_CONTINUE; break;
	}
}

static void run_body(struct interpreter *x, const struct stmt *s)
{
	if (enter(&x->r))
		for (; s && !x->r.failed && x->flow == FLOW_ON; s = s->next) {
			x->r.line = s->line;
			if (step(&x->r))
				run_statement(x, s);
		}
	x->r.depth--;
}

/* --- the whole --- */

struct running { struct interpreter x; const struct template *t; const json_t *variables; };

static void run_all(void *running)
{
	struct running *all = running;
	struct interpreter *x = &all->x;
	const char *name;
	json_t *v;

	x->top = push_scope(x);
	json_object_foreach((json_t *)(uintptr_t)all->variables, name, v)
		set_in(x, x->top, name, v_from_json(&x->r.mem, v));
	push_scope(x);
	run_body(x, all->t->body);
}

int template_run(const struct template *t, const json_t *variables, struct template_output *out, struct err *e)
{
	struct err why = ERR_INIT;
	bool tools = !json_is_null(json_object_get(variables, "tools")) && json_object_get(variables, "tools");
	struct running all = { { .r = { .out = &out->text, .line = 1, .strict = t->strict, .e = &why },
		                 .output = out },
		               t->with_tools && tools ? t->with_tools : t, variables };
	struct run_state *r = &all.x.r;

	*out = (struct template_output){ .text = { .max = 2 * (size_t)RUN_TEXT_MAX } };
	if (all.t->tools_only && !tools)
		return err_set(e, "the model has a chat template for tools alone, and there are none");
	if (!template_within(&r->mem, run_all, &all))
		run_fail(r, "the template needs more than %zu bytes of memory", template_memory_max);
	arena_release(&r->mem);
	if (!r->failed)
		return 0;
	template_output_release(out);
	return err_set(e, "%s", why.msg);
}

void template_output_release(struct template_output *o)
{
	buf_release(&o->text);
	mem_free(o->spans);
	*o = (struct template_output){ 0 };
}
