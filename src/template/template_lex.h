/* template_lex: a template's source into tokens, as Jinja's lexer with trim_blocks and lstrip_blocks cuts it. */
#ifndef TOKEN_TEMPLATE_LEX_H
#define TOKEN_TEMPLATE_LEX_H

#include "template/template_value.h"

enum token_type {
	TOKEN_END,
	TOKEN_DATA,
	TOKEN_PRINT /* {{ */,
	TOKEN_PRINT_END,
	TOKEN_BLOCK /* {% */,
	TOKEN_BLOCK_END,
	TOKEN_NAME,
	TOKEN_STRING,
	TOKEN_NUMBER,
	TOKEN_OPERATOR
};

struct token {
	enum token_type type;
	int line;
	struct value value;          /* text of data, names, strings and operators; the number */
};

struct token_list { struct token *items; size_t n, cap; };

/* Ends with a TOKEN_END. Text lives in a. plain: Jinja's lexer with keep_trailing_newline alone. */
int template_lex(struct arena *a, const char *source, bool plain, struct token_list *out, struct err *e);

#endif
