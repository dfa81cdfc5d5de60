/* init: a model from nothing: the weights that its architecture's table names, with the numbers that training begins
 * with, as transformers' _init_weights of that family draws them.
 *
 *     norms 1, biases 0, all else N(0, σ²)     σ: the config.json's initializer_range, 0.02 where it has none
 *     the embedding's row of pad_token_id 0
 *
 * and what a family does otherwise is a list beside its table (struct arch, init). A number is a function of the seed,
 * the weight's name and its place in Hugging Face's order alone, so threads, other weights and a second call change
 * none.
 *
 * The model has no file: m->source has the config.json that is written with it (model/export.h), and its hash is that
 * of what it is made of. Files of the tokenizer are written from m->tokenizer.
 *
 * Not done: weights of a head that classifies (classifier.h makes those), a pooler, an architecture that
 * transformers does not have. Source: transformers' modeling_utils.py and modeling_*.py. */
#ifndef MODEL_INIT_H
#define MODEL_INIT_H

#include <jansson.h>

#include "base/pool.h"
#include "model/model.h"

struct tokenizer;

enum init_form {
	INIT_NORMAL,
	INIT_TRUNCATED,       /* of N(0, σ²) what lies within ± initializer_cutoff_factor·σ */
	INIT_ORTHOGONAL,      /* rows, or columns if there are fewer, orthogonal and of length `size` */
	INIT_ONES,
	INIT_FILL,            /* what fill says */
};

/* How a weight begins that does not begin as the rule above has it. */
struct init_rule {
	/* the table's name for it; "*": every matrix that no rule before it names; NULL: the end */
	const char *hf;
	enum init_form form;
	/* what σ is multiplied with, 1 where it is NULL */
	double (*size)(const struct config *c, const struct weight *w);
	void (*fill)(const struct config *c, const struct weight *w, float *out);
	/* row pad_token_id: 0 as the embedding's, or not where another's or this one's is */
	enum { INIT_PAD_AS_USUAL, INIT_PAD_ZERO, INIT_PAD_LIKE_OTHERS } pad;
	const char *when;     /* only where the config.json has this key and it is true; NULL: always */
};

/* What the residual stream is added to: 1/√(2L), so that its size does not grow with depth (Radford et al. 2019). */
double init_by_depth(const struct config *c, const struct weight *w);

struct init_options {
	uint64_t seed;
	double range;         /* σ; 0: as the config.json has it */
	int base_width;       /* of the model that was tuned, for muP (mup.h); 0: no muP */
	/* WEIGHT_OF_HEAD or 0; an encoder without it predicts nothing. Decoders have their head. */
	unsigned parts;
	/* The weights' data stay NULL: whoever trains all of them draws them himself (model_begin_weights). */
	bool later;
	const char *name;     /* for sentences and as m->source.path; NULL: "a new model" */
};

/* What a new model is a function of, beside its config; m->init. */
struct init {
	uint64_t seed;
	double range, cutoff;
	double width;         /* how often as wide as base_width; 1 without muP */
	int pad;              /* −1: no row is 0 */
	unsigned parts;
};

/* The same without numbers: what a model of that config would be, for counting. Its weights' data are NULL. */
int model_new_facts(struct model *m, const json_t *config, const struct init_options *o, struct err *e);
/* config: as a config.json, borrowed. What it does not say is its family's default; vocab_size becomes the tokenizer's
 * size where there is a tokenizer, and the ids of its tokens are the tokenizer's. t: the tokenizer, which is m's from
 * now on, whatever comes of it; or NULL. −1 and a sentence; m is closed then. */
int model_new(struct model *m, const json_t *config, struct tokenizer *t, const struct init_options *o,
              struct pool *p, struct err *e);
/* Weight i of a new model as it began, in the order that is kept, [out][in]. */
void model_begin_weight(const struct model *m, int i, float *out);
/* The same of all, by all threads. out[i]: where weight i goes, NULL: nowhere. −1: a stop was asked for. */
int model_begin_weights(const struct model *m, float *const *out, struct pool *p, struct err *e);

#endif
