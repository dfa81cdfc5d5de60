/* past_keys: the keys and values that a model's layers have of tokens, for who reads them instead of computing those
 * tokens again: a past that all documents of a run begin with (graph.past), or what a prefix begins as. */
#ifndef MODEL_PAST_KEYS_H
#define MODEL_PAST_KEYS_H

#include "model/overlay.h"

struct device;
struct graph;
struct run;

/* n tokens' keys and values, of layer l and row i at
 *
 *     at + 2·l·half + i·row (keys),  half numbers further (values)
 *
 * each [G·D], keys as attention reads them (rotated). */
struct past_keys {
	int32_t n;
	float *at;
	size_t half, row;
};

/* Numbers of a past of n tokens that lies layer by layer ([layers][2][n][G·D]), and where that is. */
size_t past_keys_numbers(const struct model *m, int32_t n);
struct past_keys past_keys_at(const struct model *m, int32_t n, float *at);
/* How many of the model's layers have keys and values; −1 and a sentence. */
int past_keys_layers(const struct model *m, struct err *e);
/* Fills `to` with what the model, with `under` over it (or NULL), has of ids[0..to->n). as_trained: in the arithmetic
 * of training. Memory is taken and given back. −1 and a sentence: also when a stop was asked for. */
int past_keys_make(const struct past_keys *to, const struct model *m, const struct overlay *under, struct device *d,
                   const int32_t *ids, bool as_trained, struct err *e);
/* What that takes of memory while it runs, as_trained. */
size_t past_keys_bytes(const struct past_keys *to, const struct model *m, const struct overlay *under,
                       struct device *d);

/* For graph.c: g->past, where there is one, before the keys and values of a layer's rows; and its numbers. */
void past_keys_record(struct graph *g, uint32_t *k, uint32_t *v);
void past_keys_bind(const struct graph *g, struct run *r);

#endif
