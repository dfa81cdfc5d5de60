/* new_tokens: special tokens that a model's files do not have, and their rows of the embedding and of a head of its
 * own. */
#ifndef MODEL_NEW_TOKENS_H
#define MODEL_NEW_TOKENS_H

#include "model/model.h"

/* Gives the model tokens: asked is "<a>,<b>", or "@FILE" with one on each line. They come behind all that its tokenizer
 * has, which is another one afterwards (m->tokenizer is open); where its tables have no more rows, they get some, each
 * the mean of those there are. Before anything is prepared or made of the model. m->first_new, m->n_new say which.
 * Refused: a token that is there, none, one with a comma in the list. */
int new_tokens_add(struct model *m, const char *asked, struct err *e);
/* The tokenizer alone, which the model would have then; where: what a sentence calls it. */
struct tokenizer *new_tokens_tokenizer(const struct tokenizer *of, const char *asked, const char *where, struct err *e);
/* The same of an adapter's folder that was trained with new tokens and brings the tokenizer that has them; nothing
 * where it has none, or none with more than the model's; a warning where it cannot be used. */
int new_tokens_load(struct model *m, const char *dir, struct err *e);
/* Whether it would: the folder's tokenizer has tokens that the model's, which is open, has not. */
bool new_tokens_has(const struct model *m, const char *dir);

#endif
