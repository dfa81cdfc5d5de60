/* gbnf: the text of a grammar, in llama.cpp's form, as a network.
 *
 *     root ::= item ("," item){0,9} | .      # rules; the whole is `root`
 *     item ::= "text\n" | [a-z0-9_]+ | [^"]? | (item item)*
 *
 * Escapes: \n \r \t \\ \" \[ \] \xNN \uNNNN \UNNNNNNNN. A rule ends with its line, except in parentheses, behind ::=
 * and beside |. llama.cpp's tokens (<…>) are refused. */
#ifndef GRAMMAR_GBNF_H
#define GRAMMAR_GBNF_H

#include "grammar/network.h"

int gbnf_read(struct network *w, const char *text, size_t n, struct err *e);

#endif
