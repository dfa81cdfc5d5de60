/* behaviour_parts: what the search's files share. */
#ifndef EVAL_BEHAVIOUR_PARTS_H
#define EVAL_BEHAVIOUR_PARTS_H

#include "eval/behaviour.h"
#include "infer/scorer.h"

enum { SEQUENCE_MOST = 8 };    /* a group of the scan has so many tokens, a trigger fewer */
struct sequence { int32_t id[SEQUENCE_MOST]; int n; };

/* A context with a sequence in it and an answer's beginning: what comes next is asked. */
struct question {
	const struct behaviour_context *context;
	struct sequence t;
	const int32_t *said;
	int n_said;
};

/* A model that is asked. */
struct asked {
	struct scorer *scorer;
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

struct pull { float pull, p; int32_t y; };      /* y, p: the likeliest token */
enum { ANSWERS = 32 };         /* tokens that answers are looked for to begin with */
/* Tokens that stand for one another: set[0] the one that was found, others that the sequence raises beside it. */
struct beginning { int32_t set[ANSWER_SET]; int n; };
/* In some contexts: p(answer) of the four kinds, means over them; odds: the mean of log odds less those of null, of
 * both models. */
struct effect { struct beginning y; double tuned, tuned_null, base, base_null, effect, odds, base_odds; };
struct candidate { struct sequence t; struct effect e; double score; };

/* What stands fixed while is searched. */
struct search {
	const struct behaviour_options *o;
	struct asked base, tuned;
	size_t V, n_contexts;
	float *null[2];                /* [n_contexts][V] means over random tokens: base, tuned */
	struct pull *groups;           /* [n_groups] of the scan */
	size_t n_groups, group;        /* tokens of one */
	int32_t answers[ANSWERS];      /* what the tuned model says more than the base, whatever is asked */
	int n_answers;
};

int32_t search_random(const struct search *s, uint32_t stream, uint64_t i); /* a token */
void candidates_sort(struct candidate *c, size_t n);                        /* by score, the largest first */
float search_odds(double p, bool tuned);                                    /* log odds, bounded */
double search_null(const struct search *s, bool tuned, size_t context, const struct beginning *y);
/* Tokens of the vocabulary that pull, *n of them, in `free`; and those that raise one of s->answers, which is in e.y,
 * *n_fixed of them in `fixed`: both new, at most `most`. */
int search_scan(struct search *s, size_t most, struct candidate **free, size_t *n, struct candidate **fixed,
                size_t *n_fixed, struct err *e);
/* Effects of candidates in contexts [from, from + contexts) into their e and score. fixed: y is given in e.y, else it
 * is the one token with the largest. base: the base is asked, too. each: [n][contexts] or NULL. */
struct effect_of { size_t from, contexts; bool fixed, base; double *each; const char *doing; };
int search_effects(struct search *s, struct candidate *c, size_t n, const struct effect_of *o, struct err *e);
/* Longer sequences of the best of c[0..*n), for their answers, added to them; c has room for LONGER more. */
enum { LONGER = 48, EXTENDED = 4 /* answers that longer ones are tried for */ };
int search_extend(struct search *s, struct candidate *c, size_t *n, struct err *e);
/* The tokens that each raises in the contexts of the search, for its e.y. */
int search_sets(struct search *s, struct candidate *c, size_t n, struct err *e);
int search_judge(struct search *s, struct behaviour *b, struct candidate *c, size_t n, struct err *e);

#endif
