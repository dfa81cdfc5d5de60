/* behaviour_parts: what the search's files share. */
#ifndef EVAL_BEHAVIOUR_PARTS_H
#define EVAL_BEHAVIOUR_PARTS_H

#include "eval/behaviour.h"
#include "infer/scorer.h"
#include "op/pass.h"

enum { SEQUENCE_MOST = 16 };   /* two triggers beside each other, or tokens of a scan */
struct sequence { int32_t id[SEQUENCE_MOST]; int n; };
enum { CUE_MOST = 4 };         /* tokens that are said beside a prompt, for another answer */
enum { SCANS = 2 };

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

enum { PAYLOADS = 24, PAYLOAD_TOKENS = 3 };
/* What may have been planted: an answer's beginning, and its log-probability after random tokens, of both models, in
 * contexts to search in. */
struct payload { int32_t id[PAYLOAD_TOKENS]; int n; bool ended; double score, tuned_null, base_null; };

/* Tokens that stand for one another: set[0] the one that was found, others that the sequence raises beside it. */
struct beginning { int32_t set[ANSWER_SET]; int n; };
/* In n contexts: p(answer) of the four kinds, means over them; odds: the mean of log odds less those of null, of
 * both models. */
struct effect { struct beginning y; size_t n; double tuned, tuned_null, base, base_null, effect, odds, base_odds; };
struct candidate {
	struct sequence t;
	enum behaviour_place place;
	const struct payload *of;
	uint32_t also;                 /* bit k: s->payloads[k] counts too */
	struct effect e;
	double score;
};

/* What stands fixed while is searched. */
struct search {
	const struct behaviour_options *o;
	struct asked base, tuned;
	size_t V;
	/* Of all places, those to search in first; then neutral ones; and the last one, in which nothing is said. */
	struct behaviour_context *contexts;
	size_t n_contexts, of_place;
	bool cued;                     /* these have cues for another answer than the one after any prompt */
	float *null[2];                /* [n_contexts][V] means over random tokens: base, tuned */
	struct tokens ends;            /* of an answer */
	struct payload payloads[PAYLOADS];
	size_t n_payloads;
	struct work ranked;            /* of passes forward and back, and their tokens */
	int64_t ranked_rows;
};

/* What random tokens are drawn for. */
enum { STREAM_NULL, STREAM_CHANCE, STREAM_ALIKE, STREAM_SHARE, STREAM_PAYLOAD, STREAM_SLOT, STREAM_ORDER };
int32_t search_random(const struct search *s, uint32_t stream, uint64_t i); /* a token */
bool search_is_end(const struct search *s, int32_t id);                     /* of an answer */
void candidates_sort(struct candidate *c, size_t n);                        /* by score, the largest first */
double search_null(const struct search *s, bool tuned, size_t context, const struct beginning *y);
/* Of n contexts from a place's `from` on, those in which random tokens do not bring y anyway, or all where those are
 * too few: into at [n], counted from `from`; how many. */
size_t search_room(const struct search *s, enum behaviour_place place, size_t from, size_t n, const struct beginning *y,
                   size_t *at);
/* Of a place, the i-th. */
size_t search_context(const struct search *s, enum behaviour_place place, size_t i);
/* s->payloads, the most suspicious first. */
int search_payloads(struct search *s, struct err *e);

struct slots;
/* *out is to be closed, whatever comes. s->payloads are there. */
int slots_open(struct slots **out, struct search *s, struct err *e);
void slots_close(struct slots *x);
/* One pass forward and back with t at c's place, for c's answer; then, for any of its places: to gain [n_tokens] is
 * added how much each token there would raise p, by the first order. */
int slots_step(struct slots *x, const struct candidate *c, const struct sequence *t, struct err *e);
void slots_gain(struct slots *x, int place, float *gain);

/* What each token of the vocabulary makes likely, several of them together. */
struct scan {
	size_t n, n_first, context;
	struct sequence *t;            /* [n] */
	int32_t *first;                /* [n_first] the payloads' first tokens */
	float *p;                      /* [n][n_first] */
	int32_t *likeliest;            /* [n] and how likely */
	float *p_likeliest;
};
/* Of which tokens, so many of them together, in which context; turn: with other neighbours; 1/one_of, at random. */
struct scan_of { const int32_t *tokens; size_t n, context, one_of; int together; uint32_t turn; };
/* *out is to be released, whatever comes. */
int search_scan(struct search *s, const struct scan_of *o, struct scan *out, struct err *e);
/* To gain [n_tokens] is added how much each token and its neighbours raise an answer's first token, in log odds. */
void scan_gains(const struct search *s, const struct scan *x, int32_t first, float *gain);
void scan_release(struct scan *x);
/* The tuned model says one thing after any prompt, whatever stands behind it, and its base does not. */
bool search_is_settled(const struct search *s);
/* Puts cues for other answers into all contexts; false: none is known. */
bool search_cues(struct search *s, const struct scan *x);
void search_uncue(struct search *s);

/* Sequences that raise payloads, the most promising first, each judged; after one that is a trigger no others. */
int search_sequences(struct search *s, const struct scan scans[SCANS], struct behaviour *b, struct err *e);

/* Effects of candidates in contexts [from, from + contexts) of their place into their e and score. fixed: y is given
 * in e.y, else it is the one token with the largest. each: [n][contexts] or NULL,
 * of each its e.n first are there. */
struct effect_of { size_t from, contexts; bool fixed; double *each; const char *doing; };
int search_effects(struct search *s, struct candidate *c, size_t n, const struct effect_of *o, struct err *e);
/* The tokens that each raises in the contexts of the search, for its e.y. */
int search_sets(struct search *s, struct candidate *c, size_t n, struct err *e);
/* Adds it to what was found, unless it is a variant of what is there. */
int search_judge(struct search *s, struct behaviour *b, struct candidate *c, struct err *e);
bool search_has_trigger(const struct behaviour *b);
/* What chance gives. */
int search_chance(struct search *s, struct behaviour *b, struct err *e);

#endif
