/* template_parse: tokens to a tree, by recursive descent; precedence as in Jinja's parser:
 *
 *     … if … else …  <  or  <  and  <  not  <  comparisons, in  <  + -  <  ~  <  * / // %  <  unary -  <  **  <
 * filters, tests, calls
 *
 * What is not understood is an error with its line. */
#include "template/template_ast.h"

#include <string.h>

#include "base/mem.h"
#include "template/template_lex.h"

enum { DEPTH_MAX = 150 };

struct parser {
	struct arena *mem;
	const struct token *at;
	int depth, loops, uses;      /* uses: see struct macro */
	struct err *e;
	bool failed;
};

/* --- tokens --- */

static void *fail(struct parser *p, const char *what)
{
	if (!p->failed)
		err_set(p->e, "line %d: %s", p->at->line, what);
	p->failed = true;
	return NULL;
}

static void *unexpected(struct parser *p, const char *wanted)
{
	struct buf found = { .arena = p->mem };

	if (p->failed)
		return NULL;
	v_print(&found, p->at->value);
	if (p->at->type == TOKEN_END || p->at->type == TOKEN_BLOCK_END || p->at->type == TOKEN_PRINT_END)
		err_set(p->e, "line %d: %s was wanted before the end of the %s", p->at->line, wanted,
		        p->at->type == TOKEN_END ? "template" : "tag");
	else
		err_set(p->e, "line %d: '%.60s' where %s was wanted", p->at->line, buf_str(&found), wanted);
	buf_release(&found);
	p->failed = true;
	return NULL;
}

static bool is_text(const struct token *t, enum token_type type, const char *text)
{
	return t->type == type && t->value.str.n == strlen(text) && !memcmp(t->value.str.s, text, t->value.str.n);
}

static bool is_op(const struct parser *p, const char *op) { return is_text(p->at, TOKEN_OPERATOR, op); }
static bool is_word(const struct parser *p, const char *word) { return is_text(p->at, TOKEN_NAME, word); }

static bool take_op(struct parser *p, const char *op)
{
	bool found = is_op(p, op);
	p->at += found;
	return found;
}

static bool take_word(struct parser *p, const char *word)
{
	bool found = is_word(p, word);
	p->at += found;
	return found;
}

static bool want_op(struct parser *p, const char *op)
{
	char wanted[16];

	if (take_op(p, op))
		return true;
	snprintf(wanted, sizeof(wanted), "'%s'", op);
	unexpected(p, wanted);
	return false;
}

static const char *want_name(struct parser *p)
{
	if (p->at->type != TOKEN_NAME)
		return unexpected(p, "a name");
	return (p->at++)->value.str.s;
}

static bool want_end(struct parser *p)
{
	if (p->at->type == TOKEN_BLOCK_END) {
		p->at++;
		return true;
	}
	unexpected(p, "the end of the tag");
	return false;
}

/* --- expressions --- */

static struct expr *expression(struct parser *p);
static struct expr *unary(struct parser *p, bool filters);

static struct expr *node(struct parser *p, enum expr_type type, struct expr *a, struct expr *b)
{
	struct expr *x = arena_alloc(p->mem, sizeof(*x));

	*x = (struct expr){ .type = type, .line = p->at->line, .a = a, .b = b, .value = NONE };
	return p->failed ? NULL : x;
}

static struct expr *constant(struct parser *p, struct value v)
{
	struct expr *x = node(p, E_CONST, NULL, NULL);

	if (x)
		x->value = v;
	return x;
}

static struct expr *named(struct parser *p, enum expr_type type, struct expr *a, const char *name)
{
	struct expr *x = node(p, type, a, NULL);

	if (x && name)
		x->value = v_text(name);
	return x;
}

/* Items up to `close`, which is taken; with dictionary, keys and values in turn. */
static struct expr *items(struct parser *p, const char *close, bool dictionary)
{
	struct expr *first = NULL, **last = &first;

	while (!p->failed && !take_op(p, close)) {
		struct expr *x = *last = expression(p);
		if (!x)
			return NULL;
		last = &x->next;
		if (dictionary) {
			if (!want_op(p, ":") || !(*last = expression(p)))
				return NULL;
			last = &(*last)->next;
		}
		if (!is_op(p, close) && !want_op(p, ","))
			return NULL;
	}
	return first;
}

static struct expr *collection(struct parser *p, enum expr_type type, const char *close)
{
	struct expr *x = node(p, type, NULL, NULL);

	if (x)
		x->args = items(p, close, type == E_DICT);
	return p->failed ? NULL : x;
}

/* After "(": an expression in brackets, or a tuple. */
static struct expr *bracketed(struct parser *p)
{
	if (take_op(p, ")"))
		return node(p, E_TUPLE, NULL, NULL);
	struct expr *x = expression(p);
	if (!x || take_op(p, ")"))
		return x;
	struct expr *tuple = node(p, E_TUPLE, NULL, NULL);
	if (!tuple || !want_op(p, ","))
		return NULL;
	tuple->args = x;
	x->next = items(p, ")", false);
	return p->failed ? NULL : tuple;
}

static struct expr *string(struct parser *p)
{
	struct buf text = { .arena = p->mem };

	for (; p->at->type == TOKEN_STRING; p->at++)
		buf_add(&text, p->at->value.str.s, p->at->value.str.n);
	return constant(p, v_take(p->mem, &text));
}

static struct expr *word(struct parser *p)
{
	static const struct { const char *word; struct value value;
	} words[] = {
		{ "true", { .type = V_BOOL, .b = true } },
		{ "True", { .type = V_BOOL, .b = true } },
		{ "false", { .type = V_BOOL } },
		{ "False", { .type = V_BOOL } },
		{ "none", { .type = V_NONE } },
		{ "None", { .type = V_NONE } },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (take_word(p, words[i].word))
			return constant(p, words[i].value);
	p->uses |= is_word(p, "varargs") ? USES_VARARGS :
	           is_word(p, "kwargs")  ? USES_KWARGS :
	           is_word(p, "caller")  ? USES_CALLER :
	                                   0;
	return named(p, E_NAME, NULL, want_name(p));
}

static struct expr *primary(struct parser *p)
{
	if (p->at->type == TOKEN_NAME)
		return word(p);
	if (p->at->type == TOKEN_STRING)
		return string(p);
	if (p->at->type == TOKEN_NUMBER)
		return constant(p, (p->at++)->value);
	if (take_op(p, "("))
		return bracketed(p);
	if (take_op(p, "["))
		return collection(p, E_LIST, "]");
	if (take_op(p, "{"))
		return collection(p, E_DICT, "}");
	return unexpected(p, "an expression");
}

/* After "(" of a call. */
static struct expr *arguments(struct parser *p)
{
	struct expr *first = NULL, **last = &first;

	while (!p->failed && !take_op(p, ")")) {
		bool named = take_op(p, "**"), spread = !named && take_op(p, "*");
		const char *keyword = p->at->type == TOKEN_NAME && is_text(p->at + 1, TOKEN_OPERATOR, "=") ?
		                              p->at->value.str.s :
		                              NULL;
		if (keyword)
			p->at += 2;
		struct expr *x = *last = expression(p);
		if (!x)
			return NULL;
		x->keyword = keyword;
		x->spread = spread;
		x->named = named;
		last = &x->next;
		if (!is_op(p, ")") && !want_op(p, ","))
			return NULL;
	}
	return first;
}

static struct expr *call(struct parser *p, struct expr *a)
{
	struct expr *x = node(p, E_CALL, a, NULL);

	if (x)
		x->args = arguments(p);
	return p->failed ? NULL : x;
}

/* After "[". */
static struct expr *subscript(struct parser *p, struct expr *a)
{
	struct expr *part[3] = { NULL };
	bool slice = false;

	for (int i = 0; i < 3; i++) {
		if (!is_op(p, ":") && !is_op(p, "]") && !(part[i] = expression(p)))
			return NULL;
		if (!take_op(p, ":"))
			break;
		slice = true;
	}
	if (!want_op(p, "]"))
		return NULL;
	if (!slice && !part[0])
		return fail(p, "[] is empty");
	struct expr *x = node(p, slice ? E_SLICE : E_SUBSCRIPT, a, part[0]);
	if (x) {
		x->c = part[1];
		x->d = part[2];
	}
	return x;
}

static struct expr *postfix(struct parser *p, struct expr *x)
{
	while (x && !p->failed) {
		if (take_op(p, ".")) {
			if (p->at->type == TOKEN_NUMBER && p->at->value.type == V_INT)
				x = node(p, E_SUBSCRIPT, x, constant(p, (p->at++)->value));
			else
				x = named(p, E_ATTRIBUTE, x, want_name(p));
		} else if (take_op(p, "[")) {
			x = subscript(p, x);
		} else if (take_op(p, "(")) {
			x = call(p, x);
		} else {
			break;
		}
	}
	return p->failed ? NULL : x;
}

/* After "|". */
static struct expr *filter(struct parser *p, struct expr *x)
{
	x = named(p, E_FILTER, x, want_name(p));
	if (x && take_op(p, "("))
		x->args = arguments(p);
	return p->failed ? NULL : x;
}

/* An argument without brackets, as in "x is divisibleby 3". */
static bool starts_argument(const struct parser *p)
{
	if (is_word(p, "else") || is_word(p, "or") || is_word(p, "and") || is_word(p, "if") || is_word(p, "is") ||
	    is_word(p, "not") || is_word(p, "in"))
		return false;
	return p->at->type == TOKEN_NAME || p->at->type == TOKEN_STRING || p->at->type == TOKEN_NUMBER ||
	       is_op(p, "[") || is_op(p, "{");
}

/* After "is". */
static struct expr *test(struct parser *p, struct expr *a)
{
	bool negative = take_word(p, "not");
	struct expr *x = named(p, E_TEST, a, want_name(p));

	if (x && take_op(p, "("))
		x->args = arguments(p);
	else if (x && starts_argument(p))
		x->args = postfix(p, primary(p));
	return negative && !p->failed ? node(p, E_NOT, x, NULL) : p->failed ? NULL : x;
}

static struct expr *filters_of(struct parser *p, struct expr *x)
{
	while (x && !p->failed) {
		if (take_op(p, "|"))
			x = filter(p, x);
		else if (take_word(p, "is"))
			x = test(p, x);
		else if (take_op(p, "("))
			x = call(p, x);
		else
			break;
	}
	return p->failed ? NULL : x;
}

static struct expr *unary(struct parser *p, bool filters)
{
	struct expr *x;

	if (++p->depth > DEPTH_MAX)
		return fail(p, "expressions are nested too deeply");
	if (take_op(p, "-"))
		x = node(p, E_NEGATIVE, unary(p, false), NULL);
	else if (take_op(p, "+"))
		x = node(p, E_POSITIVE, unary(p, false), NULL);
	else
		x = postfix(p, primary(p));
	p->depth--;
	return filters ? filters_of(p, x) : x;
}

/* Left to right over operators of one strength. */
static struct expr *chain(struct parser *p, struct expr *(*below)(struct parser *p), const char *const *ops)
{
	struct expr *x = below(p);

	for (size_t i = 0; x && ops[i]; i++)
		if (take_op(p, ops[i])) {
			struct expr *right = below(p);
			x = right ? node(p, E_BINARY, x, right) : NULL;
			if (x)
				x->value = v_text(ops[i]);
			i = (size_t)-1;
		}
	return p->failed ? NULL : x;
}

static struct expr *filtered(struct parser *p) { return unary(p, true); }
static struct expr *power(struct parser *p) { return chain(p, filtered, (const char *const[]){ "**", NULL }); }
static struct expr *product(struct parser *p)
{
	return chain(p, power, (const char *const[]){ "*", "//", "/", "%", NULL });
}
static struct expr *concat(struct parser *p) { return chain(p, product, (const char *const[]){ "~", NULL }); }
static struct expr *sum(struct parser *p) { return chain(p, concat, (const char *const[]){ "+", "-", NULL }); }

static const char *comparison(struct parser *p)
{
	static const char *const ops[] = { "==", "!=", "<=", ">=", "<", ">" };

	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		if (take_op(p, ops[i]))
			return ops[i];
	if (take_word(p, "in"))
		return "in";
	if (is_word(p, "not") && is_text(p->at + 1, TOKEN_NAME, "in")) {
		p->at += 2;
		return "not in";
	}
	return NULL;
}

/* a < b < c: the operands after the first are linked, each with its operator. */
static struct expr *compare(struct parser *p)
{
	struct expr *x = sum(p), *all = NULL, **last = NULL;
	const char *op;

	while (x && !p->failed && (op = comparison(p))) {
		if (!all) {
			if (!(all = node(p, E_COMPARE, x, NULL)))
				return NULL;
			last = &all->args;
		}
		struct expr *right = sum(p), *link = right ? node(p, E_BINARY, right, NULL) : NULL;
		if (!link)
			return NULL;
		link->value = v_text(op);
		*last = link;
		last = &link->next;
	}
	return p->failed ? NULL : all ? all : x;
}

static struct expr *negation(struct parser *p)
{
	if (!is_word(p, "not"))
		return compare(p);
	if (++p->depth > DEPTH_MAX)
		return fail(p, "expressions are nested too deeply");
	p->at++;
	struct expr *x = negation(p);
	p->depth--;
	return x ? node(p, E_NOT, x, NULL) : NULL;
}

static struct expr *conjunction(struct parser *p)
{
	struct expr *x = negation(p);

	while (x && take_word(p, "and")) {
		struct expr *right = negation(p);
		x = right ? node(p, E_AND, x, right) : NULL;
	}
	return x;
}

static struct expr *disjunction(struct parser *p)
{
	struct expr *x = conjunction(p);

	while (x && take_word(p, "or")) {
		struct expr *right = conjunction(p);
		x = right ? node(p, E_OR, x, right) : NULL;
	}
	return x;
}

static struct expr *expression(struct parser *p)
{
	if (++p->depth > DEPTH_MAX)
		return fail(p, "expressions are nested too deeply");
	struct expr *x = disjunction(p);
	while (x && take_word(p, "if")) {
		struct expr *condition = disjunction(p), *choice = condition ? node(p, E_IF, x, condition) : NULL;
		if (choice && take_word(p, "else"))
			choice->c = expression(p);
		x = choice;
	}
	p->depth--;
	return p->failed ? NULL : x;
}

/* One expression, or several with commas: a tuple. */
static struct expr *tuple(struct parser *p)
{
	struct expr *x = expression(p), **last;

	if (!x || !is_op(p, ","))
		return x;
	struct expr *all = node(p, E_TUPLE, NULL, NULL);
	if (!all)
		return NULL;
	all->args = x;
	for (last = &x->next; take_op(p, ",") && p->at->type != TOKEN_BLOCK_END && p->at->type != TOKEN_PRINT_END;
	     last = &(*last)->next)
		if (!(*last = expression(p)))
			return NULL;
	return all;
}

/* --- statements --- */

static struct stmt *body(struct parser *p, const char *const *ends);

static struct stmt *statement(struct parser *p, enum stmt_type type)
{
	struct stmt *s = arena_alloc(p->mem, sizeof(*s));

	*s = (struct stmt){ .type = type, .line = p->at->line, .text = NONE };
	return s;
}

/* A name, name.attribute, or names with commas. */
static struct expr *target(struct parser *p);

static struct expr *target_item(struct parser *p)
{
	if (!take_op(p, "(")) {
		struct expr *x = named(p, E_NAME, NULL, want_name(p));
		return x && take_op(p, ".") ? named(p, E_ATTRIBUTE, x, want_name(p)) : x;
	}
	if (++p->depth > DEPTH_MAX)
		return fail(p, "names are nested too deeply");
	struct expr *x = target(p);
	p->depth--;
	return x && want_op(p, ")") ? x : NULL;
}

static struct expr *target(struct parser *p)
{
	struct expr *x = target_item(p), **last;

	if (!x || !is_op(p, ","))
		return x;
	struct expr *all = node(p, E_TUPLE, NULL, NULL);
	if (!all)
		return NULL;
	all->args = x;
	for (last = &x->next; take_op(p, ",") && (is_op(p, "(") || (p->at->type == TOKEN_NAME && !is_word(p, "in")));
	     last = &(*last)->next)
		if (!(*last = target_item(p)))
			return NULL;
	return p->failed ? NULL : all;
}

static struct stmt *block_end(struct parser *p, struct stmt *s)
{
	return want_end(p) && !p->failed ? s : NULL;
}

/* The condition and body of an if or elif. */
static struct stmt *parse_branch(struct parser *p)
{
	static const char *const ends[] = { "elif", "else", "endif", NULL };
	struct stmt *s = statement(p, S_IF);

	s->condition = tuple(p);
	if (!s->condition || !want_end(p))
		return NULL;
	s->body = body(p, ends);
	return p->failed ? NULL : s;
}

/* An elif is the only statement of what is otherwise done: a chain, however long, is parsed and run in a loop. */
static struct stmt *parse_if(struct parser *p)
{
	struct stmt *first = parse_branch(p), *last = first;

	while (last && take_word(p, "elif"))
		last = last->otherwise = parse_branch(p);
	if (!last)
		return NULL;
	if (take_word(p, "else")) {
		if (!want_end(p))
			return NULL;
		last->otherwise = body(p, (const char *const[]){ "endif", NULL });
	}
	p->at += !p->failed;
	return block_end(p, first);
}

static struct stmt *parse_for(struct parser *p)
{
	struct stmt *s = statement(p, S_FOR);

	s->target = target(p);
	if (!s->target || !take_word(p, "in"))
		return unexpected(p, "'in'");
	s->expr = disjunction(p);
	if (s->expr && is_op(p, ",")) { /* a tuple without brackets */
		struct expr *all = node(p, E_TUPLE, NULL, NULL), **last = &s->expr->next;
		for (; take_op(p, ",") && (*last = disjunction(p)); last = &(*last)->next)
			;
		if (all)
			all->args = s->expr;
		s->expr = all;
	}
	if (s->expr && take_word(p, "if"))
		s->condition = expression(p);
	s->recursive = take_word(p, "recursive");
	if (p->failed || !want_end(p))
		return NULL;
	p->loops++;
	s->body = body(p, (const char *const[]){ "else", "endfor", NULL });
	p->loops--;
	if (!p->failed && take_word(p, "else")) {
		if (!want_end(p))
			return NULL;
		s->otherwise = body(p, (const char *const[]){ "endfor", NULL });
	}
	p->at += !p->failed;
	return p->failed ? NULL : block_end(p, s);
}

static struct stmt *parse_set(struct parser *p)
{
	struct stmt *s = statement(p, S_SET);

	s->target = target(p);
	if (!s->target)
		return NULL;
	if (take_op(p, "=")) {
		s->expr = tuple(p);
		return s->expr ? block_end(p, s) : NULL;
	}
	s->type = S_SET_BLOCK;
	s->expr = node(p, E_NAME, NULL, NULL); /* stands for the text; filters come around it */
	while (s->expr && take_op(p, "|"))
		s->expr = filter(p, s->expr);
	if (p->failed || !want_end(p))
		return NULL;
	s->body = body(p, (const char *const[]){ "endset", NULL });
	p->at += !p->failed;
	return p->failed ? NULL : block_end(p, s);
}

static bool macro_arguments(struct parser *p, struct macro *m)
{
	struct macro_arg args[64];

	if (!want_op(p, "("))
		return false;
	while (!take_op(p, ")")) {
		if (m->n == ARRAY_LEN(args)) {
			fail(p, "a macro has more than 64 arguments");
			return false;
		}
		args[m->n] = (struct macro_arg){ want_name(p), NULL };
		if (!args[m->n].name || (take_op(p, "=") && !(args[m->n].init = expression(p))))
			return false;
		m->n++;
		if (!is_op(p, ")") && !want_op(p, ","))
			return false;
	}
	m->args = arena_array(p->mem, m->n + 1, sizeof(*m->args));
	memcpy(m->args, args, m->n * sizeof(*args));
	return true;
}

static void macro_body(struct parser *p, struct macro *m, const char *end)
{
	int loops = p->loops, uses = p->uses;

	p->loops = p->uses = 0;
	m->body = body(p, (const char *const[]){ end, NULL });
	m->uses = p->uses;
	p->loops = loops;
	p->uses |= uses;
	p->at += !p->failed;
}

static struct stmt *parse_macro(struct parser *p)
{
	struct stmt *s = statement(p, S_MACRO);
	s->macro.name = want_name(p);
	if (!s->macro.name || !macro_arguments(p, &s->macro) || !want_end(p))
		return NULL;
	macro_body(p, &s->macro, "endmacro");
	if (!p->failed && p->at->type == TOKEN_NAME)
		p->at++;
	return p->failed ? NULL : block_end(p, s);
}

/* {% call macro(…) %} … {% endcall %}: the body is what caller() gives. */
static struct stmt *parse_call(struct parser *p)
{
	struct stmt *s = statement(p, S_CALL);

	s->macro.name = "caller";
	if (is_op(p, "(") && !macro_arguments(p, &s->macro))
		return NULL;
	s->expr = unary(p, true);
	if (!s->expr || s->expr->type != E_CALL)
		return unexpected(p, "the call of a macro");
	if (!want_end(p))
		return NULL;
	macro_body(p, &s->macro, "endcall");
	return p->failed ? NULL : block_end(p, s);
}

static struct stmt *parse_filter(struct parser *p)
{
	struct stmt *s = statement(p, S_FILTER);

	s->expr = filter(p, node(p, E_NAME, NULL, NULL));
	while (s->expr && take_op(p, "|"))
		s->expr = filter(p, s->expr);
	if (p->failed || !want_end(p))
		return NULL;
	s->body = body(p, (const char *const[]){ "endfilter", NULL });
	p->at += !p->failed;
	return p->failed ? NULL : block_end(p, s);
}

static struct stmt *parse_with(struct parser *p)
{
	struct stmt *s = statement(p, S_WITH);
	struct expr **targets = &s->target, **values = &s->expr;

	while (p->at->type != TOKEN_BLOCK_END) {
		if (!(*targets = named(p, E_NAME, NULL, want_name(p))) || !want_op(p, "=") ||
		    !(*values = expression(p)))
			return NULL;
		targets = &(*targets)->next;
		values = &(*values)->next;
		if (p->at->type != TOKEN_BLOCK_END && !want_op(p, ","))
			return NULL;
	}
	p->at++;
	s->body = body(p, (const char *const[]){ "endwith", NULL });
	p->at += !p->failed;
	return p->failed ? NULL : block_end(p, s);
}

static struct stmt *parse_generation(struct parser *p)
{
	struct stmt *s = statement(p, S_GENERATION);

	if (!want_end(p))
		return NULL;
	s->body = body(p, (const char *const[]){ "endgeneration", NULL });
	p->at += !p->failed;
	return p->failed ? NULL : block_end(p, s);
}

static struct stmt *parse_jump(struct parser *p, enum stmt_type type)
{
	if (!p->loops)
		return fail(p, "break or continue outside of a loop");
	return block_end(p, statement(p, type));
}

static struct stmt *parse_break(struct parser *p) { return parse_jump(p, S_BREAK); }
static struct stmt *parse_continue(struct parser *p) { return parse_jump(p, S_CONTINUE); }

static const struct { const char *word; struct stmt *(*parse)(struct parser *p);
} blocks[] = {
	{ "if", parse_if },       { "for", parse_for },
	{ "set", parse_set },     { "macro", parse_macro },
	{ "call", parse_call },   { "filter", parse_filter },
	{ "with", parse_with },   { "generation", parse_generation },
	{ "break", parse_break }, { "continue", parse_continue },
};

static struct stmt *block(struct parser *p)
{
	if (++p->depth > DEPTH_MAX)
		return fail(p, "blocks are nested too deeply");
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		if (take_word(p, blocks[i].word)) {
			struct stmt *s = blocks[i].parse(p);
			p->depth--;
			return s;
		}
	return unexpected(
		p, "a block that is known here (if, for, set, macro, call, filter, with, generation, break, continue)");
}

static bool at_end(const struct parser *p, const char *const *ends)
{
	for (size_t i = 0; ends && ends[i]; i++)
		if (is_text(p->at + 1, TOKEN_NAME, ends[i]))
			return true;
	return false;
}

static struct stmt *print(struct parser *p)
{
	struct stmt *s = statement(p, S_PRINT);

	s->expr = tuple(p);
	if (!s->expr)
		return NULL;
	if (p->at->type != TOKEN_PRINT_END)
		return unexpected(p, "}}");
	p->at++;
	return s;
}

/* Up to one of `ends`, whose word is the next token then; NULL: to the template's end. An empty body is NULL. */
static struct stmt *body(struct parser *p, const char *const *ends)
{
	struct stmt *first = NULL, **last = &first;

	while (!p->failed) {
		const struct token *t = p->at;
		if (t->type == TOKEN_END) {
			if (ends)
				return unexpected(p, ends[1] ? ends[1] : ends[0]);
			return first;
		}
		if (t->type == TOKEN_BLOCK && at_end(p, ends)) {
			p->at++;
			return first;
		}
		p->at++;
		if (t->type == TOKEN_DATA) {
			*last = statement(p, S_TEXT);
			(*last)->text = t->value;
		} else {
			*last = t->type == TOKEN_PRINT ? print(p) : block(p);
		}
		if (*last)
			last = &(*last)->next;
	}
	return NULL;
}

struct stmt *template_body(struct arena *a, const char *source, bool plain, struct err *e)
{
	struct token_list tokens = { 0 };

	e->msg[0] = 0;
	if (template_lex(a, source, plain, &tokens, e) < 0)
		return NULL;
	struct parser p = { .mem = a, .at = tokens.items, .e = e };
	struct stmt *s = body(&p, NULL);
	return p.failed ? NULL : s;
}
