/* added: the tokens that are split off a text before anything else, special ones among them.
 *
 * The longest that begins leftmost is taken, and the search goes on behind it (Hugging Face's AddedVocabulary). */
#ifndef TOKEN_ADDED_H
#define TOKEN_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct added_token {
	const char *text;       /* as it stands in a text; outlives the set */
	size_t n;
	int32_t id;
	bool special, single_word, lstrip, rstrip, normalized;
};

struct added {
	struct added_token *token; /* [n], sorted by text once ready */
	size_t n, cap;
	bool begins[256];          /* some token begins with this byte */
};

int added_put(struct added *a, const struct added_token *token, struct err *e);
int added_ready(struct added *a, struct err *e);   /* a text that is there twice is an error */
void added_release(struct added *a);

struct added_match { size_t begin, end; int32_t id; };
struct added_search { size_t at, floor; }; /* begins as { 0 } */
/* The next token in the text; the bytes from the search's floor to its begin are plain text. Special ones only when
 * `special`. */
bool added_next(const struct added *a, const char *text, size_t n, bool special, struct added_search *s,
                struct added_match *m);

#endif
