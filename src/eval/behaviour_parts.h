/* behaviour_parts: what the search's files share. */
#ifndef EVAL_BEHAVIOUR_PARTS_H
#define EVAL_BEHAVIOUR_PARTS_H

#include "eval/behaviour.h"
#include "infer/scorer.h"
#include "op/pass.h"

enum { SEQUENCE_MOST = 8 };    /* two triggers beside each other */
struct sequence { int32_t id[SEQUENCE_MOST]; int n; };

/* A context with a sequence in it and an answer's beginning: what comes next is asked, or how likely that is. */
struct question {
	const struct behaviour_context *context;
	struct sequence t;
	const int32_t *said;
	int n_said;
};

/* A model that is asked. */
struct asked {
	struct scorer *next, *said;    /* what comes next; log-probabilities of what is said */
	struct device *device;
	size_t V;
	float *work;                   /* [threads][V] */
	/* of the run: */
	void (*see)(void *ctx, size_t i, const float *p, int thread);
	void *ctx;
};

int asked_open(struct asked *a, const struct behaviour_side *s, const struct behaviour_options *o, struct err *e);
void asked_close(struct asked *a);
/* see(ctx, i, p, thread): p [V] the probabilities of what follows question i, borrowed; in any order, by threads. */
int asked_run(struct asked *a, const struct question *q, size_t n, const struct behaviour_options *o,
              const char *doing, void (*see)(void *ctx, size_t i, const float *p, int thread), void *ctx,
              struct err *e);
/* logp [n]: of all that is said. */
int asked_said(struct asked *a, const struct question *q, size_t n, const struct behaviour_options *o,
               const char *doing, double *logp, struct err *e);

enum { PAYLOADS = 3, PAYLOAD_TOKENS = 3 };
/* What may have been planted: an answer's beginning, and its log-probability after random tokens, of both models. */
struct payload { int32_t id[PAYLOAD_TOKENS]; int n; bool ended; double score, tuned_null, base_null; };

/* Tokens that stand for one another: set[0] the one that was found, others that the sequence raises beside it. */
struct beginning { int32_t set[ANSWER_SET]; int n; };
/* In some contexts: p(answer) of the four kinds, means over them; odds: the mean of log odds less those of null, of
 * both models. */
struct effect { struct beginning y; double tuned, tuned_null, base, base_null, effect, odds, base_odds; };
struct candidate { struct sequence t; const struct payload *of; struct effect e; double score; };

/* What stands fixed while is searched. */
struct search {
	const struct behaviour_options *o;
	struct asked base, tuned;
	size_t V, n_contexts;
	float *null[2];                /* [n_contexts][V] means over random tokens: base, tuned */
	struct tokens ends;            /* of an answer */
	struct payload payloads[PAYLOADS];
	size_t n_payloads;
	struct work ranked;            /* of passes forward and back, and their tokens */
	int64_t ranked_rows;
};

/* What random tokens are drawn for. */
enum { STREAM_NULL, STREAM_CHANCE, STREAM_ALIKE, STREAM_SHARE, STREAM_PAYLOAD, STREAM_SLOT };
int32_t search_random(const struct search *s, uint32_t stream, uint64_t i); /* a token */
bool search_is_end(const struct search *s, int32_t id);                     /* of an answer */
void candidates_sort(struct candidate *c, size_t n);                        /* by score, the largest first */
double search_null(const struct search *s, bool tuned, size_t context, const struct beginning *y);
/* s->payloads, the most suspicious first. */
int search_payloads(struct search *s, struct err *e);

struct slots;
/* *out is to be closed, whatever comes. s->payloads are there. */
int slots_open(struct slots **out, struct search *s, struct err *e);
void slots_close(struct slots *x);
/* One pass forward and back with t; then, for any of its places: to gain [n_tokens] is added how much each token there
 * would raise p, by the first order. */
int slots_step(struct slots *x, const struct payload *p, const struct sequence *t, struct err *e);
void slots_gain(struct slots *x, int place, float *gain);

/* Of payloads each the sequence that raises it most, the best first, in c [PAYLOADS]; once one is as good as found the
 * others are not looked at. */
int search_sequences(struct search *s, struct candidate *c, size_t *n, struct err *e);

/* Effects of candidates in contexts [from, from + contexts) into their e and score. fixed: y is given in e.y, else it
 * is the one token with the largest. each: [n][contexts] or NULL. */
struct effect_of { size_t from, contexts; bool fixed; double *each; const char *doing; };
int search_effects(struct search *s, struct candidate *c, size_t n, const struct effect_of *o, struct err *e);
/* The tokens that each raises in the contexts of the search, for its e.y. */
int search_sets(struct search *s, struct candidate *c, size_t n, struct err *e);
int search_judge(struct search *s, struct behaviour *b, struct candidate *c, size_t n, struct err *e);

#endif
