/* masking: a document of which some tokens are hidden, for a model that predicts them (BERT: Devlin et al. 2019).
 *
 * Of the tokens that may be hidden (all but special ones: transformers' get_special_tokens_mask) a share is chosen, in
 * number round(share · those), at least one, as BERT's create_pretraining_data counts them; transformers'
 * DataCollatorForLanguageModeling draws each by itself, which is the same in the mean. Of the chosen mask_replace of 1
 * become the mask, random_replace any token of the vocabulary, the rest stay as they are.
 *
 * Which are chosen is a function of the seed and the counters given. */
#ifndef DATA_MASKING_H
#define DATA_MASKING_H

#include "data/document.h"

struct masking {
	const struct tokenizer *tokenizer;
	uint64_t seed;
	double mask_replace, random_replace;
	int32_t mask;                 /* the token that hides */
	int32_t vocabulary;           /* random tokens are below */
};

/* How many of n tokens that may be hidden are: 0 of 0. */
int32_t masking_count(double share, int32_t n);
/* `in` (document_options.masked: n_learn says how many), number `place` of its data, as it is at a step; ids, learn
 * and predicted of `out` have room for in->n. */
void masking_apply(const struct masking *m, uint64_t step, uint32_t place, const struct document *in,
                   struct document *out, int32_t *ids, uint8_t *learn, int32_t *predicted);

#endif
