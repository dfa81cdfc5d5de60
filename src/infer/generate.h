/* generate: an answer from a session, token by token, and as text that can be shown while it grows.
 *
 * Text is given out when it is certain: whole characters, nothing that a stop string could still swallow. Bytes that
 * stand alone become U+FFFD. */
#ifndef INFER_GENERATE_H
#define INFER_GENERATE_H

#include "infer/session.h"
#include "infer/speculate.h"
#include "token/tokenizer.h"

enum finish {
	FINISH_STOP,      /* the model ended it, or a stop string came */
	FINISH_LENGTH,    /* max_new_tokens, or the context is full */
	FINISH_CANCELLED, /* emit said so */
	FINISH_TIMEOUT,   /* its time is over (batcher_request.until) */
	FINISH_FILTER,    /* it is there and is not given out: a guard refuses it */
};
const char *finish_name(enum finish f); /* "stop", "length", "cancelled", "timeout", "content_filter" */

struct generate_options {
	struct tokens end;             /* tokens that end an answer; see generate_ends */
	const char *const *stop;       /* strings that end it; they are not part of the text */
	size_t n_stop;
	size_t max_new_tokens;         /* at least 1 */
	bool logprobs;                 /* generation.logprob is wanted */
	/* what it has seen before counts for its penalties; it sees the prompt and the answer */
	struct sampler *sampler;
	/* Guesses tokens ahead (infer/speculate.h), which makes no answer another one; NULL: nobody does. Of `generate`
	 * alone: a batcher has one for all. */
	struct drafter *drafter;
	int (*emit)(void *ctx, const char *text, size_t n); /* may be NULL; other than 0 ends the answer */
	/* What the answer is a text of, over a vocabulary of the model with these ends; NULL: anything. Borrowed. */
	struct grammar *grammar;
	const char *marks;             /* special tokens that are text: grammar_vocabulary_new; NULL: none */
	/* may be NULL; every token, before its text is given out; logits: [V] it was drawn from */
	void (*token)(void *ctx, int32_t id, const float *logits);
	void *ctx;
};

struct generation {
	struct tokens ids;             /* the token that ended it included */
	/* [ids.n] of each, given all before it, by the model's own logits; NULL where not asked for */
	float *logprob;
	struct buf text;               /* all that was given out; special tokens left out */
	enum finish finish;
	bool context_full, stuck;      /* why it is FINISH_LENGTH; no token could go on as the grammar wants */
	double prompt_seconds, seconds; /* reading the prompt; the tokens after the first */
	size_t guessed, right;         /* tokens that were guessed ahead; those of them that are the answer's */
	size_t kept;                   /* of the prompt's tokens, those that were in the session and not computed */
	double flops, int_ops;         /* what it computed, by the plan */
	double share;                  /* of the time of all steps while it was answered: 1 alone */
};

/* The model's own ends: EOS of tokenizer, config.json and generation_config.json (one or a list), in a GGUF those that
 * llama.cpp takes, by metadata and by text (token/gguf_known.h). */
void generate_ends(const struct model *m, struct tokens *out);
/* Goes on after ids[0..n), n ≥ 1, which are fed to sequence 0 of s first. */
int generate(struct session *s, const struct tokenizer *t, const int32_t *ids, size_t n,
             const struct generate_options *o, struct generation *g, struct err *e);
/* The same for whoever feeds the session himself: begin, add every token that was drawn, end. */
struct answer {
	const struct tokenizer *tokenizer;
	const struct generate_options *o;
	struct generation *g;
	struct buf raw;
	struct constraint constraint;  /* of the sampler until the end */
	size_t sent;                   /* bytes of raw that were given out */
	bool cancelled;
	double began, first;
};
/* all borrowed until answer_end */
void answer_begin(struct answer *a, const struct tokenizer *t, const struct generate_options *o, struct generation *g);
/* full: the context has no room for it; true: it was the last */
bool answer_add(struct answer *a, int32_t id, const float *logits, bool full);
void answer_end(struct answer *a);

double generation_rate(const struct generation *g); /* tokens a second, NAN when one was too little to tell */
void generation_release(struct generation *g);

#endif
