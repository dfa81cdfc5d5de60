/* sampler: from logits to a token.
 *
 * The logits are changed, then candidates are taken away, then one of what is left is drawn. What is done on the way
 * are steps, one file sampler_x.c a row of the table, which has the formula, its source and its options. Their order is
 * that of transformers:
 *
 *     constraint           only tokens that a grammar allows are candidates
 *     logit_bias           logit += bias of the token
 *     penalties            of tokens that were seen
 *     watermark            logit += bias of tokens that a key prefers
 *     temperature          0: the largest logit is taken here, at ties the lowest id, and nothing is drawn
 *     top_k, top_p, min_p, typical_p
 *
 * llama.cpp differs in three things. Its order is top_k, typical_p, top_p, min_p, temperature: llama_order here. It
 * looks at the last 64 tokens for penalties where transformers looks at all: repeat_last_n. It ends top_p and typical_p
 * as soon as the share is passed, which differs from "reached" only where the sum is met exactly. Frequency and
 * presence penalties do not exist in transformers; OpenAI counts the answer's tokens alone, llama.cpp and these files
 * the prompt's too.
 *
 * Random numbers are rng(seed, RNG_SAMPLE, index, stream): what one of several answers draws does not depend on the
 * others. */
#ifndef INFER_SAMPLER_H
#define INFER_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/opt.h"
#include "infer/constraint.h"

struct kernels;
struct logit_bias { int32_t id; float bias; }; /* −INFINITY: never */

struct sampler {
	/* What is wanted; all zero takes the likeliest. */
	void *const *steps;            /* the options of every step (OPT_ROWS with sampler_steps), borrowed; or NULL */
	const struct logit_bias *bias; /* borrowed, may be NULL */
	size_t n_bias;
	struct constraint *constraint; /* of the answer that is drawn, borrowed; NULL: every token is a candidate */
	bool llama_order;
	uint64_t seed;
	uint32_t stream;               /* which of several answers */
	uint64_t index;                /* tokens drawn so far */
	/* Work space, from sampler_init. */
	const struct kernels *kernels;
	size_t V;
	float *logit, *key;            /* [V] */
	double *upto;                  /* sums of sampler_total, up to and with each block of candidates */
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

/* log Σ e^logit, and log softmax of one entry, which is less by that; in double. */
double logits_log_sum(const float *logits, size_t V);
double logits_logprob(const float *logits, size_t V, int32_t id);
/* The n likeliest ids, likeliest first, into top[0..n), by s's work space. */
void sampler_top(struct sampler *s, const float *logits, int32_t *top, size_t n);

/* --- the steps --- */

struct sampler_step {
	const char *name;              /* "top_k" */
	/* Its place among the others, in transformers' order and in llama.cpp's: lower comes first. */
	int order, llama_order;
	bool logits;                   /* it changes logits: done before all others, also where nothing is drawn */
	const struct opt *opts;
	size_t options_size;
	/* Leaves so many of the first n candidates (s->id), in front; may change their logits. */
	size_t (*run)(struct sampler *s, const void *options, size_t n);
	/* Whether with these options the likeliest is taken and nothing drawn; NULL: never. */
	bool (*greedy)(const void *options);
};

extern const struct sampler_step *const sampler_step_table[]; /* generated, NULL-terminated */
bool sampler_steps(size_t i, struct opt_row *out);            /* in transformers' order, for OPT_ROWS */
/* Whether with these options of every step the likeliest token is taken and nothing drawn. */
bool sampler_is_greedy(void *const *steps);

/* Options of all steps for who has no table to parse them by: at their defaults until they are set. */
struct sampler_choice {
	void **steps;                  /* for struct sampler */
	struct opt_parse parse;
};
void sampler_choose(struct sampler_choice *c);
void sampler_choice_set(struct sampler_choice *c, const char *option, double value); /* checked by the caller */
void sampler_choice_release(struct sampler_choice *c);

/* --- for steps --- */

float sampler_largest(const struct sampler *s, size_t n);     /* logit of the candidates */
/* Σ e^(logit − most) of the candidates. */
double sampler_total(const struct sampler *s, size_t n, float most);
size_t sampler_keep_one(struct sampler *s, size_t n);         /* leaves the likeliest alone */
/* The k best of n by key, the best first, at equal keys the lower id; k ≤ n. */
size_t sampler_keep_best(struct sampler *s, size_t n, size_t k);
/* The best by key, until their probability reaches the share of total (of sampler_total). */
size_t sampler_keep_share(struct sampler *s, size_t n, const float *key, double share, float most, double total);

#endif
