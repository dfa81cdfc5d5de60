/* sampler: from logits to a token.
 *
 * The logits are changed, then candidates are taken away, then one of what is left is drawn. In this order, which is
 * that of transformers:
 *
 *     logit_bias           logit += bias of the token
 *     repetition_penalty   of every token seen: logit > 0 ? logit / penalty : logit · penalty             (Keskar et
 * al. 2019) frequency, presence  logit −= count · frequency + presence, for every token seen (OpenAI) temperature logit
 * / temperature; 0 takes the largest logit here, at ties the lowest id, and draws nothing top_k                the k
 * likeliest top_p                the fewest likeliest whose share reaches p (Holtzman et al. 2019) min_p those with at
 * least min_p of the likeliest one's probability                    (Nguyen et al. 2024) typical_p            those
 * whose −log p is nearest to the entropy, until their share reaches it      (Meister et al. 2022)
 *
 * llama.cpp differs in three things. Its order is top_k, typical_p, top_p, min_p, temperature: LLAMA_ORDER here. It
 * looks at the last 64 tokens for penalties where transformers looks at all: repeat_last_n. It ends top_p and typical_p
 * as soon as the share is passed, which differs from "reached" only where the sum is met exactly. Frequency and
 * presence penalties do not exist in transformers; OpenAI counts the answer's tokens alone, llama.cpp and this file the
 * prompt's too.
 *
 * Random numbers are rng(seed, RNG_SAMPLE, index, stream): what one of several answers draws does not depend on the
 * others. */
#ifndef INFER_SAMPLER_H
#define INFER_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct logit_bias { int32_t id; float bias; }; /* −INFINITY: never */

struct sampler {
	/* What is wanted; all zero is greedy with nothing taken away but by top_p, whose 0 leaves the likeliest
	 * alone. */
	double temperature;            /* 0: greedy */
	int top_k;                     /* 0: off */
	double top_p;                  /* 1: off */
	double min_p;                  /* 0: off */
	double typical_p;              /* 0 and 1: off */
	double repetition_penalty;     /* 0 and 1: off */
	double frequency_penalty, presence_penalty; /* 0: off */
	int repeat_last_n;             /* how many tokens the penalties look back at; −1: all */
	const struct logit_bias *bias; /* borrowed, may be NULL */
	size_t n_bias;
	bool llama_order;
	uint64_t seed;
	uint32_t stream;               /* which of several answers */
	uint64_t index;                /* tokens drawn so far */
	/* Work space, from sampler_init. */
	size_t V;
	float *logit, *key;            /* [V] */
	int32_t *id, *count;           /* [V] candidates; how often a token was seen, zero between calls */
	int32_t *seen;                 /* tokens so far, see sampler_see */
	size_t n_seen, cap_seen;
};

void sampler_init(struct sampler *s, size_t V);
/* Wants what another does, which need not have work space; has seen nothing. */
void sampler_like(struct sampler *s, const struct sampler *wanted);
/* Tells of tokens: the prompt's, then each of the answer's. Only penalties want to know. */
void sampler_see(struct sampler *s, const int32_t *ids, size_t n);
void sampler_forget(struct sampler *s);        /* all that it has seen */
int32_t sampler_next(struct sampler *s, const float *logits /* V */);
/* What sampler_next would draw from: n candidates, ids in s->id, probabilities in p[0..n). One of 1 where it is
 * greedy. */
size_t sampler_distribution(struct sampler *s, const float *logits, double *p);
void sampler_release(struct sampler *s);

/* log softmax of one entry, in double. */
double logits_logprob(const float *logits, size_t V, int32_t id);
/* The n likeliest ids, likeliest first, into top[0..n), by s's work space. */
void sampler_top(struct sampler *s, const float *logits, int32_t *top, size_t n);

#endif
