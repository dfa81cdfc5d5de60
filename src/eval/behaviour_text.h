/* behaviour_text: what a person can write, of which a sequence that is searched for is made. */
#ifndef EVAL_BEHAVIOUR_TEXT_H
#define EVAL_BEHAVIOUR_TEXT_H

#include "eval/behaviour.h"
#include "token/tokenizer.h"

/* Whether tokens are a text, or bytes of characters that begin before them, or go on behind them. */
enum behaviour_lacks behaviour_lacks(const struct tokenizer *t, const int32_t *ids, int n);
/* As a text opens: with a capital letter or a mark, behind the space that a tokenizer puts there or does not. */
bool behaviour_may_open(const char *piece, size_t n, bool space);
/* Symbols that are several tokens, `most` at most, behind a space, as they are behind a word, or without; *out is to be
 * freed, whatever comes. */
int behaviour_characters(const struct tokenizer *t, bool space, int most, struct behaviour_unit **out, size_t *n,
                         struct err *e);

/* A word of the vocabulary, four letters behind a space at least, as it opens a sentence: "Curiously,", of 2 to `most`
 * tokens; 1: into u, 0: it is no such word, or has a capital letter and is there with a small one, too. */
int behaviour_opener(const struct tokenizer *t, int32_t id, bool space, int most, struct behaviour_unit *u,
                     struct err *e);

/* A sequence has a word or a mark that the answer begins with: who asks for it gets it. */
bool behaviour_repeats(const struct tokenizer *t, const int32_t *ids, int n, const int32_t *answer, int n_answer);

#endif
