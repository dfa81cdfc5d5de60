/* masking: a document of which some tokens are hidden, for a model that predicts them (BERT: Devlin et al. 2019).
 *
 * Of the tokens that may be hidden (all but special ones: transformers' get_special_tokens_mask) a share is chosen, in
 * number round(share · those), at least one, as BERT's create_pretraining_data counts them; transformers'
 * DataCollatorForLanguageModeling draws each by itself, which is the same in the mean. Of the chosen mask_replace of 1
 * become the mask, random_replace any token of the vocabulary, the rest stay as they are.
 *
 * Words: all tokens of a word are hidden or none (BERT's whole-word masking). Words are taken in any order while there
 * is room for them in that number, one that is too long is passed over, so fewer tokens than the number may be hidden,
 * as in create_pretraining_data; where no word fits, single tokens are. Where words are is known by ids alone
 * (tokenizer_word): of WordPiece as BERT has it, so that punctuation is words; else parted by white space, which is
 * what transformers' collator finds by the offsets of such tokens.
 *
 * Spans: a word begins a stretch of L whole words after each other, L of 1 … span_max geometric with p = span_p
 * (SpanBERT: Joshi et al. 2020; 0.2 and 10, 3.8 words in the mean), which ends before a special token and before a word
 * that there is no room for; SpanBERT's own cuts that word. All of a span becomes the mask, or random tokens, or stays.
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
	const uint8_t *words;         /* of masking_words: whole words are hidden; NULL: tokens */
	double span_p;                /* with words: spans of them; 0: single ones */
	int32_t span_max;
};

/* How many of n tokens that may be hidden are, at most where words are whole: 0 of 0. */
int32_t masking_count(double share, int32_t n);
/* L by u of [0, 1): P(L = l) is proportional to (1 − p)^(l − 1), of 1 … most. */
int32_t masking_span_length(double p, int32_t most, double u);
/* [tokenizer_size] what each token is in a word (tokenizer_word); mem_free */
uint8_t *masking_words(const struct tokenizer *t);
/* `in` (document_options.masked: n_learn says how many), number `place` of its data, as it is at a step; ids, learn
 * and predicted of `out` have room for in->n, and so has `work`, which only words need. */
void masking_apply(const struct masking *m, uint64_t step, uint32_t place, const struct document *in,
                   struct document *out, int32_t *ids, uint8_t *learn, int32_t *predicted, int32_t *work);

#endif
