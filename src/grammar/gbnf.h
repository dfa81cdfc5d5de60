/* gbnf: the text of a grammar, in llama.cpp's form, as a network.
 *
 *     root ::= item ("," item){0,9} | .      # rules; the whole is `root`
 *     item ::= "text\n" | [a-z0-9_]+ | [^"]? | (item item)*
 *
 * Escapes: \n \r \t \\ \" \[ \] \xNN \uNNNN \UNNNNNNNN. A rule ends with its line, except in parentheses, behind ::=
 * and beside |. llama.cpp's tokens (<…>) are refused. Ours is `!`: a text that has come to it goes on from there
 * alone, whatever else it might have been. */
#ifndef GRAMMAR_GBNF_H
#define GRAMMAR_GBNF_H

#include "base/buf.h"
#include "grammar/network.h"

/* The same rules by names that begin with the prefix; `root` too. Of a grammar that was read. */
void gbnf_rename(const struct buf *gbnf, const char *prefix, struct buf *out);

int gbnf_read(struct network *w, const char *text, size_t n, struct err *e);

#endif
