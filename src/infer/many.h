/* many: many prompts answered beside each other, in sequences of one session. What all of them begin with is computed
 * once; a sequence whose answer has ended takes the next prompt at once, whose tokens go through the model together
 * with the next tokens of the others. Every answer is, bit for bit, the one that `generate` gives alone. */
#ifndef INFER_MANY_H
#define INFER_MANY_H

#include "infer/generate.h"

struct many_prompt {
	const int32_t *ids;            /* [n], n ≥ 1 */
	size_t n;
	uint32_t stream;               /* of random numbers, see sampler.h */
	int adapter;                   /* of a session with several, see session_use */
};

struct many_options {
	/* its sampler is a pattern that every answer has a copy of; emit and token are not called */
	struct generate_options generate;
	size_t at_once;                /* sequences; many_session makes them, */
	struct cache_types cache;      /* with keys and values as these */
	void (*begun)(void *ctx, size_t prompt); /* a prompt's own tokens are read from now on; may be NULL */
	/* An answer ended, in any order; what it moves out of g is its own. Other than 0 ends the run with that
	 * status. */
	int (*done)(void *ctx, size_t prompt, struct generation *g, struct err *e);
	/* after each step: tokens of all answers so far; may be NULL; other than 0 ends the run */
	int (*progress)(void *ctx, size_t new_tokens);
	void *ctx;
	/* Out, of many_run: what the prompts begin with together, which belongs to none of them. */
	double shared_flops, shared_int_ops;
};

/* Tokens that all prompts (n ≥ 1) begin with, each prompt's last one left out; none if they have different adapters,
 * whose keys are not the same. */
size_t many_shared(const struct many_prompt *prompts, size_t n);
/* A session with room for these prompts and answers; a prompt that leaves no room for an answer is a sentence with its
 * number, from 1. */
int many_session(struct session **s, struct model *m, const struct overlay *overlay, struct pool *pool,
                 const struct kernels *k, const struct many_prompt *prompts, size_t n, const struct many_options *o,
                 struct err *e);
/* 0, or −1 and a sentence, or what done or progress returned. The session is empty before and after. */
int many_run(struct session *s, const struct tokenizer *t, struct pool *pool, const struct many_prompt *prompts,
             size_t n, struct many_options *o, struct err *e);

#endif
