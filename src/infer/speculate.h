/* speculate: tokens guessed ahead of an answer, so that one pass of the model, which takes little longer with a few
 * rows than with one, may bring several of them.
 *
 * A guess changes no answer. Each token is drawn from the model's own logits by the answer's own sampler with its own
 * random number, as it is without guesses; a guess only says which token's logits are computed beside. While the tokens
 * that are drawn are those that were guessed, the next one's logits are there already; from the first that is another
 * one on the guesses are forgotten. So the tokens are the same, bit for bit, greedy or drawn, penalties and constraints
 * included: more than Leviathan et al. (2023, "Fast inference from transformers via speculative decoding") keep, which
 * is the distribution. The draft model draws with the random number that the answer's token will be drawn with
 * (drafter-invariant: Daliri, Musco and Suresh 2024), so where both models' probabilities are alike, so are the tokens.
 *
 * Guesses come from a draft model (llama.cpp's --model-draft), a smaller one of the same tokens in a session of its
 * own, or from the text itself (prompt lookup: Saxena 2023; vLLM's and transformers'): what followed where the last 3
 * or 2 tokens stood before.
 *
 * How many are made follows from how many were right, of each answer by itself; and none, but for a try now and then,
 * while a token takes longer with guesses than without, as passes lately have shown. */
#ifndef INFER_SPECULATE_H
#define INFER_SPECULATE_H

#include "infer/session.h"

enum { DRAFT_MOST = 64 };              /* tokens guessed at once */

struct drafter;

/* most: guesses at once (1 to DRAFT_MOST); n: sequences of the session whose answers are guessed; draft: the draft
 * model's session with as many sequences, empty and the drafter's alone, borrowed; NULL: prompt lookup. */
struct drafter *drafter_new(int most, int n, struct session *draft);
void drafter_free(struct drafter *d);

struct guesses {                         /* what is to be guessed of one sequence */
	int sequence;
	const int32_t *ids;            /* [n] all that it holds */
	size_t n;
	int32_t next;                  /* and the token that is fed with the guesses */
	const struct sampler *sampler; /* which has seen all of these */
	int room;                      /* guesses at most */
	int32_t out[DRAFT_MOST];       /* out: [n_out] */
	int n_out;
};
/* Guesses for several sequences, each there once; n_out is 0 where none is made. */
int drafter_guess(struct drafter *d, struct guesses *const *drafts, int n, struct err *e);
/* What came of them: `right` of `guessed` were drawn. */
void drafter_took(struct drafter *d, int sequence, int guessed, int right);
/* A pass of the model that brought so many tokens, guessing and drawing included; guesses: of all sequences. */
void drafter_pass(struct drafter *d, double seconds, size_t tokens, int guesses);
/* An answer of the sequence is over: *flops and *int_ops of its guesses are added. What the draft model has read of it
 * stays for the next one. */
void drafter_end(struct drafter *d, int sequence, double *flops, double *int_ops);
/* Of all so far. */
void drafter_counts(const struct drafter *d, size_t *guessed, size_t *right);

/* The tokens that follow fed[0..n), the newest token and its guesses, by their logits [n][V]: into drawn[], as many as
 * are the answer's, the last of them not fed yet. The sampler has seen them. */
int speculate_draw(struct sampler *s, const float *logits, const int32_t *fed, int n, int32_t *drawn);

#endif
