/* template_ast: a parsed template. Nodes live in the template's arena; a body is a list linked by `next`. */
#ifndef TOKEN_TEMPLATE_AST_H
#define TOKEN_TEMPLATE_AST_H

#include "template/template_value.h"

enum expr_type {
	E_CONST,
	E_NAME,
	E_LIST,
	E_TUPLE,
	E_DICT,
	E_ATTRIBUTE /* a.name */,
	E_SUBSCRIPT /* a[b] */,
	E_SLICE /* a[b:c:d] */,
	E_CALL,
	E_FILTER,
	E_TEST,
	E_NOT,
	E_NEGATIVE,
	E_POSITIVE,
	E_AND,
	E_OR,
	E_BINARY,
	E_COMPARE,
	E_IF,
};

struct expr {
	enum expr_type type;
	int line;
	struct value value;          /* constant; text: name, attribute, filter, test, operator */
	/* operands: left, right …; E_IF: then a, condition b, else c; E_FILTER, E_TEST, E_CALL: the subject a */
	struct expr *a, *b, *c, *d;
	/* arguments or items, linked by next; a dictionary's are key, value, key, value … */
	struct expr *args, *next;
	const char *keyword;         /* of an argument name=… */
	bool spread, named;          /* of an argument *list, of one **dict */
};

enum stmt_type {
	S_TEXT,
	S_PRINT,
	S_IF,
	S_FOR,
	S_SET,
	S_SET_BLOCK,
	S_MACRO,
	S_CALL,
	S_FILTER,
	S_GENERATION,
	S_BREAK,
	S_CONTINUE,
	S_WITH
};

struct macro_arg { const char *name; struct expr *init; };
enum macro_use { USES_VARARGS = 1, USES_KWARGS = 2, USES_CALLER = 4 };
struct macro {
	const char *name;
	struct macro_arg *args;
	size_t n;
	struct stmt *body;
	int uses; /* which of these names stand in its body: it takes only those */
};

struct stmt {
	enum stmt_type type;
	int line;
	struct value text;
	/* target: a name, an attribute of one, or a tuple of names; S_WITH: pairs in target and expr lists */
	struct expr *target, *expr, *condition;
	struct stmt *body, *otherwise, *next;
	struct macro macro;
	bool recursive;
};

/* A template, opened by template_open.c and run by template.c. */
struct template {
	struct arena mem;
	struct stmt *body;
	struct template *with_tools;   /* or NULL: it writes these too */
	bool tools_only;
	bool strict;                   /* template_parse_plain's */
};

/* NULL with "" in e: an empty template. plain: without trim_blocks and lstrip_blocks, the line break at the end stays.
 * */
struct stmt *template_body(struct arena *a, const char *source, bool plain, struct err *e);
/* f(x), or false where it wanted more than template_memory_max bytes of the arena. */
bool template_within(struct arena *a, void (*f)(void *x), void *x);

#endif
