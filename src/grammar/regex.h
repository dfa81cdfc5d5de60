/* regex: a regular expression as an expression of GBNF. */
#ifndef GRAMMAR_REGEX_H
#define GRAMMAR_REGEX_H

#include "grammar/grammar.h"

/* The name of the rule of one character of a JSON string, which the caller defines. */
#define JSON_CHAR "json-char"

/* json: of the characters of a JSON string in which it is found (ECMA-262's, as JSON Schema has it), as they are
 * written between its quotes; else of a whole text. See grammar.h for what is understood. */
int regex_expression(const char *text, size_t n, bool json, struct buf *out, struct err *e);

#endif
