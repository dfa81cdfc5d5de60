/* own_texts: what a model says of itself: texts that it begins with BOS alone and goes on with as it likes, drawn at
 * temperature 1. They are what it is likely to say, so what a tuning changes in them is what it forgets, without
 * anybody's data.
 *
 *     text i = start, then tokens drawn from softmax(z), each a function of (OWN_TEXTS_SEED, i, its place)
 *
 * start: the tokenizer's BOS; EOS of one that has none (between documents it has stood in every training set); else
 * token 0. An end that is drawn is gone on behind, as documents follow each other where a model learnt. Text i is the
 * same however many are wanted, and on every run of these kernels.
 *
 * Drawing is slow beside reading, so texts are kept in env_state_file("own-texts/HASH-ARITHMETIC.json") and drawn once
 * a model. A file that is damaged, or of other texts, is told of and replaced. */
#ifndef INFER_OWN_TEXTS_H
#define INFER_OWN_TEXTS_H

#include "model/model.h"
#include "op/pass.h"

enum { OWN_TEXTS_LENGTH = 128 /* tokens of a text, the start included; fewer where the model has fewer positions */ };

struct own_texts {
	int32_t *ids;                  /* [n][length] */
	size_t n;
	int32_t length;
};

struct own_texts_forecast { double seconds; struct work work; size_t bytes; };

/* hash: the model's. Borrows all until it returns. interrupted: looked at between tokens, or NULL. */
int own_texts_get(struct own_texts *o, struct model *m, const char *hash, struct device *d, size_t n,
                  bool (*interrupted)(void), struct err *e);
void own_texts_release(struct own_texts *o);
int32_t own_texts_length(const struct model *m);       /* of each */
/* What getting n of them would take, by a session made and freed: nothing, where they are kept. */
int own_texts_forecast(struct own_texts_forecast *f, struct model *m, const char *hash, struct device *d, size_t n,
                       struct err *e);

#endif
